"""What was measured, whether it holds, and the page that says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

import msgspec


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: a figure per round, perhaps against another of the same round."""

    what: str
    unit: str
    values: tuple[float, ...]
    against: tuple[float, ...] = ()  #: of the same rounds; then the ratio is what is judged
    against_what: str = ""
    bar: float | None = None  #: at most so much; None only tells
    note: str = ""

    @property
    def measured(self) -> float:
        """The median of the rounds."""
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios: a machine that is busy in a round is so for both."""
        if not self.against:
            return None
        return median(a / b for a, b in zip(self.values, self.against, strict=True))

    @property
    def judged(self) -> float:
        ratio = self.ratio
        return self.measured if ratio is None else ratio

    @property
    def is_held(self) -> bool | None:
        """None where there is no bar."""
        return None if self.bar is None else self.judged <= self.bar


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Memory over the time of one run, for the plot."""

    name: str
    seconds: tuple[float, ...]
    megabytes: tuple[float, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one module of benchmarks/rows said, and under what circumstances."""

    title: str
    measures: tuple[Measure, ...] = ()
    skipped: tuple[str, ...] = ()  #: what could not be measured, with its reason
    series: tuple[Series, ...] = ()
    date: str = ""
    rounds: int = 0
    load: tuple[float, float] = (0.0, 0.0)  #: the machine's load average before and after


Results = dict[str, Row]  #: by the name of the row's module

_HOW = """\
Written by `make bench`; how it is measured: [README.md](README.md). A figure is the median of the
rounds, a ratio the median of the rounds' ratios: what it is divided by ran in the same round, on the
same machine, and the provider's stand-in is a process of its own that is never counted. MB are 10^6
bytes. Where the load average is above the number of cores, the machine was shared with other work:
seconds of wall time are longer then, and some of CPU; ratios are what counts."""
_HEAD = ("what", "bar", "measured", "against", "ratio", "")
_WORDS = {True: "held", False: "**missed**", None: ""}


def page(results: Mapping[str, Row], machine: Mapping[str, str], plots: Iterable[str]) -> str:
    """Render RESULTS.md."""
    return "\n".join(
        [
            "# What it costs",
            "",
            _HOW,
            "",
            *(f"* {name}: {value}" for name, value in machine.items()),
            "",
            *(f"![{name}]({name})" for name in plots),
            "",
            *(line for row in results.values() for line in _section(row)),
        ]
    )


def _section(row: Row) -> list[str]:
    before, after = row.load
    said = f"{row.date}, rounds: {row.rounds}, load average {before:.1f} before, {after:.1f} after."
    lines = [f"## {row.title}", "", said, ""]
    if row.measures:
        lines += [_cells(_HEAD), _cells(["---"] * len(_HEAD)), *map(_line, row.measures), ""]
    notes = [f"* {m.what}: {m.note}" for m in row.measures if m.note]
    notes += [f"* Not measured: {reason}" for reason in row.skipped]
    return [*lines, *notes, ""] if notes else lines


def _line(measure: Measure) -> str:
    against = median(measure.against) if measure.against else None
    return _cells(
        [
            measure.what,
            _bar(measure),
            figure(measure.measured, measure.unit),
            "" if against is None else f"{figure(against, measure.unit)} ({measure.against_what})",
            "" if measure.ratio is None else f"{measure.ratio:.2f}",
            _WORDS[measure.is_held],
        ]
    )


def _bar(measure: Measure) -> str:
    if measure.bar is None:
        return ""
    return (
        f"≤ {measure.bar:g} times" if measure.against else f"≤ {figure(measure.bar, measure.unit)}"
    )


def figure(value: float, unit: str) -> str:
    """Write a number with as many digits as are worth reading."""
    text = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def _cells(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
