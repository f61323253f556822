"""No folder of data lies in another, or holds the program or its settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from batchd.core.errors import ConfigError
from batchd.spool.apart import Kept, must_be_apart
from batchd.spool.folders import Folders


def refusal(root: Path, **precious: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        must_be_apart(Folders(root), **precious)
    return str(refused.value)


def test_a_root_that_holds_the_program_beside_its_folders_is_fine(tmp_path: Path):
    """Two commands of the README: a checkout is a root."""
    program = [Kept("the program", tmp_path / "batchd"), Kept("it", tmp_path / ".venv")]
    config = tmp_path / "config" / "batchd.toml"
    must_be_apart(Folders(tmp_path), config=config, program=program)
    must_be_apart(Folders(Path(__file__).parents[2]))
    assert list(tmp_path.iterdir()) == [], "and nothing is made"


@pytest.mark.parametrize(
    ("link", "to", "both"),
    [
        ("outbox", "inbox/out", ("inbox/", "outbox/")),
        ("var", "inbox/var", ("inbox/", "var/")),
        ("inbox", "outbox", ("inbox/", "outbox/")),
        ("inbox", ".", ("inbox/", "outbox/")),
        ("var", "outbox", ("outbox/", "var/")),
        ("inbox", "var/work", ("inbox/", "var/work/")),
    ],
)
def test_folders_that_lead_into_each_other_are_refused(tmp_path: Path, link, to, both):
    (tmp_path / to).mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / to)
    said = refusal(tmp_path)
    assert any(all(f"{name} (" in line for name in both) for line in said.splitlines()), said
    assert str(tmp_path / link) in said
    assert "let each be a folder of its own" in said


def test_work_that_is_led_out_of_var_into_the_inbox_is_refused(tmp_path: Path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "work").symlink_to(tmp_path / "inbox")
    assert "inbox/ (" in refusal(tmp_path)


def test_task_files_that_whoever_drops_could_change_are_refused(tmp_path: Path):
    """They say what is asked, and so what is paid for."""
    (tmp_path / "inbox" / "mine").mkdir(parents=True)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tasks").symlink_to(tmp_path / "inbox" / "mine")

    said = refusal(tmp_path, tasks=tmp_path / "config" / "tasks")

    assert "the task files" in said
    must_be_apart(Folders(tmp_path), tasks=tmp_path / "elsewhere" / "tasks")


def test_links_to_other_places_are_nobodys_business(tmp_path: Path):
    for name in ("inbox", "outbox", "var"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
        (tmp_path / name).symlink_to(tmp_path / "elsewhere" / name)
    must_be_apart(Folders(tmp_path))


@pytest.mark.parametrize("name", ["inbox", "outbox", "var"])
def test_the_settings_may_lie_in_none_of_them(tmp_path: Path, name: str):
    config = tmp_path / name / "sub" / "batchd.toml"
    said = refusal(tmp_path, config=config)
    assert said.startswith(f"{name}/ (")
    assert f"the configuration file ({config})" in said


def test_settings_that_are_a_link_in_the_inbox_could_be_led_elsewhere(tmp_path: Path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "real.toml").touch()
    (tmp_path / "inbox" / "batchd.toml").symlink_to(tmp_path / "real.toml")
    assert "the configuration file" in refusal(tmp_path, config=tmp_path / "inbox" / "batchd.toml")


def test_neither_may_the_program_nor_its_environment(tmp_path: Path):
    (tmp_path / "inbox").symlink_to("/")
    said = refusal(tmp_path)
    assert "the program (" in said
    assert f"the program's environment ({sys.prefix})" in said
