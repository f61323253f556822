"""The shape of what is delivered: a line of results, a line of errors, the words of a rejection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from batchd.core.answers import Answer, parsed
from batchd.core.reading import Problem, Problems
from batchd.core.usage import Usage

SCHEMA = 1  #: of error.json and receipt.json; members are only ever added

_encode = msgspec.json.Encoder().encode


class _Error(msgspec.Struct):
    code: str
    message: str


class _Tokens(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    cached_tokens: int


class _Result(msgspec.Struct):
    custom_id: str
    ok: bool
    output: Any
    error: _Error | None
    finish_reason: str | None
    model: str | None
    usage: _Tokens | None
    attempts: int


class _Failed(msgspec.Struct):
    custom_id: str
    line: int
    error: _Error
    status: int | None
    attempts: int


class _FailedRecord(msgspec.Struct, omit_defaults=True):
    custom_id: str
    row: int
    error: _Error
    status: int | None
    attempts: int
    raw: str | None = None  #: what the model said, where it is not what was asked for


def result_line(answer: Answer, *, as_json: bool, attempts: int) -> bytes:
    """Render one line of results.jsonl. `as_json`: the request asked for a JSON answer."""
    ok = answer.code is None
    output = (parsed(answer.output) if as_json else answer.output) if ok else None
    return _encode(
        _Result(
            custom_id=answer.custom_id,
            ok=ok,
            output=output,
            error=None if ok else _Error(answer.code or "", answer.message or ""),
            finish_reason=answer.finish_reason,
            model=answer.model,
            usage=_tokens(answer.usage),
            attempts=attempts,
        )
    )


def error_line(answer: Answer, *, row: int, attempts: int) -> bytes:
    """Render one line of errors.jsonl; `row` is the line of the dropped file."""
    error = _Error(answer.code or "", answer.message or "")
    return _encode(_Failed(answer.custom_id, row, error, answer.status, attempts))


def record_error_line(answer: Answer, *, row: int, attempts: int) -> bytes:
    """Render one line of errors.jsonl of a table; `row` is the record's number."""
    error = _Error(answer.code or "", answer.message or "")
    told = _FailedRecord(answer.custom_id, row, error, answer.status, attempts, answer.raw)
    return _encode(told)


def _tokens(usage: Usage | None) -> _Tokens | None:
    if usage is None:
        return None
    return _Tokens(usage.input_tokens, usage.output_tokens, usage.cached_tokens)


def problems_as_dict(problems: Problems) -> dict[str, Any]:
    """Render error.json."""
    return {
        "schema": SCHEMA,
        "total": problems.total,
        "errors": [_problem(problem) for problem in problems.listed],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "line": problem.line,
        **({} if problem.row is None else {"row": problem.row}),
        "code": problem.code,
        "param": problem.param,
        "message": problem.message,
        "remedy": problem.remedy,
        "excerpt": problem.excerpt,
    }


def problems_as_text(name: str, problems: Mapping[str, Any], task: str = "") -> str:
    """Render error.txt: the first line says where, what, and what to do."""
    listed = problems["errors"]
    lines = [f"{_where(listed[0])}{listed[0]['message']}. {listed[0]['remedy']}", ""]
    lines += [f"{name} was not accepted. Nothing was sent, and nothing was paid."]
    lines += [f"Problems found: {problems['total']}", ""]
    for error in listed:
        lines += _paragraph(error)
    if problems["total"] > len(listed):
        lines += [f"... and {problems['total'] - len(listed)} more.", ""]
    where = f"inbox/{task}/" if task else "the inbox"
    lines += [f"The file is in input/. Mend it and drop it into {where} again."]
    return "\n".join(lines) + "\n"


def _where(error: Mapping[str, Any]) -> str:
    if row := error.get("row"):
        return f"row {row}: "
    return f"line {error['line']}: " if error["line"] else ""


def _paragraph(error: Mapping[str, Any]) -> list[str]:
    shown = [f"    {error['excerpt']}"] if error["excerpt"] else []
    return [
        f"{_where(error)}{error['message']}  [{error['code']}]",
        *shown,
        f"    {error['remedy']}",
        "",
    ]
