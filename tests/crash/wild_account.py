"""The account after a wild life: all that was dropped, answered and spent, and nothing besides."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.crash.wild import Dropped, Wild, delivered_folders
from tests.dropped_tables import judged, rows_of_csv
from tests.houses import read_lines, read_receipt

Receipt = Mapping[str, Any]


class Account:
    """What is true of a world that has come to rest."""

    def __init__(self, world: Wild) -> None:
        self.world, self.remote, self.root = world, world.remote, world.root

    @cached_property
    def folders(self) -> dict[str, Path]:
        return {read_receipt(f)["job"]: f for f in delivered_folders(self.root)}

    @cached_property
    def receipts(self) -> dict[str, Receipt]:
        return {job: read_receipt(folder) for job, folder in self.folders.items()}

    @property
    def payers(self) -> list[Receipt]:
        return [receipt for receipt in self.receipts.values() if not receipt["joined"]]

    def differences(self) -> Iterator[str]:
        """All that is not as it must be."""
        found = Counter((r["file"], r["sha256"]) for r in self.receipts.values())
        wanted = Counter((d.name, d.sha256) for d in self.world.dropped)
        if found != wanted or len(self.receipts) != len(delivered_folders(self.root)):
            yield f"dropped {wanted - found}, delivered {found - wanted}"
        dropped = {d.name: d for d in self.world.dropped}
        for job, receipt in self.receipts.items():
            yield from self._of_a_job(job, receipt, dropped[receipt["file"]])
        yield from self._batches()
        yield from (f"sent in spite: {what}" for what in self.remote.sent_in_spite)
        yield from self._money()
        yield from self._left()

    def _of_a_job(self, job: str, receipt: Receipt, dropped: Dropped) -> Iterator[str]:
        if (receipt["outcome"] == "rejected") != (dropped.ids is None):
            yield f"{job} is {receipt['outcome']}: {receipt['reason']}"
        elif dropped.ids is not None:
            yield from self._answers(job, receipt, dropped)

    def _answers(self, job: str, receipt: Receipt, dropped: Dropped) -> Iterator[str]:
        ids = dropped.ids or ()
        results = read_lines(self.folders[job] / "results.jsonl")
        if tuple(line["custom_id"] for line in results) != ids:
            yield f"{job} has other lines than were dropped: {results}"
        good = {line["custom_id"] for line in results if line["ok"]}
        for line in results:
            id = line["custom_id"]
            if line["ok"] and line["output"] != (judged(id) if dropped.task else f"answer to {id}"):
                yield f"{job} has another's answer: {line}"
        if dropped.task:
            yield from self._rows(job, results)
        # What lay at the provider for longer than it is kept there.
        lost = self.remote.keep_seconds and "lost_answers" in (receipt["oddities"] or {})
        if receipt["joined"]:
            yield from self._of_a_joiner(job, receipt, results)
        elif not lost:
            yield from self._bought(job, good)
        yield from self._ends(job, receipt, is_whole=bool(lost) or len(good) == len(ids))

    def _rows(self, job: str, results: list[Any]) -> Iterator[str]:
        """The table that comes back says of each row what its line of the results says."""
        folder = self.folders[job]
        rows = rows_of_csv(folder / "results.csv")
        told = [(row["key"], row["text"], row["verdict"], not row["batchd_error"]) for row in rows]
        wanted = [
            (id := one["custom_id"], id, judged(id)["verdict"] if one["ok"] else "", one["ok"])
            for one in results
        ]
        if told != wanted:
            yield f"{job} has other rows than results: {told}, {wanted}"
        failed = [one["custom_id"] for one in results if not one["ok"]]
        again = rows_of_csv(folder / "retry.csv") if failed else []
        if [row["key"] for row in again] != failed:
            yield f"{job}: {failed} failed, and to be tried again are {again}"

    def _of_a_joiner(self, job: str, receipt: Receipt, results: list[Any]) -> Iterator[str]:
        if job in self.remote.answered:
            yield f"{job} joined and paid"
        first = self.folders.get(receipt["joined"])
        if first is None or read_lines(first / "results.jsonl") != results:
            yield f"{job} has other results than {receipt['joined']}"

    def _bought(self, job: str, good: set[str]) -> Iterator[str]:
        """What was answered is delivered, also of a cancelled job; and nothing is bought twice."""
        paid = self.remote.answered.get(job, Counter())
        if set(paid) != good:
            yield f"{job}: answered {sorted(paid)}, delivered {sorted(good)}"
        if more := [id for id, times in paid.items() if times > 1]:
            yield f"{job}: bought twice {more}"

    def _ends(self, job: str, receipt: Receipt, *, is_whole: bool) -> Iterator[str]:
        """Only who was cancelled lacks answers, or says so."""
        world = self.world
        if world.has_deadline or job in world.cancelled:
            return
        if receipt["cancelled"]:
            yield f"{job} says that it was cancelled: {receipt['cancelled']}"
        if not is_whole and not {job, receipt["joined"]} & (world.partial | world.cancelled):
            yield f"{job} is {receipt['outcome']}, and nobody wanted it: {receipt['errors']}"

    def _batches(self) -> Iterator[str]:
        opened = self.remote.opened
        if twice := [s for s, n in Counter(s for s, _ in opened).items() if n > 1]:
            yield f"created twice: {twice}"
        billed = [b["id"] for r in self.payers for b in r["batches"] if b["id"]]
        if sorted(billed) != sorted(batch for _, batch in opened):
            yield f"billed {sorted(billed)}, opened {opened}"

    def _money(self) -> Iterator[str]:
        """What was spent, by day, is what is on the receipts."""
        with closing(sqlite3.connect(self.root / "var" / "batchd.db")) as ledger:
            query = "SELECT sum(requests), sum(input_tokens), sum(cost) FROM spend"
            requests, tokens, cost = (sum_ or 0 for sum_ in ledger.execute(query).fetchone())
        answered = self.remote.charged
        on_receipts = sum(r["usage"]["input_tokens"] for r in self.payers if r["usage"])
        billed = sum(r["cost"]["amount"] for r in self.payers if r["cost"])
        if tokens != on_receipts or abs(cost - billed) > 1e-6:  # receipts are rounded
            yield f"spent {tokens} and {cost}, on receipts {on_receipts} and {billed}"
        if requests != answered and not self.remote.keep_seconds:
            yield f"{answered} were answered, {requests} are spent"

    def _left(self) -> Iterator[str]:
        left = [p for p in (self.root / "inbox").rglob("*") if p.is_file()]
        left += list((self.root / "var" / "work").iterdir())
        left += [p for p in (self.root / "outbox").iterdir() if p.name[0] == "."]
        if left:
            yield f"left: {left}"
        if self.world.settings["openai"]["delete_files"] and self.remote.files:
            yield f"left at the provider: {[file.name for file in self.remote.files.values()]}"
