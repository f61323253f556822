"""The story on a screen: a display that changes in place on a terminal, plain lines otherwise."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from batchd.cli.demo_story import STAGES, Line, Story


class View:
    """Plain lines, for pipes and logs: what was said stays said."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Nothing to take down."""

    def line(self, line: Line, elapsed: float) -> None:
        """One more sentence."""
        click.echo(f"{elapsed:5.1f} s  {line.stage:<8}{line.text}")

    def refresh(self, story: Story, elapsed: float) -> None:
        """Time has gone by."""


class OnTerminal(View):
    """The six stages, the one that is at work, and how many answers there are."""

    def __init__(self, console: Console) -> None:
        # Refreshed by us and not by a thread: the demo ticks anyway.
        self._live = Live(console=console, auto_refresh=False)
        self._spinner = Spinner("dots", style="cyan")
        self._notes: list[Text] = []

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, at)

    def line(self, line: Line, elapsed: float) -> None:
        if line.stage not in STAGES:
            self._notes.append(Text(f"! {line.text}", style="yellow"))

    def refresh(self, story: Story, elapsed: float) -> None:
        self._live.update(self._picture(story, elapsed), refresh=True)

    def _picture(self, story: Story, elapsed: float) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for stage, what in STAGES.items():
            table.add_row(self._mark(story, stage), Text(stage, "bold"), _said(story, stage, what))
        bar = ProgressBar(total=max(story.requests, 1), completed=story.answered, width=40)
        foot = Table.grid(padding=(0, 1))
        foot.add_row(bar, f"{story.answered} of {story.requests} answered · {elapsed:.1f} s")
        return Group(table, "", foot, *self._notes, "")

    def _mark(self, story: Story, stage: str) -> RenderableType:
        if stage in story.done:
            return Text("✓", style="green")
        return self._spinner if stage == story.current else Text("·", style="dim")


def _said(story: Story, stage: str, what: str) -> Text:
    said = story.details.get(stage)
    return Text(said) if said else Text(what, style="dim")


def view_for(console: Console) -> View:
    can_change_in_place = console.is_terminal and not console.is_dumb_terminal
    return OnTerminal(console) if can_change_in_place else View()
