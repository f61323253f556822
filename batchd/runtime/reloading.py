"""The configuration is read again, at SIGHUP or on a person's word. It is taken whole, as far as a
running house can change, or not at all.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import anyio
import msgspec
import structlog

from batchd.core.errors import ConfigError
from batchd.runtime.services import Services
from batchd.runtime.systemd import Manager
from batchd.runtime.threads import in_thread
from batchd.settings import Section, Settings
from batchd.spool.bulletin import ReloadSays, post_reload

log = structlog.get_logger()

#: What is read where it is used, or handed on (`daemon.py`). Everything else needs a restart: it
#: was built into the provider's client, the folders or the vocabularies. docs/service.md has these.
LIVE = frozenset(
    {
        "folders.min_free_bytes",
        "inbox.settle_seconds",
        "inbox.settle_max_seconds",
        "inbox.scan_seconds",
        "inbox.empty_grace_seconds",
        "inbox.cut_grace_seconds",
        "inbox.include",
        "inbox.ignore",
        "inbox.done_file",
        "inbox.done_suffix",
        "inbox.max_line_bytes",
        "inbox.max_inflated_bytes",
        "inbox.identical",
        "inbox.max_claimed",
        "openai.completion_window",
        "openai.endpoint_prefixes",
        "openai.delete_files",
        "batches.max_requests",
        "batches.max_bytes",
        "batches.max_inputs",
        "batches.max_output_bytes",
        "batches.max_open",
        "batches.max_per_hour",
        "batches.enqueued_tokens",
        "batches.enqueued_embeddings",
        "batches.doubt_seconds",
        "batches.poll_min_seconds",
        "batches.poll_max_seconds",
        "retries.max_attempts",
        "retries.on_truncated",
        "results.responses",
        "results.task_responses",
        "defaults.endpoint",
        "defaults.model",
        "defaults.system",
        "defaults.parameters",
        "defaults.metadata",
        "jobs.keep_days",
        "jobs.history_days",
        "jobs.deadline_hours",
        "budget.per_job",
        "budget.per_day",
        "budget.per_month",
        "budget.output_tokens",
        "prices.input",
        "prices.cached",
        "prices.output",
        "daemon.grace_seconds",
        "logging.level",
        "logging.max_bytes",
        "logging.keep_files",
        "notify.on_complete",
        "notify.on_reject",
        "notify.on_problem",
        "notify.timeout_seconds",
        "notify.retry_seconds",
        "notify.webhook_secret_file",
        "notify.heartbeat_url",
        "notify.heartbeat_seconds",
        "webhooks.secret_file",
    }
)

AnySection = TypeVar("AnySection", bound=Section)


class Change(NamedTuple):
    """What comes of new settings in a running house."""

    settings: Settings  #: the new ones where they hold at once, the old ones elsewhere
    applied: tuple[str, ...]  #: names of what is different from now on
    waiting: tuple[str, ...]  #: names of what will be different after a restart


def merge(running: Settings, wanted: Settings) -> Change:
    """Decide what can be changed while it runs."""
    applied, waiting, sections = list[str](), list[str](), dict[str, Section]()
    for name in running.__struct_fields__:
        ours, theirs = getattr(running, name), getattr(wanted, name)
        for key in _different(ours, theirs):
            (applied if f"{name}.{key}" in LIVE else waiting).append(f"{name}.{key}")
        sections[name] = _with(ours, theirs, {one for one in applied if one.startswith(f"{name}.")})
    return Change(msgspec.structs.replace(running, **sections), tuple(applied), tuple(waiting))


def _different(ours: Section, theirs: Section) -> list[str]:
    return [key for key in ours.__struct_fields__ if getattr(ours, key) != getattr(theirs, key)]


def _with(ours: AnySection, theirs: AnySection, names: set[str]) -> AnySection:
    keys = (name.partition(".")[2] for name in names)
    return msgspec.structs.replace(ours, **{key: getattr(theirs, key) for key in keys})


@dataclass(frozen=True, slots=True)
class Reloading:
    """Who reads the settings, and who is handed new ones."""

    services: Services
    manager: Manager
    read: Callable[[], Settings]  #: raises `ConfigError`; may block
    hand_on: Callable[[Settings], None]  #: to those who copied a value when they were made
    turn: anyio.Lock = field(default_factory=anyio.Lock)  #: a signal and a person may ask at once

    async def once(self) -> ReloadSays:
        """Read the settings again; say what came of it to the log, the manager, in var/, and here."""
        async with self.turn:
            self.manager.reloading()
            try:
                return await self._read_and_take()
            finally:  # also where whoever asked has gone: a manager waits for this word
                self.manager.ready()

    async def _read_and_take(self) -> ReloadSays:
        asked = self.services.clock.monotonic()
        try:
            wanted = await in_thread(self.read)
        except ConfigError as error:
            log.warning("config.kept", text=str(error))
            return self._leave_word(ReloadSays(os.getpid(), asked, problem=str(error)))
        change = self._take(wanted)
        log.info("config.reloaded", changed=change.applied, needs_restart=change.waiting)
        return self._leave_word(
            ReloadSays(os.getpid(), asked, applied=change.applied, waiting=change.waiting)
        )

    def _take(self, wanted: Settings) -> Change:
        change = merge(self.services.settings, wanted)
        # One assignment: nobody ever sees one half of the new settings and one of the old.
        self.services.settings = change.settings
        self.hand_on(change.settings)
        for bell in self.services.bells.values():
            bell.ring()  # a loop may sleep for as long as the old settings said
        return change

    def _leave_word(self, said: ReloadSays) -> ReloadSays:
        with contextlib.suppress(OSError):  # a full disk: then only whoever waits here hears it
            post_reload(self.services.folders.var, said)
        return said


@contextmanager
def hangups() -> Iterator[AsyncIterator[signal.Signals]]:
    """Catch SIGHUP from here on: whoever sees our lock may ask, before there is anything to reload."""
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        yield signals


async def obey_hangups(
    signals: AsyncIterator[signal.Signals], reloading: Reloading, *, with_terminal: bool
) -> None:
    """Reload at each SIGHUP, one after the other, until cancelled."""
    async for _ in signals:
        if with_terminal and not has_terminal():
            # Nobody asks for a reload: the window of a daemon in the foreground was closed.
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            await reloading.once()


def has_terminal() -> bool:
    """Whether this process has a terminal that is still there, wherever its output goes."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def leaves_with_terminal() -> bool:
    """Whether a closed terminal is meant to end this process; under nohup it isn't. Before the rest."""
    return has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
