"""inbox -> CLAIMED. Takes what is settled by one rename, and lists every folder nobody has listed.

The listing is the normal way and the recovery in one: a crash between rename and ledger leaves an
unlisted folder, which is what every claim leaves for a moment.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import structlog

from batchd.core.events import JobClaimed
from batchd.core.names import next_job_id, shown
from batchd.core.reasons import ReasonCode
from batchd.core.tasks import Task
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.spool.bulletin import post_inbox
from batchd.spool.inbox import Found, Observed, may_be_read
from batchd.spool.inflating import Probe
from batchd.spool.orders import names_of_orders
from batchd.spool.signature import open_plain, signature
from batchd.spool.task_folders import Aside, is_real, look_everywhere, make_missing
from batchd.stages.orders import obey

log = structlog.get_logger()

NAME = "claim"
WAKES = ("plan",)
LIMIT = 1  #: nothing is in flight here: a claim is a rename
_SAID_EVERY = 3600.0  #: seconds: what an operator must mend is not said at every look
_AT_ONCE = 1000  #: files taken before they are listed, so that a storm of files moves steadily

#: What is said of a file that could not be taken.
_REFUSED = frozenset({ReasonCode.NO_PERMISSION, ReasonCode.CANNOT_MOVE})

#: Nobody's fault in particular: these delay the stage. Any other error is the one file's.
_OF_THE_DISK = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)


async def run_once(services: Services) -> int:
    """Do what is ordered, take the settled files, then list what is not listed."""
    settled, orders = await in_thread(_settled, services, most=await _room(services))
    # Each is a thread or a question to the ledger, several times a second: only where it is needed.
    staying = await obey(orders, services) if orders else []
    await in_thread(_say_what_waits, settled, staying, services)
    if settled:
        # Before a file is moved: with its ledger taken away, nothing is claimed any more.
        await services.ledger.check()
        await in_thread(_take, settled, await services.ledger.last_job(), services)
    return await _list_unlisted(services)


async def next_look(services: Services) -> float | None:
    """Look when the next file may have settled, and every `inbox.scan_seconds` anyway."""
    scan = services.settings.inbox.scan_seconds
    settling = services.settling.next_look(services.clock.monotonic())
    return scan if settling is None else min(scan, settling)


async def _room(services: Services) -> int:
    """How many files may be taken now. What finds no room stays in the inbox, oldest first."""
    settings = services.settings
    on_their_way, paused_by = await services.ledger.intake()
    if paused_by:
        services.intake.stop(ReasonCode.PAUSED, f"{paused_by} paused the intake")
        return 0
    free = await in_thread(services.folders.free_bytes)
    if free < settings.folders.min_free_bytes:
        services.intake.stop(ReasonCode.DISK_LOW, f"{free:,} bytes are free on the disk of var/")
        return 0
    room = settings.inbox.max_claimed - on_their_way
    if room <= 0:
        services.intake.stop(
            ReasonCode.QUEUE_FULL, f"{settings.inbox.max_claimed:,} jobs are on their way"
        )
        return 0
    services.intake.go_on()
    return min(room, _AT_ONCE)


def _settled(services: Services, *, most: int = _AT_ONCE) -> tuple[Sequence[Found], Sequence[Path]]:
    """Return the files that are settled, and those that may be orders."""
    settling, orders = services.settling, list[Path]()
    _make_task_folders(services)
    _tell_of_broken_tasks(services)

    def aside(folder: Path, names: Sequence[str]) -> None:
        orders.extend(folder / name for name in names_of_orders(names))

    found = look_everywhere(
        services.folders.inbox,
        services.settings.inbox,
        services.recipes,
        Aside(aside, partial(_not_listed, services=services)),
    )
    now = services.clock.monotonic()
    with services.collector.kept_out(lambda: len(settling)):
        settled = settling.observe(found, now, most=most, probe=_probe(services))
    return settled, orders


def _make_task_folders(services: Services) -> None:
    """A task that came while we run has its folder at the next look."""
    if not services.settings.folders.create:
        return
    try:
        for folder in make_missing(services.folders.inbox, services.recipes.names()):
            log.info("inbox.folder_made", task=folder.name)
    except OSError as error:
        if services.is_time("inbox.folder_missing", every=_SAID_EVERY, first=0):
            log.warning("inbox.folder_missing", text=str(error))


def _tell_of_broken_tasks(services: Services) -> None:
    """Once, when a task breaks or is broken otherwise; its files wait from then on."""
    found = {name: services.recipes.get(name) for name in services.recipes.names()}
    broken = {name: str(task) for name, task in found.items() if not isinstance(task, Task | None)}
    for name, text in broken.items():
        if services.broken_told.get(name) != text:
            log.warning("task.broken", task=name, text=text)
    for name in services.broken_told.keys() - broken.keys():
        log.info("task.mended", task=name)
    services.broken_told = broken


def _not_listed(folder: Path, error: OSError, *, services: Services) -> None:
    if services.is_time(f"inbox.folder_unread {folder.name}", every=_SAID_EVERY, first=0):
        log.warning("inbox.folder_unread", task=folder.name, text=str(error))


def _probe(services: Services) -> Probe:
    def go_on() -> None:
        pause()
        services.beat(NAME)  # inflating takes its time, and is no hang

    return Probe(most=services.settings.inbox.max_inflated_bytes, pause=go_on)


def _say_what_waits(
    settled: Sequence[Found], staying: Sequence[Observed], services: Services
) -> None:
    """Leave word for whoever asks why a file is still there; those taken now are not.

    One that could not be taken before is offered now and then, and stays where it is meanwhile.
    """
    taken, stopped = {file.name for file in settled}, services.intake.reason
    now = services.clock.monotonic()
    observed = chain(services.settling.observed(now, stopped=stopped), staying)
    post_inbox(
        services.folders.var,
        (one for one in observed if one.name not in taken or one.reason in _REFUSED),
        to_wall=services.clock.now() - now,
        stopped=stopped,
    )


def _take(settled: Sequence[Found], last: str | None, services: Services) -> None:
    last = max(filter(None, (last, *services.work.jobs())), default=None)
    jobs = list[str]()
    for _ in settled:
        last = next_job_id(services.clock.now(), last)
        jobs.append(last)
    tasks = {job: file.task for file, job in zip(settled, jobs, strict=True) if file.task}
    with services.work.claiming(jobs, services.folders.inbox, tasks=tasks):
        for file, job in zip(settled, jobs, strict=True):
            pause()  # between two files: each claim is whole
            services.beat(NAME)  # a thousand on a slow disk take their time, and are no hang
            _take_one(file, job, services)


def _take_one(file: Found, job: str, services: Services) -> None:
    """Take one file. Where that fails, the empty folder goes with the listing."""
    try:
        if file.task and not is_real(file.path.parent):
            return  # swapped for a link since it was listed: what lies behind it is not ours to move
        # What nobody could read in var/work stays here, where its owner sees it.
        open_plain(file.path).close()
        if signature(file.path) == file.signature:
            services.work.claim(file.path, job, done=file.done, task=file.task)
    except FileNotFoundError:
        log.debug("claim.gone", file=_shown(file))  # its owner took it back
    except OSError as error:
        if error.errno in _OF_THE_DISK:
            raise
        seconds = services.settling.put_off(file.path, services.clock.monotonic())
        reason = ReasonCode.CANNOT_MOVE if may_be_read(file.path) else ReasonCode.NO_PERMISSION
        log.warning(
            "claim.put_off",
            file=_shown(file),
            reason=reason,
            text=str(error),
            again_in_seconds=seconds,
        )


def _shown(file: Found) -> str:
    return shown(os.fsencode(file.name))


async def _list_unlisted(services: Services) -> int:
    unlisted = await _unlisted(services)
    if not unlisted:
        return 0
    claims = await in_thread(_claims_of, unlisted, services)
    await services.ledger.record(*claims, at=services.clock.now())
    await in_thread(_tell, claims)  # a thousand lines would hold the loop for a third of a second
    if claims:
        services.bells["plan"].ring()
        services.bells[NAME].ring()  # there may be more than one handful
    return len(claims)


async def _unlisted(services: Services) -> list[str]:
    """Return the folders that the ledger does not know. Ten thousand are not asked for each time."""
    folders = await in_thread(services.work.jobs)
    fresh = [job for job in folders if job not in services.listed]
    known = await services.ledger.known_jobs(fresh) if fresh else set()
    services.listed = known | services.listed.intersection(folders)
    return [job for job in fresh if job not in known]


def _tell(claims: Sequence[JobClaimed]) -> None:
    for claim in claims:
        task = {"task": claim.task} if claim.task else {}
        log.info("job.claimed", job=claim.job, file=shown(claim.name), bytes=claim.size, **task)


def _claims_of(jobs: Sequence[str], services: Services) -> list[JobClaimed]:
    return [claim for job in jobs if (claim := _claim_of(job, services))]


def _claim_of(job: str, services: Services) -> JobClaimed | None:
    services.work.finish_claim(job)
    dropped = services.work.input(job)
    if dropped is None:
        _undo(job, services)
        return None
    status, task = dropped.stat(), services.work.task_of(job)
    return JobClaimed(
        job=job, name=_name(dropped), task=task, size=status.st_size, owner=status.st_uid
    )


def _undo(job: str, services: Services) -> None:
    """Leave nothing of a claim that never came to its rename."""
    try:
        services.work.give_back_done(job, services.folders.inbox)
    except OSError as error:  # it stays ours until the inbox can be written to again
        log.warning("claim.undo_delayed", job=job, text=str(error))
    services.work.remove_empty(job)


def _name(path: Path) -> bytes:
    return os.fsencode(path.name)
