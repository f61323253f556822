"""What a value may be: its type, its range, its relations. The sentences say what to write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

from batchd.core.tasks import ENDPOINTS
from batchd.settings import Settings
from batchd.spool.placing import PART
from batchd.spool.wanted import INCLUDED, is_wanted

CHOICES = {
    "logging.level": ("debug", "info", "warning", "error"),
    "inbox.identical": ("join", "run"),
    "inbox.done_file": ("off", "require"),
    "logging.format": ("auto", "console", "json"),
    "logging.target": ("auto", "journal", "stderr"),
    "batches.count_tokens": ("auto", "bytes", "exact"),
    "retries.on_truncated": ("keep", "fail"),
    "defaults.endpoint": ENDPOINTS,
}
#: Waiting that may be switched off. Everything else would spin, hang or never end with 0.
MAY_BE_ZERO = frozenset(
    {
        "folders.min_free_bytes",
        "inbox.settle_seconds",
        "inbox.empty_grace_seconds",
        "inbox.cut_grace_seconds",
        "batches.doubt_seconds",
        "jobs.keep_days",
        "openai.keep_files_days",
        "daemon.grace_seconds",
        "notify.retry_seconds",
    }
)
#: Commands without a shell: a list of words, or one address to post to.
TELLERS = ("notify.on_complete", "notify.on_reject", "notify.on_problem")
_LISTEN = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")
MOST_NUMBER = 1e9  # thirty years of seconds: `inf` and its kin would overflow every date
MOST_WHOLE = 2**63 - 1  # what SQLite can hold
_LOOKS_LIKE_A_KEY = re.compile(r"sk-[\w-]{8,}")

Convert = Callable[[Any], object]  #: None is no: this type does not take that value


@dataclass(frozen=True, slots=True)
class Given:
    """One value that somebody wrote down."""

    path: tuple[str, ...]  #: ("batches", "max_open"); a table's entry has its key as a third
    value: object
    where: str  #: how a message names the place
    text: str | None = None  #: as it was typed, where quotes are optional


def _fields() -> dict[str, tuple[Any, object]]:
    """ "batches.max_open" -> its type and default."""
    return {
        f"{section.name}.{field.name}": (field.type, getattr(section.default, field.name))
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(section.type)
    }


TYPES = {name: type_ for name, (type_, _) in _fields().items()}
DEFAULTS = {name: default for name, (_, default) in _fields().items()}
SECTIONS = tuple(section.name for section in msgspec.structs.fields(Settings))


def assemble(values: Mapping[str, object]) -> Settings:
    """Values by name -> frozen sections."""
    sections = {}
    for section in msgspec.structs.fields(Settings):
        keys = (field.name for field in msgspec.structs.fields(section.type))
        sections[section.name] = section.type(**{k: values[f"{section.name}.{k}"] for k in keys})
    return Settings(**sections)


def check(given: Given, *, cwd: Path) -> tuple[str, object]:
    """The setting's name and its value; ValueError with the sentence where it can't be."""
    name = ".".join(given.path[:2])
    if name not in TYPES:
        raise ValueError(_unknown(given.path, is_table=isinstance(given.value, dict)))
    type_ = TYPES[name]
    if table := table_of(name):
        return name, _entry(name, table, given)
    if len(given.path) > 2 or isinstance(given.value, dict):
        raise ValueError(f"{name} is one value, not a table")
    return name, _convert(name, type_, given, cwd=cwd)


def _convert(name: str, type_: Any, given: Given, *, cwd: Path) -> object:
    is_optional = get_origin(type_) is UnionType
    if is_optional:
        (type_,) = (one for one in get_args(type_) if one is not type(None))
    is_text = type_ in (str, Path)
    # Unquoted, `--set folders.root=2026` is a number to TOML, and a folder to everybody else.
    value = (
        given.text if is_text and given.text and not isinstance(given.value, str) else given.value
    )
    if is_optional and value == "":
        return None  # TOML has no null: an empty text unsets
    if type_ is Path and isinstance(value, str) and _LOOKS_LIKE_A_KEY.search(value):
        raise ValueError(f"{name} must be the path of a file, and this looks like the key itself")
    must_be, convert = _rule(name, type_)
    converted = convert(value)
    if converted is None:
        raise ValueError(f"{name} must be {must_be}, not {_shown(value)}")
    return cwd / converted if isinstance(converted, Path) else converted


def _rule(name: str, type_: Any) -> tuple[str, Convert]:
    """How a message says it, and what does it."""
    if name in CHOICES:
        return f"one of {', '.join(CHOICES[name])}", lambda value: _choice(value, CHOICES[name])
    if name == "openai.base_url":
        return 'an address such as "http://127.0.0.1:8000/v1"', _address
    if name == "notify.heartbeat_url":
        return 'an address such as "https://hc-ping.com/..."', _address
    if name in TELLERS:
        return 'a command in words, such as ["notify-send", "done"], or ["https://..."]', _teller
    if name == "webhooks.listen":
        return 'an address and a port, such as "127.0.0.1:8090"', _listen
    if name == "inbox.include":
        return 'a list of at least one pattern, such as ["*.jsonl"]', lambda v: _texts(v) or None
    if name == "inbox.done_suffix":
        return 'the end of a name that is not taken itself, such as ".done"', _suffix
    if name == "openai.completion_window":
        return 'a text in quotes, such as "24h"', _text_or_empty
    if name == "defaults.system":
        return "a text in quotes", _text_or_empty
    if type_ is int and name in MAY_BE_ZERO:
        return "a whole number, 0 or more", _whole_or_zero
    if type_ is float and name in MAY_BE_ZERO:
        return "a number from 0 to 1,000,000,000", _number
    if type_ is float:
        return "a number above 0, at most 1,000,000,000", lambda value: _number(value) or None
    if name == "openai.endpoint_prefixes":
        return 'a list of beginnings, such as ["/v1", ""]', _prefixes
    return _PLAIN[type_]


def _whole(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 2e8
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 1 <= value <= MOST_WHOLE else None


def _whole_or_zero(value: Any) -> int | None:
    return 0 if value == 0 and not isinstance(value, bool) else _whole(value)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= MOST_NUMBER else None  # false for nan too


def _yes_or_no(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _choice(value: Any, choices: Iterable[str]) -> str | None:
    return value.lower() if isinstance(value, str) and value.lower() in choices else None


def _address(value: Any) -> str | None:
    is_address = isinstance(value, str) and re.fullmatch(r"https?://[^\s/]+\S*", value)
    return value if is_address else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _text_or_empty(value: Any) -> str | None:
    return value if isinstance(value, str) else None


_ENDINGS = tuple(pattern.removeprefix("*") for pattern in INCLUDED)


def _suffix(value: Any) -> str | None:
    # One that ends like a dropped file would itself be taken, and wait for a done file of its own;
    # .part is how batchd's own unfinished files end.
    is_name = bool(_text(value)) and not set("/\0") & set(value)
    return value if is_name and not value.lower().endswith((*_ENDINGS, PART)) else None


def _path(value: Any) -> Path | None:
    if not isinstance(value, str) or not value or "\0" in value:
        return None
    try:
        return Path(value).expanduser()
    except RuntimeError:  # ~nobody has no home
        return None


def _texts(value: Any) -> tuple[str, ...] | None:
    is_texts = isinstance(value, list) and all(isinstance(one, str) and one for one in value)
    return tuple(value) if is_texts else None


def _teller(value: Any) -> tuple[str, ...] | None:
    words = _texts(value)
    if not words or any("\0" in word for word in words):
        return words if words == () else None
    is_address = re.match(r"https?://", words[0])
    return words if not is_address or (len(words) == 1 and _address(words[0])) else None


def _listen(value: Any) -> str | None:
    found = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    return value if found and int(found["port"]) <= 65_535 else None


def _prefixes(value: Any) -> tuple[str, ...] | None:
    is_list = isinstance(value, list) and bool(value)
    fits = is_list and all(isinstance(p, str) and re.fullmatch(r"(/[^/\s]+)*", p) for p in value)
    return tuple(value) if fits else None


_PLAIN: dict[Any, tuple[str, Convert]] = {
    int: ("a whole number of at least 1", _whole),
    bool: ("true or false", _yes_or_no),
    str: ("a text in quotes", _text),
    Path: ('a path, such as "/srv/batchd"', _path),
    tuple[str, ...]: ('a list of texts, such as ["*.bak"]', _texts),
}


class Table(NamedTuple):
    """A setting that is a table, by the kind of its values."""

    by: str  #: what its keys are, in a message
    example: str  #: of one entry
    must_be: str  #: as in `_PLAIN`
    convert: Convert
    is_deep: bool = False  #: whether a value may be a table itself


def _any(value: Any) -> object:
    return "" if value is None else value  # TOML has no null


_TABLES: dict[Any, Table] = {
    int: Table("model", '"gpt-4o-mini" = 200000', *_PLAIN[int]),
    float: Table("model", '"gpt-4o-mini" = 0.15', "a number from 0 to 1,000,000,000", _number),
    str: Table("name", 'team = "sales"', "a text in quotes", _text_or_empty),
    Any: Table("name", "temperature = 0", "a value", _any, is_deep=True),
}


def table_of(name: str) -> Table | None:
    """What a setting takes that is a table; None for one that isn't."""
    return _TABLES[get_args(TYPES[name])[1]] if get_origin(TYPES.get(name)) is dict else None


def _entry(name: str, table: Table, given: Given) -> dict[str, Any]:
    """One entry of a table."""
    keys = given.path[2:]
    if table.is_deep and len(keys) > 1:  # --set defaults.parameters.reasoning.effort=low
        return {keys[0]: _entry(name, table, replace(given, path=(*given.path[:2], *keys[1:])))}
    if len(keys) > 1:  # gpt-4.1 = 5 is to TOML a table gpt-4 with a 1 in it
        raise ValueError(f'{name}: a name with a dot needs quotes: "{".".join(keys)}"')
    if not keys and given.value == {}:
        return {}
    if not keys:
        raise ValueError(f"{name} must be a table by {table.by}, such as {{{table.example}}}")
    value = table.convert(given.value)
    if value is None:
        shown = _shown(given.value)
        raise ValueError(f'{name}."{keys[0]}" must be {table.must_be}, not {shown}')
    return {keys[0]: value}


def unfitting(values: Mapping[str, object], origins: Mapping[str, str]) -> list[str]:
    """Values that are each fine and do not go together."""
    checks = (_polls, _prices, _webhooks, _done_files)
    return [sentence for one in checks for sentence in one(values, origins)]


def _done_files(values: Mapping[str, object], origins: Mapping[str, str]) -> list[str]:
    """A done file that is wanted itself would wait for a done file of its own."""
    suffix, include = str(values["inbox.done_suffix"]), values["inbox.include"]
    if values["inbox.done_file"] != "require" or not isinstance(include, tuple):
        return []
    if is_wanted(f"a.jsonl{suffix}", (), include):
        where = origins.get("inbox.include", "the default")
        remedy = "say less there, or another inbox.done_suffix"
        return [f'inbox.include ({where}) would take done files ("{suffix}"): {remedy}']
    return []


def _webhooks(values: Mapping[str, object], origins: Mapping[str, str]) -> list[str]:
    """Whoever finds the port could ring it all day."""
    if values["webhooks.listen"] and not values["webhooks.secret_file"]:
        where = origins.get("webhooks.listen", "the default")
        shown = "the signing secret that the provider showed when the webhook was created"
        return [f"webhooks.listen ({where}) needs webhooks.secret_file: {shown}"]
    return []


def _polls(values: Mapping[str, object], origins: Mapping[str, str]) -> list[str]:
    low, high = "batches.poll_min_seconds", "batches.poll_max_seconds"
    least, most = values[low], values[high]
    if isinstance(least, float) and isinstance(most, float) and most < least:
        a, b = origins.get(high, "the default"), origins.get(low, "the default")
        return [f"{high} ({most:g}, {a}) must not be less than {low} ({least:g}, {b})"]
    return []


def _prices(values: Mapping[str, object], origins: Mapping[str, str]) -> list[str]:
    """Half a price would make a job look cheap."""
    tables = {name: values[f"prices.{name}"] for name in ("input", "cached", "output")}
    named = {name: set(table) for name, table in tables.items() if isinstance(table, dict)}
    return [
        f'prices.{here} names "{model}" ({origins.get(f"prices.{here}", "the default")}), and'
        f" prices.{missing} does not: a model needs its input and its output price"
        for missing in ("input", "output")
        for model in sorted(set().union(*named.values()) - named[missing])
        for here in [next(name for name in named if model in named[name])]
    ]


def _unknown(path: tuple[str, ...], *, is_table: bool) -> str:
    """There is no such thing; is there one that was meant?"""
    section, key = path[0], path[1] if len(path) > 1 else None
    if key is None and section in SECTIONS:
        return f"{section} is a section, not a setting: write [{section}] and its settings below"
    if section not in SECTIONS and is_table:
        return f"there is no section [{section}]; {_meant_section(section)}"
    name = section if key is None else f"{section}.{key}"
    return f"there is no setting {name}; {_meant(name, key or section)}"


def _meant_section(section: str) -> str:
    near = get_close_matches(section.lower(), SECTIONS, n=1)
    return f"did you mean [{near[0]}]?" if near else f"there are {', '.join(SECTIONS)}"


def _meant(name: str, key: str) -> str:
    if key in ("api_key", "key", "openai_api_key"):
        return "a key does not belong here: export OPENAI_API_KEY or set openai.api_key_file"
    near = _near(name.lower().replace("-", "_"))
    return f"did you mean {near}?" if near else "config/batchd.toml explains all there are"


def _near(name: str) -> str | None:
    """In another section, misspelled in its own, or with one underscore too few (a variable)."""
    section, _, key = name.rpartition(".")
    keys = {known.partition(".")[2]: known for known in TYPES}
    own = {one: known for one, known in keys.items() if known.startswith(f"{section}.")}
    joined = {known.replace(".", "_"): known for known in TYPES}
    if key in keys:
        return keys[key]
    for names, cutoff in ((own, 0.6), (keys, 0.75), (joined, 0.8)):
        if near := get_close_matches(key, names, n=1, cutoff=cutoff):
            return names[near[0]]
    return None


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
