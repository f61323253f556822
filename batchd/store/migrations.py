"""From an older schema to ours: numbered steps, each one transaction, a whole copy first."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from batchd.store.identity import FIRST_VERSION, beside, show

Step = Callable[[sqlite3.Connection], None]


def newest(steps: Sequence[Step]) -> int:
    """Return the schema version that the last step leads to."""
    return FIRST_VERSION + len(steps)


def migrate(path: Path, *, version: int, steps: Sequence[Step]) -> None:
    """Bring a ledger of an older version up to date; one that is needs nothing."""
    if version == newest(steps):
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        back_up(connection, beside(path, f".before-{newest(steps)}"))
        # A table is rebuilt by way of a new one, which references must survive.
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA synchronous = FULL")
        for number in range(version, newest(steps)):
            _take(connection, steps[number - FIRST_VERSION], to=number + 1)


def statements(script: str) -> Step:
    """Make a step of the text of a `.sql` file."""

    def step(connection: sqlite3.Connection) -> None:
        # executescript() would commit first, and half a step would stay.
        statement = ""
        for line in script.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                connection.execute(statement)
                statement = ""

    return step


def shipped(name: str) -> Step:
    """Make a step of a `.sql` file beside this one, which is read when it is taken."""

    def step(connection: sqlite3.Connection) -> None:
        statements(files("batchd.store").joinpath(name).read_text(encoding="utf-8"))(connection)

    return step


#: Step n leads from schema n to n + 1; `schema.sql` is what the last one leads to. A released step
#: is never changed again.
STEPS: tuple[Step, ...] = (shipped("to_schema_2.sql"), shipped("to_schema_3.sql"))


def back_up(connection: sqlite3.Connection, to: Path) -> None:
    """Write a whole copy. It appears whole, and takes the place of an earlier attempt's."""
    part = beside(to, ".part")
    part.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(part),))
    show(part, to)


def _take(connection: sqlite3.Connection, step: Step, *, to: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        step(connection)
        if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
            raise sqlite3.IntegrityError(
                f"migration to {to} leaves {tuple(broken)} without its row"
            )
        connection.execute(f"PRAGMA user_version = {to}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
