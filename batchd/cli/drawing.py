"""The screen of `batchd status` on a terminal: bars, colours, and drawn anew while it is watched.

Imported for a terminal only: a program that reads status must not wait for rich.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchd.cli.screen import LABEL, Line

SECONDS = 2.0  #: between two frames; batches are slower than that
_BAR = 16  #: columns
_COUNT = 15  #: columns: 50,000 of 50,000


def draw(lines: Sequence[Line], console: Console | None = None) -> None:
    """Show it once."""
    (console or Console(highlight=False)).print(drawn(lines))


def drawn(lines: Sequence[Line]) -> RenderableType:
    """Return the screen; a line never wraps, for that would push another off it."""
    return Group(*map(_row, lines))


def _row(line: Line) -> RenderableType:
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_column(width=LABEL - 1, no_wrap=True)
    cells: list[RenderableType] = [Text(line.label, style="bold")]
    if line.done is not None:
        completed, total = line.done
        row.add_column(width=_BAR)
        row.add_column(width=_COUNT, justify="right", no_wrap=True)
        cells.append(ProgressBar(total=max(total, 1), completed=completed, width=_BAR))
        cells.append(Text(f"{completed:,}/{total:,}"))
    row.add_column(no_wrap=True, overflow="ellipsis")
    cells.append(Text(line.text, style="red" if line.is_bad else "", overflow="ellipsis"))
    row.add_row(*cells)
    return row


def watch(look: Callable[[int], Sequence[Line]], console: Console | None = None) -> None:
    """Draw it anew until Ctrl-C; `look` is given the lines that there are."""
    console = console or Console(highlight=False)

    def frame() -> RenderableType:
        return drawn(look(console.height))

    with Live(frame(), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(SECONDS)
            live.update(frame(), refresh=True)
