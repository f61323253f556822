"""Who asks the database at the same moment takes one turn of its thread, and one commit, together.

A hand-over to the thread and a commit cost more than what is asked: of thousands of small files
they would be most of the work. Each caller goes on only when the commit of its turn has returned:
nobody is told that something is recorded which a crash would forget.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import aiosqlite
import anyio

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_ALONE: tuple[Any, ...] = ()  #: no answer: it is asked again, by itself


@dataclass(slots=True, eq=False)
class _Asked:
    work: Work[Any]
    writes: bool
    turn: anyio.Event = field(default_factory=anyio.Event)
    answer: tuple[Any, ...] | None = None  #: a single one; None while it waits for its turn


class Turns:
    """The one way into the database's thread."""

    def __init__(self, connection: aiosqlite.Connection, *, must_be_there: Work[None]) -> None:
        """`must_be_there` raises where nothing can be recorded any more."""
        self._connection = connection
        self._must_be_there = must_be_there
        self._waiting: list[_Asked] = []
        self._is_taken = False

    async def take(self, work: Work[T], *, writes: bool) -> T:
        """Run `work` whole in the database's thread; what writes, in a transaction.

        It may be run twice: what fails together with others is undone and done again by itself,
        so that a failure is its own and nobody else's. The caller shields it from cancellation.
        """
        asked = _Asked(work, writes)
        self._waiting.append(asked)
        if self._is_taken:
            await asked.turn.wait()
        if asked.answer is None:
            await self._lead(asked)
        answer: T = asked.answer[0] if asked.answer else await self._run(self._alone, asked)
        return answer

    async def _lead(self, leader: _Asked) -> None:
        """Take the turn for all who wait, and hand over to the first who has come since."""
        group, self._waiting, self._is_taken = self._waiting, [], True
        try:
            if len(group) > 1:
                await self._together(group)
            if not leader.answer:
                leader.answer = (await self._run(self._alone, leader),)
        finally:
            self._is_taken = bool(self._waiting)
            for asked in (*group, *self._waiting[:1]):
                asked.turn.set()

    async def _together(self, group: Sequence[_Asked]) -> None:
        turn = asyncio.ensure_future(self._run(self._all, group))
        await asyncio.wait([turn])
        answers = [_ALONE] * len(group) if turn.exception() else turn.result()
        for asked, answer in zip(group, answers, strict=True):
            asked.answer = answer

    async def _run(self, work: Callable[[Any, sqlite3.Connection], T], what: Any) -> T:
        # Naughty but whole: the library's own way into its thread. The public methods are one hop
        # per statement, and a transaction would be many.
        execute: Any = self._connection._execute
        result: T = await execute(work, what, self._connection._conn)
        return result

    def _alone(self, asked: _Asked, connection: sqlite3.Connection) -> Any:
        if not asked.writes:
            return asked.work(connection)
        self._must_be_there(connection)
        return transaction(connection, asked.work)

    def _all(
        self, group: Sequence[_Asked], connection: sqlite3.Connection
    ) -> list[tuple[Any, ...]]:
        # Read first: nobody is told of what these others are about to write, and may not be.
        readers = [asked.work for asked in group if not asked.writes]
        writers = [asked.work for asked in group if asked.writes]
        read = iter([work(connection) for work in readers])
        written = iter(self._write_all(writers, connection))
        return [(next(written if asked.writes else read),) for asked in group]

    def _write_all(self, works: Sequence[Work[Any]], connection: sqlite3.Connection) -> list[Any]:
        if not works:
            return []
        self._must_be_there(connection)
        return transaction(connection, partial(_each, works))


def _each(works: Sequence[Work[Any]], connection: sqlite3.Connection) -> list[Any]:
    return [work(connection) for work in works]


def transaction(connection: sqlite3.Connection, work: Work[T]) -> T:
    """Run `work` as one transaction: all of it, or nothing and the error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # A full disk rolls back by itself; then there is nothing left to roll back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result
