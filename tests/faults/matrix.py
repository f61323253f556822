"""The crash matrix in-process: what each fault of the list is here, and small worlds to die in."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash.lives import World, orphans, outbox
from tests.crash.tripwire import TRIPWIRE, TrippedLedger, TrippedRemote, Tripwire
from tests.fakes.clock import FakeClock
from tests.houses import drop, live, open_services, request, requests, turn


@dataclass(frozen=True)
class Fault:
    """One row of the reference's crash matrix: killed at these places."""

    what: str
    places: str  #: a regular expression over the tripwire's names

    def strikes(self, place: str) -> bool:
        return re.search(self.places, place) is not None


#: By number. Where this house has no such point, its nearest one: F14 has no claim row before the
#: rename (the work folder is the intent), F16 is the copy of a file with a second name (others are
#: used where they lie), F25 has no hook, F27 has no older schema yet: the first start makes one
#: (tests/store/test_migrations.py kills the steps that will come).
FAULTS = {
    13: Fault("after the first sight, before the claim", r"^os\.mkdir /var/work/\w+$"),
    14: Fault("between the claim's folder and its rename", r"^os\.(mkdir|rename) .*/\w+/in(/|$)"),
    15: Fault("after the rename, before it is recorded", r"^before JobClaimed"),
    16: Fault("in the middle of a private copy", r"/own"),
    17: Fault("read, before the plan is recorded", r"^after JobClaimed|^before JobPlanned"),
    18: Fault("before the upload", r"^after JobPlanned|/shards/|^before upload$"),
    19: Fault("uploaded, before it is recorded", r"^after upload$|^before FileUploaded"),
    20: Fault("before the create", r"^after FileUploaded|SubmitStarted|^before create_batch$"),
    21: Fault("created, before it is recorded", r"^after create_batch$|^before (BatchO|SubmitDou)"),
    22: Fault("between two polls", r"^after BatchOpened|BatchSeen|BatchEnded"),
    23: Fault("in the middle of a download", r"^(before|after) download$|/answers/"),
    24: Fault("while the folder is built", r"/outbox/\.\w+(/.*\.part|$)|PublishStarted"),
    25: Fault("after it appeared, before it is recorded", r"^before JobDelivered"),
    26: Fault("while a file is rejected", r"JobRejected|/error\.|/bad\.jsonl|/bad--"),
    27: Fault("while the root and its ledger are made", r"^os\.mkdir /(outbox|var)|probe"),
    28: Fault("while it tidies up", r"^os\.(rmdir|remove) |JobTidied"),
}

_VERDICTS = ([429, 200], [500, 503, 200], [400], [500, 500, 500], [409, 400])
_TROUBLES = ("upload", "create_batch", "list_batches", "download")


class RandomWorld(World):
    """Some files, some verdicts, some lost answers: all by seed."""

    def __init__(self, root: Path, seed: int) -> None:
        self._chance = random.Random(seed)
        self.root = root
        self.clock = FakeClock()
        self.remote = TrippedRemote(self.clock)
        self.settings: dict[str, dict[str, Any]] = {
            "batches": {"max_requests": self._chance.randint(1, 4)},
            "jobs": {"keep_days": 0.0001},
        }
        self.has_twins = self._chance.random() < 0.4
        self._drop_all()
        self._trouble()
        self.folders = len(list((root / "inbox").glob("*.jsonl")))

    async def _live(self) -> None:
        async with open_services(
            self.root, remote=self.remote, clock=self.clock, **self.settings
        ) as services:
            services.ledger = TrippedLedger(services.ledger)  # type: ignore[assignment]
            await live(services, deliveries=self.folders)
            self.clock.advance(60.0)  # long enough for the work folders to be tidied
            while await turn(services):
                pass

    def _drop_all(self) -> None:
        asked = requests(self._chance.randint(1, 6), prefix="a")
        drop(self.root, "a.jsonl", asked)
        if self.has_twins:
            drop(self.root, "again.jsonl", asked)
        for name in ("b", "c")[: self._chance.randint(0, 2)]:
            models = ("gpt-4o-mini", "gpt-4.1")[: self._chance.randint(1, 2)]
            drop(self.root, f"{name}.jsonl", [request(f"{name}-{m}", model=m) for m in models])
        crooked = json.dumps(request("d-1")).encode() + b"\r"
        linked = drop(self.root, "d.jsonl", [b"\xef\xbb\xbf" + crooked])
        os.link(linked, self.root / "second-name")
        drop(self.root, "bad.jsonl", [*requests(1, prefix="bad"), b"{"])

    def _trouble(self) -> None:
        # a-1 is answered: where nothing is, its twin asks anew, and gets an answer of its own.
        ids = [f"a-{number}" for number in range(2, 7)] + ["b-gpt-4o-mini", "d-1"]
        for id in ids:
            if self._chance.random() < 0.3:
                self.remote.verdicts[id] = self._chance.choice(_VERDICTS)
        self.remote.expiring = set(self._chance.sample(ids, self._chance.randint(0, 1)))
        for method in _TROUBLES:
            if self._chance.random() < 0.25:
                self.remote.lose_connection_after(method)
            elif self._chance.random() < 0.25:
                self.remote.lose_connection_before(method)


@dataclass(frozen=True)
class Undisturbed:
    """What a world's life is when nobody is killed."""

    places: tuple[str, ...]
    outbox: dict[str, bytes]


class Rounds:
    """Lives of worlds by seed; the undisturbed ones are lived once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._undisturbed: dict[int, Undisturbed] = {}
        self._lives = 0

    async def killed_at(self, fault: Fault, seed: int, chance: random.Random) -> bool:
        """One round; return whether it died where it was to die. Everything else must hold."""
        undisturbed = await self._lived(seed)
        places = sum(fault.strikes(place) for place in undisturbed.places)
        assert places, f"{fault.what}: no such place in the life of world {seed}"
        nth = chance.randint(1, places)
        self._lives += 1
        world = RandomWorld(self._folder / f"killed-{self._lives}", seed)
        with aimed_at(fault, nth):
            await world.live(kill_at=None)
        died_at = TRIPWIRE.seen[-1]
        place = f"world {seed}, killed {fault.what}: at the {nth}. place of {places} ({died_at})"
        await _live_on(world, place)
        check(world, undisturbed.outbox, place)
        shutil.rmtree(world.root)
        return fault.strikes(died_at)

    async def _lived(self, seed: int) -> Undisturbed:
        if seed not in self._undisturbed:
            world = RandomWorld(self._folder / "undisturbed", seed)
            await world.live(kill_at=None)
            places = tuple(TRIPWIRE.seen)
            self._undisturbed[seed] = Undisturbed(places, outbox(world))
            check(world, outbox(world), f"world {seed}, undisturbed")
            shutil.rmtree(world.root)
        return self._undisturbed[seed]


@contextmanager
def aimed_at(fault: Fault, nth: int) -> Iterator[None]:
    """Let the tripwire kill at the n-th place of a kind, whoever comes there first."""
    left = nth

    def step(name: str) -> None:
        nonlocal left
        left -= fault.strikes(name)
        if not left:
            TRIPWIRE._kill_at = TRIPWIRE._kill_at or len(TRIPWIRE.seen) + 1
        Tripwire.step(TRIPWIRE, name)

    TRIPWIRE.step = step  # type: ignore[method-assign]
    try:
        yield
    finally:
        del TRIPWIRE.step  # type: ignore[method-assign]


async def _live_on(world: World, place: str) -> None:
    try:
        await world.live(kill_at=None)
    except* Exception as stuck:
        raise AssertionError(f"{place}: {stuck.exceptions}") from stuck


def check(world: RandomWorld, expected: dict[str, bytes], place: str) -> None:
    """Nothing lost, nothing paid twice, nothing left behind."""
    found = outbox(world)
    assert sorted(found) == sorted(expected), place
    assert {name: found[name] for name in found if found[name] != expected[name]} == {}, place
    assert len(list((world.root / "outbox").iterdir())) == world.folders, place
    assert not list((world.root / "inbox").glob("*.jsonl")), place
    submitted = Counter(shard for shard, _ in world.remote.opened)
    assert set(submitted.values()) == {1}, f"{place}: submitted more than once: {submitted}"
    assert orphans(world) == [], place
