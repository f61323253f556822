"""People who cancel, hold, release, pause and resume at any moment, whether anybody listens or not."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from batchd.control.client import NotListening, Refused, ask
from batchd.spool.folders import Folders
from tests.soak.writers import Desk

_LIVE = "('claimed', 'held', 'active', 'settled')"
PAUSE_BETWEEN = 0.25  #: seconds between two words, on the average


@dataclass
class People:
    """One thread of them. A cancelled job is noted before it is said: the answer may be lost."""

    root: Path
    desk: Desk
    seed: int
    cancel_until: float  #: monotonic; a batch without any answer is waited for a minute
    cancelled: set[str] = field(default_factory=set)

    def run(self, clear: threading.Event) -> None:
        chance = random.Random(f"people {self.seed}")
        while not clear.wait(chance.expovariate(1 / PAUSE_BETWEEN)):
            name = chance.choice(list(WORDS))
            if self._say(lambda name=name: WORDS[name](self, chance)):  # type: ignore[misc]
                self.desk.note(f"{name} (a person's word)")

    def let_all_go(self) -> None:
        """Nobody holds anything any more."""
        self._say(lambda: self.ask("resume"))
        for job in self.jobs("hold IS NOT NULL"):
            self._say(lambda job=job: self.ask("jobs", job, "release"))  # type: ignore[misc]

    def jobs(self, which: str = "1") -> list[str]:
        """Jobs on their way, as the ledger says to whoever looks."""
        ledger = self.root / "var" / "batchd.db"
        with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as reader:
            query = f"SELECT id FROM jobs WHERE state IN {_LIVE} AND {which}"
            return [row[0] for row in reader.execute(query)]

    def ask(self, *path: str) -> bool:
        ask(Folders(self.root), "POST", *path, body={})
        return True

    def _say(self, word: Callable[[], bool]) -> bool:
        # Killed while it was said, not started yet, delivered meanwhile: nothing a person can help.
        try:
            return word()
        except (NotListening, Refused, sqlite3.Error):
            return False


def _to_cancel(people: People, chance: random.Random) -> list[str]:
    rarely = chance.random() < 0.3 and time.monotonic() < people.cancel_until
    return people.jobs() if rarely else []


def _cancel(people: People, chance: random.Random) -> bool:
    if not (jobs := _to_cancel(people, chance)):
        return False
    people.cancelled.add(job := chance.choice(jobs))
    return people.ask("jobs", job, "cancel")


def _order(people: People, chance: random.Random) -> bool:
    if not (jobs := _to_cancel(people, chance)):
        return False
    people.cancelled.add(job := chance.choice(jobs))
    (people.desk.inbox / f"{job}.cancel").touch()
    return True


def _hold(people: People, chance: random.Random) -> bool:
    jobs = people.jobs()
    return bool(jobs) and people.ask("jobs", chance.choice(jobs), "hold")


def _release(people: People, chance: random.Random) -> bool:
    jobs = people.jobs("hold IS NOT NULL")
    return bool(jobs) and people.ask("jobs", chance.choice(jobs), "release")


WORDS: dict[str, Callable[[People, random.Random], bool]] = {
    "cancel": _cancel,
    "cancel by a file": _order,
    "hold": _hold,
    "release": _release,
    "release, too": _release,
    "pause": lambda people, _: people.ask("pause"),
    "resume": lambda people, _: people.ask("resume"),
    "resume, too": lambda people, _: people.ask("resume"),
}
