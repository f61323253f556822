"""The control API's routes: what is asked where, and what comes back. Served, and described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batchd.control.listing import MOST, STATES, USUAL
from batchd.control.messages import Jobs, Message, Rest, Said, Shown, Wish


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
    answer: type[Message] | None  #: None for what has the shape of a command's --json
    body: type[Message] | None = None
    parameters: tuple[Parameter, ...] = ()


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
)

ROUTES = (
    Route("status", "GET", "/v1/status", "All of it at a glance: `batchd status --json`.", None),
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
)
