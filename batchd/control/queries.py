"""What an address asks for after its question mark, as typed values. Nothing is believed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from batchd.control import log_pages
from batchd.control.listing import STATES, USUAL, Filter
from batchd.control.log_pages import Pages
from batchd.control.log_wanted import LEVELS
from batchd.control.messages import MOST_ROWS, USUAL_ROWS
from batchd.control.places import Place, place_of
from batchd.control.spend import By
from batchd.core.errors import BatchdError
from batchd.spool.folders import Folders

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WORDS = {"true": True, "false": False}
_LONGEST_NAME = 255  #: bytes, of a file (limits.h)
_MOST_ASKED = 20  #: parameters; no question of ours has half as many


class Odd(BatchdError):
    """What is asked for is none of what can be."""


def asked_by(query: bytes) -> dict[str, str]:
    """Read a query. A file's name may be no text: its bytes come through as they are."""
    try:
        found = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=_MOST_ASKED,
        )
    except ValueError as error:
        raise Odd(f"that is no query: {error}") from error
    return dict(found)


def jobs_asked(asked: Mapping[str, str]) -> Filter:
    """Read which jobs. Raises `Odd`."""
    return Filter(
        state=_one_of(STATES, asked, "state", None),
        since=_number(asked, "since"),
        owner=_count(asked, "owner", 0) if "owner" in asked else None,
        most=_count(asked, "limit", USUAL),
        sha256=asked.get("sha256"),
        after=asked.get("after", ""),
    )


def pages_asked(asked: Mapping[str, str]) -> Pages:
    """Read which lines of the log. Raises `Odd`."""
    return Pages(
        word=asked.get("word") or None,
        since=_number(asked, "since"),
        level=LEVELS.index(_one_of(LEVELS, asked, "level", LEVELS[0]) or LEVELS[0]),
        pattern=asked.get("event"),
        most=min(max(_count(asked, "limit", log_pages.USUAL), 1), log_pages.MOST),
        is_patient=_switch(asked, "patient"),
    )


def sums_asked(asked: Mapping[str, str]) -> tuple[By, str]:
    """Read what is to be added up, and since which day; "" is ever. Raises `Odd`."""
    since = asked.get("since", "")
    if since and not _DAY.fullmatch(since):
        raise Odd(f"{since!r} is no day such as 2026-11-21")
    return By(_one_of(tuple(map(str, By)), asked, "by", str(By.DAY)) or By.DAY), since


def place_asked(asked: Mapping[str, str], folders: Folders) -> tuple[str, Place]:
    """Read the word of `why` and the place that it means. Raises `Odd`."""
    if not (word := asked.get("word", "")) or "\0" in word + asked.get("path", ""):
        raise Odd("`word` says what is asked for: a path, or an id")
    place = place_of(asked.get("path") or word, folders=folders, cwd=folders.root)
    return word, place.seen_by_another(_switch(asked, "there"))


def file_asked(asked: Mapping[str, str]) -> str:
    """Read what a file that is handed in is called: it tells its kind. Raises `Odd`."""
    name = asked.get("file", "")
    is_name = name not in ("", ".", "..") and not set(name) & {"/", "\0"}
    if not is_name or len(os.fsencode(name)) > _LONGEST_NAME:
        raise Odd("`file` says what the file is called, without its folder")
    return name


def rows_asked(asked: Mapping[str, str]) -> int:
    """Read how many rows are to be tried. Raises `Odd`."""
    rows = _count(asked, "rows", USUAL_ROWS)
    if not 1 <= rows <= MOST_ROWS:
        raise Odd(f"rows are 1 to {MOST_ROWS}; more is what a batch is for, at half the price")
    return rows


def offline_asked(asked: Mapping[str, str]) -> bool:
    """Read whether the provider is to be left alone. Raises `Odd`."""
    return _switch(asked, "offline")


def _one_of(
    known: tuple[str, ...], asked: Mapping[str, str], name: str, else_: str | None
) -> str | None:
    found = asked.get(name, else_)
    if found is not None and found not in known:
        raise Odd(f"there is no {name} {found}; there are {', '.join(known)}")
    return found


def _number(asked: Mapping[str, str], name: str) -> float:
    try:
        return float(asked.get(name, 0))
    except ValueError as error:
        raise Odd(f"that is no number: {error}") from error


def _count(asked: Mapping[str, str], name: str, else_: int) -> int:
    try:
        return int(asked.get(name, else_))
    except ValueError as error:
        raise Odd(f"that is no number: {error}") from error


def _switch(asked: Mapping[str, str], name: str) -> bool:
    found = asked.get(name, "false").lower()
    if found not in _WORDS:
        raise Odd(f"{name} is true or false, and not {found}")
    return _WORDS[found]
