"""`batchd run`: the daemon, in the foreground, until it is stopped."""

from __future__ import annotations

import os
from pathlib import Path

import click

from batchd import logs
from batchd.cli.options import settings_options
from batchd.configuration import api_key, base_url, load
from batchd.runtime.garbage import blind
from batchd.settings import Settings
from batchd.spool.apart import must_be_apart
from batchd.spool.folders import Folders, keep_strangers_out


@click.command()
@settings_options
def run(config: Path | None, overrides: tuple[str, ...]) -> int:
    """Run the daemon until it is stopped.

    It takes what is dropped into inbox/, sends it as batches, and puts what comes back into
    outbox/. SIGTERM or Ctrl-C stops it; started again, it goes on where it was.
    """
    cwd = Path.cwd()
    loaded = load(config, overrides, os.environ, cwd)
    settings = loaded.settings
    # Before anything heavy is imported: what is missing is said at once.
    key = api_key(settings, os.environ)
    address = base_url(settings, os.environ)
    folders = Folders(settings.folders.root)
    must_be_apart(folders, config=loaded.source, tasks=loaded.tasks)
    keep_strangers_out()
    log_file = folders.log
    with logs.configure(settings.logging, log_file, secrets=(key,)) as lines:
        from batchd.configuration.checks import Checks

        with blind():
            from batchd.daemon import Configuration, run_daemon

        latest = [loaded]  # what was read last, whether it was taken or not

        def read() -> Settings:
            latest[0] = loaded.again()
            return latest[0].settings

        anew = Configuration(
            read,
            lambda settings: lines.adopt(settings.logging),
            lambda: latest[0].provenance(os.environ),
            lambda: Checks(config, overrides, os.environ, cwd),
        )
        return run_daemon(
            settings, api_key=key, base_url=address, configuration=anew, tasks=loaded.tasks
        )
