"""The text of a new task: complete, so that it can be tried at once, and commented, to be changed."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from string import Template

from batchd.core.names import printable
from batchd.core.records import Record
from batchd.core.tasks import TaskInput
from batchd.core.templates import as_json
from batchd.tables import find_layout, records_of

_MODEL = "gpt-5-nano"  # the cheapest that the provider's list of batch models has, 2026-11
_SHOWN = 60  #: characters of a value, as an example
_LOOKED_AT = 200  #: records: enough to see which column tells them apart
_LONG = 400  #: characters: a text that may be longer than a prompt needs
_JINJA = frozenset(
    [
        "and",
        "block",
        "call",
        "cycler",
        "dict",
        "else",
        "endfor",
        "endif",
        "extends",
        "filter",
        "for",
        "if",
        "import",
        "in",
        "include",
        "is",
        "joiner",
        "lipsum",
        "loop",
        "macro",
        "namespace",
        "none",
        "not",
        "or",
        "range",
        "record",
        "self",
        "set",
        "true",
        "false",
        "with",
    ]
)
#: `id`, `job_id`, `Order Number`, `jobId`; not `paid`.
_IDS = re.compile(r"(?i:(?:^|[^a-z])(?:id|number|key|uuid|sku))$|[a-z](?:Id|ID|Number|Key)$")


@dataclass(frozen=True, slots=True)
class Sample:
    """What a task is made from."""

    file: str
    columns: tuple[str, ...]
    records: Sequence[Record]

    def texts(self, column: str) -> list[str]:
        """The column's values, as a prompt would have them."""
        found = (record.fields.get(column) for record in self.records)
        return [one if isinstance(one, str) else "" if one is None else as_json(one) for one in found]  # fmt: skip


#: What a draft says. Every key of a task file that is of use to a beginner stands there once.
_DRAFT = Template("""\
# $name: say here what it is for.
#
# Takes: a table with the $column_word of $file, from which it was made.
# Adds:  answer.
# Check it: batchd task check $name FILE; try it: batchd task try $name FILE --rows 3
#
# Every key of a task file is explained in docs/tasks.md.

description = ""

$model

# What holds for every row: who the model is, the rules, examples. What begins alike is cached
# by the provider, and costs less.
system = '''
You answer from what you are given, and from nothing else.
'''

# What is asked of each row. A column stands between braces; `| shorten(2000)` cuts a long
# text at a word's end, `| default("")` is for one that may be missing. What a row of the
# sample has ($file):
#
$columns
prompt = '''
What is to be said of this?

$questions
'''

# Several rows can share a request, where the instructions are longer than a row. The prompt
# then has `records`: {% for record in records %}{{ record.id }}: ... {% endfor %}
# records_per_request = 10

# Passed to the model as they are. A limit keeps an answer without end from being paid for.
[parameters]
max_completion_tokens = 1000

[input]
# The column that tells rows apart, in answers and in errors; without it, the row's number.
$id

[output]
# Where the answer's text goes. With a schema, each of its properties is a column instead:
column = "answer"
#
# [output.schema]
# type = "object"
# additionalProperties = false
# required = ["reason", "fits"]
#
# [output.schema.properties.reason]
# type = "string"
# description = "Why, in one sentence"
#
# [output.schema.properties.fits]
# type = "boolean"
""")
_MODEL_HERE = """\
# As the provider calls it: it decides how good an answer is, and what a row costs.
model = "{model}\""""
_MODEL_ELSEWHERE = """\
# What [defaults] says, {default}, unless another one is named here.
# model = "{model}\""""


def sample_of(path: Path) -> Sample:
    """Read what a task is made from. Raises `BadTable`."""
    layout = find_layout(path, TaskInput(), name=path.name, pause=lambda: None)
    records = list(islice(records_of(path, layout, pause=lambda: None), _LOOKED_AT))
    return Sample(path.name, layout.columns or _members(records), records)


def _members(records: Sequence[Record]) -> tuple[str, ...]:
    """Objects have no header: the members that any of them has, in the order they are met."""
    return tuple(dict.fromkeys(name for record in records for name in record.fields))


def draft(name: str, sample: Sample, *, model: str | None) -> str:
    """Write it."""
    names = {column: _name(column) for column in sample.columns}
    column = _id_column(sample)
    return _DRAFT.substitute(
        name=name,
        file=_comment(sample.file),
        column_word="column" if len(names) == 1 else "columns",
        model=_model(model),
        columns="\n".join(_examples(sample, names)),
        questions="\n".join(_questions(sample, names)),
        id='# id = "id"' if column is None else f"id = {_toml(column)}",
    )


def _model(default: str | None) -> str:
    if default is None:
        return _MODEL_HERE.format(model=_MODEL)
    return _MODEL_ELSEWHERE.format(model=_MODEL, default=_comment(default))


def _examples(sample: Sample, names: Mapping[str, str]) -> Iterator[str]:
    """How each column is written in a template, and what a row has there."""
    wide = max(map(len, names.values()), default=0)
    for column, name in names.items():
        written = f"{{{{ {name} }}}}{'':<{wide - len(name)}}"
        yield f"#   {written}  {_example(sample.texts(column))}".rstrip()


def _questions(sample: Sample, names: Mapping[str, str]) -> Iterator[str]:
    for column, name in names.items():
        yield f"{_label(column)}: {{{{ {name}{_filters(sample, column)} }}}}"


def _name(column: str) -> str:
    """How a template names a column."""
    is_plain = column.isidentifier() and column.isascii()
    if is_plain and column not in _JINJA and not keyword.iskeyword(column):
        return column
    # An apostrophe could end the TOML text around it, and a brace the expression.
    text = json.dumps(column, ensure_ascii=False)
    for letter in "'{}%":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return f"record[{_controls(text)}]"


def _controls(text: str) -> str:
    """TOML has no place for control characters; JSON spells out all but DEL and its like."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in text)  # fmt: skip


def _label(column: str) -> str:
    """A column's name for a person, and never a piece of template."""
    label = printable(column).replace("_", " ").strip().translate(_NO_TEMPLATE)
    return (label[:1].upper() + label[1:]).replace("'''", "'") or "Text"


_NO_TEMPLATE = {ord(letter): None for letter in "{}%#"}


def _filters(sample: Sample, column: str) -> str:
    texts = sample.texts(column)
    is_long = max(map(len, texts), default=0) > _LONG
    is_missing = any(column not in record.fields for record in sample.records)
    return (' | default("")' if is_missing else "") + (" | shorten(4000)" if is_long else "")


def _example(texts: Sequence[str]) -> str:
    found = next((" ".join(text.split()) for text in texts if text.strip()), "")
    return _comment(found if len(found) <= _SHOWN else f"{found[:_SHOWN]}...")


def _id_column(sample: Sample) -> str | None:
    """The first column that is called like an id and differs in every row."""
    for column in sample.columns:
        texts = sample.texts(column)
        looks_so = _IDS.search(column)
        if looks_so and all(text.strip() for text in texts) and len(set(texts)) == len(texts) > 1:
            return column
    return None


def _comment(text: str) -> str:
    """On one line, and nothing in it that TOML refuses in a comment."""
    return "".join(c for c in printable(text) if c >= " " and c != "\x7f")


def _toml(text: str) -> str:
    """A basic string: TOML's escapes are JSON's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
