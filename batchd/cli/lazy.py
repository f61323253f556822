"""A group whose commands are imported when they are called: `batchd --help` must stay quick."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command is. Its sentence stands here, so that the list needs no import."""

    module: str
    sentence: str


class LazyGroup(click.Group):
    """Each command is the object of its own name in its module; `list` is `list_` there."""

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        module = importlib.import_module(self.lazy[cmd_name].module)
        # What Python has taken for itself bears an underscore: `list_`, `try_`.
        command = getattr(module, f"{cmd_name}_", None) or getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.sentence) for name, lazy in self.lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.lazy:
            ctx.fail(f"there is no command {args[0]}; {self._meant(args[0])}")
        return super().resolve_command(ctx, args)

    def _meant(self, name: str) -> str:
        near = get_close_matches(name.lower(), self.lazy, n=1)
        return f"did you mean {near[0]}?" if near else f"there are {', '.join(self.lazy)}"
