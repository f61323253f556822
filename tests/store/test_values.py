"""What goes into a column comes out again; what history keeps is for people."""

import json
import sqlite3

import msgspec
import pytest

from batchd.core import events as e
from batchd.core.model import BatchError, BatchStatus, Counts
from batchd.core.rows import RowSet
from batchd.store import values
from tests.store.lives import JOB, claimed, collected, ended, plan, planned


def test_columns_are_what_sqlite_takes():
    connection = sqlite3.connect(":memory:")
    for event in (claimed(), planned(plan(1)), planned(), ended("s"), collected("s", 1)):
        for value in values.columns(event).values():
            connection.execute("SELECT ?", (value,))
    connection.close()


@pytest.mark.parametrize(
    ("status", "column"), [(BatchStatus.UNKNOWN, "unknown"), (BatchStatus.FAILED, "failed")]
)
def test_a_word_is_a_text(status: BatchStatus, column: str):
    assert values.columns(ended("s", status))["status"] == column


def test_no_rows_are_null_and_rows_are_a_blob():
    columns = values.columns(collected("s", 1, 2))
    assert columns["uncounted"] is None
    assert RowSet.decode(columns["again"]) == RowSet.of([1, 2])


def test_values_in_json_come_back():
    columns = values.columns(ended("s"))
    assert msgspec.json.decode(columns["counts"], type=Counts) == Counts(3, 2, 1)
    assert msgspec.json.decode(columns["errors"], type=tuple[BatchError, ...]) == (
        BatchError("code", "message", "param", 7),
    )


def test_history_keeps_counts_and_readable_names_and_nothing_empty():
    assert json.loads(values.facts(claimed())) == {
        "job": JOB,
        "name": r"caf\xe9.jsonl",
        "task": "",
        "size": 700,
        "owner": 1000,
    }
    facts = json.loads(values.facts(collected("s", 3, 4, 5)))
    assert (facts["again"], facts["uncounted"]) == (3, 0)
    assert "error_file" not in json.loads(values.facts(ended("s")))


def test_history_of_a_large_job_stays_small():
    event = e.RoundPlanned(job=JOB, round=2, shards=(plan(*range(1, 100_000)),))
    assert len(values.facts(event)) < 200
