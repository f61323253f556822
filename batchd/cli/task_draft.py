"""The text of a new task: complete, so that it can be tried at once, and commented, to be changed."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batchd.core.names import printable
from batchd.core.records import Record
from batchd.core.templates import as_json

_MODEL = "gpt-5-nano"  # the cheapest that the provider's list of batch models has, 2026-11
_SHOWN = 60  #: characters of a value, as an example
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


def draft(name: str, sample: Sample, *, model: str | None) -> str:
    """Write it."""
    return (
        "\n".join([*_head(name, sample), *_model(model), *_prompt(sample), *_rest(sample)]) + "\n"
    )


def _head(name: str, sample: Sample) -> Iterator[str]:
    many = "" if len(sample.columns) == 1 else "s"
    yield f"# {name}: say here what it is for."
    yield "#"
    yield f"# Takes: a table with the column{many} of {_comment(sample.file)}, from which it was made."
    yield "# Adds:  answer."
    yield f"# Check it: batchd task check {name} FILE; try it: batchd task try {name} FILE --rows 3"
    yield "#"
    yield "# Every key of a task file is explained in docs/tasks.md."
    yield ""
    yield 'description = ""'
    yield ""


def _model(model: str | None) -> Iterator[str]:
    if model is None:
        yield "# As the provider calls it: it decides how good an answer is, and what a row costs."
        yield f'model = "{_MODEL}"'
    else:
        yield f"# What [defaults] says, {_comment(model)}, unless another one is named here."
        yield f'# model = "{_MODEL}"'
    yield ""
    yield "# What holds for every row: who the model is, the rules, examples. What begins alike is cached"
    yield "# by the provider, and costs less."
    yield "system = '''"
    yield "You answer from what you are given, and from nothing else."
    yield "'''"
    yield ""


def _prompt(sample: Sample) -> Iterator[str]:
    yield "# What is asked of each row. A column stands between braces; `| shorten(2000)` cuts a long"
    yield '# text at a word\'s end, `| default("")` is for one that may be missing. What a row of the'
    yield f"# sample has ({_comment(sample.file)}):"
    yield "#"
    names = {column: _name(column) for column in sample.columns}
    wide = max(map(len, names.values()), default=0)
    for column, name in names.items():
        yield f"#   {{{{ {name} }}}}{'':<{wide - len(name)}}  {_example(sample.texts(column))}".rstrip()
    yield "prompt = '''"
    yield "What is to be said of this?"
    yield ""
    for column, name in names.items():
        yield f"{_label(column)}: {{{{ {name}{_filters(sample, column)} }}}}"
    yield "'''"
    yield ""
    yield "# Several rows can share a request, where the instructions are longer than a row. The prompt"
    yield "# then has `records`: {% for record in records %}{{ record.id }}: ... {% endfor %}"
    yield "# records_per_request = 10"
    yield ""


def _rest(sample: Sample) -> Iterator[str]:
    yield "# Passed to the model as they are. A limit keeps an answer without end from being paid for."
    yield "[parameters]"
    yield "max_completion_tokens = 1000"
    yield ""
    yield "[input]"
    yield "# The column that tells rows apart, in answers and in errors; without it, the row's number."
    if (column := _id_column(sample)) is not None:
        yield f"id = {_toml(column)}"
    else:
        yield '# id = "id"'
    yield ""
    yield "[output]"
    yield "# Where the answer's text goes. With a schema, each of its properties is a column instead:"
    yield 'column = "answer"'
    yield "#"
    yield "# [output.schema]"
    yield '# type = "object"'
    yield "# additionalProperties = false"
    yield '# required = ["reason", "fits"]'
    yield "#"
    yield "# [output.schema.properties.reason]"
    yield '# type = "string"'
    yield '# description = "Why, in one sentence"'
    yield "#"
    yield "# [output.schema.properties.fits]"
    yield '# type = "boolean"'


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
