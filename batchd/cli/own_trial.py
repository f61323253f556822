"""A task tried with the asker's own key, where no daemon can be asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

from batchd.control.task_shapes import Tried, TriedRow
from batchd.control.task_trial import Paid, Trial, sum_of
from batchd.core.tasks import Task
from batchd.meters.prices import Prices
from batchd.remote.direct import Direct
from batchd.settings import Settings


def rows_of(
    file: Path, task: Task, settings: Settings, *, rows: int
) -> Callable[..., Iterator[Tried]]:
    """Read and render; return what asks, with a `base_url` and an `api_key`.

    Raises `BadTable`, `BadRecord` and `FileNotFoundError`; what is returned raises `RemoteError`.
    """
    trial = Trial.of(file, task, settings, rows=rows)

    def asked(*, base_url: str | None, api_key: str) -> Iterator[Tried]:
        return _asked(trial, base_url=base_url, api_key=api_key)

    return asked


def _asked(trial: Trial, *, base_url: str | None, api_key: str) -> Iterator[Tried]:
    """The event loop is turned from here, for as long as the next row takes."""
    paid: list[Paid] = []

    async def pays(one: Paid) -> None:
        paid.append(one)

    with asyncio.Runner() as runner:
        direct = Direct(trial.settings.openai, base_url=base_url, api_key=api_key)
        answers = trial.ask(direct, Prices(trial.settings.prices), pays)

        async def following() -> TriedRow | None:
            return await anext(answers, None)

        async def leave() -> None:
            async with aclosing(answers):
                await direct.close()

        try:
            while (row := runner.run(following())) is not None:
                yield Tried(row=row)
            yield Tried(sum=sum_of(paid, requests=len(trial.lines)))
        finally:
            runner.run(leave())
