"""Gives a notice: by a command or to an address, as the settings say."""

from __future__ import annotations

import os
from collections.abc import Sequence

import structlog

from batchd.core.errors import ConfigError
from batchd.notices import commands, posting
from batchd.notices.notice import Kind, Notice
from batchd.notices.outcome import Outcome
from batchd.runtime.secrets import read_secret
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread
from batchd.settings import Notify

log = structlog.get_logger()


def wanted(notify: Notify, kind: Kind) -> tuple[str, ...]:
    """Return whom to tell of such a thing; nobody where it is empty."""
    return {
        Kind.COMPLETE: notify.on_complete,
        Kind.REJECT: notify.on_reject,
        Kind.PROBLEM: notify.on_problem,
    }[kind]


def secret_of(notify: Notify) -> str | None:
    """Return what posts are signed with. Raises `ConfigError`."""
    if notify.webhook_secret_file is None:
        return None
    return read_secret(notify.webhook_secret_file, setting="notify.webhook_secret_file")


class Sender:
    """Gives notices. Whatever goes wrong is a line in the log, and nobody else's trouble."""

    def __init__(self, services: Services, *, secrets: Sequence[str]) -> None:
        self._services = services
        self._secrets = secrets  #: are in no command's environment

    async def send(self, notice: Notice) -> Outcome:
        """Give one, and log what came of it."""
        began = self._services.clock.monotonic()
        outcome = await self._sent(notice)
        told = {
            "job": notice.job or None,
            "reason": notice.reason or None,
            "output": outcome.output or None,
            "seconds": round(self._services.clock.monotonic() - began, 3),
        }
        if outcome.is_given:
            log.info("notice.sent", kind=notice.kind, text=outcome.text, **told)
        else:
            log.warning("notice.failed", kind=notice.kind, text=outcome.text, **told)
        return outcome

    async def _sent(self, notice: Notice) -> Outcome:
        notify = self._services.settings.notify
        to = wanted(notify, notice.kind)
        if not to:
            return Outcome(True, "nobody wants to know")  # switched off meanwhile
        if not to[0].startswith(("http://", "https://")):
            told = commands.environment_for(notice.environment, os.environ, secrets=self._secrets)
            cwd = self._services.folders.root
            return await commands.run(to, told, seconds=notify.timeout_seconds, cwd=cwd)
        try:
            return await posting.post(
                to[0],
                notice,
                secret=await in_thread(secret_of, notify),
                seconds=notify.timeout_seconds,
                retry_seconds=notify.retry_seconds,
                clock=self._services.clock,
            )
        except ConfigError as error:
            return Outcome(False, str(error))
