"""ENDED -> COLLECTED. Fetches what a batch left, output and errors, and judges every request of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import structlog

from batchd.core.errors import RemoteRefused, RemoteUnavailable
from batchd.core.events import ShardCollected, ShardReplaced
from batchd.core.harvest import Harvest, Tally
from batchd.core.index import Source
from batchd.core.model import BatchError, BatchStatus, ShardState
from batchd.core.names import shown
from batchd.core.pacing import backoff
from batchd.core.reading import custom_id_of
from batchd.core.reasons import ReasonCode
from batchd.core.rounds import attempts_before
from batchd.core.subjects import Job, Shard
from batchd.core.verdicts import (
    NOT_EXECUTED_CODE,
    Course,
    Failure,
    judge_failed_batch,
    missing_answer,
    room_told,
    rule_for,
)
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.spool.placing import (
    PART,
    make_folder,
    place,
    placed,
    remove_file,
    remove_folder,
    sync_folder,
)
from batchd.spool.regaining import NotTheSame, Uploaded, regain
from batchd.spool.work import rows_of

log = structlog.get_logger()

NAME = "collect"
WAKES = ("plan", "submit", "deliver")
LIMIT = 4  #: shards fetched at once

_ROOM_TRIES = 6  #: as if it had been refused so often before: waits a minute, then two, then four
_ALONE_TRIES = 4  #: refusals for room with nothing of ours in the queue: it is the shard
_UNSEEN_TRIES = 10  #: batches that may fail for a file that the provider doesn't find
_UPLOAD_AGAIN_EVERY = 3  #: of these, with the same file


async def run_once(services: Services) -> int:
    """Fetch and judge what has ended."""
    if services.rest.is_on or await in_thread(_disk_is_full, services):
        return 0
    now = services.clock.now()
    reach = services.crews[NAME].reach
    ended = await services.ledger.shards_due(ShardState.ENDED, now=now, most=reach)
    return sum(services.start(NAME, shard.id, _collect, shard, services) for shard in ended)


def _disk_is_full(services: Services) -> bool:
    """Results wait at the provider while our disk is nearly full: there they are safe for weeks."""
    return services.folders.free_bytes() < services.settings.folders.min_free_bytes / 2


async def next_look(services: Services) -> float | None:
    """When the next ended shard is due."""
    due = await services.ledger.next_due(ShardState.ENDED)
    now = services.clock.now()
    return due - now if due is not None and due > now else None


async def _collect(shard: Shard, services: Services) -> None:
    if await services.ledger.shard(shard.id) != shard:
        return  # listed before its own earlier turn had ended
    if shard.status is BatchStatus.FAILED and await _replaced(shard, services):
        return
    await _fetch(shard, services)
    job = await services.ledger.job(shard.job)
    tally = await _judged(shard, job, services)
    # Kept before recorded: a crash between the two keeps twice, and loses nothing.
    collected = ShardCollected(
        shard=shard.id,
        again=tally.again,
        uncounted=tally.uncounted,
        kept=tally.kept,
        failed=tally.failed,
        usage=tally.usage,
        oddities=tally.oddities,
    )
    await services.ledger.record(collected, at=services.clock.now())
    log.info(
        "shard.collected",
        job=shard.job,
        shard=shard.id,
        kept=tally.kept,
        failed=tally.failed,
        again=len(tally.again),
        **tally.oddities,
    )


async def _replaced(shard: Shard, services: Services) -> bool:
    """Give the members of a batch that did not even begin to a new shard, where that may help."""
    failure = judge_failed_batch(shard.errors)
    before = sum(_replaced_by(shard, other) for other in await services.ledger.shards_of(shard.job))
    match failure:
        case Failure.NO_ROOM if await _is_too_large(shard, before, services):
            await _cut_up(shard, services)
            return True
        case Failure.NO_ROOM | Failure.UNPAID:
            reason = ReasonCode.NO_ROOM if failure is Failure.NO_ROOM else ReasonCode.DENIED
            keep_file, wait = True, backoff(before + 1 + _ROOM_TRIES)
        case Failure.FILE_UNSEEN if before + 1 < _UNSEEN_TRIES:
            # The provider may say so of a file it has (reference B.3): the file is not at fault.
            keep_file = (before + 1) % _UPLOAD_AGAIN_EVERY != 0
            reason, wait = ReasonCode.FILE_UNSEEN, backoff(before + 2)
        case _:
            return False
    now = services.clock.now()
    text = shard.errors[0].message
    replaced = ShardReplaced(
        shard=shard.id, reason=reason, text=text, keep_file=keep_file, due_at=now + wait
    )
    await services.ledger.record(replaced, at=now)
    log.warning(
        "shard.replaced",
        job=shard.job,
        shard=shard.id,
        reason=reason,
        text=text,
        again_in_seconds=wait,
    )
    return True


async def _is_too_large(shard: Shard, refusals: int, services: Services) -> bool:
    """Whether a shard would not find room however long it waits."""
    room = room_told(shard.errors)
    if room is not None and shard.tokens > room:
        return True
    _, enqueued = await services.ledger.live_at_provider()
    # Our count is an estimate: refused again and again with nothing else in the queue says more.
    return refusals >= _ALONE_TRIES and not enqueued.get(shard.model)


async def _cut_up(shard: Shard, services: Services) -> None:
    """Send all its requests back to be planned in smaller shards. Nothing ran, nothing counts."""
    index = services.work.answers(shard.job, shard.id, "index")
    await in_thread(make_folder, index.parent)
    await in_thread(place, index, b"")
    collected = ShardCollected(
        shard=shard.id, again=shard.rows, uncounted=shard.rows, kept=0, failed=0
    )
    await services.ledger.record(collected, at=services.clock.now())
    text = shard.errors[0].message
    log.warning(
        "shard.too_large", job=shard.job, shard=shard.id, reason=ReasonCode.NO_ROOM, text=text
    )


def _replaced_by(heir: Shard, other: Shard) -> bool:
    """Whether a shard was replaced by this one, or by one that was.

    Within a round only these have rows in common; `tries` is of no use, a batch that opened has
    none any more.
    """
    return other.number < heir.number and (other.round, other.rows) == (heir.round, heir.rows)


async def _fetch(shard: Shard, services: Services) -> None:
    """Bring the batch's files here, whole; a file that lies here already is whole."""
    for kind, file_id in (("output", shard.output_file), ("error", shard.error_file)):
        path = services.work.answers(shard.job, shard.id, kind)
        if file_id is None or path.exists():  # one stat
            continue
        await in_thread(make_folder, path.parent)
        part = path.with_name(path.name + PART)
        length = await services.remote.download(file_id, part)
        await in_thread(_keep, part, path, length)
        log.info("answers.fetched", job=shard.job, shard=shard.id, kind=kind, bytes=length)


def _keep(part: Path, path: Path, length: int) -> None:
    if part.stat().st_size != length:
        raise RemoteUnavailable(f"{path.name} came short", may_have_happened=False)
    part.replace(path)
    sync_folder(path.parent)


async def _judged(shard: Shard, job: Job, services: Services) -> Tally:
    shards = await services.ledger.shards_of(job.id)
    if await in_thread(services.work.input, job.id) is None:
        await _regain_input(job, shards, services, scratch=shard.id)
    # Another file's ids would make every answer a stranger's, and buy them all again.
    dropped = await in_thread(services.work.unchanged_input, job, pause=pause)
    before = await in_thread(attempts_before, shard, shards)
    ids = await in_thread(_ids, shard, dropped)
    harvest = Harvest(
        ids,
        endpoint=shard.endpoint,
        attempts_before=before,
        max_attempts=services.settings.retries.max_attempts,
        price=partial(services.prices.charge, asked=shard.model),
        truncated_fails=services.settings.retries.on_truncated == "fail",
    )
    return await in_thread(_harvest, shard, harvest, services)


async def _regain_input(
    job: Job, shards: Sequence[Shard], services: Services, *, scratch: str
) -> None:
    """Somebody deleted the dropped file; the provider has what was uploaded of it (F67)."""
    sent = {s.rows: s.file_id for s in shards if s.round == 1 and s.file_id}
    inside, parts = services.work.regaining(job.id, scratch), list[Uploaded]()
    await in_thread(make_folder, inside)
    try:
        for number, (rows, file_id) in enumerate(sent.items()):
            parts.append(Uploaded(inside / f"{number}.jsonl", rows))
            await services.remote.download(file_id, parts[-1].path)
        target = services.work.dropped_at(job.id, job.name)
        await in_thread(regain, parts, target, sha256=job.sha256 or "", pause=pause)
    except (NotTheSame, RemoteRefused) as error:
        log.debug("input.lost", job=job.id, text=str(error))  # held, until it is put back
    else:
        log.warning("input.regained", job=job.id, file=shown(job.name), text=_REGAINED)
    finally:
        await in_thread(remove_folder, inside)


_REGAINED = "it was gone from var/work, and is put together again from what had been uploaded"


def _ids(shard: Shard, dropped: Path) -> dict[str, int]:
    return {custom_id_of(line): row for row, line in rows_of(dropped, shard.rows, pause=pause)}


def _harvest(shard: Shard, harvest: Harvest, services: Services) -> Tally:
    def path(kind: str) -> Path:
        return services.work.answers(shard.job, shard.id, kind)

    for source, kind in ((Source.OUTPUT, "output"), (Source.ERROR, "error")):
        if path(kind).exists():
            for offset, line in _lines(path(kind)):
                harvest.take(source, offset, line)
    make_folder(path("notes").parent)
    _note_the_rest(shard, harvest, path("notes"))
    place(path("index"), harvest.index().encode())
    return harvest.tally()


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the non-blank lines of an answer file and where they begin, memory flat."""
    offset = 0
    with path.open("rb", buffering=1 << 20) as file:
        for number, raw in enumerate(file):
            if number % 512 == 0:
                pause()
            line = raw.rstrip()
            if line:
                yield offset, line
            offset += len(raw)


def _note_the_rest(shard: Shard, harvest: Harvest, path: Path) -> None:
    """Write batchd's own word for every request that the provider's files don't mention."""
    rest = list(harvest.missing())
    if not rest:
        remove_file(path)
        return
    word, executed = _words_for(shard)
    offset = 0
    with placed(path) as file:
        for position, (custom_id, row) in enumerate(rest):
            line = _note(custom_id, word(custom_id, row))
            file.write(line + b"\n")
            harvest.take(Source.NOTES, offset, line, executed=executed)
            offset += len(line) + 1
            if position % 512 == 0:
                pause()
    # One that failed never began, and one that was cancelled need not name what it left.
    if shard.status not in (BatchStatus.FAILED, BatchStatus.CANCELLED):
        harvest.count("missing_answers", len(rest))


_Word = Callable[[str, int], BatchError]


def _words_for(shard: Shard) -> tuple[_Word, bool]:
    """What is said of a request without an answer, and whether it counts as an attempt."""
    if shard.status is not BatchStatus.FAILED:
        return _words_for_missing(shard.status or BatchStatus.UNKNOWN), True
    if named := _named_rows(shard):
        return _words_for_bad_lines(named), False
    first = shard.errors[0] if shard.errors else BatchError(None, "the batch failed without reason")
    # A reason that may pass is counted, or it would be tried for ever.
    return lambda custom_id, row: first, rule_for(first.code).course is Course.PASSES


def _words_for_missing(status: BatchStatus) -> _Word:
    def word(custom_id: str, row: int) -> BatchError:
        answer = missing_answer(custom_id, status)
        return BatchError(answer.code, answer.message or "")

    return word


def _words_for_bad_lines(named: Mapping[int, BatchError]) -> _Word:
    spared = BatchError(NOT_EXECUTED_CODE, "another line of its batch was refused")
    return lambda custom_id, row: named.get(row, spared)


def _named_rows(shard: Shard) -> dict[int, BatchError]:
    """Turn line numbers of the uploaded file into rows of the dropped one."""
    if judge_failed_batch(shard.errors) is not Failure.BAD_LINES:
        return {}
    lines = {error.line: error for error in shard.errors}
    return {row: lines[n] for n, row in enumerate(shard.rows, start=1) if n in lines}


def _note(custom_id: str, error: BatchError) -> bytes:
    body = {"code": error.code or "batch_failed", "message": error.message}
    line = {"id": None, "custom_id": custom_id, "response": None, "error": body}
    return msgspec.json.encode(line)
