"""Old or new, never in between; and a whole copy of the old one beside it."""

import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from batchd.core.errors import ConfigError
from batchd.core.events import JobHeld
from batchd.core.rows import RowSet
from batchd.core.usage import ModelUsage, Usage
from batchd.store.database import Database
from batchd.store.identity import APPLICATION_ID, create
from batchd.store.ledger import Ledger
from batchd.store.migrations import STEPS, newest, statements

ADD = statements(
    "-- a column;\nALTER TABLE root ADD COLUMN colour TEXT;\nUPDATE root\nSET colour = 'red';\n"
)
SPLIT = statements(
    "CREATE TABLE colours (name TEXT) STRICT;\nINSERT INTO colours SELECT colour FROM root;\n"
)


FIRST = (Path(__file__).parent / "schema-1.sql").read_text(encoding="utf-8")
CLAIMED = (
    "INSERT INTO jobs (id, state, name, task, size, owner, claimed_at, state_at)"
    " VALUES ('7k3c9q', 'claimed', x'62', '', 1, 0, 10.0, 10.0)"
)
PLANNED = (
    "INSERT INTO shards (id, job, number, round, state, endpoint, model, rows, requests, size,"
    " tokens, due_at, planned_at)"
    " VALUES ('7k3c9q-1', '7k3c9q', 1, 1, 'planned', '/v1/embeddings', 'm', ?, 1, 1, 1, 5.0, 5.0)"
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of the first schema, in use."""
    path = tmp_path / "batchd.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO root VALUES (1, 'root-1', 0)")
        connection.commit()
    return path


def ask(path: Path, query: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchone()[0]


def tables(path: Path) -> dict[str, set[tuple[object, ...]]]:
    """Each table with its columns, their types, defaults and keys; and the indexes."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
        return {
            name: {row[1:] for row in connection.execute(f"PRAGMA table_info('{name}')")}
            for name in names
        }


async def test_the_shipped_steps_lead_from_the_first_schema_to_this_one(old: Path):
    new = old.with_name("new.db")
    with closing(sqlite3.connect(old)) as connection:
        connection.execute(CLAIMED)
        connection.execute(PLANNED, (RowSet.of([1]).encode(),))
        connection.commit()

    await opened(old, *STEPS)
    create(new, version=newest(STEPS))

    assert tables(old) == tables(new)
    ledger = await Ledger.open(old, new_root="root", now=0.0)
    try:
        job, (shard,) = await ledger.job("7k3c9q"), await ledger.shards_of("7k3c9q")
        assert (job.name, job.waived, job.cancelled_at) == (b"b", False, None)
        assert (shard.model, shard.file_at) == ("m", None)
        assert await ledger.wish(JobHeld(job=job.id, reason="held"), at=1.0)
    finally:
        await ledger.close()


async def test_what_was_spent_before_there_were_sums_is_added_up(old: Path):
    """Of the shards that are still there; what the same would have cost directly nobody asked."""
    usage = (
        '{"m":{"usage":{"input_tokens":12,"output_tokens":3,"cached_tokens":2,"reasoning_tokens":1},'
        '"requests":2,"cost":0.5},"odd":{"usage":{"input_tokens":1,"output_tokens":1,'
        '"cached_tokens":0,"reasoning_tokens":0},"requests":1,"cost":null}}'
    )
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute(CLAIMED)
        connection.execute(PLANNED, (RowSet.of([1]).encode(),))
        connection.execute(PLANNED.replace("-1', '7k3c9q', 1,", "-2', '7k3c9q', 2,"), (b"",))
        connection.execute("UPDATE shards SET rows = (SELECT rows FROM shards WHERE number = 1)")
        connection.execute(
            "UPDATE shards SET state = 'collected', collected_at = 86400.0, usage = ?", (usage,)
        )
    await opened(old, *STEPS)
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT * FROM spend ORDER BY model").fetchall() == [
            ("1970-01-02", "", "m", 4, 24, 4, 6, 2, 1.0, 1.0, 0),
            ("1970-01-02", "", "odd", 2, 2, 0, 2, 0, 0.0, 0.0, 2),
        ]
    ledger = await Ledger.open(old, new_root="root", now=0.0)
    try:
        shard, _ = await ledger.shards_of("7k3c9q")
        assert shard.usage["m"] == ModelUsage(Usage(12, 3, 2, 1), 2, 0.5, None)
    finally:
        await ledger.close()


async def opened(path: Path, *steps) -> None:
    await (await Database.open(path, steps=steps)).close()


async def test_steps_are_taken_in_order_and_the_old_one_is_kept(old: Path):
    await opened(old, ADD, SPLIT)
    assert ask(old, "PRAGMA user_version") == 3
    assert ask(old, "SELECT name FROM colours") == "red"
    kept = old.with_name("batchd.db.before-3")
    assert ask(kept, "PRAGMA user_version") == 1
    assert ask(kept, "SELECT id FROM root") == "root-1"
    assert ask(kept, "PRAGMA integrity_check") == "ok"


async def test_a_later_program_takes_only_the_steps_that_are_new(old: Path):
    await opened(old, ADD)
    await opened(old, ADD, SPLIT)
    assert ask(old, "SELECT name FROM colours") == "red"
    assert {p.name for p in old.parent.glob("*.before-*")} == {
        "batchd.db.before-2",
        "batchd.db.before-3",
    }


async def test_an_up_to_date_ledger_is_left_alone(old: Path):
    await opened(old)  # no steps: the first is the newest
    assert not list(old.parent.glob("*.before-*"))
    assert newest(()) == ask(old, "PRAGMA user_version")


async def test_an_older_program_refuses_what_a_newer_one_wrote(old: Path):
    await opened(old, *STEPS, ADD)
    with pytest.raises(ConfigError, match="newer batchd"):
        await Ledger.open(old, new_root="root-2", now=0.0)


async def test_a_new_ledger_needs_no_steps(tmp_path: Path):
    """`schema.sql` is what the last step leads to."""
    await opened(tmp_path / "batchd.db", lambda connection: pytest.fail("not for a new one"))
    assert ask(tmp_path / "batchd.db", "PRAGMA user_version") == 2


async def test_a_step_that_fails_leaves_the_old_schema(old: Path):
    def half(connection: sqlite3.Connection) -> None:
        ADD(connection)
        raise OSError("half-way")

    with pytest.raises(OSError, match="half-way"):
        await opened(old, half)
    assert ask(old, "PRAGMA user_version") == 1
    await opened(old, ADD)
    assert ask(old, "SELECT colour FROM root") == "red"


async def test_a_step_that_breaks_a_reference_is_not_taken(old: Path):
    orphan = statements(
        "INSERT INTO shards (id, job, number, round, state, endpoint, model, rows, requests, size,"
        " tokens, due_at, planned_at) VALUES ('a', 'nobody', 1, 1, 'planned', '', '', x'', 0, 0, 0,"
        " 0, 0);"
    )
    with pytest.raises(sqlite3.IntegrityError, match="without its row"):
        await opened(old, orphan)
    assert ask(old, "PRAGMA user_version") == 1


@pytest.mark.parametrize("where", ["before", "within", "between"])
async def test_killed_in_the_middle_it_is_old_or_new(old: Path, where: str):
    """F27: kill -9 of a real process in the middle of a migration."""
    script = f"""
        import asyncio, os, signal
        from pathlib import Path
        from batchd.store.database import Database
        from batchd.store.migrations import statements

        def die(connection):
            os.kill(os.getpid(), signal.SIGKILL)

        def add(connection):
            statements("ALTER TABLE root ADD COLUMN colour TEXT;\\nUPDATE root SET colour = 'red';\\n")(connection)

        def half(connection):
            add(connection)
            die(connection)

        steps = dict(before=(die, add), within=(half, die), between=(add, die))[{where!r}]
        asyncio.run(Database.open(Path({str(old)!r}), steps=steps))
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert died.returncode == -9
    assert ask(old.with_name("batchd.db.before-3"), "PRAGMA user_version") == 1
    assert ask(old, "PRAGMA integrity_check") == "ok"
    assert ask(old, "PRAGMA user_version") == (2 if where == "between" else 1)
    await opened(old, ADD, SPLIT)  # the next start goes on from there
    assert ask(old, "SELECT name FROM colours") == "red"
