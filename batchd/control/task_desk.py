"""The control API's answers about tasks: which there are, a draft, a check, and a few rows tried."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from batchd.control.checking import SCHEMA, as_dict, as_known, check, standing_of
from batchd.control.desk import SOURCE
from batchd.control.door import Door, Refused, file_of, peer_of
from batchd.control.ledger import Reader
from batchd.control.lent import Lent
from batchd.control.messages import Refusal
from batchd.control.openapi import LINES
from batchd.control.queries import Odd, rows_asked
from batchd.control.task_shapes import Draft, Recipe, TaskList, Tried
from batchd.control.tasks import list_of, recipe_of, whole
from batchd.core.errors import RemoteDenied, RemoteError
from batchd.core.model import Pause
from batchd.core.names import printable
from batchd.core.task_rules import name_fault
from batchd.core.tasks import Task
from batchd.remote.api import Asking
from batchd.runtime.listener import STAY
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread
from batchd.spool.recipes import ENDING
from batchd.spool.users import name_of

log = structlog.get_logger()

_LONGEST = (
    700.0  #: seconds that a connection may wait for a row: the SDK gives an answer ten minutes
)
_NO_LINES = {"Cache-Control": "no-store"}


class TaskDesk:
    """Answers each route: the methods have the routes' names."""

    def __init__(self, services: Services, door: Door) -> None:
        self._services = services
        self._door = door
        self._trying = anyio.Lock()

    async def tasks(self, request: Request) -> TaskList:
        """GET /v1/tasks."""
        await self._door.reader(request)
        return await in_thread(list_of, self._services.recipes, source=SOURCE)

    async def task(self, request: Request) -> Recipe:
        """GET /v1/tasks/{name}."""
        await self._door.reader(request)
        return await in_thread(recipe_of, request.path_params["name"], self._services.recipes)

    async def draft_task(self, request: Request) -> Draft:
        """POST /v1/tasks/{name}/draft."""
        asked = await self._door.reader(request)
        async with file_of(request, asked) as path:
            return await in_thread(self._draft, request.path_params["name"], path)

    def _draft(self, name: str, path: Path) -> Draft:
        from batchd.control.task_draft import draft, sample_of

        if fault := name_fault(name):
            raise Odd(f"{fault.message}; {fault.remedy}")
        file = self._services.recipes.folder / f"{name}{ENDING}"
        text = draft(name, sample_of(path), model=self._services.settings.defaults.model)
        return Draft(name=name, file=str(file), text=text)

    async def check_table(self, request: Request) -> dict[str, Any]:
        """POST /v1/tasks/{name}/check."""
        asked = await self._door.reader(request)
        async with file_of(request, asked) as path:
            return await in_thread(self._check, request.path_params["name"], path)

    def _check(self, name: str, path: Path) -> dict[str, Any]:
        services = self._services
        task = whole(recipe_of(name, services.recipes))
        settings, holds = as_known(services.settings, self._standing())
        known, count = services.recipes.names(), services.count_tokens
        checked = check(path, settings, prices=services.prices, count=count, holds=holds, task=task,
                        tasks=known)  # fmt: skip
        files = [{**as_dict(checked), "file": path.name}]
        return {"schema": SCHEMA, "prices": services.prices.source, "files": files}

    def _standing(self) -> Any:
        return standing_of(Reader(Lent(self._services.ledger)), now=self._services.clock.now())

    async def try_table(self, request: Request) -> Response:
        """POST /v1/tasks/{name}/try.

        Who may drop files may try: it costs as a dropped file does, and less.
        """
        asked = await self._door.reader(request)
        rows, task = rows_asked(asked), await in_thread(self._task, request.path_params["name"])
        direct = self._services.direct
        if direct is None:
            raise Refused("unavailable", "the daemon is just starting; ask again")
        who = await in_thread(name_of, peer_of(request).uid)
        async with file_of(request, asked) as path:
            trial = await in_thread(self._trial, path, task, rows)
        stay = request.scope.get(STAY, lambda _: None)
        said = _lines(self._tried(trial, direct, who=who), stay)
        return StreamingResponse(said, media_type=LINES, headers=_NO_LINES)

    def _task(self, name: str) -> Task:
        return whole(recipe_of(name, self._services.recipes))

    def _trial(self, path: Path, task: Task, rows: int) -> Any:
        from batchd.control.task_trial import Trial  # late: it loads what renders templates

        return Trial.of(path, task, self._services.settings, rows=rows)

    async def _tried(
        self, trial: Any, direct: Callable[[], Asking], *, who: str
    ) -> AsyncGenerator[Tried, None]:
        """One trial after the other: two of them would each find room in the budget for itself."""
        try:
            self._trying.acquire_nowait()
        except anyio.WouldBlock:
            yield _no("unavailable", "somebody is trying a task just now; ask again")
            return
        try:
            if no := await self._why_not(trial):
                yield no
                return
            async with aclosing(self._rows(trial, direct, who=who)) as rows:
                async for row in rows:
                    yield row
        finally:
            self._trying.release()

    async def _why_not(self, trial: Any) -> Tried | None:
        """Say what stands against sending anything: somebody's word, or the budget."""
        if by := (await self._services.ledger.pauses()).get(Pause.SUBMISSION):
            return _no("impossible", f"submission is paused, by {by}; batchd resume goes on")
        text = await in_thread(self._too_dear, trial)
        return _no("impossible", text) if text else None

    def _too_dear(self, trial: Any) -> str | None:
        """Hold a trial against the budget as a file of its requests, at the price without a batch."""
        settings = self._services.settings
        if not settings.budget.limits.are_set:
            return None
        _, holds = as_known(settings, self._standing())
        with TemporaryDirectory(prefix="batchd-") as folder:
            file = Path(folder) / "trial.jsonl"
            file.write_bytes(b"".join(line.rstrip(b"\n") + b"\n" for line in trial.lines))
            prices, count = self._services.prices, self._services.count_tokens
            cost = check(file, settings, prices=prices, count=count).cost
        held = holds(cost.direct, settings.budget.limits)
        return held.text if held else None

    async def _rows(
        self, trial: Any, direct: Callable[[], Asking], *, who: str
    ) -> AsyncGenerator[Tried, None]:
        from batchd.control.task_trial import Paid, sum_of

        services, paid = self._services, list[Paid]()

        async def pays(one: Paid) -> None:
            # Before anybody sees the answer: what is told was counted, whatever dies after it.
            now = services.clock.now()
            await services.ledger.note_paid(trial.task.name, {one.model: one.usage}, at=now)
            paid.append(one)

        # In a thread: reading the machine's certificates takes longer than a turn of the loop may.
        asking, seen = await in_thread(direct), 0
        try:
            async with aclosing(trial.ask(asking, services.prices, pays)) as rows:
                async for row in rows:
                    seen += 1
                    yield Tried(row=row)
            yield Tried(sum=sum_of(paid, requests=len(trial.lines)))
        except RemoteError as error:
            yield _no("denied" if isinstance(error, RemoteDenied) else "unavailable", str(error))
        finally:
            cost = sum_of(paid, requests=len(paid)).cost
            log.info("task.tried", task=trial.task.name, rows=seen, text=f"by {who}",
                     cost=cost.amount if cost else None)  # fmt: skip
            with anyio.CancelScope(shield=True):
                await asking.close()


def _no(code: Any, sentence: str) -> Tried:
    return Tried(refusal=Refusal(code=code, sentence=printable(sentence)))


async def _lines(
    tried: AsyncGenerator[Tried, None], stay: Callable[[float], None]
) -> AsyncIterator[bytes]:
    """A line each; the connection may last for as long as rows come."""
    stay(_LONGEST)
    async with aclosing(tried) as lines:
        async for line in lines:
            stay(_LONGEST)
            yield msgspec.json.encode(line) + b"\n"
