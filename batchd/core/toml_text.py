"""Where a key stands in a TOML text, and what is wrong with one that isn't TOML.

The standard library's reader forgets lines. Good enough for a message, not a parser.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

Path = tuple[str, ...]  #: ("batches", "max_open"): names from the outside in

_KEY = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^"'=\[\]#])+?"""  # TOML's keys: bare, quoted, dotted
ASSIGNMENT = re.compile(rf"\s*({_KEY})\s*=(.*)", re.DOTALL)
_HEADER = re.compile(rf"\s*\[\s*({_KEY})\s*\]")
_QUOTES = re.compile(r"\"{3}|'{3}")
_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def lines_of(text: str) -> dict[Path, int]:
    """Return the line of each header and each key; of one that stands twice, the last."""
    return dict(_lines(text))


def _lines(text: str) -> Iterator[tuple[Path, int]]:
    section: Path = ()
    within: str | None = None  # a text of several lines: what looks like a key there is none
    for number, line in enumerate(text.splitlines(), start=1):
        inside, within = within, _open_after(line, within)
        if inside:
            continue
        if header := _HEADER.match(line):
            section = key_path(header[1])
            yield section, number
        elif assignment := ASSIGNMENT.match(line):
            yield (*section, *key_path(assignment[1])), number


def _open_after(line: str, within: str | None) -> str | None:
    """Return the quotes of a text that goes on in the next line."""
    if within is None and line.lstrip().startswith("#"):
        return None
    for quotes in _QUOTES.findall(line):
        within = quotes if within is None else None if quotes == within else within
    return within


def line_of(path: Path, lines: Mapping[Path, int]) -> int | None:
    """Return the line of a key; of the table around it where it is written inline."""
    around = (path[:length] for length in range(len(path), 0, -1))
    return next((lines[part] for part in around if part in lines), None)


def key_path(key: str) -> Path:
    """`batches.enqueued_tokens."gpt-4.1"` -> its three parts; () for what is no key."""
    try:
        nested: object = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    parts: list[str] = []
    while isinstance(nested, dict):
        ((part, nested),) = nested.items()
        parts.append(part)
    return tuple(parts)


def flaw(message: str) -> tuple[int | None, int | None, str]:
    """Take the reader's message apart: line, column (None: the end of the file), what and remedy."""
    found = _PLACE.fullmatch(message)
    what, line, column = found.groups() if found else (message, None, None)
    is_bare = what == "Invalid value" or what.startswith("Expected newline")  # level = info
    remedy = "; a text needs quotes" if is_bare else ""
    said = f"not valid TOML: {what[:1].lower()}{what[1:]}{remedy}"
    return int(line) if line else None, int(column) if column else None, said
