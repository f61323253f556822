"""`--config` and `--set`, understood after every command that reads settings."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from batchd.configuration import Loaded


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `config` and `overrides`: where its settings are to be looked for."""
    file = click.option(
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Read this file instead of ./config/batchd.toml, ~/.config/batchd/batchd.toml or"
        " /etc/batchd/batchd.toml.",
    )
    one = click.option(
        "--set",
        "overrides",
        metavar="SECTION.KEY=VALUE",
        multiple=True,
        help="Override one setting, such as batches.max_open=5. May be given several times.",
    )
    return file(one(command))


def reads_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Hand `loaded` to a command, from the file, the environment and `--set`."""

    @settings_options
    @functools.wraps(command)
    def with_settings(
        *args: Any, config: Path | None, overrides: tuple[str, ...], **kwargs: Any
    ) -> Any:
        return command(*args, loaded=_load(config, overrides), **kwargs)

    return with_settings


def _load(config: Path | None, overrides: tuple[str, ...]) -> Loaded:
    from batchd.configuration import load  # late: `batchd --help` reads no settings

    return load(config, overrides, os.environ, Path.cwd())
