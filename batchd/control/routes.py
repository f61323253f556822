"""The control API's routes: what is asked where, and what comes back. Served, and described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from batchd.control import log_pages
from batchd.control.listing import MOST, STATES, USUAL
from batchd.control.log_wanted import LEVELS
from batchd.control.messages import (
    MOST_ROWS,
    USUAL_ROWS,
    Jobs,
    Logged,
    Message,
    Reloaded,
    Rest,
    Said,
    Shown,
    Standing,
    Wish,
)
from batchd.control.report import Report
from batchd.control.shapes import Check, ConfigShow, Findings, Spend, Status, Why
from batchd.control.spend import By
from batchd.control.task_shapes import Draft, Recipe, TaskList, Tried


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something in the address after the question mark."""

    name: str
    sentence: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked."""

    name: str
    method: str
    path: str
    sentence: str
    answer: type[msgspec.Struct]  #: a message, or the shape of a command's --json
    body: type[Message] | None = None
    parameters: tuple[Parameter, ...] = ()
    seconds: float = 10.0  #: for one answer; a list of a thousand jobs takes a tenth of one
    takes_file: bool = False  #: the body is a file's bytes
    in_lines: bool = False  #: of such answers comes one after the other, a line each


_FILTERS = (
    Parameter("state", "Only jobs in this state, or that ended so.", {"enum": list(STATES)}),
    Parameter(
        "since",
        "Only jobs taken then or later, in seconds since the epoch.",
        {"type": "number", "default": 0},
    ),
    Parameter("owner", "Only jobs whose file was of this uid.", {"type": "integer"}),
    Parameter(
        "limit",
        "At most so many.",
        {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
    ),
    Parameter(
        "sha256",
        "Only jobs whose file had this content, the oldest first; no other filter counts then.",
        {"type": "string"},
    ),
    Parameter("after", "With sha256: only jobs after this one.", {"type": "string"}),
)

_PLACE = (
    Parameter("word", "A path, or the id of a job, a shard or a batch.", {"type": "string"}),
    Parameter(
        "path",
        "The absolute path that is meant, where it is known; else the word counts from the root.",
        {"type": "string"},
    ),
    Parameter(
        "there",
        "Whether something lies there, where that is outside of the root: the daemon won't look.",
        {"type": "boolean", "default": False},
    ),
)

_SUMS = (
    Parameter("by", "What is added up in one line.", {"enum": list(By), "default": str(By.DAY)}),
    Parameter("since", "Only days since this one, of UTC.", {"type": "string", "format": "date"}),
)

_LINES = (
    Parameter("word", "Only of this job, file or batch.", {"type": "string"}),
    Parameter(
        "since",
        "Only what was written then or later, in seconds since the epoch.",
        {"type": "number", "default": 0},
    ),
    Parameter("level", "Only this, and worse.", {"enum": list(LEVELS), "default": "debug"}),
    Parameter("event", "Only such events: `batch.*`.", {"type": "string"}),
    Parameter(
        "after", "Only what follows an earlier answer: its member `after`.", {"type": "string"}
    ),
    Parameter(
        "patient",
        "Whether a word that nobody knows yet may be known later; else it is not-found.",
        {"type": "boolean", "default": False},
    ),
    Parameter(
        "limit",
        "At most so many.",
        {
            "type": "integer",
            "minimum": 1,
            "maximum": log_pages.MOST,
            "default": log_pages.USUAL,
        },
    ),
)

_OFFLINE = Parameter(
    "offline", "Whether to leave the provider alone.", {"type": "boolean", "default": False}
)
_FILE = Parameter(
    "file", "What the file in the body is called: it tells its kind.", {"type": "string"}
)
_ROWS = Parameter(
    "rows",
    "So many rows from the beginning.",
    {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": USUAL_ROWS},
)
_WITH_FILE = 60.0  #: seconds: 16 MB are read, and their tokens counted
_LOOKING = 150.0  #: seconds: the provider has openai.timeout_seconds, and others may ask, too

ROUTES = (
    Route("status", "GET", "/v1/status", "All of it at a glance: `batchd status --json`.", Status),
    Route(
        "why",
        "GET",
        "/v1/why",
        "Where something is, and why: `batchd why --json`.",
        Why,
        parameters=_PLACE,
    ),
    Route(
        "spend",
        "GET",
        "/v1/spend",
        "What was spent: `batchd spend --json`.",
        Spend,
        parameters=_SUMS,
    ),
    Route(
        "standing",
        "GET",
        "/v1/standing",
        "What a file is held against before it is sent.",
        Standing,
    ),
    Route(
        "config",
        "GET",
        "/v1/config",
        "The settings that the daemon runs with, and whence.",
        ConfigShow,
    ),
    Route(
        "config_check",
        "GET",
        "/v1/config/check",
        "The configuration as it stands now, tried by the daemon in stages.",
        Findings,
        parameters=(_OFFLINE,),
        seconds=_LOOKING,
    ),
    Route(
        "doctor",
        "GET",
        "/v1/doctor",
        "That, and what the daemon finds around it, as its own user.",
        Findings,
        parameters=(_OFFLINE,),
        seconds=_LOOKING,
    ),
    Route(
        "bugreport",
        "POST",
        "/v1/bugreport",
        "What a report of a problem needs, without prompts, names or keys.",
        Report,
        seconds=_LOOKING,
    ),
    Route("tasks", "GET", "/v1/tasks", "The tasks: `batchd task list --json`.", TaskList),
    Route("task", "GET", "/v1/tasks/{name}", "One task, or what is wrong with it.", Recipe),
    Route(
        "draft_task",
        "POST",
        "/v1/tasks/{name}/draft",
        "The text of a new task, from the columns of a sample. Nothing is written.",
        Draft,
        parameters=(_FILE,),
        seconds=_WITH_FILE,
        takes_file=True,
    ),
    Route(
        "check_table",
        "POST",
        "/v1/tasks/{name}/check",
        "What would become of a table: `batchd task check --json`. Nothing is sent.",
        Check,
        parameters=(_FILE,),
        seconds=_WITH_FILE,
        takes_file=True,
    ),
    Route(
        "try_table",
        "POST",
        "/v1/tasks/{name}/try",
        "A few rows, asked for at once with the daemon's key: a line for each, then the sum. It is"
        " paid without a batch, and counted as spent.",
        Tried,
        parameters=(_FILE, _ROWS),
        seconds=_WITH_FILE,
        takes_file=True,
        in_lines=True,
    ),
    Route(
        "logs",
        "GET",
        "/v1/logs",
        "Lines of the log, the oldest first; then those after them.",
        Logged,
        parameters=_LINES,
    ),
    Route("jobs", "GET", "/v1/jobs", "Jobs, the youngest first.", Jobs, parameters=_FILTERS),
    Route("show", "GET", "/v1/jobs/{id}", "Everything that is known of a job.", Shown),
    Route(
        "cancel",
        "POST",
        "/v1/jobs/{id}/cancel",
        "Let a job get no more answers than it has, and deliver these.",
        Said,
        Wish,
    ),
    Route("hold", "POST", "/v1/jobs/{id}/hold", "Send nothing more of a job.", Said, Wish),
    Route("release", "POST", "/v1/jobs/{id}/release", "Let a held job go on.", Said, Wish),
    Route("pause", "POST", "/v1/pause", "Let intake, submission or both rest.", Said, Rest),
    Route("resume", "POST", "/v1/resume", "Let them go on.", Said, Rest),
    Route("reload", "POST", "/v1/reload", "Read the settings again.", Reloaded),
)
