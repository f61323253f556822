"""Finished folders: one rename, repeated from any point, never twice."""

from __future__ import annotations

import stat

import pytest

from batchd.core.errors import BrokenInvariant
from batchd.spool.outbox import Outbox


@pytest.fixture
def outbox(tmp_path):
    (tmp_path / "outbox").mkdir()
    return Outbox(tmp_path / "outbox")


@pytest.fixture
def dropped(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n")
    return path


def names(outbox: Outbox) -> list[str]:
    folder = outbox.draft("x").parent
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_draft_is_hidden_and_begun_empty(outbox):
    draft = outbox.begin("0aaaaa")
    assert draft.name.startswith(".")
    (draft / "half").touch()
    assert list(outbox.begin("0aaaaa").iterdir()) == []


def test_a_folder_appears_with_the_dropped_file_in_it(outbox, dropped):
    (outbox.begin("0aaaaa") / "receipt.json").touch()
    assert outbox.publish("0aaaaa", "a--0aaaaa", [dropped])
    assert names(outbox) == ["a--0aaaaa/input/a.jsonl", "a--0aaaaa/receipt.json"]
    assert not dropped.exists()


def test_publishing_goes_on_from_where_it_was_killed(outbox, dropped):
    draft = outbox.begin("0aaaaa")
    (draft / "receipt.json").touch()
    (draft / "input").mkdir()
    assert outbox.publish("0aaaaa", "a--0aaaaa", [dropped]), "killed before the file moved"
    outbox.draft("x").parent.joinpath("a--0aaaaa").rename(draft)
    assert outbox.publish("0aaaaa", "a--0aaaaa", []), "killed after it"
    assert names(outbox) == ["a--0aaaaa/input/a.jsonl", "a--0aaaaa/receipt.json"]
    assert not outbox.publish("0aaaaa", "a--0aaaaa", []), "and now it has appeared"


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_planted_folder_is_never_replaced(outbox, dropped, is_empty):
    draft = outbox.begin("0aaaaa")
    planted = draft.with_name("a--0aaaaa")
    planted.mkdir()
    if not is_empty:
        (planted / "theirs").touch()
    with pytest.raises(BrokenInvariant):
        outbox.publish("0aaaaa", "a--0aaaaa", [dropped])
    assert draft.is_dir()
    assert (draft / "input" / "a.jsonl").exists(), "it waits in the draft, and is nobody else's"


def test_a_dropped_file_that_was_its_owners_alone_is_delivered_to_the_group(tmp_path):
    """R60: its lines are in results and retry.jsonl for the group all the same."""
    outbox = Outbox(tmp_path / "outbox")
    dropped = tmp_path / "a.jsonl"
    dropped.write_text("{}\n")
    dropped.chmod(0o600)
    outbox.begin("0aaaaa")
    outbox.publish("0aaaaa", "a--0aaaaa", [dropped])
    delivered = tmp_path / "outbox" / "a--0aaaaa" / "input" / "a.jsonl"
    assert stat.S_IMODE(delivered.stat().st_mode) == 0o640
