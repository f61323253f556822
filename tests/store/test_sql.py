"""Statements have names; the schema makes an empty ledger."""

import re
import sqlite3
from contextlib import closing

import pytest

from batchd.store import sql


def test_the_schema_makes_an_empty_ledger():
    connection = sqlite3.connect(":memory:")
    connection.executescript(sql.schema())
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    connection.close()
    assert [name for (name,) in tables] == [
        "root",
        "jobs",
        "shards",
        "history",
        "clock",
        "pauses",
        "room_learned",
        "spend",
    ]


def test_a_statement_is_one_statement_and_ends_where_the_next_begins():
    statement = sql.query("root")
    assert statement.count(";") == 1
    assert "-- name:" not in statement


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(KeyError):
        sql.query("nobody")


def test_no_state_is_set_but_by_a_parameter():
    """Only the tables in core/states.py say what follows; beginnings are the exception."""
    text = "\n".join(sql._queries().values())
    assert re.findall(r"SET state = (\S+?),? ", text) == re.findall(
        r"SET state = (:state),? ", text
    )


def test_the_statements_of_recovery_are_its_own():
    assert sql.recovery_query("restore_job").strip().startswith("-- A job as it was")
    with pytest.raises(KeyError):
        sql.query("restore_job")


def test_recovery_writes_every_column_there_is():
    """A column that is added later is lost by a recovery that doesn't know it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(sql.schema())
        for table, name in (("jobs", "restore_job"), ("shards", "restore_shard")):
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            written = set(re.findall(r":(\w+)", sql.recovery_query(name)))
            assert columns - written <= {"text"}, table  # of passing troubles; the next look knows
