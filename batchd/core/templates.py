"""Templates over a record: a sandbox in which nothing is looked up, loaded or left to chance.

What stands in a record is only ever a value: it is printed, never read as a template. The same
record gives the same text, because a crash renders it again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from traceback import walk_tb
from types import FrameType
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing as _missing

from batchd.core.errors import InputError
from batchd.core.names import printable
from batchd.core.problems import Problem

#: What a template may run into; whatever else happens in one is a bug of ours.
_WRONG = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_METHODS = ("get", "items", "keys", "values")  #: of an object that may have a field of that name
_BY_CHANCE = ("random",)  #: filters that give another text every time
_OF_FILES = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)
_BLANKS = (" ", "\n", "\t")
_MOST_NAMES = 12  #: columns named in a message; a table may have hundreds
_SOURCE = "<a task's template>"


class BadRecord(InputError):
    """A record that makes no request; the file is rejected, and `problem` says which and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Fields(dict[str, Any]):
    """A record as templates see it: its columns, and in a group its id."""

    __slots__ = ()

    def __str__(self) -> str:
        return as_json(self)


class _Missing(StrictUndefined):
    """A name that a record does not have: an error that names those it has."""

    @property
    def _undefined_message(self) -> str:
        name = printable(str(self._undefined_name))
        holder = self._undefined_obj
        if holder is _missing or isinstance(holder, Fields):
            return f'there is no column "{name}"'
        if isinstance(holder, Mapping):
            return f'there is no "{name}" here; there is {listed(holder, meant=name)}'
        return f'there is no "{name}" in {_kind(holder)}'


class _Environment(ImmutableSandboxedEnvironment):
    """Fields before methods: a column may be called `items`."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up `obj.attribute`."""
        if isinstance(obj, dict):
            if attribute in obj:
                return obj[attribute]
            if attribute not in _METHODS:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look up `obj["argument"]`: of a record only ever a field."""
        if isinstance(obj, dict):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)


def shorten(text: object, chars: int = 1000) -> str:
    """Cut a text to `chars` characters, at a word's end where one is near, with an ellipsis."""
    whole = str(_printed(text))
    if len(whole) <= chars:
        return whole
    cut = whole[: max(chars - 1, 0)]
    ends_word = whole[len(cut)].isspace()
    at_word = (cut if ends_word else cut[: max(map(cut.rfind, _BLANKS)) + 1]).rstrip()
    # A text without blanks, or one enormous word at the end: better cut in a word than nothing left.
    return (at_word if len(at_word) * 3 > len(cut) else cut) + "…"


def as_json(value: object) -> str:
    """Show a nested value as JSON, as it stood in the file."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _printed(value: Any) -> Any:
    """What `{{ }}` writes: nothing for a null, JSON words and JSON objects as in the file."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        return as_json(value)
    if callable(value) and not isinstance(value, StrictUndefined):  # that one says it better
        raise TypeError("this is something to call: write it with parentheses, or name a column")
    return value


def _environment() -> _Environment:
    made = _Environment(
        undefined=_Missing,
        finalize=_printed,
        autoescape=False,  # prompts are no web pages
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=0,
    )
    for name in ("lipsum", "cycler", "joiner"):  # the first one by chance, the others for pages
        del made.globals[name]
    for name in _BY_CHANCE:
        del made.filters[name]
    made.filters["shorten"] = shorten
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "default": str}
    made.filters["tojson"] = as_json  # the usual one escapes < and > for web pages
    return made


_ENVIRONMENT = _environment()


class Text:
    """One template of a task, compiled."""

    def __init__(self, source: str, *, key: str) -> None:
        """`key`: "prompt" or "system". Raises `jinja2.TemplateSyntaxError`."""
        self.key = key
        tree = _ENVIRONMENT.parse(source)
        code = _ENVIRONMENT.compile(tree, filename=_SOURCE)
        self._template = Template.from_code(_ENVIRONMENT, code, _ENVIRONMENT.globals)
        self._root = self._template.root_render_func
        self.constant = None if _has_holes(source) else self._text({})
        self._form, self._columns = _as_form(source)

    def _text(self, names: Mapping[str, Any]) -> str:
        # What Template.render does, but for the traceback that it rewrites in half a millisecond:
        # a column that is missing is missing in a million rows.
        return "".join(self._root(self._template.new_context(dict(names))))

    def of_texts(self, fields: Mapping[str, Any]) -> str | None:
        """Return the text where it is columns that hold texts, and words between them; else None.

        What `render` says, in a tenth of the time: most tasks are that, and most tables have texts.
        """
        if not self._columns:
            return None
        values = tuple([fields.get(column) for column in self._columns])
        return self._form % values if all(type(one) is str for one in values) else None

    def render(self, names: Mapping[str, Any], *, row: int, columns: Iterable[str]) -> str:
        """Return the text. Raises `BadRecord`; `columns` are named where one was meant."""
        try:
            return self._text(names)
        except _WRONG as error:
            raise BadRecord(self._problem(error, row=row, columns=tuple(columns))) from error

    def _line_of(self, error: BaseException) -> int | None:
        frames = [at for frame, at in walk_tb(error.__traceback__) if _is_template(frame)]
        return self._template.get_corresponding_lineno(frames[-1]) if frames else None

    def _problem(self, error: BaseException, *, row: int, columns: tuple[str, ...]) -> Problem:
        line = self._line_of(error)
        where = f"{self.key}, line {line}" if line else self.key
        what = printable(str(error) or type(error).__name__)[:300]
        found = re.match(r'there is no column "(.*)"', what)
        if not found:
            return Problem("template_error", f"{where}: {what}", _MEND, row=row, param=self.key)
        return Problem(
            "unknown_column",
            f"{where}: {what}; there is {listed(columns, meant=found[1])}",
            unknown_remedy(found[1], columns),
            row=row,
            param=found[1],
        )


def _is_template(frame: FrameType) -> bool:
    return frame.f_code.co_filename == _SOURCE


_MEND = "Mend the template, or the value it works on; the filter default() fills what is missing."


def unknown_remedy(name: str, columns: Collection[str]) -> str:
    """What to write instead of a column that isn't there."""
    if name == "records":
        return "Set records_per_request in the task: only then there is a list of records."
    if name in columns:  # of a group, which has its columns one by one
        each = (
            f"{{% for record in records %}} {{{{ {_written(name, of='record')} }}}} {{% endfor %}}"
        )
        return f"Write {each}: with records_per_request there are several."
    meant = nearest(name, columns)
    if meant is None:
        return (
            "Name a column of the table, or give the table that column; where it may be missing,"
            f' write {{{{ {name} | default("") }}}}.'
        )
    return f"Did you mean {{{{ {_written(meant)} }}}}?"


def _written(column: str, *, of: str = "") -> str:
    if not column.isidentifier():
        return f'record["{column}"]'
    return f"{of}.{column}" if of else column


def nearest(name: str, columns: Iterable[str]) -> str | None:
    """The column that was meant: `title` for `Title`, `Job Title` for `job_title`."""
    return _nearest(name, tuple(columns))


@lru_cache(maxsize=64)  # where a column is missing it is missing in a million rows
def _nearest(name: str, columns: tuple[str, ...]) -> str | None:
    plain = {_plain(column): column for column in columns}
    near = get_close_matches(_plain(name), plain, n=1, cutoff=0.75)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold() or name


def listed(names: Iterable[str], *, meant: str = "") -> str:
    """Name columns in a message: not hundreds of them, but the one that was meant."""
    return _listed(tuple(names), meant)


@lru_cache(maxsize=64)
def _listed(names: tuple[str, ...], meant: str) -> str:
    shown = [printable(str(name)) for name in names]
    if len(shown) > _MOST_NAMES:
        near = nearest(meant, shown)
        first = [near] if near else []
        first += [name for name in shown if name != near][: _MOST_NAMES - len(first)]
        return f"{', '.join(first)} and {len(shown) - len(first)} more"
    return ", ".join(shown) or "nothing"


def _kind(value: object) -> str:
    kinds = {str: "a text", bool: "true or false", list: "a list", type(None): "a null"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else "a value")


def _as_form(source: str) -> tuple[str, tuple[str, ...]]:
    """Return a template as `%` has it, and the columns in its holes; none where it does more."""
    form, columns = "", list[str]()
    for node in _pieces(source):
        if isinstance(node, nodes.TemplateData):
            form += node.data.replace("%", "%%")
        elif isinstance(node, nodes.Name) and node.name != "record":  # which is all of them
            form += "%s"
            columns.append(node.name)
        else:
            return "", ()
    return form, tuple(columns)


def _has_holes(source: str) -> bool:
    return any(not isinstance(node, nodes.TemplateData) for node in _pieces(source))


def _pieces(source: str) -> Iterable[nodes.Node]:
    for output in _ENVIRONMENT.parse(source).body:
        yield from output.nodes if isinstance(output, nodes.Output) else (output,)


def syntax_problem(source: str) -> tuple[int, str] | None:
    """Return the line (from 1, within the template) of what can't be compiled, and why."""
    try:
        tree = _ENVIRONMENT.parse(source)
        _ENVIRONMENT.from_string(source)
        if other := next(tree.find_all(_OF_FILES), None):
            return other.lineno, "there are no other templates to include, import or extend"
    except TemplateSyntaxError as error:  # of it is the error for a filter that isn't there
        return error.lineno, error.message or "not a template"
    return None


def names_used(source: str) -> frozenset[str]:
    """Every name in a template: of variables, members (also in brackets) and filters."""
    tree = _ENVIRONMENT.parse(source)
    names = {node.name for node in tree.find_all(nodes.Name)}
    names |= {node.name for node in tree.find_all(nodes.Filter)}
    names |= {node.attr for node in tree.find_all(nodes.Getattr)}
    keys = (node.arg for node in tree.find_all(nodes.Getitem))
    return frozenset(names | {key.value for key in keys if isinstance(key, nodes.Const)})


def columns_used(source: str) -> frozenset[str]:
    """The columns that a template takes from a record, or from each of `records`."""
    tree = _ENVIRONMENT.parse(source)
    records = {"record"}
    records |= {
        _name_of(f.target) for f in tree.find_all(nodes.For) if _name_of(f.iter) == "records"
    }
    members = {one.attr for one in tree.find_all(nodes.Getattr) if _name_of(one.node) in records}
    items = [one for one in tree.find_all(nodes.Getitem) if _name_of(one.node) in records]
    members |= {one.arg.value for one in items if isinstance(one.arg, nodes.Const)}
    named = members | (find_undeclared_variables(tree) - _ENVIRONMENT.globals.keys())
    return frozenset(name for name in named - _OWN if isinstance(name, str))


_OWN = {"id", "row", "record", "records", *_METHODS}  #: of every template, and mostly no columns


def _name_of(node: nodes.Node | None) -> str:
    """The variable that a node is, or that it begins with: `records` of `records[:3] | list`."""
    while isinstance(node, nodes.Filter | nodes.Getitem):
        node = node.node
    return node.name if isinstance(node, nodes.Name) else ""
