"""Servers that speak "the OpenAI Batch API", each with an accent of its own (reference I and J).

A dialect is what a server takes and how it shows what it has. What no dialect names is as at
OpenAI; what a server does not know is refused here, though the real one may only ignore it.
"""

from __future__ import annotations

import base64
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from batchd.core.limits import MAX_KEEP_SECONDS, MIN_KEEP_SECONDS
from batchd.sandbox.answers import SERVED
from batchd.sandbox.wire import new_batch_id, new_file_id

Shown = dict[str, Any]
Accent = Callable[[Shown], None]  #: changes an object on its way out

_CHAT, _EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What a server takes, and how it says what it says."""

    purpose: str = "batch"
    #: How an endpoint is written here -> the endpoint it is.
    endpoints: Mapping[str, str] = field(default_factory=lambda: {url: url for url in SERVED})
    #: The completion windows there are, and how a refusal names them; None: it knows no windows.
    windows: str | None = "24h"
    #: The range of `expires_after`, in seconds; None: it knows no expiry.
    expiry: tuple[int, int] | None = (MIN_KEEP_SECONDS, MAX_KEEP_SECONDS)
    refuses_when_full: bool = False  #: a creation is a 400 where the queue is full
    empty_error_file: bool = False  #: a completed batch has an error file even if nothing failed
    deletes_input: bool = False  #: the input goes when the batch is over
    wraps_created: bool = False  #: a created batch comes as `{"job": {...}}`
    bare_lists: bool = False  #: batches are listed as one array, without pages
    batch: tuple[Accent, ...] = ()
    file: tuple[Accent, ...] = ()
    line: tuple[Accent, ...] = ()  #: of an output or error file
    new_batch_id: Callable[[], str] = new_batch_id
    new_file_id: Callable[[], str] = new_file_id

    def allows_window(self, window: str) -> bool:
        return self.windows is not None and re.fullmatch(self.windows, window) is not None

    def show_batch(self, shown: Shown) -> Shown:
        return _spoken(shown, self.batch)

    def show_created(self, shown: Shown) -> Shown:
        shown = self.show_batch(shown)
        return {"job": shown, "warning": None} if self.wraps_created else shown

    def show_file(self, shown: Shown) -> Shown:
        return _spoken(shown, self.file)

    def show_line(self, shown: Shown) -> Shown:
        return _spoken(shown, self.line)


def _spoken(shown: Shown, accents: tuple[Accent, ...]) -> Shown:
    for accent in accents:
        accent(shown)
    return shown


def _without(*names: str) -> Accent:
    def leave_out(shown: Shown) -> None:
        for name in names:
            shown.pop(name, None)

    return leave_out


def _with(**members: object) -> Accent:
    return lambda shown: shown.update(members)


def _words(words: Mapping[str, str], *, upper: bool = False) -> Accent:
    def say(shown: Shown) -> None:
        word = words.get(shown["status"], shown["status"])
        shown["status"] = word.upper() if upper else word

    return say


def _times(tell: Callable[[int], object]) -> Accent:
    def say(shown: Shown) -> None:
        for name, value in shown.items():
            if name.endswith("_at") and value is not None:
                shown[name] = tell(value)

    return say


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _progress(shown: Shown) -> None:
    """Together counts no requests; it tells how far it is."""
    counts = shown.pop("request_counts")
    done = counts["completed"] + counts["failed"]
    shown["progress"] = round(100 * done / counts["total"], 1) if counts["total"] else 0.0


def _one_error(shown: Shown) -> None:
    """As one text under `error`; the number of a line is in it, if anywhere."""
    errors = shown.pop("errors")
    shown["error"] = _sentence(errors) if errors else None


def _errors_as_text(shown: Shown) -> None:
    shown["errors"] = _sentence(shown["errors"]) if shown["errors"] else ""


def _sentence(errors: Shown) -> str:
    said = (
        f"line {error['line']}: {error['message']}" if error["line"] else error["message"]
        for error in errors["data"]
    )
    return "; ".join(said)


def _errors_without_object(shown: Shown) -> None:
    if shown["errors"]:
        del shown["errors"]["object"]


def _renamed(codes: Mapping[str, str]) -> Accent:
    def rename(shown: Shown) -> None:
        for error in (shown["errors"] or {"data": []})["data"]:
            error["code"] = codes.get(error["code"], error["code"])

    return rename


def _nothing_yet(shown: Shown) -> None:
    """Azure: an id that isn't there is empty, and counts are null until there is something."""
    for name in ("output_file_id", "error_file_id"):
        shown[name] = shown[name] or ""
    if not shown["request_counts"]["total"]:
        shown["request_counts"] = None


def _filtered(shown: Shown) -> None:
    """Azure adds what its content filter thought of an answer."""
    if shown["response"] and "choices" in shown["response"]["body"]:
        safe = {"filtered": False, "severity": "safe"}
        for choice in shown["response"]["body"]["choices"]:
            choice["content_filter_results"] = {"hate": safe, "violence": safe}


def _only_real_errors(shown: Shown) -> None:
    if shown["error"] is None:
        del shown["error"]


def _body_as_text(shown: Shown) -> None:
    if shown["response"]:
        shown["response"]["body"] = msgspec.json.encode(shown["response"]["body"]).decode()


def _named_window(shown: Shown) -> None:
    shown["completion_window"] = f"Standard ({shown['completion_window']})"


def _long_id(kind: str) -> Callable[[], str]:
    """LiteLLM packs the backend and its model into the id, as text in base64."""

    def make() -> str:
        packed = (
            f"litellm_proxy;model_id:{secrets.token_hex(32)};llm_{kind}:{secrets.token_hex(24)}"
        )
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    return make


_AZURE_CODES = {"invalid_url": "url_mismatch", "mismatched_model": "model_mismatch"}
_NO_ENDS_BETWEEN = {"finalizing": "in_progress", "cancelling": "in_progress"}
_DAYS_OR_HOURS = r"[1-9]\d*[hd]"

DIALECTS: Mapping[str, Dialect] = {
    "openai": Dialect(),
    "azure": Dialect(
        endpoints={"/chat/completions": _CHAT, _CHAT: _CHAT, "/v1/responses": "/v1/responses"},
        expiry=(14 * 86_400, MAX_KEEP_SECONDS),
        refuses_when_full=True,
        empty_error_file=True,
        batch=(
            _renamed(_AZURE_CODES),
            _words({"cancelled": "canceled"}),
            _nothing_yet,
            _with(endpoint=None),
        ),
        line=(_without("id"), _filtered),
        new_batch_id=lambda: f"batch_{uuid.uuid4()}",
        new_file_id=lambda: f"file-{uuid.uuid4().hex}",
    ),
    "together": Dialect(
        purpose="batch-api",
        endpoints={url: url for url in SERVED if url != "/v1/responses"},
        expiry=None,
        wraps_created=True,
        bare_lists=True,
        batch=(
            _words(_NO_ENDS_BETWEEN, upper=True),
            _times(_iso),
            _progress,
            _one_error,
            _without("object", "metadata", "usage", "expires_at", "finalizing_at"),
        ),
        new_batch_id=lambda: str(uuid.uuid4()),
    ),
    "groq": Dialect(
        endpoints={_CHAT: _CHAT},
        windows=_DAYS_OR_HOURS,
        expiry=None,
        file=(_without("status", "status_details", "expires_at"),),
    ),
    "novita": Dialect(
        endpoints={_CHAT: _CHAT},
        windows="48h",
        expiry=None,
        batch=(_words({"in_progress": "progress"}, upper=True), _times(str), _errors_as_text),
    ),
    "dashscope": Dialect(
        endpoints={_CHAT: _CHAT, _EMBEDDINGS: _EMBEDDINGS, "/v1/chat/ds-test": _CHAT},
        windows=_DAYS_OR_HOURS,
        expiry=None,
    ),
    "zhipu": Dialect(
        endpoints={"/v4/chat/completions": _CHAT},
        windows=None,
        expiry=None,
        deletes_input=True,
    ),
    "doubleword": Dialect(
        windows="24h|1h", expiry=None, batch=(_named_window, _errors_without_object)
    ),
    "litellm": Dialect(new_batch_id=_long_id("batch_id"), new_file_id=_long_id("output_file_id")),
    "maritaca": Dialect(
        endpoints={_CHAT: _CHAT},
        expiry=None,
        batch=(
            _words({"validating": "queued", "in_progress": "running", "completed": "succeeded"}),
            _times(lambda seconds: seconds * 1000),
            _without("metadata", "request_counts"),
        ),
        line=(_only_real_errors, _body_as_text),
    ),
}
