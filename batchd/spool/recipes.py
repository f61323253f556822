"""The task files, `tasks/NAME.toml`: which there are, what each says, and what is wrong with it.

A file is read again when it has changed, or its schema's file, or the defaults; otherwise a look
costs a stat or two. Files are the operator's own: links are followed, as configuration often is one.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchd.core.limits import canonical
from batchd.core.names import printable
from batchd.core.tasks import CHAT, EMBEDDINGS, MODERATIONS, RESPONSES, Task, merged
from batchd.core.toml_text import flaw, line_of, lines_of
from batchd.settings import Defaults

ENDING = ".toml"
MAX_BYTES = 4_000_000  # a prompt is read by a model: 4 MB are a million tokens

# What judges a task loads the templates' library: 0.1 s that `batchd status` can spare.
if TYPE_CHECKING:
    from batchd.core.task_rules import Fault

_Signature = tuple[int, ...] | None  #: None: it is not there


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that the operator must mend in a task."""

    file: Path  #: the task file, or the schema's
    line: int | None  #: 1-based; None where no single line is meant
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.line else str(self.file)
        what = self.message.rstrip(".")
        return f"{place}: {what}; {self.remedy[:1].lower()}{self.remedy[1:]}".rstrip(".")


@dataclass(frozen=True, slots=True)
class Broken:
    """A task that cannot be used before somebody mends it."""

    name: str
    problems: tuple[
        Mistake, ...
    ]  #: at least one; the first is worth saying where there is room for one

    def __str__(self) -> str:
        more = len(self.problems) - 1
        return str(self.problems[0]) + (f" (and {more} more)" if more else "")


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a file was found to say, and what it looked like."""

    defaults: Defaults
    signature: _Signature
    schema_file: Path | None
    schema_signature: _Signature
    result: Task | Broken

    def holds(self, defaults: Defaults, signature: _Signature) -> bool:
        """Whether nothing has changed that it came from."""
        if self.defaults is not defaults or self.signature != signature:
            return False
        return self.schema_file is None or _signature(self.schema_file) == self.schema_signature


class Recipes:
    """The tasks of one folder. May be asked from any thread."""

    def __init__(self, folder: Path, defaults: Defaults) -> None:
        self.folder = folder
        self.defaults = defaults  #: set anew at a reload: what is inherited changes with it
        self._kept: dict[str, _Kept] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names there are task files of, broken or not, sorted."""
        try:
            with os.scandir(self.folder) as entries:
                found = [entry.name for entry in entries]
        except OSError:  # no folder, no tasks
            return ()
        names = (name for name in found if name.endswith(ENDING) and not name.startswith("."))
        return tuple(sorted(name.removesuffix(ENDING) for name in names))

    def get(self, name: str) -> Task | Broken | None:
        """Return a task, or what is wrong with it; None where there is no file of that name."""
        if not name or name.startswith(".") or "/" in name or "\0" in name:
            return None
        file, defaults, kept = self.folder / f"{name}{ENDING}", self.defaults, self._kept.get(name)
        signature = _signature(file)  # before it is read: what changes meanwhile is seen next time
        if kept and kept.holds(defaults, signature):
            return kept.result
        if signature is None and not file.is_symlink():
            self._kept.pop(name, None)
            return None
        reading = _Reading(name, file, defaults)
        result = reading.result()
        self._kept[name] = _Kept(
            defaults, signature, reading.schema_file, reading.schema_signature, result
        )
        return result


def _signature(file: Path) -> _Signature:
    """Return what changes when a file does; None where there is none."""
    try:
        seen = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # it may be there: whoever reads it hears more
        return (error.errno or 0,)
    return (
        seen.st_dev,
        seen.st_ino,
        seen.st_mode,
        seen.st_size,
        seen.st_mtime_ns,
        seen.st_ctime_ns,
    )


class _UnreadableError(Exception):
    """A file that cannot be used at all."""

    def __init__(self, file: Path, line: int | None, message: str, remedy: str) -> None:
        super().__init__(message)
        self.mistake = Mistake(file, line, message, remedy)


class _Reading:
    """One reading of one task file."""

    def __init__(self, name: str, file: Path, defaults: Defaults) -> None:
        self._name = name
        self._file = file
        self._defaults = defaults
        self._text = ""
        self._inherited: frozenset[str] = frozenset()
        self.schema_file: Path | None = None
        self.schema_signature: _Signature = None
        self._schema_text = ""

    def result(self) -> Task | Broken:
        """Return the task, or everything that is wrong with it."""
        from batchd.core.task_rules import faults
        from batchd.core.task_words import made, word_faults

        try:
            content = self._content()
            found: Iterable[Fault] = list(word_faults(content))
            if not found:
                task = made(self._name, self._with_schema(content))
                found = list(faults(task))
                if not found:
                    return task
        except _UnreadableError as error:
            return Broken(self._name, (error.mistake,))
        return Broken(self._name, tuple(map(self._mistake, found)))

    def _content(self) -> dict[str, Any]:
        """The tables of the file, with what it has from the defaults."""
        from batchd.core.task_rules import name_fault

        if fault := name_fault(self._name):
            raise _UnreadableError(self._file, None, fault.message, fault.remedy)
        self._text = _text_of(self._file)
        try:
            own = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            line, column, what = flaw(str(error))
            place = f"column {column}: " if column else "at its end: "
            line = line or len(self._text.splitlines())
            raise _UnreadableError(self._file, line, place + what, "Mend the line.") from error
        whole = inherited(own, self._defaults)
        self._inherited = frozenset(whole.keys() - own.keys())
        return whole

    def _with_schema(self, content: dict[str, Any]) -> dict[str, Any]:
        """The same, with the schema out of its own file where it lies in one."""
        output = content.get("output", {})
        if not isinstance(output.get("schema"), str):
            return content
        file = self.schema_file = self._file.parent / output["schema"].replace("\0", "\\0")
        self.schema_signature = _signature(file)
        try:
            self._schema_text = _text_of(file)
            schema = json.loads(self._schema_text)
        except _UnreadableError as error:
            if self.schema_signature is not None:
                raise
            where = line_of(("output", "schema"), lines_of(self._text))
            message = f"the schema's file {printable(str(file))} is not there"
            remedy = "Give its path from the task file's folder, or make it."
            raise _UnreadableError(self._file, where, message, remedy) from error
        except (json.JSONDecodeError, RecursionError) as error:
            at = error.lineno if isinstance(error, json.JSONDecodeError) else None
            why = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            remedy = "A schema is a JSON object; mend the line."
            raise _UnreadableError(file, at, f"not JSON: {why}", remedy) from error
        if not isinstance(schema, dict):
            message = "the schema is not a JSON object"
            raise _UnreadableError(file, 1, message, 'Write {"type": "object", ...}.')
        return content | {"output": output | {"schema": schema}}

    def _mistake(self, fault: Fault) -> Mistake:
        if self.schema_file is not None and fault.path[:2] == ("output", "schema"):
            at = json_line(self._schema_text, fault.path[2:])
            return Mistake(self.schema_file, at, fault.message, fault.remedy)
        if fault.path[:1] and fault.path[0] in self._inherited:
            message = f"{fault.message} (from [defaults] in batchd.toml)"
            return Mistake(self._file, None, message, fault.remedy)
        line = line_of(fault.path, lines_of(self._text))
        if line is not None:
            line += _lines_into(self._text.splitlines()[line - 1], fault.line)
        return Mistake(self._file, line, fault.message, fault.remedy)


def inherited(own: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    """Lay a task's file over the defaults: its tables of parameters and metadata grow together.

    Parameters are an endpoint's own, and a model that writes neither embeds nor moderates: these
    are inherited where they mean the same.
    """
    whole: dict[str, Any] = {"endpoint": defaults.endpoint, **own}
    kind, usual = canonical(str(whole["endpoint"])), canonical(defaults.endpoint)
    if (kind in _WITHOUT_TEXT) is (usual in _WITHOUT_TEXT) and (kind == usual or kind in _WRITERS):
        whole.setdefault("model", defaults.model)
        whole.setdefault("system", defaults.system)
    if whole.get("model", "") is None:
        del whole["model"]
    for name, given in (("parameters", defaults.parameters), ("metadata", defaults.metadata)):
        table = whole.get(name, {})
        if isinstance(table, dict) and (name == "metadata" or kind == usual):
            whole[name] = merged(given, table)
    return whole


_WRITERS = (CHAT, RESPONSES)
_WITHOUT_TEXT = (EMBEDDINGS, MODERATIONS)


def _text_of(file: Path) -> str:
    try:
        with open(file, "rb", opener=_without_waiting) as opened:
            seen = os.fstat(opened.fileno())
            if not stat.S_ISREG(seen.st_mode) or seen.st_size > MAX_BYTES:
                message = f"not a plain file of up to {MAX_BYTES:,} bytes"
                raise _UnreadableError(file, None, message, "Put a text file there.")
            return opened.read(MAX_BYTES + 1).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"byte {error.start + 1} is not UTF-8"
        raise _UnreadableError(file, line, message, "Save the file as UTF-8.") from error
    except OSError as error:
        message = f"it cannot be read: {error.strerror}"
        remedy = "Make it a file that the daemon's user can read."
        raise _UnreadableError(file, None, message, remedy) from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe of that name would hold everybody up


def _lines_into(line: str, wanted: int) -> int:
    """How far below its key a line of a text is; TOML drops a break right after the quotes."""
    opened = line.rstrip().endswith(('"""', "'''"))
    is_long = '"""' in line or "'''" in line
    return (wanted - 1 + opened) if is_long and (wanted > 1 or opened) else 0


def json_line(text: str, path: Iterable[str]) -> int:
    """Return the line of a member of a JSON text: good enough for a message, not a parser."""
    at = 0
    for name in path:
        found = re.compile(re.escape(json.dumps(name, ensure_ascii=False)) + r"\s*:").search(
            text, at
        )
        at = found.end() if found else at
    return text.count("\n", 0, at) + 1
