"""What rings: checks whose call it is, forgets repetitions, and gathers batches for one look.

A flood costs little: what is not signed is refused before it is read as anything, and however
many batches are named within a second, the ledger is asked once and the list is walked once.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Mapping

import anyio
import structlog

from batchd.core.errors import ConfigError
from batchd.remote.webhooks import NotTheirs, batch_of, verify
from batchd.runtime.secrets import read_secret
from batchd.runtime.services import Services
from batchd.settings import Webhooks

log = structlog.get_logger()

GATHER_SECONDS = 1.0  #: several batches that end together are looked at together
MOST_KNOWN = 10_000  #: ids of calls; the provider repeats one for up to 72 hours (reference G.2)
MOST_NAMED = 1_000  #: batches in one gathering; others are seen when they are due
_TOLD_EVERY = 60.0  #: seconds between two lines about calls that are not the provider's


class Doorbell:
    """Takes calls, and wakes poll."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: OrderedDict[str, None] = OrderedDict()
        self._named: set[str] = set()
        self._rung = anyio.Event()
        self._refused = 0  #: since it was told
        self._told_at = float("-inf")

    def take(self, payload: bytes, headers: Mapping[str, str]) -> int:
        """Take a call; return the status to answer with. Raises nothing."""
        try:
            verify(payload, headers, secret=secret_of(self._services.settings.webhooks))
        except NotTheirs as no:
            self._refuse(str(no))
            return 401
        except ConfigError as error:
            self._refuse(str(error))
            return 503  # it is sent again later
        if self._is_new(headers["webhook-id"]) and (batch := batch_of(payload)):
            self._name(batch)
        return 200

    async def keep(self) -> None:
        """Have the named batches looked at, until cancelled."""
        while True:
            await self._rung.wait()
            await self._services.clock.wait(anyio.Event(), GATHER_SECONDS)
            self._rung, named, self._named = anyio.Event(), self._named, set()
            try:
                await self._look(sorted(named))
            except (OSError, sqlite3.Error) as error:
                # A doorbell: they are looked at when they are due.
                log.warning("webhooks.unheard", batches=len(named), text=str(error))

    async def _look(self, named: list[str]) -> None:
        now = self._services.clock.now()
        shards = await self._services.ledger.look_sooner(named, at=now)
        for shard in shards:
            log.info("webhooks.rang", job=shard.partition("-")[0], shard=shard)
        if shards:
            self._services.bells["poll"].ring()

    def _name(self, batch: str) -> None:
        if len(self._named) < MOST_NAMED:
            self._named.add(batch)
        self._rung.set()

    def _is_new(self, call: str) -> bool:
        if call in self._known:
            return False
        self._known[call] = None
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return True

    def _refuse(self, text: str) -> None:
        """Say so now and then: whoever finds the port could fill the log."""
        self._refused += 1
        now = self._services.clock.monotonic()
        if now - self._told_at >= _TOLD_EVERY:
            log.warning("webhooks.refused", text=text, calls=self._refused)
            self._told_at, self._refused = now, 0


def secret_of(webhooks: Webhooks) -> str:
    """Return the secret that calls are signed with. Raises `ConfigError`."""
    if webhooks.secret_file is None:
        raise ConfigError("webhooks.secret_file is not set")
    return read_secret(webhooks.secret_file, setting="webhooks.secret_file")
