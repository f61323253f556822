"""What the sandbox does wrong during a soak: rules for every route, and squalls that come and go.

Left out, because a person has to decide then and no daemon can go on by itself: batches that
vanish (404), batches that are never listed, refusals (400) that mean what they say. And what no
provider does: to act, and then to answer that it did not (429, 401).
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from batchd.sandbox.digests import share_of
from tests.acceptance.processes import Sandbox

Rule = dict[str, Any]

LISTING_LAG = 0.8  #: below doubt_seconds

#: One call in twenty, on every route. What the client gives up on after its 2 s may still be acted
#: on after 2.5 s: that, too, is over before anybody asks.
CALLS: dict[str, Rule] = {
    "500 before acting": {"status": 500},
    "500 after acting": {"status": 500, "before": False},
    "503 after acting, Retry-After": {"status": 503, "before": False, "retry_after": 0.5},
    "408 after acting": {"status": 408, "before": False},
    "409 after acting": {"status": 409, "before": False},
    "429 before acting, Retry-After": {"status": 429, "retry_after": 1},
    "disconnect before acting": {"disconnect": "before"},
    "disconnect after acting": {"disconnect": "after"},
    "HTML with 200, not acted": {"html": True},
    "HTML with 200, acted": {"html": True, "before": False},
    "HTML with 502, acted": {"html": True, "status": 502, "before": False},
    "answer after 1 s": {"delay_seconds": 1.0},
    "acted after everybody has given up": {"delay_seconds": 2.5},
}
CALLS_RATE = 0.05
#: These would let remote work rest for a minute: only while a kill is sure to end that.
DENIALS: dict[str, Rule] = {"401 before acting": {"status": 401}, "403": {"status": 403}}
DENIALS_RATE = 0.004

#: The same requests fail every time, fail once, fail twice.
REQUESTS: dict[str, Rule] = {
    "400 for good": {"status": 400, "rate": 0.02},
    "500 once": {"status": 500, "rate": 0.03, "times": 1},
    "429 twice": {"status": 429, "rate": 0.01, "times": 2},
}

#: What is wrong with answers to records of a table: in JSON, or an entry for each of several.
ANSWERS: tuple[Rule, ...] = (
    {"what": "drop", "rate": 0.05, "times": 1},
    {"what": "misfit", "rate": 0.05, "times": 1},
    {"what": "not_json", "rate": 0.1, "times": 1},
    {"what": "invent", "rate": 0.05},
    {"what": "repeat", "rate": 0.05},
)

#: Lines of answers that come twice, and that nobody asked for.
ALWAYS: dict[str, Any] = {
    "listing_lag_seconds": LISTING_LAG,
    "duplicate_lines_rate": 0.03,
    "unknown_lines_rate": 0.03,
    "not_found_times": 1,
    "creates_per_hour": 1_000_000,
    "request_faults": list(REQUESTS.values()),
    "answer_faults": list(ANSWERS),
}

Draw = Callable[[random.Random], dict[str, Any]]

#: They strike a given number of times, and are over.
STRIKES: dict[str, Draw] = {
    "download cut": lambda c: {"cut_after_bytes": c.randrange(1, 4000), "cut_times": 1},
    "batch expires": lambda c: {"expire_after_fraction": c.random(), "expire_times": 1},
    "cannot find file (batch)": lambda _: {"cannot_find_file": {"mode": "batch", "times": 1}},
    "cannot find file (400)": lambda _: {"cannot_find_file": {"mode": "http", "times": 1}},
    "batch fails": lambda _: {"fail_with": {"code": "server_error", "times": 1}},
}
#: They last for one turn.
SPELLS: dict[str, Draw] = {
    "lines missing": lambda _: {"drop_lines_rate": 0.05},
    "downloads drip": lambda c: {"bytes_per_second": c.choice((2_000, 20_000))},
    "downloads without length": lambda _: {"chunked_content": True},
    "failures in the output file": lambda _: {"in_output_file": True},
    'file ids ""': lambda _: {"empty_file_ids": True},
    "slow to finalize": lambda _: {"stuck_finalizing_seconds": 1.5},
    "unknown status": lambda _: {"status_word": {"word": "pausing", "seconds": 1.0}},
}
#: The largest shard has some 5,000 tokens: at one limit it waits for room, at the other it is cut.
#: It asks again a minute later, so this is for the first part of a long soak.
QUEUE_FULL = (6_000, 2_500)
QUEUE_FULL_RATE = 0.05
_COUNTERS = {"download cut": "cut_times", "batch expires": "expire_times"}
MISSING_RATE = 0.05


def rules(*, denials: bool) -> list[Rule]:
    """Rules for every route. A call is struck by one at the most: the first that wants it."""
    each = CALLS_RATE / len(CALLS)
    chosen = [{**rule, "route": "*", "rate": each} for rule in CALLS.values()]
    rare = DENIALS_RATE / len(DENIALS) if denials else 0.0
    return chosen + [{**rule, "route": "*", "rate": rare} for rule in DENIALS.values()]


def strikes_of(calls: Mapping[str, int]) -> Counter[str]:
    """Which rule struck how often: the sandbox draws by rule, route and count, and so do we."""
    struck: Counter[str] = Counter()
    names, all_rules = [*CALLS, *DENIALS], rules(denials=True)
    for call, count in calls.items():
        for turn in range(1, count + 1) if "/v1/" in call else ():
            for position, rule in enumerate(all_rules):
                if share_of("http", f"{position} {call} {turn}") < rule["rate"]:
                    struck[names[position]] += 1
                    break
    return struck


def fails_for_good(custom_id: str) -> bool:
    """Whether a request has no good answer at this sandbox."""
    return share_of("request", "0", custom_id) < REQUESTS["400 for good"]["rate"]


def most_executions(custom_id: str) -> int:
    """How often a request may run until it is answered: one more than what goes wrong with it."""
    if fails_for_good(custom_id):
        times = 0
    elif share_of("request", "1", custom_id) < REQUESTS["500 once"]["rate"]:
        times = 1
    elif share_of("request", "2", custom_id) < REQUESTS["429 twice"]["rate"]:
        times = 2
    else:
        times = 0
    return times + 1


def may_be_missing(custom_id: str) -> bool:
    """Whether a spell of missing lines swallows its answer: paid for, lost, and asked again."""
    return share_of("drop", custom_id) < MISSING_RATE


@dataclass
class Weather:
    """One squall after the other, in its own thread, until it is told to clear up."""

    sandbox: Sandbox
    seed: int
    full_until: float = 0.0  #: seconds after its begin in which the provider's queue may be full
    turn_seconds: float = 0.7
    struck: Counter[str] = field(default_factory=Counter)
    clear: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        chance = random.Random(f"weather {self.seed}")
        full_until = time.monotonic() + self.full_until
        while not self.clear.is_set():
            self._strike(chance.choice(list(STRIKES)), chance)
            name = chance.choice(list(SPELLS))
            self._spell(name, SPELLS[name](chance))
            if chance.random() < QUEUE_FULL_RATE and time.monotonic() < full_until:
                self._spell("queue full", {"enqueued_token_limit": chance.choice(QUEUE_FULL)})
        self.sandbox.faults(http=rules(denials=False))

    def _strike(self, name: str, chance: random.Random) -> None:
        what = STRIKES[name](chance)
        self.sandbox.faults(**what)
        self.clear.wait(self.turn_seconds)
        now = self._faults()
        if not _left(name, what, now):
            self.struck[name] += 1
        self.sandbox.faults(**dict.fromkeys(what))

    def _faults(self) -> dict[str, Any]:
        answer = httpx2.get(f"{self.sandbox.url}/sandbox/faults", trust_env=False, timeout=30)
        return dict(answer.json())

    def _spell(self, name: str, what: dict[str, Any]) -> None:
        self.sandbox.faults(**what)
        self.clear.wait(self.turn_seconds)
        self.sandbox.faults(**dict.fromkeys(what))
        self.struck[f"{name} (spells)"] += 1


def _left(name: str, what: dict[str, Any], now: dict[str, Any]) -> int:
    """How many of its strikes are still to come."""
    counter = _COUNTERS.get(name)
    times = now[counter] if counter else now[next(iter(what))]["times"]
    return int(times)
