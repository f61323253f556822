"""The control API's answers about the house itself: its configuration, its machine, a report."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import anyio
import structlog
from starlette.requests import Request

from batchd.control import doctor
from batchd.control.desk import SOURCE
from batchd.control.door import Door, Refused
from batchd.control.ledger import Reader
from batchd.control.lent import Lent
from batchd.control.queries import offline_asked
from batchd.control.report import MARKED, Report, report_of
from batchd.control.views import config_as_dict, findings_as_dict
from batchd.core.findings import DAEMON, Finding
from batchd.runtime.services import Checks, Services
from batchd.runtime.threads import in_thread

log = structlog.get_logger()


class HouseDesk:
    """Answers each route: the methods have the routes' names."""

    def __init__(self, services: Services, door: Door) -> None:
        self._services = services
        self._door = door
        self._looking = anyio.Lock()  # a probe has this process's number in its name

    async def config_check(self, request: Request) -> dict[str, object]:
        """GET /v1/config/check."""
        is_offline = offline_asked(await self._door.reader(request))
        checks = self._checks()
        return findings_as_dict(await self._found(partial(checks.all, is_offline=is_offline)))

    async def doctor(self, request: Request) -> dict[str, object]:
        """GET /v1/doctor."""
        is_offline = offline_asked(await self._door.reader(request))
        return findings_as_dict(await self._examined(is_offline=is_offline))

    async def bugreport(self, request: Request) -> Report:
        """POST /v1/bugreport.

        For whoever may read: it says less than the log and the settings do, which they may have.
        """
        await self._door.reader(request)
        marker = f"bug-{secrets.token_hex(4)}"
        log.info("bugreport.made", marker=marker, text=MARKED)
        found = await self._examined(is_offline=True)
        return await in_thread(self._report, marker, found)

    def _report(self, marker: str, found: list[Finding]) -> Report:
        services = self._services
        return report_of(
            marker,
            found,
            settings=config_as_dict(services.settings, services.provenance, source=SOURCE),
            ledger=Reader(Lent(services.ledger)).anatomy(),
            log=services.folders.log,
            source=SOURCE,
        )

    async def _examined(self, *, is_offline: bool) -> list[Finding]:
        checks, folders = self._checks(), self._services.folders
        return await self._found(partial(doctor.by_daemon, checks, folders, is_offline=is_offline))

    async def _found(self, look: partial[Iterator[Finding]]) -> list[Finding]:
        """Look in a thread; nothing that is found has a secret in it, and all of it is the daemon's."""
        async with self._looking:
            return await in_thread(lambda: [replace(finding, by=DAEMON) for finding in look()])

    def _checks(self) -> Checks:
        if self._services.checks is None:
            raise Refused("unavailable", "the daemon is just starting; ask again")
        return self._services.checks()
