"""Every question that people ask is found by an index, however many jobs there were."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib.resources import files

import pytest

from batchd.core.model import JobState
from batchd.core.names import next_job_id
from batchd.store import sql

QUESTIONS = sql.statements(
    files("batchd.control").joinpath("questions.sql").read_text(encoding="utf-8")
)
#: Those that look at a whole table, and why that is no harm.
WHOLE = {
    "jobs_named": "a name may be anybody's; once for a question about one file",
    "later_jobs_with": "one command, and from the job's own id on",
    "count_jobs": "counts; from an index alone",
    "count_shards": "for a report of a problem",
    "count_events": "for a report of a problem",
    "tables": "the schema",
    "keeps_sums": "the schema",
    "jobs_listed": "the youngest first, and it stops when it has enough",
    "created_since": "one pass over the shards, no blob of them is read",
    "pauses": "two rows at the most",
    "rooms": "a row for each model",
}


def parameters(statement: str, **given: object) -> dict[str, object]:
    return {name: given.get(name) for name in re.findall(r":(\w+)", statement)}


@pytest.fixture
def ledger():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(sql.schema())
        yield connection


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_scans_a_table_that_grows(ledger, name):
    statement = QUESTIONS[name]
    plan = ledger.execute(f"EXPLAIN QUERY PLAN {statement}", parameters(statement)).fetchall()

    scans = [row[3] for row in plan if row[3].startswith("SCAN")]
    assert not scans or name in WHOLE, scans


def test_nothing_is_excused_that_need_not_be():
    assert WHOLE.keys() <= QUESTIONS.keys()


def fill(ledger: sqlite3.Connection, jobs: range) -> None:
    """Finished jobs, each with a batch and five facts."""
    ids = [next_job_id(1_770_000_000 + number, None) for number in jobs]
    ledger.executemany(
        "INSERT INTO jobs (id, state, name, task, size, owner, claimed_at, state_at)"
        " VALUES (?, 'delivered', x'61', '', 1, 0, 0, 0)",
        [(job,) for job in ids],
    )
    ledger.executemany(
        "INSERT INTO shards (id, job, number, round, state, endpoint, model, rows, requests, size,"
        " tokens, due_at, planned_at, batch) VALUES (?, ?, 1, 1, 'collected', '', '', x'', 1, 1, 1,"
        " 0, 0, ?)",
        [(f"{job}-1", job, f"batch_{job}") for job in ids],
    )
    ledger.executemany(
        "INSERT INTO history (at, job, event, facts) VALUES (0, ?, 'JobPlanned', '{}')",
        [(job,) for job in ids for _ in range(5)],
    )


def work(ledger: sqlite3.Connection, statement: str, **given: object) -> int:
    """How many instructions SQLite needs for an answer: that is no matter of the machine."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    ledger.set_progress_handler(count, 1)
    ledger.execute(statement, parameters(statement, **given)).fetchall()
    ledger.set_progress_handler(None, 0)
    return steps


@pytest.mark.parametrize(
    "name",
    ["unfinished_jobs", "live_shards", "jobs_by_prefix", "shards_with_text_of", "shards_by_batch",
     "history_of", "jobs_listed", "pauses"],
)  # fmt: skip
def test_what_is_over_costs_nothing(ledger, name):
    """Twenty times as many finished jobs are hardly more work for status, why, show and jobs."""
    job = next_job_id(1_770_000_007, None)
    given = {"job": job, "prefix": job, "most": 20, "since": 0.0}
    fill(ledger, range(200))
    before = work(ledger, QUESTIONS[name], **given)
    fill(ledger, range(200, 4_000))

    assert work(ledger, QUESTIONS[name], **given) <= before + 50


def test_every_state_but_the_last_is_on_its_way():
    words = set(re.findall(r"'(\w+)'", QUESTIONS["unfinished_jobs"]))

    assert words == {str(state) for state in JobState} - {"delivered"}
