"""Shared by the tests of single stages: a job brought as far as a test wants it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from batchd.core.model import ShardState
from batchd.core.subjects import Shard
from batchd.runtime.services import Services
from batchd.stages import claim, collect, deliver, plan, poll, submit, tidy
from tests.houses import drop, requests

ALL = (claim, plan, submit, poll, collect, deliver, tidy)


async def step(services: Services, *stages: Any) -> int:
    """Run each stage once, and wait for what it started."""
    started = 0
    for stage in stages:
        started += await stage.run_once(services)
        await services.crews[stage.NAME].finish()
    return started


async def planned(services: Services, root: Path, *names: str, lines: Any = None) -> None:
    """Drop files and let them be planned."""
    for name in names or ("a",):
        drop(root, f"{name}.jsonl", lines or requests(3, prefix=name))
    await claim.run_once(services)
    services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one
    for _ in range(2 + len(names)):
        await step(services, claim, plan)


async def opened(services: Services, root: Path, *names: str, lines: Any = None) -> Shard:
    """Drop files and let their batches be created; return the first shard."""
    await planned(services, root, *names, lines=lines)
    while await step(services, submit):
        pass
    return (await services.ledger.shards_in(ShardState.OPEN))[0]


async def ended(services: Services, root: Path, *, lines: Any = None) -> Shard:
    """Bring one file to where its batch has ended."""
    shard = await opened(services, root, lines=lines)
    for _ in range(100):
        services.clock.advance(5.0)  # type: ignore[attr-defined]
        await step(services, poll)
        shard = await services.ledger.shard(shard.id)
        if shard.state is ShardState.ENDED:
            return shard
    raise AssertionError("its batch never ended")


async def until(services: Services, come: Callable[[], Any], *stages: Any, turns: int = 300) -> Any:
    """Turn the stages and let time pass until something has come; return it."""
    for _ in range(turns):
        if found := await come():
            return found
        if not await step(services, *stages):
            services.clock.advance(1.0)  # type: ignore[attr-defined]
    raise AssertionError("it never came")


async def only_shard(services: Services) -> Shard:
    """The one shard there is."""
    found = [shard for state in ShardState for shard in await services.ledger.shards_in(state)]
    assert len(found) == 1, found
    return found[0]
