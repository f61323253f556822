"""Asks the ledger from inside the daemon, by the one connection that there is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from anyio import from_thread

from batchd.store.lookups import Lookups


class Lent:
    """The daemon's connection as a question's (`control.ledger.Connection`). Only inside
    `in_thread`.

    Each question is a moment of its own: a job that goes on between two of them may be shown with
    the batches that it had, or without those it has. The next look shows it right.
    """

    def __init__(self, ledger: Lookups) -> None:
        self._ledger = ledger

    def execute(self, statement: str, parameters: Mapping[str, object], /) -> Iterable[sqlite3.Row]:
        """Ask in the ledger's own thread, and wait here."""

        def work(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(statement, parameters).fetchall()

        return from_thread.run(self._ledger.lend, work)
