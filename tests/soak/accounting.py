"""The account after a soak: what was dropped, what was delivered, and what the provider did for it."""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.acceptance.outcomes import expected_output
from tests.houses import read_lines, read_receipt
from tests.soak import tables, weather
from tests.soak.contents import Content
from tests.soak.writers import Desk

_FEW = 5  #: of a kind of difference are told in full


@dataclass(frozen=True)
class Delivered:
    """A folder of the outbox, and what it says of itself."""

    folder: Path
    receipt: dict[str, Any]

    @property
    def job(self) -> str:
        return str(self.receipt["job"])

    @property
    def is_rejected(self) -> bool:
        return self.receipt["outcome"] == "rejected"

    @property
    def key(self) -> tuple[str, str]:
        return self.receipt["file"], self.receipt["sha256"]


class Account:
    """Everything that can be looked at once all has come to rest."""

    def __init__(
        self, root: Path, desk: Desk, ledger: dict[str, Any], cancelled: AbstractSet[str]
    ) -> None:
        self.root, self.desk, self.ledger = root, desk, ledger
        self.cancelled = cancelled  #: jobs of which a person may have said so

    @cached_property
    def delivered(self) -> list[Delivered]:
        folders = sorted(p for p in (self.root / "outbox").iterdir() if p.name[0] != ".")
        return [Delivered(folder, read_receipt(folder)) for folder in folders]

    @cached_property
    def by_job(self) -> dict[str, Delivered]:
        return {one.job: one for one in self.delivered}

    @cached_property
    def contents(self) -> dict[str, Content]:
        return {content.sha256: content for _, content in self.desk.dropped}

    @cached_property
    def batches(self) -> dict[str, dict[str, Any]]:
        return {batch["id"]: batch for batch in self.ledger["batches"]}

    @cached_property
    def joined(self) -> list[Delivered]:
        return [one for one in self.delivered if one.receipt["joined"]]

    @cached_property
    def executions(self) -> dict[str, Counter[str]]:
        """How often each request of a job was executed: over all of its batches."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for batch, executed in self.ledger["executions_by_batch"].items():
            counts[_job_of(self.batches[batch])].update(executed)
        return dict(counts)

    @property
    def requests_executed(self) -> int:
        return sum(sum(counts.values()) for counts in self.executions.values())

    @property
    def oddities(self) -> Counter[str]:
        """What was odd about the answers, as the receipts of those who paid tell."""
        told = [one.receipt["oddities"] for one in self.delivered if not one.receipt["joined"]]
        return Counter(
            {
                f"{name.replace('_', ' ')} (lines)": sum(each.get(name, 0) for each in told if each)
                for name in {name for each in told if each for name in each}
            }
        )

    def differences(self) -> list[str]:
        """All that is not as it must be; empty after a good soak."""
        return [
            f"{check.__name__.strip('_').replace('_', ' ')}: {told}"
            for check in CHECKS
            for told in _shortened(check(self))
        ]


def _job_of(batch: dict[str, Any]) -> str:
    return str(batch["metadata"]["batchd_job"])


def _shortened(differences: Iterable[str]) -> Iterator[str]:
    told = list(differences)
    yield from told[:_FEW]
    if len(told) > _FEW:
        yield f"... and {len(told) - _FEW} more"


# Nothing lost, nothing twice: files.


def _files(account: Account) -> Iterator[str]:
    """Every file that was left whole in the inbox is exactly one folder, and nothing else is."""
    yield from account.desk.broken
    dropped = Counter((name, content.sha256) for name, content in account.desk.dropped)
    found = Counter(one.key for one in account.delivered)
    for key in sorted(dropped.keys() | found.keys(), key=str):
        if dropped[key] != found[key]:
            yield f"{key} was dropped {dropped[key]} times and delivered {found[key]} times"
    if len(account.by_job) != len(account.delivered):
        yield "a job has two folders"


def _inputs(account: Account) -> Iterator[str]:
    """What comes back as input/ is what was dropped, to the byte."""
    for one in account.delivered:
        files = list((one.folder / "input").iterdir())
        sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        if sums != [one.receipt["sha256"]]:
            yield f"{one.folder.name}: {sums} instead of {one.receipt['sha256']}"


def _rejections(account: Account) -> Iterator[str]:
    """The bad ones are rejected, and only they."""
    for one in account.delivered:
        content = account.contents.get(one.key[1])
        if content and one.is_rejected != (content.requests is None):
            yield f"{one.folder.name} is {one.receipt['outcome']}"


def _orphans(account: Account) -> Iterator[str]:
    """Nothing is left in the inbox, in var/work, or half-made in the outbox."""
    root = account.root
    left = [path for path in (root / "inbox").rglob("*") if path.is_file()]
    left += list((root / "var" / "work").iterdir())
    left += [path for path in (root / "outbox").iterdir() if path.name.startswith(".")]
    left += list((root / "outbox").rglob("*.part"))
    yield from (str(path.relative_to(root)) for path in left)


# Every request answered exactly once.


def _answers(account: Account) -> Iterator[str]:
    """One line per request, in order, each with its own answer or its own failure."""
    outputs: dict[str, str] = {}
    for one in account.delivered:
        content = account.contents.get(one.key[1])
        if content is None or content.requests is None or one.is_rejected:
            continue
        if tables.is_table(content):
            yield from tables.differences(one.folder, content, one.receipt)
            continue
        results = read_lines(one.folder / "results.jsonl")
        ids = [request["custom_id"] for request in content.requests]
        if [result["custom_id"] for result in results] != ids:
            yield f"{one.folder.name}: {len(results)} results for {len(ids)} requests"
            continue
        for result, request in zip(results, content.requests, strict=True):
            if _is_answered(result, request, outputs):
                continue
            if not (one.receipt["cancelled"] and _is_called_off(account, one, result)):
                yield f"{one.folder.name}: {result}"


def _is_called_off(account: Account, one: Delivered, result: dict[str, Any]) -> bool:
    """Not answered, and told so; what ran was a failure that would have been tried again, or lost."""
    name = result["custom_id"]
    executed = account.executions.get(one.job, Counter[str]())[name]
    may_fail = weather.most_executions(name) > 1 or weather.may_be_missing(name)
    return not result["ok"] and bool(result["error"]) and (not executed or may_fail)


def _cancellations(account: Account) -> Iterator[str]:
    """Only what somebody cancelled says so."""
    for one in account.delivered:
        if one.receipt["cancelled"] and one.job not in account.cancelled:
            yield f"{one.folder.name}: {one.receipt['cancelled']}"


def _is_answered(result: dict[str, Any], request: dict[str, Any], outputs: dict[str, str]) -> bool:
    name = request["custom_id"]
    if weather.fails_for_good(name):
        return not result["ok"]
    if name not in outputs:
        outputs[name] = expected_output(request)
    return result["ok"] and result["output"] == outputs[name]


def _receipts(account: Account) -> Iterator[str]:
    """The counts add up, and they are those of the lines."""
    for one in account.delivered:
        counts = dict(one.receipt["requests"])
        total = counts.pop("total")
        content = account.contents.get(one.key[1])
        asked = content.requests if content else None
        if sum(counts.values()) != total or (not one.is_rejected and total != len(asked or ())):
            yield f"{one.folder.name}: {one.receipt['requests']}"


def _listed_files(account: Account) -> Iterator[str]:
    """What a receipt lists lies there, as it says."""
    for one in account.delivered:
        for listed in one.receipt["files"]:
            path = one.folder / listed["name"]
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
            if found != listed["sha256"]:
                yield f"{path.relative_to(account.root)} is {found}, not {listed}"


# Nothing paid twice.


def _shards(account: Account) -> Iterator[str]:
    """A shard is one batch, for ever."""
    created = Counter(b["metadata"]["batchd_shard"] for b in account.ledger["batches"])
    yield from (f"{shard} was created {n} times" for shard, n in created.items() if n > 1)


def _executions_within_a_shard(account: Account) -> Iterator[str]:
    for batch, counts in account.ledger["executions_by_batch"].items():
        twice = [name for name, times in counts.items() if times > 1]
        if twice:
            yield f"{batch}: {twice}"


def _executions_of_a_job(account: Account) -> Iterator[str]:
    """A request runs again only where its answer was a passing failure, or was lost for good."""
    for job, counts in account.executions.items():
        content = (
            account.contents.get(account.by_job[job].key[1]) if job in account.by_job else None
        )
        if content and tables.is_table(content):
            yield from (f"job {job}: {told}" for told in tables.asked_too_often(counts, content))
            continue
        for name, times in counts.items():
            if times > weather.most_executions(name) and not weather.may_be_missing(name):
                yield f"job {job} had {name} executed {times} times"


def _bills(account: Account) -> Iterator[str]:
    """Every batch that exists is on a receipt, and every one on a receipt exists."""
    billed = {
        batch["id"] for one in account.delivered for batch in one.receipt["batches"] if batch["id"]
    }
    yield from (f"{id} is on no receipt" for id in sorted(account.batches.keys() - billed))
    yield from (f"{id} does not exist" for id in sorted(billed - account.batches.keys()))


def _joins(account: Account) -> Iterator[str]:
    """Who joined has the other's answers and no batch; who paid came when nobody was on the way."""
    for one in account.joined:
        first = account.by_job.get(one.receipt["joined"])
        if first is None or first.key[1] != one.key[1] or first.receipt["joined"]:
            yield f"{one.folder.name} joined {one.receipt['joined']}"
        elif _results(one) != _results(first):
            yield f"{one.folder.name} has other answers than {first.folder.name}"
        if one.job in account.executions:
            yield f"{one.folder.name} joined and paid"
    yield from _paid_together(account)


def _results(one: Delivered) -> bytes:
    return (one.folder / "results.jsonl").read_bytes()


def _paid_together(account: Account) -> Iterator[str]:
    payers: defaultdict[str, list[str]] = defaultdict(list)
    for one in account.delivered:
        # Nobody joins a job that has no answer at all to give.
        paid = not one.receipt["joined"] and one.receipt["requests"]["succeeded"]
        if paid and not one.receipt["cancelled"]:
            payers[one.key[1]].append(one.job)
    with sqlite3.connect(f"file:{account.root}/var/batchd.db?mode=ro", uri=True) as ledger:
        for jobs in payers.values():
            # One that was held is overtaken by those that came later.
            planned = sorted((_when(ledger, job, "JobPlanned"), job) for job in jobs)
            for (_, first), (at, second) in itertools.pairwise(planned):
                if at < _when(ledger, first, "JobDelivered"):
                    yield f"{first} and {second} were paid for at the same time"


def _when(ledger: sqlite3.Connection, job: str, event: str) -> float:
    query = "SELECT min(id) FROM history WHERE job = ? AND event = ?"
    return float(ledger.execute(query, (job, event)).fetchone()[0])


def _spend(account: Account) -> Iterator[str]:
    """What was spent by day is what is on the receipts."""
    with sqlite3.connect(f"file:{account.root}/var/batchd.db?mode=ro", uri=True) as ledger:
        query = "SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0) FROM spend"
        spent = ledger.execute(query).fetchone()
    bills = [one.receipt["usage"] for one in account.delivered if not one.receipt["joined"]]
    told = tuple(sum(b[k] for b in bills if b) for k in ("input_tokens", "output_tokens"))
    if spent != told:
        yield f"{spent} were spent, {told} are on the receipts"


def _files_there(account: Account) -> Iterator[str]:
    """What was said to be deleted at the provider is."""
    there = {f["id"] for f in account.ledger["files"] if not f["deleted"] and not f["expired"]}
    with sqlite3.connect(f"file:{account.root}/var/batchd.db?mode=ro", uri=True) as ledger:
        query = "SELECT id, file_id, output_file, error_file FROM shards WHERE cleaned_at > 0"
        for shard, *files in ledger.execute(query):
            if left := there.intersection(files):
                yield f"{shard} has left {left}"


# Nobody fell over.


def _log(account: Account) -> Iterator[str]:
    """No error, and no exception that nobody had a name for."""
    for log in sorted((account.root / "var" / "log").iterdir()):
        for line in log.read_bytes().splitlines():
            event = _event(line)
            if event.get("level") in ("error", "critical") or "exception" in event:
                yield json.dumps(event)[:1000]


def _event(line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}  # half a line: its writer was killed


CHECKS: tuple[Callable[[Account], Iterator[str]], ...] = (
    _files,
    _inputs,
    _rejections,
    _orphans,
    _answers,
    _receipts,
    _listed_files,
    _shards,
    _executions_within_a_shard,
    _executions_of_a_job,
    _bills,
    _joins,
    _cancellations,
    _spend,
    _files_there,
    _log,
)
