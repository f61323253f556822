"""Where a value may stand: a line of the file, a variable of the environment, a `--set`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from batchd.configuration.values import DEFAULTS, SECTIONS, Given, table_of
from batchd.core.errors import ConfigError
from batchd.core.toml_text import ASSIGNMENT, flaw, key_path, line_of, lines_of

PREFIX = "BATCHD_"
ETC = Path("/etc/batchd/batchd.toml")


def find_file(
    config: Path | None, *, environment: Mapping[str, str], cwd: Path, etc: Path = ETC
) -> Path | None:
    """The file to read. One that is named must be there; the usual places may be empty."""
    if config is not None:
        return _named(cwd / config.expanduser(), by=f"--config {config}")
    if named := environment.get("BATCHD_CONFIG"):
        return _named(cwd / Path(named).expanduser(), by=f"BATCHD_CONFIG={named}")
    usual = (cwd / "config" / "batchd.toml", *_of_person(environment), etc)
    # Not Path.is_file(): that raises where a folder is somebody else's, as HOME is after `sudo -u`.
    return next((file for file in usual if os.path.isfile(file)), None)  # noqa: PTH113


def _of_person(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where `batchd service install --user` puts it: without a word whoever has one means that."""
    if (chosen := environment.get("XDG_CONFIG_HOME", "")).startswith("/"):
        yield Path(chosen) / "batchd" / "batchd.toml"
    elif (home := environment.get("HOME", "")).startswith("/"):
        yield Path(home) / ".config" / "batchd" / "batchd.toml"


def _named(file: Path, *, by: str) -> Path:
    if not file.exists():
        raise ConfigError(f"{by}: there is no such file; name one that exists, or none")
    return file


def from_file(file: Path, *, cwd: Path, problems: list[str]) -> Iterator[Given]:
    """Every value of the file, with its line."""
    shown = file.relative_to(cwd) if file.is_relative_to(cwd) else file
    try:
        text = file.read_text(encoding="utf-8-sig")  # editors on Windows put a mark first
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(_not_toml(str(error), shown=shown))
    except UnicodeDecodeError as error:
        problems.append(f"{shown}: byte {error.start + 1} is not UTF-8; save the file as UTF-8")
    except OSError as error:
        problems.append(f"{shown}: cannot be read ({error.strerror}); make it a readable file")
    else:
        lines = lines_of(text)
        for path, value in _leaves((), content):
            yield Given(path, value, where=_where(shown, path, lines))


def _not_toml(message: str, *, shown: Path) -> str:
    line, column, what = flaw(message)
    place = f"{shown}, line {line}, column {column}" if line else f"{shown}, at its end"
    return f"{place}: {what}"


def _leaves(path: tuple[str, ...], value: object) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value below a table; of what nobody knows only the top, so that it is said once."""
    if not isinstance(value, dict) or not _may_be_table(path):
        yield path, value
    elif not value and len(path) > 1:
        yield path, value  # an empty table of models; an empty section is nothing at all
    else:
        for key, below in value.items():
            yield from _leaves((*path, key), below)


def _may_be_table(path: tuple[str, ...]) -> bool:
    if len(path) < 2:
        return not path or path[0] in SECTIONS
    table = table_of(".".join(path[:2]))
    return table is not None and not (table.is_deep and len(path) > 2)


def _where(shown: Path, path: tuple[str, ...], lines: Mapping[tuple[str, ...], int]) -> str:
    line = line_of(path, lines)
    return f"{shown}, line {line}" if line else str(shown)


def from_environment(environment: Mapping[str, str]) -> Iterator[Given]:
    """`BATCHD_SECTION__KEY=value`. Other BATCHD_ variables are left alone unless nearly one."""
    for name, text in sorted(environment.items()):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper == "BATCHD_CONFIG":
            continue
        section, separator, key = upper.removeprefix(PREFIX).lower().partition("__")
        if separator:
            for path, value in _leaves((section, key), _value(text)):
                yield Given(path, value, where=name, text=text)
        elif _is_nearly_one(section):
            yield Given((section,), text, where=name, text=text)


def _is_nearly_one(name: str) -> bool:
    """BATCHD_BATCHES_MAX_OPEN is a slip; BATCHD_SERVICE_HOST is Kubernetes talking of a service."""
    spelled = [setting.replace(".", "_") for setting in DEFAULTS]
    return bool(get_close_matches(name, spelled, n=1, cutoff=0.8))


def from_overrides(overrides: Sequence[str], *, problems: list[str]) -> Iterator[Given]:
    """`--set section.key=value`, the key as TOML writes it, quotes around the value optional."""
    for override in overrides:
        assignment = ASSIGNMENT.fullmatch(override)
        path = key_path(assignment[1]) if assignment else ()
        if not assignment or not path:
            problems.append(
                f"--set {override}: must be section.key=value, such as batches.max_open=5"
            )
            continue
        text = assignment[2].strip()
        # The value is not repeated here: somebody may try to set a key, and this is printed.
        for leaf, value in _leaves(path, _value(text)):
            yield Given(leaf, value, where=f"--set {assignment[1].strip()}", text=text)


def _value(text: str) -> object:
    """As TOML reads it, else the text itself."""
    try:
        content = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return content["value"] if len(content) == 1 else text  # a second line is no second setting
