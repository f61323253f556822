"""The composition root: puts one root's house together, runs it, and takes it down again."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote

import anyio
import structlog
from anyio.abc import TaskGroup

from batchd import __version__
from batchd.control.pages import keep_pages
from batchd.control.serving import listen
from batchd.core.contents import Count
from batchd.core.errors import ConfigError
from batchd.core.model import ShardState
from batchd.meters.prices import Prices
from batchd.meters.tokens import counter
from batchd.notices.keeping import keep_notices
from batchd.notices.sending import secret_of as notice_secret
from batchd.remote.api import Remote
from batchd.remote.circuit import Circuit
from batchd.remote.direct import Direct
from batchd.remote.openai_batches import OpenAIBatches
from batchd.runtime.clock import Clock, SystemClock
from batchd.runtime.loop import Crew, Rest
from batchd.runtime.reloading import Reloading, hangups, leaves_with_terminal, obey_hangups
from batchd.runtime.services import Checks, Services
from batchd.runtime.skew import watch_clocks
from batchd.runtime.stage import bells_for, connect
from batchd.runtime.supervisor import LEAVING, leave_for_sure, supervise
from batchd.runtime.systemd import Manager
from batchd.runtime.threads import in_thread, make_stacks_roomy
from batchd.settings import Inbox, Provenance, Settings
from batchd.spool.bulletin import post_daemon
from batchd.spool.folders import Folders
from batchd.spool.inbox import Patience, Settling
from batchd.spool.outbox import Outbox
from batchd.spool.recipes import Recipes
from batchd.spool.work import Work
from batchd.stages import STAGES
from batchd.store.failures import LedgerDamaged, LedgerGone
from batchd.store.identity import is_blank
from batchd.store.ledger import Ledger
from batchd.store.mounts import must_be_local, remote_kind, silent_kind
from batchd.store.timekeeping import Timekeeping
from batchd.webhooks.doorbell import secret_of as webhook_secret
from batchd.webhooks.listening import listen as listen_for_news

log = structlog.get_logger()

_LEDGER_LOOK = 5.0  #: seconds between two looks at whether the ledger's file is still there
_SETTLE_FAR = 10.0  #: over a network a copy stops and goes, and attributes come late (R32)
_SLOW_DISK = 5_000_000  #: bytes per second: how fast a ledger is checked and copied, at the least
_FILES_GRACE = 60.0  #: seconds a batch that has ended may take to name its files (stages/poll.py)
_LONGEST_DEFERRAL = 300.0  #: seconds; the longest back-off there is (core/pacing.py)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a reload asks for: the settings as they stand now, and who else is to be told."""

    read: Callable[[], Settings]
    hand_on: Callable[[Settings], None]
    provenance: Callable[[], Provenance]  #: of what was read last
    checks: Callable[[], Checks]  #: a look at all of it, as it stands now


def run_daemon(
    settings: Settings,
    *,
    api_key: str,
    base_url: str | None,
    configuration: Configuration,
    tasks: Path,
) -> int:
    """Run until told to stop; return the exit code. Raises `ConfigError` and `AlreadyRunning`."""
    make_stacks_roomy()
    return anyio.run(
        partial(
            _run,
            settings,
            api_key=api_key,
            base_url=base_url,
            configuration=configuration,
            tasks=tasks,
        )
    )


async def _run(
    settings: Settings,
    *,
    api_key: str,
    base_url: str | None,
    configuration: Configuration,
    tasks: Path,
) -> int:
    folders, clock = Folders(settings.folders.root.resolve()), SystemClock()
    must_be_local(folders.var)  # before the lock: there it may be nobody's
    _must_know_secrets(settings)
    if not settings.folders.create:
        folders.must_be_there()  # before the lock, which would make var/
    manager = Manager.of(os.environ, pid=os.getpid())
    with_terminal = leaves_with_terminal()
    with hangups() as signals, folders.locked():
        folders.prepare()
        manager.starting(seconds=_longest_start(folders))
        if crossed := folders.crossed():
            log.warning("folders.crossed", between=[str(folder) for folder in crossed])
        remote = OpenAIBatches(settings.openai, base_url=base_url, api_key=api_key)
        calm = Circuit(remote, monotonic=clock.monotonic)
        async with open_house(settings, folders, remote=calm, clock=clock, tasks=tasks) as services:
            services.provenance = configuration.provenance()
            services.checks = configuration.checks
            services.direct = lambda: Direct(
                services.settings.openai, base_url=base_url, api_key=api_key
            )
            now = clock.now()
            post_daemon(folders.var, started=now, version=__version__, watcher="starting")
            async with anyio.create_task_group() as beside:
                beside.start_soon(keep_pages, services)
                beside.start_soon(listen, services)
                beside.start_soon(keep_notices, services, (api_key,))
                beside.start_soon(listen_for_news, services)
                beside.start_soon(_warm_up, remote, services.prices)
                reloading = _reloading(services, manager, configuration)
                services.reload = reloading.once
                beside.start_soon(
                    partial(obey_hangups, signals, reloading, with_terminal=with_terminal)
                )
                beside.start_soon(watch_clocks, [folders.staging, folders.var], clock)
                await supervise(
                    STAGES, services, manager, ready=partial(_say_ready, folders, manager)
                )
                beside.cancel_scope.cancel()
            leave_for_sure(LEAVING)
    log.info("daemon.stopped")
    return 0


async def _warm_up(remote: OpenAIBatches, prices: Prices) -> None:
    """Load what is loaded late while there is nothing to do: the first file would wait for it."""
    await in_thread(remote.warm_up)
    await in_thread(prices.warm_up)


def _say_ready(folders: Folders, manager: Manager) -> None:
    log.info("daemon.ready", version=__version__, pid=os.getpid(), root=str(folders.root))
    manager.ready()


def _reloading(services: Services, manager: Manager, configuration: Configuration) -> Reloading:
    is_far = remote_kind(services.folders.inbox) is not None

    def hand_on(settings: Settings) -> None:
        services.provenance = configuration.provenance()
        services.prices = Prices(settings.prices)
        services.work.plain_copies.keep_free = settings.folders.keep_free_bytes
        services.settling.be_patient(patience_of(settings.inbox, is_far=is_far))
        services.recipes.defaults = settings.defaults
        configuration.hand_on(settings)

    def read() -> Settings:
        settings = configuration.read()
        _must_know_secrets(settings)
        return settings

    return Reloading(services, manager, read, hand_on)


def _must_know_secrets(settings: Settings) -> None:
    """A file that is missing is said now, not when something is to be told."""
    notice_secret(settings.notify)
    if settings.webhooks.listen is not None:
        webhook_secret(settings.webhooks)


def _longest_start(folders: Folders) -> float:
    """Seconds that checking the ledger may take, and copying it before a migration: both block."""
    ledger = folders.database
    return 2 * ledger.stat().st_size / _SLOW_DISK if ledger.is_file() else 0.0


@asynccontextmanager
async def open_house(
    settings: Settings, folders: Folders, *, remote: Remote, clock: Clock, tasks: Path
) -> AsyncIterator[Services]:
    """Open the ledger and put the services together. Used by the daemon and by the tests alike.

    `tasks`: the folder of the task files.
    """
    count = counter(settings.batches.count_tokens)  # may be the operator's to mend: before all else
    ledger = await _open_ledger(folders, clock)
    try:
        await _settle_start(ledger, settings, clock)
        recipes = Recipes(tasks, settings.defaults)
        async with anyio.create_task_group() as group:
            group.start_soon(_watch, ledger, clock)
            yield _services(settings, folders, ledger, remote, clock, group, count, recipes)
            group.cancel_scope.cancel()  # what is still in flight is as after kill -9
    except BaseExceptionGroup as failures:
        if ledger.lost is None:
            raise
        raise ledger.lost from failures  # exit 74: an OSError that the disk did not say itself
    finally:
        with anyio.CancelScope(shield=True):
            await remote.close()
            await ledger.close()


async def _open_ledger(folders: Folders, clock: Clock) -> Ledger:
    remedy = (
        "Nothing was changed. To rebuild the ledger from var/work, the outbox and the provider's"
        f" list: batchd recover --set folders.root={quote(str(folders.root))} (with the same"
        " --config and --set as the daemon; --dry-run only shows what it would do)."
    )
    try:
        # Once, before anything runs. An empty ledger beside work in progress is amnesia: it would
        # all be bought again. What lies in the outbox is paid and done, and keeps nobody out.
        if is_blank(folders.database) and Work(folders.work).jobs():
            raise LedgerDamaged(f"{folders.database} is gone, but {folders.work} has open jobs")
        return await Ledger.open(folders.database, new_root=secrets.token_hex(6), now=clock.now())
    except LedgerDamaged as error:
        raise ConfigError(f"{error}. {remedy}") from error


async def _watch(ledger: Ledger, clock: Clock) -> None:
    """Leave when the ledger's file is not the one that was opened: nothing would be remembered."""
    while True:
        try:
            await ledger.check()
        except LedgerGone:
            raise
        except OSError as error:
            log.warning("ledger.unchecked", text=str(error))  # a disk in trouble may get well
        await clock.wait(ledger.is_lost, _LEDGER_LOOK)


async def _settle_start(ledger: Ledger, settings: Settings, clock: Clock) -> None:
    """Starting after a crash is nothing special; only the wall clock may have been set meanwhile.

    A doubt that is settled too soon is a second bill; an end believed too soon may be another.
    """
    batches, now = settings.batches, clock.now()
    doubt = settings.openai.timeout_seconds + batches.doubt_seconds
    await ledger.read_by(
        Timekeeping(boot=clock.boot, ahead=now - clock.monotonic(), now=now),
        anew={
            ShardState.SUBMITTING: now + batches.doubt_seconds,
            ShardState.OPEN: now + min(_FILES_GRACE, batches.poll_max_seconds),
        },
    )
    await ledger.clamp_due(
        {
            ShardState.PLANNED: now + _LONGEST_DEFERRAL,
            ShardState.SUBMITTING: now + doubt,
            ShardState.OPEN: now + batches.poll_max_seconds,
            ShardState.ENDED: now + _LONGEST_DEFERRAL,
        }
    )
    await ledger.lapse_unpriced(at=now)  # the settings may have its price now


def patience_of(inbox: Inbox, *, is_far: bool) -> Patience:
    """How long a file is given, more where the inbox is another machine's (R32)."""
    settle = inbox.settle_seconds
    return Patience(
        settle=max(settle, _SETTLE_FAR) if is_far else settle,
        empty=inbox.empty_grace_seconds,
        cut=inbox.cut_grace_seconds,
        most=inbox.settle_max_seconds,
    )


def _services(
    settings: Settings,
    folders: Folders,
    ledger: Ledger,
    remote: Remote,
    clock: Clock,
    tasks: TaskGroup,
    count: Count | None,
    recipes: Recipes,
) -> Services:
    inbox, rest, bells = settings.inbox, Rest(clock), bells_for(STAGES, clock)
    far, silent = remote_kind(folders.inbox), silent_kind(folders.inbox)
    crews = {
        stage.NAME: Crew(stage.NAME, clock=clock, rest=rest, limit=stage.LIMIT) for stage in STAGES
    }
    connect(STAGES, crews, bells)
    return Services(
        settings=settings,
        clock=clock,
        ledger=ledger,
        folders=folders,
        work=Work(folders.work, keep_free=settings.folders.keep_free_bytes),
        outbox=Outbox(folders.outbox),
        remote=remote,
        prices=Prices(settings.prices),
        count_tokens=count,
        settling=Settling(patience_of(inbox, is_far=far is not None)),
        recipes=recipes,
        rest=rest,
        scan_only=f"{silent} does not tell of every new file" if silent else None,
        tasks=tasks,
        crews=crews,
        bells=bells,
    )
