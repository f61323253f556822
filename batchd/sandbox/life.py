"""The life of a batch: validating, in_progress, finalizing, and one of four ends (reference A.4)."""

from __future__ import annotations

import asyncio
import random
import time
from array import array
from pathlib import Path
from typing import Any

from batchd.sandbox.answers import outcome_of
from batchd.sandbox.batches import Batch, BatchError
from batchd.sandbox.digests import share_of
from batchd.sandbox.faults import use_one
from batchd.sandbox.files import Hash, StoredFile
from batchd.sandbox.lines import Lines
from batchd.sandbox.models import is_known, snapshot
from batchd.sandbox.production import Production
from batchd.sandbox.room import no_room, tokens_of
from batchd.sandbox.validating import Examination
from batchd.sandbox.world import World

_VALIDATED_BY = 0.4  # at the latest, whatever the options say
_EXECUTED_BY = 0.9  # the share of a batch's time after which it is finalizing
_EXPIRED = (
    "batch_expired",
    "This request could not be executed before the completion window expired.",
)
_CANCELLED = (
    "batch_cancelled",
    "This request was not executed because the batch was cancelled.",
)


async def live(batch: Batch, world: World) -> None:
    """From creation to the end. Only this, and a cancelling call, changes a batch's state."""
    source = world.folder / f"{batch.id}_input.jsonl"
    try:
        await _live(batch, world, Lines(source))
    finally:
        if not batch.is_over and not world.closing.is_set():  # a bug of ours, told on stderr
            _fail(batch, [BatchError("server_error", "The sandbox failed at this batch.")])
        source.unlink(missing_ok=True)
        if world.dialect.deletes_input and world.shelf.find(batch.input_file_id):
            world.shelf.delete(batch.input_file_id)
        if batch.production:
            batch.production.close()
        if batch.is_over:
            world.bell.ring(batch)


async def _live(batch: Batch, world: World, lines: Lines) -> None:
    exam = await _examine(batch, world, lines)
    if batch.is_cancelled:
        return await _end_cancelled(batch, world)
    errors = batch.doomed or exam.errors or _admit(batch, world, exam)
    if errors:
        return _fail(batch, errors)
    await _execute(batch, world, lines)


async def _examine(batch: Batch, world: World, lines: Lines) -> Examination:
    """Read the input, unless it is already known how this ends."""
    unknown = frozenset(world.faults.unknown_models)
    exam = Examination(
        lines,
        batch.endpoint,
        lambda name: is_known(name) and name not in unknown,
        kind=world.dialect.endpoints[batch.endpoint],
    )
    if not batch.doomed:
        await world.turns.work(exam.steps())
        _set_pace(batch, world, exam.model)
    wait = min(world.options.validate_seconds, batch.seconds * _VALIDATED_BY)
    await _until(batch, batch.born + wait)
    return exam


def _set_pace(batch: Batch, world: World, model: str | None) -> None:
    by_model = world.faults.batch_seconds_by_model
    if model in by_model and "sandbox_seconds" not in (batch.metadata or {}):
        batch.seconds = by_model[model]


def _admit(batch: Batch, world: World, exam: Examination) -> list[BatchError]:
    """What does not fit into the queue of its model fails."""
    model, tokens = exam.model or "", tokens_of(exam.lines.size)
    if error := no_room(world, model, tokens, besides=batch):
        return [error]
    batch.tokens, batch.model, batch.shown_model = tokens, model, snapshot(model)
    batch.total = len(exam.lines)
    world.note_peak(batch)
    return []


async def _execute(batch: Batch, world: World, lines: Lines) -> None:
    expires = _will_expire(batch, world)
    batch.begun = time.monotonic()
    batch.ends = max(batch.begun, batch.born + batch.seconds * _EXECUTED_BY)
    batch.enter("in_progress")
    batch.production = _production(batch, world, lines)
    await world.turns.work(batch.production.steps())
    await _until(batch, batch.ends)
    if batch.is_cancelled:
        return await _end_cancelled(batch, world)
    batch.enter("finalizing")
    await _until(batch, batch.born + batch.seconds + world.faults.stuck_finalizing_seconds)
    if batch.is_cancelled:
        return await _end_cancelled(batch, world)
    await _close(batch, world, _EXPIRED if expires else None)
    # Cancelled while its files were being put in order: everything was executed by then.
    batch.enter("cancelled" if batch.is_cancelled else "expired" if expires else "completed")


def _will_expire(batch: Batch, world: World) -> bool:
    fraction = world.faults.expire_after_fraction
    if fraction is None:
        return False
    happens, world.faults.expire_times = use_one(world.faults.expire_times)
    if happens:
        batch.share = fraction
    return happens


def _production(batch: Batch, world: World, lines: Lines) -> Production:
    return Production(
        batch_id=batch.id,
        lines=lines,
        order=_order(batch, world),
        limit=int(batch.total * batch.share + 1e-9),
        folder=world.folder,
        answer=lambda custom_id, url, body: _answer(world, custom_id, url, body),
        names=lambda custom_id: _names(world, custom_id),
        errors_in_output=world.faults.in_output_file,
        show=world.dialect.show_line,
    )


def _order(batch: Batch, world: World) -> array[int]:
    """The order of execution and of the output: the same file is shuffled the same way again."""
    order = array("L", range(batch.total))
    random.Random(f"{world.options.seed} {batch.input_sha256}").shuffle(order)
    return order


def _answer(
    world: World, custom_id: str, url: str, body: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    if failure := world.request_faults.strike(custom_id):
        return failure
    status, answer = outcome_of(world.dialect.endpoints[url], body)
    return status, world.answer_faults.spoil(custom_id, answer)


def _names(world: World, custom_id: str) -> tuple[str, ...]:
    """Under which names its line is written: none, one or more."""
    faults = world.faults
    if share_of("drop", custom_id) < faults.drop_lines_rate:
        return ()
    doubled = share_of("duplicate", custom_id) < faults.duplicate_lines_rate
    stranger = share_of("unknown", custom_id) < faults.unknown_lines_rate
    names = (custom_id, custom_id) if doubled else (custom_id,)
    return (*names, f"unknown-{custom_id}") if stranger else names


async def _end_cancelled(batch: Batch, world: World) -> None:
    await world.pause(world.options.cancel_seconds)
    await _close(batch, world, _CANCELLED)
    batch.enter("cancelled")


def _fail(batch: Batch, errors: list[BatchError]) -> None:
    batch.errors = errors
    batch.enter("failed")


async def _close(batch: Batch, world: World, leftover: tuple[str, str] | None) -> None:
    """Settle what was executed, and put its files on the shelf."""
    production = batch.production
    if production is None:
        return
    done = batch.done()
    code, message = leftover or (None, "")
    await world.turns.work(production.settle(done, code, message))
    output = await _shelve(batch, world, production.output.path)
    clean = world.dialect.empty_error_file and leftover is None
    errors = await _shelve(batch, world, production.errors.path, even_empty=clean)
    counts = batch.counts()
    batch.completed, batch.failed = counts["completed"], counts["failed"]
    batch.usage, batch.executed = production.usage(done), done
    batch.output_file_id = output.id if output else None
    batch.error_file_id = errors.id if errors else None
    batch.production = None


async def _shelve(
    batch: Batch, world: World, path: Path, *, even_empty: bool = False
) -> StoredFile | None:
    size = path.stat().st_size  # noqa: ASYNC240  # a folder of our own: no wait
    if not size and not even_empty:
        path.unlink()  # noqa: ASYNC240
        return None
    sha = Hash(path)
    await world.turns.work(sha.steps())
    return world.shelf.put(
        StoredFile(
            path.name,
            "batch_output",
            path,
            size,
            sha.hexdigest(),
            batch.output_lifetime,
            id=world.dialect.new_file_id(),
        )
    )


async def _until(batch: Batch, moment: float) -> None:
    """Wait for a moment of the monotonic clock, or for somebody to cancel the batch."""
    try:
        async with asyncio.timeout(max(0.0, moment - time.monotonic())):
            await batch.cancel_asked.wait()
    except TimeoutError:
        return
