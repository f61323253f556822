"""One soak: writers, a daemon that is killed again and again, a provider that errs; the account."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.processes import Daemon, Processes, processes_in
from tests.soak import tables, weather
from tests.soak.accounting import Account
from tests.soak.people import People
from tests.soak.weather import Weather
from tests.soak.writers import Desk, Writing, plan

Say = Callable[[str], None]

SETTLE, EMPTY_GRACE = 0.5, 2.0
SETTINGS: dict[str, Any] = {
    "inbox__settle_seconds": SETTLE,
    "inbox__empty_grace_seconds": EMPTY_GRACE,
    "inbox__cut_grace_seconds": 3,
    # After a kill, doubt ends 5 s after the call began: a call that acts after 2.5 s and is
    # listed 0.8 s later is known by then, and a busy machine has time to be late.
    "openai__timeout_seconds": 2,
    "openai__stall_seconds": 2,
    "batches__doubt_seconds": 3,
    "batches__max_requests": 120,
    "retries__max_attempts": 12,  # what only passes is answered in the end, whatever the weather
    "jobs__keep_days": 0,  # tidied at once, while others may still be joining
    "budget__per_day": 0.3,  # what a hundred files are expected to cost; people release the others
    "logging__max_bytes": 1_000_000_000,  # the whole log is looked through in the end
}
SHORTEST_LIFE, LONGEST_LIFE = 0.1, 3.0  # seconds after daemon.ready
STILLBORN, LONGEST_START = 0.1, 1.0  # besides: some are killed so soon that they may not be ready
QUEUE_FULL_COSTS = 200.0  #: seconds until a shard that was refused for room has surely gone on
CALM = 180.0  #: seconds after the last kill until everything must have come to rest


@dataclass(frozen=True)
class Size:
    """How large a soak is."""

    files: int
    seconds: float
    kills: int  #: at least so many; more where the time is not over
    seed: int


@dataclass
class Figures:
    """What a soak was."""

    size: Size
    kills: int = 0
    counts: dict[str, Any] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        told = [f"{'seed':<24}{self.size.seed}", f"{'kills':<24}{self.kills}"]
        told += [f"{name:<24}{value}" for name, value in self.counts.items()]
        told += ["done:", *_table(self.notes), "faults injected:", *_table(self.faults)]
        return told


def _table(counts: Counter[str]) -> list[str]:
    return [f"  {number:>7,}  {name}" for name, number in counts.most_common()]


class SoakFailed(AssertionError):
    """Something was lost, or came twice."""


def run_and_tell(size: Size, say: Say) -> None:
    """Say the seed at once, and the figures in the end; raise `SoakFailed` where all is not well."""
    with soaked(size, say) as soaking:
        for line in soaking.figures().lines():
            say(line)


@contextmanager
def soaked(size: Size, say: Say) -> Iterator[Soaking]:
    """Run one, with all well. Its folder goes afterwards, or is kept and named where it failed."""
    say(f"soak: {size}")
    with _kept_where_it_fails(say) as folder, processes_in(folder) as processes:
        soaking = Soaking(size, folder, processes)
        soaking.run()
        if differences := soaking.account.differences():
            raise SoakFailed("\n".join([f"seed {size.seed}:", *differences]))
        yield soaking


@contextmanager
def _kept_where_it_fails(say: Say) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="batchd-soak-"))
    try:
        yield folder
    except BaseException:
        say(f"what is left of it is kept in {folder}")
        raise
    shutil.rmtree(folder)


class Soaking:
    """The processes and threads of one soak. Daemons are started by the thread that runs it."""

    def __init__(self, size: Size, folder: Path, processes: Processes) -> None:
        self._size, self._processes = size, processes
        self._root = folder / "root"
        (self._root / "inbox").mkdir(parents=True)
        tables.write_tasks(folder)
        self._desk = Desk(self._root / "inbox", SETTLE, EMPTY_GRACE)
        until = time.monotonic() + max(size.seconds / 3, size.seconds - 60)
        self._people = People(self._root, self._desk, size.seed, until)
        self._deletes = size.seed % 2 == 0  # openai.delete_files, in half of all soaks
        self._kills = 0
        self._began = time.monotonic()

    def run(self) -> None:
        http = weather.rules(denials=True)
        sandbox = self._processes.sandbox(batch_seconds=1, http=http, **weather.ALWAYS)
        sky = Weather(sandbox, self._size.seed, full_until=self._size.seconds - QUEUE_FULL_COSTS)
        self._sandbox, self._sky = sandbox, sky
        with ThreadPoolExecutor(max_workers=200) as others:
            raining = others.submit(sky.run)
            speaking = others.submit(self._people.run, sky.clear)
            try:
                self._live_and_die(self._start_writers(others))
            finally:
                sky.clear.set()
            raining.result()
            speaking.result()
        self._come_to_rest(self._daemon())
        self.account = Account(self._root, self._desk, sandbox.ledger(), self._people.cancelled)

    def figures(self) -> Figures:
        account = self.account
        faults = self._sky.struck + weather.strikes_of(account.ledger["calls"]) + account.oddities
        batches = account.ledger["batches"]
        counts = {
            "files": len(self._desk.dropped),
            "folders": len(account.delivered),
            "rejected": sum(one.is_rejected for one in account.delivered),
            "joined": len(account.joined),
            "tables": sum(bool(one.receipt["task"]) for one in account.delivered),
            "cancelled": sum(bool(one.receipt["cancelled"]) for one in account.delivered),
            "deletes at the provider": self._deletes,
            "batches": len(batches),
            "requests delivered": sum(
                one.receipt["requests"]["total"] for one in account.delivered
            ),
            "requests executed": account.requests_executed,
            "calls": sum(n for call, n in account.ledger["calls"].items() if "/v1/" in call),
            "faults of calls": sum(weather.strikes_of(account.ledger["calls"]).values()),
            "seconds": round(time.monotonic() - self._began),
        }
        return Figures(self._size, self._kills, counts, faults, self._desk.notes)

    def _start_writers(self, others: ThreadPoolExecutor) -> list[Future[None]]:
        writings = plan(self._size.files, self._size.seconds * 0.9, self._size.seed)
        return [others.submit(self._write, writing) for writing in writings]

    def _write(self, writing: Writing) -> None:
        given_up = self._sky.clear.wait(max(0.0, self._began + writing.at - time.monotonic()))
        if not given_up:
            writing.do(self._desk)

    def _live_and_die(self, writers: list[Future[None]]) -> None:
        moments = random.Random(f"kills {self._size.seed}")
        while (
            time.monotonic() < self._began + self._size.seconds
            or self._kills < self._size.kills
            or not all(writer.done() for writer in writers)
        ):
            if moments.random() < STILLBORN:
                self._live(moments.uniform(0, LONGEST_START), is_ready=False)
            else:
                self._live(moments.uniform(SHORTEST_LIFE, LONGEST_LIFE), is_ready=True)
                self._kills += 1
        for writer in writers:
            writer.result()

    def _live(self, seconds: float, *, is_ready: bool) -> None:
        daemon = self._daemon(may_end=not is_ready)
        time.sleep(seconds)
        assert daemon.code is None, f"it left by itself\n{daemon.tail()}"
        daemon.kill()
        self._desk.note("killed when it was ready" if is_ready else "killed while it started")

    def _daemon(self, *, may_end: bool = False) -> Daemon:
        chosen = SETTINGS | {"openai__delete_files": str(self._deletes).lower()}
        return self._processes.daemon(self._root, self._sandbox, may_end=may_end, **chosen)

    def _come_to_rest(self, daemon: Daemon) -> None:
        """Nobody is killed any more: what is on its way arrives."""
        wanted = len(self._desk.dropped)
        try:
            self._processes.wait(
                lambda: self._is_at_rest(wanted), within=CALM, what=f"rest with {wanted} folders"
            )
        except AssertionError as stuck:
            raise AssertionError(f"{stuck}\n{self._left()}") from stuck
        assert daemon.stop() == 0

    def _is_at_rest(self, wanted: int) -> bool:
        time.sleep(0.2)  # a look is a walk through folders
        self._people.let_all_go()
        found = [p for p in (self._root / "outbox").iterdir() if not p.name.startswith(".")]
        is_tidy = not any((self._root / "var" / "work").iterdir())
        return len(found) >= wanted and is_tidy and not (self._deletes and self._left_there())

    def _left_there(self) -> int:
        """How many shards have files at the provider that are still to be deleted."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self._root}/var/batchd.db?mode=ro", uri=True)
        ) as ledger:
            query = """SELECT count(*) FROM shards WHERE cleaned_at IS NULL
                          AND coalesce(file_id, output_file, error_file) IS NOT NULL"""
            return int(ledger.execute(query).fetchone()[0])

    def _left(self) -> str:
        parts = ("inbox", "var/work", "outbox")
        lists = {part: sorted(p.name for p in (self._root / part).iterdir()) for part in parts}
        lists["outbox"] = [name for name in lists["outbox"] if name.startswith(".")]
        return "\n".join(f"{part}: {names}" for part, names in lists.items())
