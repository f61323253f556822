"""A house with one task, for the tests of tables that go through all stages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from batchd.runtime.services import Services
from tests.dropped_tables import as_asked, claimed_table, judged, rows_of_csv
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, live, open_services, read_lines, read_receipt, write_task

JOB, OTHER = "0aaaaa", "0bbbbb"


class House:
    """A root with one task, and a provider that answers what is asked."""

    def __init__(self, root: Path, task: str, **sections: Any) -> None:
        self.root = root
        self.sections = sections
        self.remote = FakeRemote(FakeClock())
        self.remote.answers = as_asked
        write_task(root, "judge", task)

    def open(self) -> Any:
        remote, clock = self.remote, self.remote._clock
        return open_services(self.root, remote=remote, clock=clock, **self.sections)  # type: ignore[arg-type]

    def table(self, content: str, *, name: str = "a.csv", job: str = JOB) -> None:
        claimed_table(self.root, "judge", name, content, job=job)

    async def lives(
        self, content: str, person: Callable[[Services], Awaitable[None]] | None = None
    ) -> Path:
        """Let it live until its one table is delivered; return the folder."""
        async with self.open() as services:
            self.table(content)
            await live(services, deliveries=1, person=person)
        (folder,) = delivered(self.root).values()
        return folder


def checked(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """What must be true of every table that comes back, whatever happened; its results by id."""
    rows, lines = rows_of_csv(folder / "results.csv"), read_lines(folder / "results.jsonl")
    assert [row["text"] for row in rows] == [f"text {n}\nof it" for n in range(1, count + 1)]
    assert [bool(row["batchd_error"]) for row in rows] == [not line["ok"] for line in lines]
    failed = [row for row in rows if row["batchd_error"]]
    again = rows_of_csv(folder / "retry.csv") if failed else []
    assert [row["key"] for row in again] == [row["key"] for row in failed]
    assert (folder / "retry.csv").exists() == (folder / "errors.jsonl").exists() == bool(failed)
    bill = read_receipt(folder)
    assert bill["requests"]["total"] == len(lines) == count
    assert bill["requests"]["succeeded"] == sum(line["ok"] for line in lines)
    for line in lines:
        assert not line["ok"] or line["output"] in (judged(line["custom_id"]), line["output"])
    return {line["custom_id"]: line for line in lines}
