"""What `--json` says, as types: `docs/schemas/` is drawn from them. They only ever grow.

Commands whose answers are not messages of the control API say plain dicts; these are their shapes.
A test holds each against what the command really says. A member with a default may be absent.
"""

from __future__ import annotations

from typing import Any

import msgspec

from batchd.control.messages import Jobs, Shape, Shown
from batchd.control.task_shapes import TaskList, TaskTry


class Daemon(Shape, frozen=True):
    """Who serves the root. Times are RFC 3339, in UTC."""

    running: bool
    pid: int | None
    since: str | None
    version: str
    watcher: str  #: "inotify", or "scan only: " and why


class InboxCounts(Shape, frozen=True):
    """How many files of the inbox have which reason."""

    waiting: dict[str, int]
    ignored: dict[str, int]
    trouble: str | None  #: why it can't be listed
    tasks: dict[str, int]  #: how many of those that wait lie in which task's folder


class JobCounts(Shape, frozen=True):
    """How many jobs there are: by standing, and by outcome."""

    on_their_way: dict[str, int]
    ended: dict[str, int]


class OpenBatch(Shape, frozen=True):
    """A batch at the provider."""

    batch: str
    status: str
    completed: int
    requests: int
    opened_at: str | None
    shard: str
    name: str


class OpenBatches(Shape, frozen=True):
    """All of them, the oldest first."""

    max_open: int
    open: list[OpenBatch]


class Queue(Shape, frozen=True):
    """A model's queue, in tokens."""

    queued: int
    limit: int | None  #: null where nobody knows of one


class Admission(Shape, frozen=True):
    """What stands against the account's limits."""

    created_within_the_hour: int
    max_per_hour: int
    tokens: dict[str, Queue]


class HealthItem(Shape, frozen=True):
    """One thing that is not well."""

    code: str
    severity: str
    since: str | None
    text: str
    fix: str  #: a command
    count: int


class Waits(Shape, frozen=True):
    """How many files or jobs have one reason."""

    code: str
    standing: str
    count: int
    sentence: str
    setting: str | None
    example: str


class Budget(Shape, frozen=True):
    """How the budget stands, in US dollars; null is no limit."""

    spent_today: float
    spent_this_month: float
    under_way: float
    unpriced_under_way: int
    per_job: float | None
    per_day: float | None
    per_month: float | None


class Status(Shape, frozen=True):
    """`batchd status --json`."""

    schema: int
    root: str
    daemon: Daemon
    inbox: InboxCounts
    paused: dict[str, str]  #: what rests, on whose word
    jobs: JobCounts
    batches: OpenBatches
    admission: Admission
    health: list[HealthItem]
    waits: list[Waits]
    last_problem: dict[str, Any] | None  #: a line of the log
    budget: Budget | None
    source: str  #: who says so: the daemon, or the ledger where none can be asked


class Setting(Shape, frozen=True):
    """A setting, its value, and who has set it."""

    name: str
    value: Any
    origin: str


class Why(Shape, frozen=True):
    """`batchd why --json`."""

    schema: int
    standing: str
    code: str  #: see docs/reasons.md
    sentence: str
    facts: dict[str, Any]
    setting: Setting | None
    path: str | None
    job: str | None
    name: str | None
    claimed_at: str | None
    shard: str | None
    batch: str | None
    older: list[str]
    daemon: Daemon
    source: str


class Cost(Shape, frozen=True):
    """What is expected to be paid; null is unknown, never 0."""

    amount: float
    direct: float | None
    saving: float | None
    currency: str


class CheckedKind(Shape, frozen=True):
    """What a file asks of one model at one endpoint."""

    model: str
    endpoint: str
    requests: int
    batches: int
    inputs: int
    input_tokens: int
    output_tokens: int
    cost: Cost | None


class Repairs(Shape, frozen=True):
    """What is mended by rule."""

    bom: bool
    crlf_lines: int
    blank_lines: int


class Warned(Shape, frozen=True):
    """Something odd that is sent all the same."""

    code: str
    total: int
    lines: list[int]
    message: str
    detail: str
    remedy: str


class Mistake(Shape, frozen=True):
    """Why a line is not accepted."""

    line: int | None
    code: str
    param: str | None
    message: str
    remedy: str
    excerpt: str | None
    row: int | msgspec.UnsetType = msgspec.UNSET  #: of a table: the record's number


class Mistakes(Shape, frozen=True):
    """At most twenty of them, and how many there are."""

    schema: int
    total: int
    errors: list[Mistake]


class CheckedFile(Shape, frozen=True):
    """One file. Of one that could not be read there are only `file`, `fate` and `trouble`."""

    file: str
    fate: str
    trouble: str | msgspec.UnsetType = msgspec.UNSET
    bytes: int | msgspec.UnsetType = msgspec.UNSET
    inflated_bytes: int | msgspec.UnsetType | None = msgspec.UNSET
    sha256: str | msgspec.UnsetType = msgspec.UNSET
    requests: int | msgspec.UnsetType = msgspec.UNSET
    batches: int | msgspec.UnsetType = msgspec.UNSET
    cuts: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    verbatim: bool | msgspec.UnsetType = msgspec.UNSET
    kinds: list[CheckedKind] | msgspec.UnsetType = msgspec.UNSET
    input_tokens: int | msgspec.UnsetType = msgspec.UNSET
    counted_requests: int | msgspec.UnsetType = msgspec.UNSET
    output_tokens: int | msgspec.UnsetType = msgspec.UNSET
    cost: Cost | msgspec.UnsetType | None = msgspec.UNSET
    budget: list[str] | msgspec.UnsetType = msgspec.UNSET
    repairs: Repairs | msgspec.UnsetType = msgspec.UNSET
    warnings: list[Warned] | msgspec.UnsetType = msgspec.UNSET
    problems: Mistakes | msgspec.UnsetType = msgspec.UNSET
    note: str | msgspec.UnsetType = msgspec.UNSET
    task: str | msgspec.UnsetType = msgspec.UNSET  #: by which a table is read; what follows, too
    records: int | msgspec.UnsetType = msgspec.UNSET
    records_per_request: int | msgspec.UnsetType = msgspec.UNSET
    columns: list[str] | msgspec.UnsetType = msgspec.UNSET
    added_columns: list[str] | msgspec.UnsetType = msgspec.UNSET
    first_request: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


class Check(Shape, frozen=True):
    """`batchd check --json`, and `batchd task check --json`."""

    schema: int
    prices: str
    files: list[CheckedFile]


class SpentOn(Shape, frozen=True):
    """What was spent, in US dollars, of what has a price."""

    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: float
    saving: float
    unpriced: int


class SpentLine(SpentOn, frozen=True):
    """The same, of one day, model or task."""

    key: str


class Spend(Shape, frozen=True):
    """`batchd spend --json`."""

    schema: int
    by: str
    currency: str
    lines: list[SpentLine]
    total: SpentOn
    budget: Budget
    source: str


class Finding(Shape, frozen=True):
    """One thing that was looked at."""

    stage: str
    result: str  #: ok, warning or wrong
    text: str
    fix: str | None
    by: str  #: who looked: this command, or the daemon as its own user


class Findings(Shape, frozen=True):
    """`batchd config check --json` and `batchd doctor --json`."""

    schema: int
    result: str
    findings: list[Finding]


class ConfigShow(Shape, frozen=True):
    """`batchd config show --json`."""

    schema: int
    file: str | None
    key_from: str | None
    settings: list[Setting]
    source: str  #: whose they are: the daemon's, as it runs; or this command's own


class Version(Shape, frozen=True):
    """`batchd version --json`."""

    schema: int
    batchd: str
    python: str
    openai: str
    sqlite: str


class Waited(Shape, frozen=True):
    """One of the jobs that were waited for."""

    job: str
    file: str
    state: str
    outcome: str | None  #: null while it is on its way
    folder: str | None  #: in outbox/


class Wait(Shape, frozen=True):
    """`batchd wait --json`: its exit code says the same in a number."""

    schema: int
    jobs: list[Waited]


#: By the command, with dashes for spaces: the names of the files in docs/schemas.
SHAPES: dict[str, type[msgspec.Struct]] = {
    "status": Status,
    "jobs": Jobs,
    "show": Shown,
    "why": Why,
    "check": Check,
    "spend": Spend,
    "config-check": Findings,
    "config-show": ConfigShow,
    "doctor": Findings,
    "task-check": Check,
    "task-list": TaskList,
    "task-try": TaskTry,
    "version": Version,
    "wait": Wait,
}


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what a command says."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"batchd {name.replace('-', ' ')} --json",
        **msgspec.json.schema(SHAPES[name]),
    }
