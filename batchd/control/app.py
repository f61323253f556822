"""The control API as an ASGI application: who asks what, and what they are told.

It reads by the daemon's own connection to the ledger, and writes by `runtime/wishes.py` only. Every
request is bounded in size and time: whoever asks is a guest in a house that has work to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Address

from batchd.control import wishes
from batchd.control.checking import standing_of
from batchd.control.ledger import Reader
from batchd.control.lent import Lent
from batchd.control.listing import job_of, jobs_of
from batchd.control.log_pages import NoCursor
from batchd.control.messages import (
    MOST_TEXT,
    Message,
    Refusal,
    Reloaded,
    Rest,
    Said,
    Wish,
)
from batchd.control.openapi import STATUS, document
from batchd.control.peers import Peer, Rights
from batchd.control.places import NOWHERE, NoSuchJob, Place
from batchd.control.presence import presence
from batchd.control.queries import (
    Odd,
    asked_by,
    jobs_asked,
    pages_asked,
    place_asked,
    sums_asked,
)
from batchd.control.routes import ROUTES
from batchd.control.show import shown_job
from batchd.control.spend import By, spend_of
from batchd.control.spend import as_dict as spend_as_dict
from batchd.control.status import status_of
from batchd.control.views import answer_as_dict, config_as_dict, status_as_dict
from batchd.control.why import Ambiguous, Question
from batchd.core.errors import BatchdError, BrokenInvariant
from batchd.core.model import Pause
from batchd.core.names import printable
from batchd.core.subjects import Job
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.spool.users import name_of

PEER = "batchd.peer"  #: where the connection says who it is (`serving.py`)
MOST_BYTES = 16_384  #: of a body: none of ours has more than a sentence
MOST_SECONDS = 10.0  #: for one answer; a list of a thousand jobs takes a tenth of one
SOURCE = "the daemon"

#: How a refusal that came as an exception is told.
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (NoSuchJob, "not-found"),
    (Ambiguous, "ambiguous"),
    (wishes.Impossible, "impossible"),
    (Odd, "invalid"),
    (NoCursor, "invalid"),
    (BatchdError, "unavailable"),
    (OSError, "unavailable"),
    (TimeoutError, "unavailable"),
)
_BOTH = (Pause.INTAKE, Pause.SUBMISSION)
_NOT_SAID = "this system does not say who is asking, so only the daemon's own folder is trusted"

Answer = Message | dict[str, Any]
Kind = TypeVar("Kind", bound=Message)


class Refused(BatchdError):
    """An answer that is no."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def build(services: Services) -> Starlette:
    """Make the application."""
    desk = Desk(services)
    addresses = [
        Address(route.path, _bounded(getattr(desk, route.name)), methods=[route.method])
        for route in ROUTES
    ]
    addresses.append(Address("/openapi.json", _described, methods=["GET"]))
    refused: dict[Any, Any] = {HTTPException: _no_such_address}
    app = Starlette(routes=addresses, exception_handlers=refused)
    app.router.redirect_slashes = False
    return app


def _bounded(ask: Callable[[Request], Awaitable[Answer]]) -> Callable[..., Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        try:
            with anyio.fail_after(MOST_SECONDS):
                return _response(await ask(request))
        except Refused as refused:
            return _refusal(refused.code, str(refused))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody hears it
        except BrokenInvariant:
            raise  # a mistake of ours is loud: uvicorn logs it, and answers 500
        except tuple(kind for kind, _ in _CODES) as error:
            code = next(code for kind, code in _CODES if isinstance(error, kind))
            return _refusal(code, str(error) or "it took too long; ask again")

    return answered


def _response(answer: Answer, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer) + b"\n", status, media_type="application/json")


def _refusal(code: Any, sentence: str) -> Response:
    return _response(Refusal(code=code, sentence=printable(sentence)), STATUS[code])


async def _no_such_address(request: Request, _: Exception) -> Response:
    sentence = f"nothing is asked by {request.method} {request.url.path}; /openapi.json lists all"
    return _refusal("not-found", sentence)


async def _described(_: Request) -> Response:
    return _response(document(ROUTES))


class Desk:
    """Answers each route: the methods have the routes' names."""

    def __init__(self, services: Services) -> None:
        self._services = services

    # Reading

    async def status(self, request: Request) -> Answer:
        """GET /v1/status."""
        await self._reader(request)
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
        asked = await self._reader(request)
        return await in_thread(self._why, asked)

    def _why(self, asked: Mapping[str, str]) -> dict[str, Any]:
        question = self._question(*place_asked(asked, self._services.folders))
        origins = self._services.provenance.origins
        return answer_as_dict(
            question.answer(), question.settings, origins, question.daemon, source=SOURCE
        )

    async def jobs(self, request: Request) -> Answer:
        """GET /v1/jobs."""
        asked = jobs_asked(await self._reader(request))
        return await in_thread(jobs_of, asked, self._ledger(), source=SOURCE)

    async def show(self, request: Request) -> Answer:
        """GET /v1/jobs/{id}."""
        await self._reader(request)
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
        by, since = sums_asked(await self._reader(request))
        return await in_thread(self._spend, by, since)

    def _spend(self, by: By, since: str) -> dict[str, Any]:
        limits, now = self._services.settings.budget.limits, self._services.clock.now()
        found = spend_of(self._ledger(), by=by, since=since, limits=limits, now=now)
        return spend_as_dict(found, source=SOURCE)

    async def standing(self, request: Request) -> Answer:
        """GET /v1/standing."""
        await self._reader(request)
        return await in_thread(standing_of, self._ledger(), now=self._services.clock.now())

    async def config(self, request: Request) -> Answer:
        """GET /v1/config."""
        await self._reader(request)
        return config_as_dict(self._services.settings, self._services.provenance)

    async def logs(self, request: Request) -> Answer:
        """GET /v1/logs."""
        asked = await self._reader(request)
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
        peer, wish = _peer(request), await _body(request, Wish)
        job: Job = await in_thread(job_of, request.path_params["id"], self._ledger())
        rights = await self._rights()
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
        rest = await _body(request, Rest)
        name = await self._master(request)
        what = _BOTH if rest.what == "all" else (Pause(rest.what),)
        return await grant(what, self._services, by=name)

    async def reload(self, request: Request) -> Answer:
        """POST /v1/reload."""
        await self._master(request)
        if self._services.reload is None:
            raise Refused("unavailable", "the daemon is just starting; ask again")
        said = await self._services.reload()
        return Reloaded(applied=said.applied, waiting=said.waiting, problem=said.problem)

    # Who, and from where

    async def _reader(self, request: Request) -> dict[str, str]:
        """Return what they ask for, where they may."""
        if not (await self._rights()).may_read(_peer(request)):
            raise Refused("refused", "only those who may drop files into inbox/ may read this")
        return asked_by(request.scope["query_string"])

    async def _master(self, request: Request) -> str:
        """Return the name of one who may do what concerns everybody."""
        peer = _peer(request)
        name = await in_thread(name_of, peer.uid)
        if not (await self._rights()).may_run_it(peer):
            raise Refused("refused", f"that concerns everybody's jobs: root and the daemon's own user"
                          f" may do it, and {name} may not")  # fmt: skip
        return name

    async def _rights(self) -> Rights:
        """As the inbox is now: an operator may have given it to another group."""
        return await in_thread(Rights.of, self._services.folders.inbox)

    def _ledger(self) -> Reader:
        return Reader(Lent(self._services.ledger))


def _peer(request: Request) -> Peer:
    peer: Peer | None = request.scope.get(PEER)
    if peer is None:
        raise Refused("refused", _NOT_SAID)
    return peer


async def _body(request: Request, kind: type[Kind]) -> Kind:
    """Read a small body; none at all is one that says nothing."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Refused("too-large", f"a body may have {MOST_BYTES:,} bytes")
    try:
        return msgspec.json.decode(bytes(body) or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("invalid", f"the body is not what is asked for: {error}") from error
