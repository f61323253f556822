"""How `batchd check` and `batchd task check` show a file to a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from batchd.control.checking import CUT_BY, Checked, Fate
from batchd.core.problems import CAUTIONS, Problem
from batchd.core.records import Layout
from batchd.core.usage import Charge
from batchd.core.words import size
from batchd.settings import Settings
from batchd.spool.examining import Examined

_LABEL = 12
_INDENT = "  " + " " * _LABEL
_MOST_COLUMNS = 30  #: named one by one
_MOST_TEXT = 40  #: lines of a prompt: what is longer is whole in --json
_MOST_PARAMETER = 200  #: characters: a schema has thousands
_WOULD = {
    Fate.ACCEPTED: "would be accepted",
    Fate.HELD: "would be held by the budget",
    Fate.REJECTED: "would be rejected",
}


def lines_of(checked: Checked, settings: Settings) -> Iterator[str]:
    """Show what was found."""
    found = checked.examined
    if found is None:
        yield f"{checked.path}: {checked.trouble}"
        return
    yield f"{checked.path} ({size(found.size)}): {_WOULD[checked.fate]}"
    if checked.note:
        yield _line("name", f"left alone in the inbox: {checked.note}")
    if found.inflated is not None and not found.problems.total:
        yield _line("inflated", size(found.inflated))
    yield from _table(checked, found)
    yield from _requests(checked)
    if checked.fate is not Fate.REJECTED:
        yield from _plan(checked, found, settings)
    yield from _repairs(found)
    yield from _warnings(found)
    yield from _problems(found)
    yield from _first_request(found)


def _line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}"


def _table(checked: Checked, found: Examined) -> Iterator[str]:
    """What it is read by, and as what."""
    task = checked.task
    if task is None:
        return
    yield _line("task", task.name + (f": {task.description}" if task.description else ""))
    if found.layout is not None:
        yield _line("table", _layout(found.layout))
    if columns := found.layout.columns if found.layout else ():
        yield _line("columns", _listed(columns))
    if added := checked.added_columns:
        yield _line("adds", _listed(added))
    if found.records:
        group = task.records_per_request
        each = f", {group} in a request" if group > 1 else ", each a request"
        yield _line("records", f"{found.records:,}{each}")


def _layout(layout: Layout) -> str:
    told: list[str] = [layout.format]
    if layout.format in ("csv", "tsv"):
        told.append(f"fields end with {json.dumps(layout.delimiter)}")
    if layout.format in ("csv", "tsv", "text", "json", "jsonl"):
        told.append(f"{layout.encoding}{' (guessed)' if layout.is_guessed else ''}")
    if layout.sheet:
        told.append(f"sheet {layout.sheet}")
    return ", ".join(told)


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - _MOST_COLUMNS} more" if len(names) > _MOST_COLUMNS else ""
    return ", ".join(names[:_MOST_COLUMNS]) + more


def _requests(checked: Checked) -> Iterator[str]:
    for number, kind in enumerate(checked.kinds):
        texts = f", {kind.inputs:,} texts" if kind.inputs else ""
        yield _line(
            "" if number else "requests",
            f"{kind.requests:,} to {kind.model}, {kind.endpoint}{texts}",
        )


def _plan(checked: Checked, found: Examined, settings: Settings) -> Iterator[str]:
    yield _line("batches", f"{len(found.shards):,}: {_why(checked, found)}")
    yield _line("input", f"{checked.input_tokens:,} tokens, {_how_counted(found)}")
    yield _line("output", _output(checked, found, settings))
    yield _line("cost", _cost(checked.cost))
    for sentence in checked.budget:
        yield _line("budget", f"{sentence}; held until batchd release JOB")


def _why(checked: Checked, found: Examined) -> str:
    kinds = len(checked.kinds)
    one = "one model, one endpoint, within all limits"
    several = f"one for each of {kinds} combinations of model and endpoint"
    reasons = [several if kinds > 1 else one if not found.cuts else "one model, one endpoint"]
    reasons += [
        f"cut {'once' if times == 1 else f'{times:,} times'} by {CUT_BY[limit]}"
        for limit, times in found.cuts.items()
    ]
    as_it_is = "as it lies" if found.inflated is None else "inflated, as it is"
    reasons += [f"the file travels {as_it_is}"] if found.verbatim else []
    return "; ".join(reasons)


def _how_counted(found: Examined) -> str:
    if not found.is_counted:
        return "estimated: a quarter of the bytes (batches.count_tokens)"
    if found.exact == found.requests:
        return "exact: counted with the model's vocabulary"
    rest = found.requests - found.exact
    return f"estimated: {rest:,} requests have more than texts, or a model of another vocabulary"


def _output(checked: Checked, found: Examined, settings: Settings) -> str:
    unlimited = found.warnings.counts().get("no_output_limit", 0)
    each = f"budget.output_tokens = {settings.budget.output_tokens:,} for each of {unlimited:,}"
    whose = f", with {each} without a limit" if unlimited else ""
    return f"{checked.output_tokens:,} tokens expected{whose}"


def _cost(cost: Charge) -> str:
    if cost.batch is None:
        return "unknown: not every model has a price ([prices] takes your own)"
    if cost.direct is None:
        return f"{_dollars(cost.batch)} USD expected; what direct calls cost is not known"
    saving = _dollars(cost.direct - cost.batch)
    return f"{_dollars(cost.batch)} USD expected; {saving} less than direct calls"


def _dollars(cost: float) -> str:
    return "under 0.0001" if 0 < cost < 0.0001 else f"{cost:,.4f}"


def _repairs(found: Examined) -> Iterator[str]:
    repairs = found.repairs
    for count, what in (
        (repairs.bom, "the byte order mark is left out"),
        (repairs.crlf_lines, f"{repairs.crlf_lines:,} lines end with CR and LF; LF is sent"),
        (repairs.blank_lines, f"{repairs.blank_lines:,} blank lines are left out"),
    ):
        if count:
            yield _line("mended", what)


def _warnings(found: Examined) -> Iterator[str]:
    for code, warned in found.warnings.by_code.items():
        lines = ", ".join(f"{line:,}" for line in warned.lines)
        more = ", ..." if warned.total > len(warned.lines) else ""
        word = "line" if found.records is None else "row"
        where = f"{word}{'s' if warned.total > 1 else ''} {lines}{more}"
        detail = f" ({warned.detail})" if warned.detail else ""
        yield _line("warning", f"{code}, {warned.total:,} of {found.requests:,} ({where})")
        yield f"{_INDENT}{CAUTIONS[code].message}{detail}. {CAUTIONS[code].remedy}"


def _problems(found: Examined) -> Iterator[str]:
    problems = found.problems
    if not problems.total:
        return
    counted = f"{problems.total:,}" if problems.total > 1 else "one"
    yield _line("errors", f"{counted} in all; nothing of the file would be sent")
    for problem in problems.listed:
        yield from _problem(problem)
    if problems.total > len(problems.listed):
        yield f"{_INDENT}... and {problems.total - len(problems.listed):,} more"


def _problem(problem: Problem) -> Iterator[str]:
    where = f"line {problem.line:,}: " if problem.line else ""
    where = f"row {problem.row:,}: " if problem.row else where
    yield _line("", f"{where}{problem.message}  [{problem.code}]")
    if problem.excerpt:
        yield f"{_INDENT}    {problem.excerpt}"
    yield f"{_INDENT}    {problem.remedy}"


def _first_request(found: Examined) -> Iterator[str]:
    """As the model will see it: a person judges a prompt by reading it, not by its JSON."""
    if not found.example:
        return
    body = dict(json.loads(found.example)["body"])
    yield _line("first", "request, as the model sees it:")
    for who, text in _said(body):
        lines = text.splitlines() or [""]
        for number, line in enumerate(lines[:_MOST_TEXT]):
            yield f"    {who if number == 0 else '':<{_LABEL - 2}}| {line}".rstrip()
        if len(lines) > _MOST_TEXT:
            yield f"    {'':<{_LABEL - 2}}| ... {len(lines) - _MOST_TEXT:,} more lines (--json)"
    for name, value in body.items():
        shown = json.dumps(value, ensure_ascii=False)
        cut = shown if len(shown) <= _MOST_PARAMETER else f"{shown[:_MOST_PARAMETER]}..."
        yield f"    {name:<{_LABEL - 3}} = {cut}"


def _said(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Take out of a body what is said, and who says it."""
    for message in body.pop("messages", ()):
        yield message["role"], _text(message["content"])
    if "instructions" in body:
        yield "system", _text(body.pop("instructions"))
    if "input" in body:
        yield "input", _text(body.pop("input"))


def _text(content: Any) -> str:
    """Parts of a message, or several texts, one below the other."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        told = content.get("text") or content.get("content") or content.get("image_url")
        return _text(told["url"] if isinstance(told, Mapping) else told)
    return "\n".join(map(_text, content)) if isinstance(content, list) else str(content)
