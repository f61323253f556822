"""The crash matrix with the real daemon: for each fault a moment, as near as one gets from outside.

A moment is something to be seen: an event in the log, a file, a call at the sandbox. From seeing it
to SIGKILL it takes a millisecond or two, and then a random while on top, so that ten rounds fall on
several sides of the point. What lies between two system calls is the in-process matrix's.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.outcomes import Requests, check_receipt, check_results, finished
from tests.acceptance.processes import Daemon, Processes, Sandbox
from tests.houses import delivered, drop, read_receipt, requests

NAME = "f"
CREATE, UPLOAD = "POST /v1/batches", "POST /v1/files"
SETTINGS = {"openai__timeout_seconds": 1, "jobs__keep_days": 0}
LONG = 40_000  #: bytes of each request where reading or copying has to take a while


@dataclass
class Scene:
    """One round: a fresh root at a sandbox that has seen others."""

    processes: Processes
    sandbox: Sandbox
    root: Path
    chance: random.Random
    daemon: Daemon

    def logged(self, event: str) -> bool:
        return bool(self.daemon.events(event))

    def lies(self, pattern: str) -> bool:
        return any(self.root.glob(pattern))


Moment = Callable[[Scene], bool]


@dataclass(frozen=True)
class Point:
    """Where the daemon is killed, and what has to be arranged so that it can be hit."""

    moment: Moment  #: kill when this is so...
    later: float = 0.0  #: ...and up to so many seconds later
    requests: int = 20
    length: int = 0  #: of each request, in bytes
    faults: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    is_bad: bool = False
    has_two_names: bool = False
    from_the_start: bool = False  #: do not wait for daemon.ready


def at_once(_: Scene) -> bool:
    return True


def logged(event: str) -> Moment:
    return lambda scene: scene.logged(event)


def lies(pattern: str) -> Moment:
    return lambda scene: scene.lies(pattern)


def called(route: str) -> Moment:
    return lambda scene: scene.sandbox.calls(route) > 0


def has_a_file(scene: Scene) -> bool:
    return bool(scene.sandbox.ledger(executions=False)["files"])


#: By number of the reference's list. F14 and F15 cannot be told apart from outside: both are struck
#: around the rename. F19 and F21 lose the answer by a fault of the sandbox and kill during the call.
#: F27 is the first start, which makes the ledger: there is no older schema to migrate yet.
POINTS = {
    13: Point(at_once, later=0.4),
    14: Point(lies("var/work/*"), later=0.002),
    15: Point(lies("var/work/*/in/*"), later=0.005),
    16: Point(lies("var/work/*/own*"), requests=400, length=LONG, has_two_names=True),
    17: Point(logged("job.claimed"), later=0.05, requests=200, length=LONG),
    18: Point(logged("job.planned"), later=0.01, requests=100, length=LONG),
    19: Point(has_a_file, later=0.05, faults={"http": [{"route": UPLOAD, "disconnect": "after"}]}),
    20: Point(logged("shard.uploaded"), later=0.005),
    21: Point(
        called(CREATE), later=0.6, faults={"http": [{"route": CREATE, "delay_seconds": 0.3}]}
    ),
    22: Point(logged("batch.opened"), later=1.0),
    23: Point(lies("var/work/*/answers/*.part"), later=0.3, faults={"bytes_per_second": 20_000}),
    24: Point(lies("outbox/.0*"), later=0.05, requests=500),
    25: Point(lies(f"outbox/{NAME}--*"), later=0.002),
    26: Point(lies("outbox/.0*"), later=0.02, is_bad=True),
    27: Point(at_once, later=0.9, from_the_start=True),
    28: Point(
        lies(f"outbox/{NAME}--*"),
        later=0.2,
        settings={"logging__max_bytes": 1500, "logging__keep_files": 2},
        from_the_start=True,
    ),
}


def killed_at(
    point: Point, processes: Processes, sandbox: Sandbox, root: Path, chance: random.Random
) -> None:
    """One round: dropped, killed there, started again, and everything is as it should be."""
    asked = requests(point.requests, prefix=root.name, text="x" * point.length or None)
    sandbox.faults(**point.faults)
    settings = SETTINGS | point.settings
    daemon = processes.daemon(root, sandbox, may_end=point.from_the_start, **settings)
    _drop(root, asked, point)
    scene = Scene(processes, sandbox, root, chance, daemon)
    _wait_for(point.moment, scene)
    time.sleep(chance.uniform(0, point.later))  # the moment itself
    daemon.kill()
    sandbox.faults(**dict.fromkeys(point.faults))

    daemon = processes.daemon(root, sandbox, may_end=True, **settings)
    processes.wait((root / "outbox").is_dir, what="an outbox")
    finished(processes, root, NAME)
    work = root / "var" / "work"
    processes.wait(lambda: not any(work.iterdir()), what="an empty var/work")
    assert daemon.code is None, daemon.tail()
    daemon.kill()
    _check(root, asked, point, sandbox)


def _drop(root: Path, asked: Requests, point: Point) -> None:
    dropped = drop(root, f"{NAME}.jsonl", [*asked, *([b"{"] if point.is_bad else [])])
    if point.has_two_names:
        os.link(dropped, root / "second-name")


def _wait_for(moment: Moment, scene: Scene) -> None:
    deadline = time.monotonic() + 30
    while not moment(scene):
        assert time.monotonic() < deadline, f"its moment never came\n{scene.daemon.tail()}"
        time.sleep(0.0005)


def _check(root: Path, asked: Requests, point: Point, sandbox: Sandbox) -> None:
    assert len(list((root / "outbox").iterdir())) == 1
    assert not list((root / "inbox").glob("*.jsonl"))
    folder = delivered(root)[NAME]
    ledger = sandbox.ledger()
    if point.is_bad:
        assert read_receipt(folder)["outcome"] == "rejected"
        assert len(list((folder / "input").iterdir())) == 1
        assert (folder / "error.txt").exists()
        return
    check_results(folder, asked)
    check_receipt(folder, total=len(asked))
    shards = Counter(tuple(sorted(batch["metadata"].items())) for batch in ledger["batches"])
    assert set(shards.values()) == {1}, f"submitted more than once: {shards}"
    executed = {
        request["custom_id"]: ledger["executions"][request["custom_id"]] for request in asked
    }
    assert set(executed.values()) == {1}, executed
