"""A planned job of a table, for the tests of what its rounds send and get."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchd.core.rows import RowSet
from batchd.core.subjects import Job, Shard
from batchd.core.tasks import Task, TaskInput, TaskOutput
from batchd.rounds.keeping import keep
from batchd.spool.signature import signature
from batchd.spool.work import Work, digest
from tests.core.test_receipt import JOB as SOME_JOB
from tests.core.test_receipt import SHARD as SOME_SHARD
from tests.dropped_tables import table

JOB = "0aaaaa"


def nothing() -> None:
    """Nobody wants us to stop."""


def a_task(**given: Any) -> Task:
    return Task(**{"name": "judge", "model": "m", "prompt": "{{ text }}", **given})


TASK = a_task()
GROUPED = a_task(
    prompt="{% for r in records %}{{ r.id }}: {{ r.text }} {% endfor %}",
    records_per_request=3,
    input=TaskInput(id="key"),
    output=TaskOutput(),
)


def planned(work: Work, task: Task = GROUPED, count: int = 10) -> Job:
    """A job as plan leaves it, but for its requests."""
    path = work.dropped_at(JOB, b"a.csv", task.name)
    path.parent.mkdir(parents=True)
    path.write_text(table(count))
    return replace(
        SOME_JOB,
        id=JOB,
        name=os.fsencode(path.name),
        task=task.name,
        requests=count,
        signature=signature(path).as_text(),
        sha256=digest(path, pause=nothing),
        recipe=keep(task, JOB, work),
        verbatim=False,
    )


def shard(number: int, *rows: int, generation: int = 1, per_request: int = 3) -> Shard:
    return replace(
        SOME_SHARD,
        id=f"{JOB}-{number}",
        job=JOB,
        number=number,
        round=generation,
        rows=RowSet.of(rows),
        requests=-(-len(rows) // per_request),
        endpoint=TASK.endpoint,
    )


def lines_in(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()
