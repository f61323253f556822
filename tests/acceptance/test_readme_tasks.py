"""The README's section on tables and tasks, done as it says, in a copy of the checkout's folders."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from batchd.configuration.shipped import shipped
from tests.acceptance.processes import KEY, QUICK, Daemon, Processes
from tests.acceptance.tables import columns_of, delivered_to, rows_of

pytestmark = pytest.mark.processes

README = Path(__file__).parents[2] / "README.md"
SECTION = "Tables and tasks"


def blocks() -> list[tuple[str, str]]:
    """The section's blocks in order: what it calls its language, and the text."""
    section = README.read_text(encoding="utf-8").split(f"\n## {SECTION}\n")[1].split("\n## ")[0]
    return re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def is_shell(block: tuple[str, str]) -> bool:
    return not block[0] and block[1].startswith(("cp ", "mkdir "))


def named_file() -> str:
    """Where the section says that a task of one's own goes."""
    text = README.read_text(encoding="utf-8").split(f"\n## {SECTION}\n")[1]
    (path,) = re.findall(r"takes ten lines, in `(\S+)`", text)
    return str(path)


def test_the_readme_says_what_happens(processes, tmp_path):
    """Its commands are run and its task file is written; its tables are what comes back."""
    shutil.copytree(shipped("config"), tmp_path / "config")
    sandbox = processes.sandbox()
    daemon = Daemon(
        tmp_path,
        *(f"--set={name}={value}" for name, value in QUICK.items()),
        output=tmp_path / "daemon.out",
        cwd=tmp_path,
        environment={"OPENAI_BASE_URL": sandbox.base_url, "OPENAI_API_KEY": KEY},
    )
    processes.adopt(daemon)
    processes.wait_for_event(daemon, "daemon.ready")

    first, table, toml, second, other_table = blocks()
    assert is_shell(first)
    assert is_shell(second)
    wait_for_folder(processes, tmp_path / "inbox" / "sentiment")
    run(first[1], tmp_path)
    folder = delivered_to(processes, tmp_path, "sentiment")
    check(folder / "results.csv", table[1])

    assert toml[0] == "toml"
    assert len([line for line in toml[1].splitlines() if line]) <= 10
    (tmp_path / named_file()).write_text(toml[1], encoding="utf-8")
    wait_for_folder(processes, tmp_path / "inbox" / Path(named_file()).stem)
    run(second[1], tmp_path)
    check(delivered_to(processes, tmp_path, "reviews") / "results.csv", other_table[1])


def wait_for_folder(processes: Processes, folder: Path) -> None:
    """A task's folder is made by the daemon, as soon as it sees the task."""
    processes.wait(folder.is_dir, what=f"the folder {folder.name}", within=10)


def run(commands: str, folder: Path) -> None:
    for command in commands.splitlines():
        subprocess.run(command.split("#")[0].split(), cwd=folder, check=True)


def check(results: Path, shown: str) -> None:
    """The same columns, and the sender's cells as shown; the model's words are the model's."""
    found = results.read_bytes()
    header = shown.splitlines()[0].split(",")
    assert columns_of(found, "results.csv") == header
    own = header[:3]
    rows = rows_of(found, "results.csv")
    for expected, row in zip(rows_of(shown.encode(), "shown.csv"), rows, strict=False):
        assert [row[name] for name in own] == [expected[name] for name in own]
        assert row["sentiment"] == expected["sentiment"]
    assert {row["batchd_error"] for row in rows} == {""}
