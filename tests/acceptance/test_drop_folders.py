"""The folders of tasks, as people use them: a task comes, breaks and is mended while batchd runs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.acceptance.outcomes import finished
from tests.houses import delivered

pytestmark = pytest.mark.processes

TASK = 'model = "gpt-4o-mini"\nprompt = "Of which mood is this? {{ text }}"\n'
ROWS = [{"id": str(number), "text": f"text {number}"} for number in range(1, 6)]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Where the daemon of `processes` has its task files: beside its configuration."""
    (tmp_path / "tasks").mkdir()
    return tmp_path / "tasks"


def drop_table(root: Path, name: str) -> Path:
    """As a person does: written where it lies."""
    path = root / "inbox" / name
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text"])
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def check_table(folder: Path) -> None:
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{"id": row["id"], "text": row["text"]} for row in rows] == ROWS
    assert all(row["answer"] and not row["batchd_error"] for row in rows)


def test_a_task_may_come_later_than_the_daemon_and_its_table_comes_back(processes, root, tasks):
    processes.daemon(root, processes.sandbox())
    (tasks / "mood.toml").write_text(TASK)
    processes.wait(lambda: (root / "inbox" / "mood").is_dir(), what="the folder of the task")
    drop_table(root, "mood/reviews.csv")

    check_table(finished(processes, root, "reviews")["reviews"])


def test_a_broken_task_keeps_its_files_until_it_is_mended_and_no_others(processes, root, tasks):
    for name in ("mood", "other"):
        (tasks / f"{name}.toml").write_text(TASK if name == "other" else TASK + "prmpt = 1\n")
    processes.daemon(root, processes.sandbox())
    for name in ("mood", "other"):
        folder = root / "inbox" / name
        processes.wait(folder.is_dir, what=f"{folder}")
    waiting = drop_table(root, "mood/waiting.csv")
    drop_table(root, "other/taken.csv")
    finished(processes, root, "taken")
    assert waiting.exists()
    assert "waiting" not in delivered(root)

    (tasks / "mood.toml").write_text(TASK)
    check_table(finished(processes, root, "waiting")["waiting"])
