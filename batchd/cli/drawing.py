"""The screen of `batchd status` on a terminal: bars, colours, and drawn anew while it is watched.

Imported for a terminal only: a program that reads status must not wait for rich.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchd.cli.screen import LABEL, LINES, Line

SECONDS = 2.0  #: between two frames; batches are slower than that
_BAR, _SHORT_BAR = 16, 8  #: columns
_WIDE = 100  #: columns from which on there is room for the longer bar
_GAP = 1  #: columns between two things in a row


def draw(look: Callable[[int, int], Sequence[Line]], console: Console | None = None) -> None:
    """Show it once; `look` is given the lines and columns that there are."""
    console = console or _console()
    console.print(drawn(look(LINES, console.width), console.width))


def watch(look: Callable[[int, int], Sequence[Line]], console: Console | None = None) -> None:
    """Draw it anew until Ctrl-C."""
    console = console or _console()

    def frame() -> RenderableType:
        return drawn(look(console.height, console.width), console.width)

    with Live(frame(), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(SECONDS)
            live.update(frame(), refresh=True)


def _console() -> Console:
    return Console(highlight=False)


def drawn(lines: Sequence[Line], columns: int) -> RenderableType:
    """Return the screen; a line never wraps, for that would push another off it."""
    counts = [_count(line) for line in lines]
    return Group(*(_row(line, columns, max(map(len, counts), default=0)) for line in lines))


def _row(line: Line, columns: int, widest: int) -> RenderableType:
    row = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
    cells: list[RenderableType] = [Text(line.label, style="bold")]
    used = _column(row, LABEL - _GAP)
    if line.done is not None:
        completed, total = line.done
        bar = _BAR if columns >= _WIDE else _SHORT_BAR
        used += _column(row, bar) + _column(row, widest, justify="right")
        cells.append(ProgressBar(total=max(total, 1), completed=completed, width=bar))
        cells.append(Text(_count(line)))
    text = Text(line.text, style="red" if line.is_bad else "")
    # Shortened here: a table that is too wide takes from its other columns, too.
    text.truncate(max(columns - used, 1), overflow="ellipsis")
    row.add_column(no_wrap=True)
    row.add_row(*cells, text)
    return row


def _column(row: Table, width: int, justify: JustifyMethod = "left") -> int:
    """Add one that keeps its width; return what is used of the row by it."""
    row.add_column(width=width, min_width=width, no_wrap=True, justify=justify)
    return width + _GAP


def _count(line: Line) -> str:
    return f"{line.done[0]:,}/{line.done[1]:,}" if line.done else ""
