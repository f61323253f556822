"""How lines of the log look to a person: aligned, coloured, wrapped, and told once."""

from __future__ import annotations

import json
import re
import textwrap
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import click

from batchd.control.log_files import Facts
from batchd.control.log_wanted import LEVELS, level_of, time_of
from batchd.core.names import printable
from batchd.core.words import duration

WINDOW = 600.0  #: seconds: what comes again within these is counted, and told once
_MOST_FOLDS = 1000  #: different ones kept in mind at once
_COLOURS = {"debug": "bright_black", "warning": "yellow", "error": "red", "critical": "red"}
_SUBJECT = ("shard", "job", "subject", "stage")  #: the first of these says whom a line is about
_FIRST = ("ts", "level", "event", "exception")
_EVENT, _WHO, _INDENT = 18, 9, 4  #: characters: "shard.uploaded", "7k3c9q-2"
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Shape:
    """A terminal's way, or a pipe's."""

    width: int | None = None  #: None writes each event as one line
    in_colour: bool = False

    def show(self, facts: Facts, *, times: int = 0, seconds: float = 0.0) -> str:
        """Show a line; with `times`, one that stands for so many."""
        level = str(facts.get("level", "info"))
        who = next((name for name in _SUBJECT if facts.get(name)), "")
        event = str(facts.get("event", ""))
        head = (
            f"{_clock(facts)}  {printable(level):<8}{printable(event):<{_EVENT}}"
            f"  {printable(str(facts.get(who, ''))):<{_WHO}}"
        )
        again = [f"x{times} in {duration(seconds)}"] if times else []
        told = {n: v for n, v in facts.items() if n not in (*_FIRST, who) and v is not None}
        rest = [f"{printable(name)}={_value(value)}" for name, value in told.items()]
        whole = f"{head}  {'  '.join([*again, *rest])}".rstrip()
        lines = [*self._wrapped(whole), *_trace(facts)]
        first, *others = lines
        return "\n".join([self._coloured(first, level, len(_clock(facts))), *others])

    def _wrapped(self, text: str) -> list[str]:
        if self.width is None or len(text) <= self.width:
            return [text]
        wide = max(self.width, 40)
        return textwrap.wrap(
            text,
            wide,
            subsequent_indent=" " * _INDENT,
            break_on_hyphens=False,
            drop_whitespace=True,
            replace_whitespace=False,
        )

    def _coloured(self, line: str, level: str, clock: int) -> str:
        if not self.in_colour:
            return line
        body = line[clock:]
        colour = _COLOURS.get(level)
        return click.style(line[:clock], dim=True) + (
            click.style(body, fg=colour) if colour else body
        )


def _clock(facts: Facts) -> str:
    """A person compares with the clock on the wall, not with Greenwich's."""
    at = time_of(facts)
    return datetime.fromtimestamp(at).astimezone().strftime("%m-%d %H:%M:%S") if at else "-" * 14


def _value(value: object) -> str:
    if isinstance(value, str):
        return printable(value) if value and not set(value) & set(' ="') else _quoted(value)
    return printable(json.dumps(value, ensure_ascii=False))


def _quoted(value: str) -> str:
    text = printable(value).replace('"', "'")
    return f'"{text}"'


def _trace(facts: Facts) -> list[str]:
    """Where an unknown error came from is read line by line."""
    trace = facts.get("exception")
    return [" " * _INDENT + printable(line) for line in str(trace).splitlines()] if trace else []


@dataclass(slots=True)
class _Run:
    first: float
    last: float
    facts: Facts
    more: int = 0  #: after the one that was shown


class Fold:
    """Shows what comes again and again once, and then how often: warnings and worse."""

    def __init__(self, shape: Shape, write: Callable[[str], None]) -> None:
        self._shape = shape
        self._write = write
        self._runs: OrderedDict[tuple[str, ...], _Run] = OrderedDict()

    def add(self, facts: Facts) -> None:
        """Show a line, or count it."""
        at = time_of(facts)
        self.pass_time(at)
        if level_of(facts) < LEVELS.index("warning"):
            self._write(self._shape.show(facts))
            return
        run = self._runs.get(key := _key(facts))
        if run is not None:
            run.last, run.facts, run.more = at, facts, run.more + 1
            return
        self._write(self._shape.show(facts))
        self._runs[key] = _Run(at, at, facts)
        if len(self._runs) > _MOST_FOLDS:
            self._tell(self._runs.popitem(last=False)[1])

    def pass_time(self, at: float) -> None:
        """Tell of those whose time is over."""
        for key in list(self._over(at)):
            self._tell(self._runs.pop(key))

    def close(self) -> None:
        """Tell of all that is left."""
        while self._runs:
            self._tell(self._runs.popitem(last=False)[1])

    def _over(self, at: float) -> Iterator[tuple[str, ...]]:
        """They stand in the order of their first: the rest is younger."""
        for key, run in self._runs.items():
            if at - run.first < WINDOW:
                return
            yield key

    def _tell(self, run: _Run) -> None:
        if run.more == 1:
            self._write(self._shape.show(run.facts))
        elif run.more:
            seconds = run.last - run.first
            self._write(self._shape.show(run.facts, times=run.more + 1, seconds=seconds))


def _key(facts: Facts) -> tuple[str, ...]:
    """What makes two lines the same: whom, what and why. The numbers in a text may differ."""
    told = [str(facts.get(name, "")) for name in ("level", "event", *_SUBJECT, "file", "reason")]
    return (*told, _NUMBERS.sub("#", str(facts.get("text", "")))[:200])
