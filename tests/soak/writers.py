"""People and programs that drop files: slowly, by renaming, over one another, twice, badly.

Each writer notes what it really did, so that the account is exact whatever the machine did to its
timing. Two facts decide where it matters: a file that was replaced has no name any more (its link
count, seen through a descriptor), and a file that was taken is not there when it is opened again.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak import tables
from tests.soak.contents import Content, bad, good, halves, of_bytes, pieces


@dataclass
class Desk:
    """Where the writers write, and the list of what they dropped."""

    inbox: Path
    settle: float  #: a shorter pause is never taken for an end
    empty_grace: float
    dropped: list[tuple[str, Content]] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)  #: what must not happen, and did
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, name: str, content: Content) -> None:
        """This content was left in the inbox, whole, under this name."""
        with self._lock:
            self.dropped.append((name, content))

    def note(self, what: str) -> None:
        with self._lock:
            self.notes[what] += 1

    def aside(self, name: str) -> Path:
        """Where a program writes that renames."""
        folder = self.inbox / ".tmp"
        folder.mkdir(exist_ok=True)
        return folder / name

    def taken_in_a_pause(self, name: str, pause: float, patience: float) -> None:
        """A file was claimed although its writer came back: only after too long a pause."""
        self.note("claimed in a long pause")
        if pause < patience:
            self.broken.append(f"{name} was taken {pause:.3f} s after its last change")


@dataclass(frozen=True)
class Writing:
    """One writer's work: when it begins, and what it does then."""

    at: float
    kind: str
    label: str
    seed: str

    def do(self, desk: Desk) -> None:
        desk.note(self.kind)
        KINDS[self.kind].write(desk, self.label, random.Random(self.seed))


def slow_copy(desk: Desk, label: str, chance: random.Random) -> None:
    """Under its final name, in chunks, with pauses; the writer holds it open all the time."""
    name, content = f"{label}.jsonl", good(label, chance)
    with (desk.inbox / name).open("wb") as file:
        _write_slowly(file.fileno(), content.data, chance, longest=desk.settle * 1.5)
    desk.expect(name, content)


def rename_from_tmp(desk: Desk, label: str, chance: random.Random) -> None:
    name, content = f"{label}.jsonl", good(label, chance)
    _put(desk, name, content)


def rename_from_part(desk: Desk, label: str, chance: random.Random) -> None:
    name, content = f"{label}.jsonl", good(label, chance)
    part = desk.inbox / f"{name}.part"
    with part.open("wb") as file:
        _write_slowly(file.fileno(), content.data, chance, longest=desk.settle)
    time.sleep(chance.uniform(0, 3 * desk.settle))  # nobody may take it meanwhile
    part.rename(desk.inbox / name)
    desk.expect(name, content)


def overwrite_by_rename(desk: Desk, label: str, chance: random.Random) -> None:
    """Another content under the same name, a moment later: two jobs, or the later content."""
    name = f"{label}.jsonl"
    first, second = good(f"{label}-x", chance), good(f"{label}-y", chance)
    desk.aside(name).write_bytes(first.data)
    with desk.aside(name).open("rb") as seen:
        desk.aside(name).rename(desk.inbox / name)
        time.sleep(chance.uniform(0, 4 * desk.settle))
        _put(desk, name, second)
        if os.fstat(seen.fileno()).st_nlink:
            desk.expect(name, first)
            desk.note("overwritten after the claim")
        else:
            desk.note("overwritten in the inbox")


def rewrite_in_place(desk: Desk, label: str, chance: random.Random) -> None:
    """An editor that empties the file and writes it anew."""
    name = f"{label}.jsonl"
    first, second = good(f"{label}-x", chance), good(f"{label}-y", chance)
    _put(desk, name, first, expect=False)
    time.sleep(chance.uniform(0, 4 * desk.settle))
    try:
        descriptor = os.open(desk.inbox / name, os.O_WRONLY | os.O_TRUNC)
    except FileNotFoundError:
        desk.expect(name, first)
        return
    with os.fdopen(descriptor, "wb") as file:
        _write_slowly(file.fileno(), second.data, chance, longest=desk.settle / 2)
    desk.expect(name, second)


def duplicates(desk: Desk, label: str, chance: random.Random) -> None:
    """The same bytes under other names, at once or while the first is on its way or delivered."""
    content = good(label, chance)
    for number in range(3):
        _put(desk, f"{label}-{number}.jsonl", content)
        time.sleep(chance.choice((0, 0, 1, 5)) * chance.random())


def append_after_a_pause(desk: Desk, label: str, chance: random.Random) -> None:
    """Closed half-way, and opened again before anybody may think it finished."""
    _in_two_parts(desk, label, chance, pause=chance.uniform(0, 0.7) * desk.settle)


def append_too_late(desk: Desk, label: str, chance: random.Random) -> None:
    """Closed half-way for longer than `settle_seconds`: nothing is promised but a clean cut."""
    _in_two_parts(desk, label, chance, pause=chance.uniform(1.2, 6) * desk.settle)


def empty_first(desk: Desk, label: str, chance: random.Random) -> None:
    """The name first, as Finder does, and the content later."""
    name, content = f"{label}.jsonl", good(label, chance)
    (desk.inbox / name).touch()
    began = time.monotonic()
    time.sleep(chance.uniform(0.1, 0.8) * desk.empty_grace)
    _reopen_and_write(desk, name, content, b"", content.data, began, patience=desk.empty_grace)


def badly(desk: Desk, label: str, chance: random.Random) -> None:
    """A file that comes back with the reason."""
    _put(desk, f"{label}.jsonl", bad(label, chance))


def table_for(task: str) -> Callable[[Desk, str, random.Random], None]:
    """A table into a task's folder; sometimes twice, for whoever is not sure that it went."""

    def drop(desk: Desk, label: str, chance: random.Random) -> None:
        content = tables.table(task, label, chance)
        (desk.inbox / task).mkdir(exist_ok=True)
        for number in range(2):
            desk.aside(f"{label}-{number}.csv").write_bytes(content.data)
            desk.aside(f"{label}-{number}.csv").rename(desk.inbox / task / f"{label}-{number}.csv")
            desk.expect(f"{label}-{number}.csv", content)
            time.sleep(chance.choice((0, 1)) * chance.random())

    return drop


@dataclass(frozen=True)
class Kind:
    """How often it comes, how many names it drops, and how."""

    weight: int
    names: int
    write: Callable[[Desk, str, random.Random], None]


KINDS = {
    "slow copy": Kind(30, 1, slow_copy),
    "rename from .tmp": Kind(25, 1, rename_from_tmp),
    "rename from .part": Kind(8, 1, rename_from_part),
    "overwrite by rename": Kind(10, 1, overwrite_by_rename),
    "rewrite in place": Kind(5, 1, rewrite_in_place),
    "duplicates": Kind(6, 3, duplicates),
    "append after a pause": Kind(8, 1, append_after_a_pause),
    "append too late": Kind(3, 1, append_too_late),
    "empty first": Kind(5, 1, empty_first),
    "bad": Kind(6, 1, badly),
    "table, one by one": Kind(10, 2, table_for("alone")),
    "table, several at once": Kind(10, 2, table_for("together")),
}


def plan(files: int, seconds: float, seed: int) -> list[Writing]:
    """Writers for so many names, over so much time, by seed. Every kind comes at least once."""
    chance = random.Random(f"writers {seed}")
    kinds = list(KINDS)
    while (short := files - sum(KINDS[kind].names for kind in kinds)) > 0:
        fitting = [kind for kind in KINDS if KINDS[kind].names <= short]
        kinds += chance.choices(fitting, [KINDS[kind].weight for kind in fitting])
    moments = sorted(chance.uniform(0, seconds) for _ in kinds)
    chance.shuffle(kinds)
    return [
        Writing(at, kind, f"s{seed}-{number:03}", f"{seed} {number}")
        for number, (at, kind) in enumerate(zip(moments, kinds, strict=True))
    ]


def _put(desk: Desk, name: str, content: Content, *, expect: bool = True) -> None:
    """Whole at once: written elsewhere, renamed."""
    desk.aside(name).write_bytes(content.data)
    desk.aside(name).rename(desk.inbox / name)
    if expect:
        desk.expect(name, content)


def _write_slowly(file: int, data: bytes, chance: random.Random, *, longest: float) -> None:
    for piece in pieces(data, chance) if len(data) > 1 else [data]:
        _write(file, piece)
        time.sleep(chance.uniform(0, longest))


def _write(file: int, data: bytes) -> None:
    assert os.write(file, data) == len(data)


def _in_two_parts(desk: Desk, label: str, chance: random.Random, *, pause: float) -> None:
    name, content = f"{label}.jsonl", good(label, chance)
    first, second = halves(content, chance)
    began = time.monotonic()  # before the last change: what is measured is never too short
    (desk.inbox / name).write_bytes(first)
    time.sleep(pause)
    _reopen_and_write(desk, name, content, first, second, began, patience=desk.settle)


def _reopen_and_write(
    desk: Desk,
    name: str,
    whole: Content,
    first: bytes,
    second: bytes,
    began: float,
    *,
    patience: float,
) -> None:
    try:
        descriptor = os.open(desk.inbox / name, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        desk.taken_in_a_pause(name, time.monotonic() - began, patience)
        _leave(desk, name, (first, second))
        return
    with os.fdopen(descriptor, "ab", buffering=0) as file:
        file.write(second)
    desk.expect(name, whole)


def _leave(desk: Desk, name: str, parts: Iterable[bytes]) -> None:
    """The first part was taken for a whole: it is a file of its own now, and so is the second."""
    first, second = parts
    desk.expect(name, of_bytes(first))
    _put(desk, name, of_bytes(second))
