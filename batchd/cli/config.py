"""`batchd config check` and `batchd config show`: is it right, and what counts?"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from batchd.cli.asking import folders_of, needs_daemon
from batchd.cli.exits import Exit
from batchd.cli.house import asking, found_by_daemon
from batchd.cli.local import from_here, say_so
from batchd.cli.options import settings_options
from batchd.cli.telling import tell
from batchd.configuration import Loaded, load
from batchd.configuration.checks import Checks
from batchd.control.client import ask
from batchd.control.views import config_as_dict
from batchd.core.errors import ConfigError
from batchd.core.findings import COMMAND, DAEMON, Finding, Result, worst
from batchd.core.names import printable

_RUNNING = "Ask the daemon, whatever --config or --set say besides which root is meant."


@click.group()
def config() -> None:
    """Check the configuration in stages, or show every setting and where it comes from.

    Where a daemon runs it is asked: its settings are what counts. With --config or --set it is
    about settings that you name, and this command looks by itself.
    """


@config.command()
@click.option("--offline", is_flag=True, help="Do not ask the provider.")
@click.option("--deny-warnings", is_flag=True, help="Let warnings count, too.")
@click.option("--running", is_flag=True, help=_RUNNING)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@settings_options
def check(
    config: Path | None,
    overrides: tuple[str, ...],
    offline: bool,
    deny_warnings: bool,
    running: bool,
    as_json: bool,
) -> int:
    """Check in stages: syntax, values, folders, key, API. Exits 78 when something is wrong.

    A file is really renamed from the inbox through var/work to the outbox, and the provider is
    really asked; nothing is sent and nothing costs. Where a daemon runs it does so, as its own user
    and with its key, and reads its file as a reload would; with --config or --set this command
    tries those.
    """
    fails = (Result.WRONG, Result.WARNING) if deny_warnings else (Result.WRONG,)

    def told(found: Iterable[Finding]) -> int:
        result = worst(tell(found, as_json=as_json))
        return Exit.CONFIGURATION if result in fails else Exit.OK

    if running:
        folders = folders_of(load(config, overrides, os.environ, Path.cwd()))
        asked = asking(folders, "config", "check", is_offline=offline)
        return needs_daemon(lambda: told(asked()), folders)
    found = None if config or overrides else _found_by_daemon(is_offline=offline)
    if found is None:
        found = Checks(config, overrides, os.environ, Path.cwd()).all(is_offline=offline)
    return told(found)


def _found_by_daemon(*, is_offline: bool) -> Iterable[Finding] | None:
    try:
        folders = folders_of(load(None, (), os.environ, Path.cwd()))
    except ConfigError:
        return None  # whose daemon, if any, nobody can tell; what is wrong is told from here
    return found_by_daemon(folders, "config", "check", is_offline=is_offline)


@config.command()
@click.option("--running", is_flag=True, help=_RUNNING)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@settings_options
def show(config: Path | None, overrides: tuple[str, ...], running: bool, as_json: bool) -> int:
    """Show every setting that counts, and where it comes from. Never a key.

    Those that the daemon runs with, where one does, as it read them last (batchd reload). Else, or
    with --config or --set, those that a command or a new daemon would go by.
    """
    loaded = load(config, overrides, os.environ, Path.cwd())
    folders = folders_of(loaded)
    asked = partial(ask, folders, "GET", "config")
    if running:
        return needs_daemon(lambda: _show(asked(), as_json=as_json), folders)
    if loaded.is_named:
        return _show(shown_settings(loaded), as_json=as_json)
    told, note = from_here(asked, partial(shown_settings, loaded))
    say_so(note)
    return _show(told, as_json=as_json)


def _show(told: dict[str, Any], *, as_json: bool) -> int:
    click.echo(json.dumps(told) if as_json else "\n".join(_lines(told)))
    return Exit.OK


def shown_settings(loaded: Loaded) -> dict[str, Any]:
    """`batchd config show --json`, of what a command goes by."""
    return config_as_dict(loaded.settings, loaded.provenance(os.environ), source=COMMAND)


def _lines(told: dict[str, Any]) -> Iterator[str]:
    whose = "what the daemon runs with; " if told.get("source", DAEMON) == DAEMON else ""
    yield f"# {whose}{told['file'] or 'no file'}; the key: {told['key_from'] or 'there is none'}"
    section = ""
    for setting in told["settings"]:
        of, _, _ = setting["name"].partition(".")
        if of != section:
            yield ""
            section = of
        assigned = f"{setting['name']} = {json.dumps(setting['value'])}"
        yield printable(f"{assigned:<44}  # {setting['origin']}")
