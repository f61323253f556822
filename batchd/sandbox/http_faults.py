"""Calls that go wrong on demand: refused, lost before or after they took effect, slow."""

from __future__ import annotations

from fnmatch import fnmatchcase

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchd.sandbox.connections import drop
from batchd.sandbox.digests import share_of
from batchd.sandbox.faults import HttpRule
from batchd.sandbox.request_faults import error_body
from batchd.sandbox.wire import Json
from batchd.sandbox.world import World

_PAGE = "<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"


def struck_by(world: World, call: str) -> HttpRule | None:
    """The first rule that wants this call. It counts as having happened from here on."""
    count = world.calls[call]
    for position, rule in enumerate(world.faults.http):
        if _is_for(rule, call) and _happens(rule, f"{position} {call} {count}"):
            return rule
    return None


def _is_for(rule: HttpRule, call: str) -> bool:
    return rule.route == call or fnmatchcase(call, rule.route.replace("[", "[[]"))


def _happens(rule: HttpRule, mark: str) -> bool:
    if rule.skip > 0:
        rule.skip -= 1
        return False
    if rule.times == 0 or share_of("http", mark) >= rule.rate:
        return False
    if rule.times is not None:
        rule.times -= 1
    return True


class Struck:
    """An application in whose way a rule stands."""

    def __init__(self, app: ASGIApp, rule: HttpRule, world: World) -> None:
        self._app, self._rule, self._world = app, rule, world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = self._rule
        if rule.delay_seconds:
            await self._world.pause(rule.delay_seconds)
        if rule.disconnect == "before":
            await drop(scope)
        elif rule.disconnect == "after":
            await self._app(scope, receive, _swallow)
            await drop(scope)
        elif rule.status is None and not rule.html:
            await self._app(scope, receive, send)
        else:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._rule.before:
            # Read to its end: a client that is still sending would see a broken pipe instead.
            async for _ in Request(scope, receive).stream():
                pass
        else:
            await self._app(scope, receive, _swallow)
        await answer_of(self._rule)(scope, receive, send)


def answer_of(rule: HttpRule) -> Response:
    status = rule.status or 200
    headers = {}
    if rule.retry_after is not None:
        headers["retry-after"] = f"{rule.retry_after:g}"
    if rule.x_should_retry is not None:
        headers["x-should-retry"] = str(rule.x_should_retry).lower()
    if rule.html:
        return HTMLResponse(_PAGE.format(status=status), status, headers=headers)
    return Json(error_body(status, rule.code, rule.message), status, headers=headers)


async def _swallow(_message: Message) -> None:
    """The answer nobody hears."""
