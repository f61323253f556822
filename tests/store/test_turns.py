"""Who asks at the same moment shares one turn and one commit, and nobody another's failure."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from batchd.core.errors import BrokenInvariant
from batchd.store.database import Database


@asynccontextmanager
async def open_database(folder: Path) -> AsyncIterator[tuple[Database, list[str]]]:
    """A database, and the statements that it runs from now on."""
    database, said = await Database.open(folder / "batchd.db"), list[str]()
    try:
        await database.read(lambda connection: connection.set_trace_callback(said.append))
        yield database, said
    finally:
        await database.close()


def note(name: str) -> Callable[[sqlite3.Connection], str]:
    def work(connection: sqlite3.Connection) -> str:
        row = "INSERT INTO history (at, job, event, facts) VALUES (0, ?, 'e', '{}')"
        connection.execute(row, (name,))
        return name

    return work


def notes(connection: sqlite3.Connection) -> list[str]:
    return [row["job"] for row in connection.execute("SELECT job FROM history ORDER BY id")]


async def all_at_once(*works: Callable[[], object]) -> list[object]:
    """Start them in this order, and return what each returned or raised."""
    ends = dict[int, object]()

    async def one(place: int, work: Callable[[], object]) -> None:
        try:
            ends[place] = await work()  # type: ignore[misc]  # all of them are asked for
        except (BrokenInvariant, OSError, sqlite3.Error) as error:
            ends[place] = error

    async with anyio.create_task_group() as tasks:
        for place, work in enumerate(works):
            tasks.start_soon(one, place, work)
    return [ends[place] for place in sorted(ends)]


async def test_who_writes_while_another_does_shares_one_commit_with_all_who_wait(tmp_path: Path):
    async with open_database(tmp_path) as (database, said):
        names = [f"n{n}" for n in range(10)]
        writes = [lambda name=name: database.write(note(name)) for name in names]
        assert await all_at_once(*writes) == names
        assert said.count("COMMIT") == 2  # the first went alone
        assert await database.read(notes) == names


async def test_one_alone_is_a_transaction_of_its_own(tmp_path: Path):
    async with open_database(tmp_path) as (database, said):
        for name in "abc":
            await database.write(note(name))
        assert said.count("COMMIT") == 3


async def test_nobody_goes_on_before_the_commit_of_its_turn(tmp_path: Path):
    async with open_database(tmp_path) as (database, said):
        committed = list[int]()

        async def write(name: str) -> None:
            await database.write(note(name))
            committed.append(said.count("COMMIT"))

        await all_at_once(*[lambda name=name: write(name) for name in "abcd"])
        assert committed == [1, 2, 2, 2]


async def test_one_that_fails_among_others_fails_alone(tmp_path: Path):
    def fails(connection: sqlite3.Connection) -> None:
        note("half")(connection)
        raise BrokenInvariant("no such move")

    async with open_database(tmp_path) as (database, _):
        a, b, failure, c = await all_at_once(
            lambda: database.write(note("a")),
            lambda: database.write(note("b")),
            lambda: database.write(fails),
            lambda: database.write(note("c")),
        )
        assert (a, b, c) == ("a", "b", "c")
        assert isinstance(failure, BrokenInvariant)
        assert sorted(await database.read(notes)) == ["a", "b", "c"]  # each once, the half not


async def test_a_full_disk_is_told_to_each_of_them(tmp_path: Path):
    def much(connection: sqlite3.Connection) -> None:
        for _ in range(20):
            note("x" * 9000)(connection)

    async with open_database(tmp_path) as (database, _):
        pages = await database.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await database.read(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone())
        ends = await all_at_once(*[lambda: database.write(much)] * 3)
        assert [type(end) for end in ends] == [OSError] * 3
        assert await database.read(notes) == []


async def test_who_reads_beside_writers_sees_what_is_committed_and_no_more(tmp_path: Path):
    async with open_database(tmp_path) as (database, _):
        _, seen, _ = await all_at_once(
            lambda: database.write(note("before")),
            lambda: database.read(notes),  # waits for a turn together with the next
            lambda: database.write(note("beside")),
        )
        assert seen == ["before"]
        assert await database.read(notes) == ["before", "beside"]


async def test_a_question_that_fails_is_no_other_questions_failure(tmp_path: Path):
    async with open_database(tmp_path) as (database, _):
        _, seen, failure = await all_at_once(
            lambda: database.write(note("a")),
            lambda: database.read(notes),
            lambda: database.read(lambda connection: connection.execute("no statement")),
        )
        assert seen == ["a"]
        assert isinstance(failure, sqlite3.OperationalError)


@pytest.mark.parametrize("others", [0, 3])
async def test_what_nobody_waits_for_any_more_is_done_all_the_same(tmp_path: Path, others: int):
    async with open_database(tmp_path) as (database, _):
        async with anyio.create_task_group() as tasks:
            for number in range(others + 1):
                tasks.start_soon(database.write, note(f"n{number}"))
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert len(await database.read(notes)) == others + 1
