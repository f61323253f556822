"""The stage of `config check` that looks at who is told: commands that can run, secrets that are there.

A notice is tried first when something is wrong, and then it is too late to learn that it can't run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

from batchd.core.errors import ConfigError
from batchd.core.findings import Finding, ok, warning, wrong
from batchd.runtime.secrets import read_secret
from batchd.settings import Notify, Settings

_ADDRESS = ("http://", "https://")


def notices(settings: Settings, *, root: Path) -> Iterator[Finding]:
    """Look at each command and each secret; say nothing where nobody is to be told."""
    notify = settings.notify
    wanted = {
        "notify.on_complete": notify.on_complete,
        "notify.on_reject": notify.on_reject,
        "notify.on_problem": notify.on_problem,
    }
    found = [*_secrets(settings)]
    for setting, command in wanted.items():
        if command and not command[0].startswith(_ADDRESS):
            found += _command(setting, command, root)
    yield from found
    told = [setting for setting, command in wanted.items() if command]
    if told and not found:
        yield ok("notices", f"{', '.join(told)}: each can be run or posted{_signed(notify)}")


def _command(setting: str, command: Sequence[str], root: Path) -> Iterator[Finding]:
    """As the daemon finds it: by PATH, or from the root where it has a slash."""
    name = command[0]
    if "/" not in name:
        if shutil.which(name) is None:
            text = f"{setting}: there is no {name} in PATH, so that nobody is told"
            yield warning("notices", text, "write its whole path, or install it")
        return
    file = root / name
    if not file.is_file():
        text = f"{setting}: there is no {file}, so that nobody is told"
        yield warning("notices", text, "correct the path, or put it there")
    elif not os.access(file, os.X_OK):
        text = f"{setting}: {file} may not be executed, so that nobody is told"
        yield warning("notices", text, f"chmod a+rx {quote(str(file))}")


def _secrets(settings: Settings) -> Iterator[Finding]:
    """The daemon does not start without them."""
    needed = [("notify.webhook_secret_file", settings.notify.webhook_secret_file)]
    if settings.webhooks.listen is not None:
        needed.append(("webhooks.secret_file", settings.webhooks.secret_file))
    for setting, file in needed:
        try:
            if file is not None:
                read_secret(file, setting=setting)
        except ConfigError as error:
            yield wrong("notices", str(error), "correct the path, or write the secret there")


def _signed(notify: Notify) -> str:
    return ", signed" if notify.webhook_secret_file is not None else ""
