"""The control API's answers about the root and its jobs: what they are, and what a person wishes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from starlette.requests import Request

from batchd.control import wishes
from batchd.control.checking import standing_of
from batchd.control.door import Door, Refused, body_of, peer_of
from batchd.control.ledger import Reader
from batchd.control.lent import Lent
from batchd.control.listing import job_of, jobs_of
from batchd.control.messages import MOST_TEXT, Message, Reloaded, Rest, Said, Wish
from batchd.control.places import NOWHERE, Place
from batchd.control.presence import presence
from batchd.control.queries import jobs_asked, pages_asked, place_asked, sums_asked
from batchd.control.show import shown_job
from batchd.control.spend import By, spend_of
from batchd.control.spend import as_dict as spend_as_dict
from batchd.control.status import status_of
from batchd.control.views import answer_as_dict, config_as_dict, status_as_dict
from batchd.control.why import Question
from batchd.core.model import Pause
from batchd.core.subjects import Job
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.spool.users import name_of

SOURCE = "the daemon"
_BOTH = (Pause.INTAKE, Pause.SUBMISSION)

Answer = Message | dict[str, Any]


class Desk:
    """Answers each route: the methods have the routes' names."""

    def __init__(self, services: Services, door: Door) -> None:
        self._services = services
        self._door = door

    # Reading

    async def status(self, request: Request) -> Answer:
        """GET /v1/status."""
        await self._door.reader(request)
        return await in_thread(self._status)

    def _status(self) -> dict[str, Any]:
        folders = self._services.folders
        found = status_of(
            folders,
            self._services.settings,
            recipes=self._services.recipes,
            reader=self._ledger(),
            daemon=presence(folders),
            now=self._services.clock.now(),
        )
        return status_as_dict(found, folders, source=SOURCE)

    async def why(self, request: Request) -> Answer:
        """GET /v1/why."""
        asked = await self._door.reader(request)
        return await in_thread(self._why, asked)

    def _why(self, asked: Mapping[str, str]) -> dict[str, Any]:
        question = self._question(*place_asked(asked, self._services.folders))
        origins = self._services.provenance.origins
        return answer_as_dict(
            question.answer(), question.settings, origins, question.daemon, source=SOURCE
        )

    async def jobs(self, request: Request) -> Answer:
        """GET /v1/jobs."""
        asked = jobs_asked(await self._door.reader(request))
        return await in_thread(jobs_of, asked, self._ledger(), source=SOURCE)

    async def show(self, request: Request) -> Answer:
        """GET /v1/jobs/{id}."""
        await self._door.reader(request)
        return await in_thread(self._show, request.path_params["id"])

    def _show(self, word: str) -> Message:
        return shown_job(self._question(word, NOWHERE), source=SOURCE)

    def _question(self, word: str, place: Place) -> Question:
        return Question(
            word=word,
            place=place,
            folders=self._services.folders,
            settings=self._services.settings,
            recipes=self._services.recipes,
            reader=self._ledger(),
            daemon=presence(self._services.folders),
            now=self._services.clock.now(),
        )

    async def spend(self, request: Request) -> Answer:
        """GET /v1/spend."""
        by, since = sums_asked(await self._door.reader(request))
        return await in_thread(self._spend, by, since)

    def _spend(self, by: By, since: str) -> dict[str, Any]:
        limits, now = self._services.settings.budget.limits, self._services.clock.now()
        found = spend_of(self._ledger(), by=by, since=since, limits=limits, now=now)
        return spend_as_dict(found, source=SOURCE)

    async def standing(self, request: Request) -> Answer:
        """GET /v1/standing."""
        await self._door.reader(request)
        return await in_thread(standing_of, self._ledger(), now=self._services.clock.now())

    async def config(self, request: Request) -> Answer:
        """GET /v1/config."""
        await self._door.reader(request)
        services = self._services
        return config_as_dict(services.settings, services.provenance, source=SOURCE)

    async def logs(self, request: Request) -> Answer:
        """GET /v1/logs."""
        asked = await self._door.reader(request)
        log, after = self._services.folders.log, asked.get("after")
        page = partial(pages_asked(asked).page, log, self._ledger(), after=after, pause=pause)
        return await in_thread(page)

    # Writing

    async def cancel(self, request: Request) -> Answer:
        """POST /v1/jobs/{id}/cancel."""
        return await self._wish(wishes.cancel, request)

    async def hold(self, request: Request) -> Answer:
        """POST /v1/jobs/{id}/hold."""
        return await self._wish(wishes.hold, request)

    async def release(self, request: Request) -> Answer:
        """POST /v1/jobs/{id}/release."""
        return await self._wish(wishes.release, request)

    async def _wish(self, grant: Callable[..., Awaitable[Said]], request: Request) -> Said:
        peer, wish = peer_of(request), await body_of(request, Wish)
        job: Job = await in_thread(job_of, request.path_params["id"], self._ledger())
        rights = await self._door.rights()
        name = await in_thread(name_of, peer.uid)
        if not rights.may_change(peer, owner=job.owner):
            owner = await in_thread(name_of, job.owner)
            raise Refused("refused", f"job {job.id} is {owner}'s, not {name}'s: its owner, root and"
                          " the daemon's own user may do that")  # fmt: skip
        because = wish.because.strip()[:MOST_TEXT]
        return await grant(
            job, self._services, by=f"by {name}: {because}" if because else f"by {name}"
        )

    async def pause(self, request: Request) -> Answer:
        """POST /v1/pause."""
        return await self._rest(wishes.pause, request)

    async def resume(self, request: Request) -> Answer:
        """POST /v1/resume."""
        return await self._rest(wishes.resume, request)

    async def _rest(self, grant: Callable[..., Awaitable[Said]], request: Request) -> Said:
        rest = await body_of(request, Rest)
        name = await self._door.master(request)
        what = _BOTH if rest.what == "all" else (Pause(rest.what),)
        return await grant(what, self._services, by=name)

    async def reload(self, request: Request) -> Answer:
        """POST /v1/reload."""
        await self._door.master(request)
        if self._services.reload is None:
            raise Refused("unavailable", "the daemon is just starting; ask again")
        said = await self._services.reload()
        return Reloaded(applied=said.applied, waiting=said.waiting, problem=said.problem)

    def _ledger(self) -> Reader:
        return Reader(Lent(self._services.ledger))
