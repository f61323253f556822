"""The faults that can be switched on, at the start and while the sandbox runs.

| name | value | what happens |
|---|---|---|
| `http` | list of rules, see below | calls are refused, lost, slowed down or cut off |
| `cut_after_bytes` | number | downloads break off after so many bytes |
| `cut_times` | number | only so many downloads break off |
| `chunked_content` | true | downloads come without a Content-Length |
| `bytes_per_second` | number | downloads drip |
| `ranges` | true | downloads offer to be resumed (Accept-Ranges, ETag) |
| `not_found_times` | number | each file is 404 for its first so many downloads |
| `listing_lag_seconds` | seconds | a new batch is in the list only after so long |
| `hide_from_list` | true | batches created meanwhile never appear in the list |
| `cannot_find_file` | `"batch"`, `"http"` or `{"mode", "times"}` | the input file is not found: the batch fails, or 400 |
| `enqueued_token_limit` | number, or `{model: number}` | more enqueued tokens fail the batch |
| `request_faults` | list of rules, see below | requests inside batches fail |
| `answer_faults` | list of rules, see below | answers in JSON come out wrong |
| `in_output_file` | true | failed requests are written to the output file |
| `expire_after_fraction` | 0 to 1 | batches expire with so much of them executed |
| `expire_times` | number | only so many batches expire |
| `drop_lines_rate` | 0 to 1 | so many answers are missing from the files |
| `duplicate_lines_rate` | 0 to 1 | so many answers are written twice |
| `unknown_lines_rate` | 0 to 1 | so many answers are followed by one nobody asked for |
| `fail_with` | `{"code", "message", "param", "line", "times"}` | batches fail with this error |
| `stuck_finalizing_seconds` | seconds | batches stay `finalizing` so much longer |
| `status_word` | `{"word", "seconds"}` | batches show this status for so long after creation |
| `vanish` | true, or a list of batch ids | batches are unknown: 404, and in no list |
| `empty_file_ids` | true | `""` instead of null for a file that does not exist |
| `creates_per_hour` | number (2,000) | more creations are answered 429 |
| `creates_retry_after` | seconds (60) | the Retry-After of that 429 |
| `batch_seconds_by_model` | `{model: seconds}` | how long batches of a model take |
| `unknown_models` | list of names | models that are not found, besides `no-such-...` |
| `lenient_uploads` | true | uploads are taken whatever is in them |

`null` switches a fault off. What is set strikes what begins after it: a call, a download, a
batch on its creation, its requests when it enters `in_progress`.

A rule of http; the first that wants a call decides over it:

| member | value | what it means |
|---|---|---|
| `.route` | `"POST /v1/batches"`, `"GET /v1/batches/{id}"`, `"GET *"` | the calls it is for |
| `.status` | number | is answered, instead of what the call would answer |
| `.before` | true, or false | false: the call takes effect, its answer is lost |
| `.disconnect` | `"before"` or `"after"` | the connection drops, before or after the call takes effect |
| `.times` | number | it happens only so often |
| `.skip` | number | it spares the first so many calls |
| `.rate` | 0 to 1 | it happens to this share of the calls |
| `.retry_after` | seconds | sent as Retry-After |
| `.x_should_retry` | true or false | sent as x-should-retry |
| `.html` | true | the body is a proxy's page (with any status, or 200) |
| `.delay_seconds` | seconds | the call waits, before anything else |
| `.code`, `.message` | text | of the error body |

A rule of request_faults; the first that matches a request decides over it:

| member | value | what it means |
|---|---|---|
| `.custom_ids` | list | the requests it is for... |
| `.rate` | 0 to 1 | ...or a share of them, the same ones every time |
| `.status` | number (500) | with which they fail |
| `.times` | number | only their first so many executions fail |
| `.code`, `.message` | text | of the error body |

A rule of answer_faults; each that matches strikes. An id is that of a record where a request asks
about several, else the request's own:

| member | value | what it means |
|---|---|---|
| `.what` | `"drop"`, `"repeat"` or `"invent"` | a record's entry is missing, comes twice, or has one of nobody's behind it... |
| `.what` | `"misfit"` | ...or the answer does not fit its schema... |
| `.what` | `"not_json"` | ...or breaks off in the middle; of the request, however many records it has |
| `.ids` | list | whose answers... |
| `.rate` | 0 to 1 | ...or a share of them, the same ones every time |
| `.times` | number | only their first so many answers |
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class HttpRule(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One thing that goes wrong with calls of a route."""

    route: str = "*"  #: "POST /v1/batches", "GET /v1/batches/{id}", "GET *"
    status: int | None = None  #: the answer; None lets the call's own answer through
    disconnect: Literal["before", "after"] | None = (
        None  #: drop the connection, before or after acting
    )
    before: bool = True  #: false: `status` is answered after the call took effect
    times: int | None = None  #: how often it still happens; None is always
    skip: int = 0  #: the next so many calls are spared
    rate: float = 1.0  #: the share of calls it happens to
    retry_after: float | None = None  #: seconds
    x_should_retry: bool | None = None
    html: bool = False  #: the body is a proxy's page
    delay_seconds: float = 0.0  #: before anything else
    code: str | None = None  #: of the error body
    message: str | None = None


class RequestRule(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Requests inside batches that fail. The first rule that matches a request decides."""

    status: int = 500
    rate: float = 0.0  #: the share of custom_ids; the same ones every time
    custom_ids: list[str] = []
    times: int | None = None  #: for each custom_id, its first so many executions; None is always
    code: str | None = None
    message: str | None = None


class AnswerRule(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One way in which answers in JSON come out wrong. Each rule that matches strikes."""

    what: Literal["drop", "repeat", "invent", "misfit", "not_json"]
    ids: list[str] = []  #: of records, where a request has several, else its custom_id
    rate: float = 0.0  #: the share of ids; the same ones every time
    times: int | None = None  #: for each id, its first so many answers; None is always


class CannotFind(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    mode: Literal["batch", "http"] = "batch"
    times: int | None = None


class Failure(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    code: str
    message: str = "The batch failed."
    param: str | None = None
    line: int | None = None
    times: int | None = None


class StatusWord(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    word: str
    seconds: float


class Faults(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The vocabulary of the table above, and at the same time what is switched on."""

    http: list[HttpRule] = []
    cut_after_bytes: int | None = None
    cut_times: int | None = None
    chunked_content: bool = False
    bytes_per_second: float | None = None
    ranges: bool = False
    not_found_times: int = 0
    listing_lag_seconds: float = 0.0
    hide_from_list: bool = False
    cannot_find_file: CannotFind | Literal["batch", "http"] | None = None
    enqueued_token_limit: int | dict[str, int] | None = None
    request_faults: list[RequestRule] = []
    answer_faults: list[AnswerRule] = []
    in_output_file: bool = False
    expire_after_fraction: float | None = None
    expire_times: int | None = None
    drop_lines_rate: float = 0.0
    duplicate_lines_rate: float = 0.0
    unknown_lines_rate: float = 0.0
    fail_with: Failure | None = None
    stuck_finalizing_seconds: float = 0.0
    status_word: StatusWord | None = None
    vanish: bool | list[str] = False
    empty_file_ids: bool = False
    creates_per_hour: int = 2000
    creates_retry_after: float = 60.0
    batch_seconds_by_model: dict[str, float] = {}
    unknown_models: list[str] = []
    lenient_uploads: bool = False


NAMES = tuple(field.name for field in msgspec.structs.fields(Faults))


def vocabulary() -> dict[str, list[tuple[str, str, str]]]:
    """The tables above by the line before them; their rows: name, value, what happens."""
    tables: dict[str, list[tuple[str, str, str]]] = {}
    heading = ""
    for line in (__doc__ or "").splitlines():
        if line.startswith("| `"):
            tables.setdefault(heading, []).append(_cells(line))
        elif line and not line.startswith("|"):
            heading = line
    return tables


def _cells(row: str) -> tuple[str, str, str]:
    name, value, what = (cell.strip().replace("`", "") for cell in row.strip("|").split("|"))
    return name, value, what


class UnknownFault(ValueError):
    """The vocabulary has no such fault, or it cannot have this value."""


def changed(faults: Faults, changes: dict[str, Any]) -> Faults:
    """`faults` with the given names set anew; null takes one back to its default."""
    given = {name: value for name, value in changes.items() if value is not None}
    dropped = set(changes) - set(given)
    kept = {
        name: value for name, value in msgspec.to_builtins(faults).items() if name not in dropped
    }
    try:
        if unknown := dropped - set(NAMES):
            raise UnknownFault(f"no such fault: {', '.join(sorted(unknown))}")
        return msgspec.convert(kept | given, Faults)
    except msgspec.ValidationError as error:
        raise UnknownFault(str(error)) from error


def use_one(times: int | None) -> tuple[bool, int | None]:
    """Whether something limited to so many times still happens, and how often after this."""
    if times is None:
        return True, None
    return times > 0, max(times - 1, 0)
