"""The receipt: what was asked, what came back, what it took. Its counts add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from batchd.core.answers import Answer, Soft
from batchd.core.headline import headline
from batchd.core.model import CancelWhy, JobState
from batchd.core.names import printable, shown
from batchd.core.problems import CAUTIONS
from batchd.core.records import Layout
from batchd.core.rendering import SCHEMA
from batchd.core.subjects import Job, Shard
from batchd.core.table_notes import table_facts, table_in_words
from batchd.core.usage import ModelUsage, merged
from batchd.core.verdicts import Fate, fate_of

_FIRST_LINES = 5  #: line numbers shown per error code; errors.jsonl has them all
ENDINGS = {"failed": ".failed", "rejected": ".rejected", "cancelled": ".cancelled"}


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """A file of the folder."""

    name: str
    size: int
    sha256: str


@dataclass(slots=True)
class _Code:
    count: int = 0
    lines: list[int] = field(default_factory=list)
    message: str = ""


class Account:
    """Counts the last answers of a job, row by row."""

    def __init__(self, *, of_records: bool = False) -> None:
        self._firsts = "first_rows" if of_records else "first_lines"
        self._fates: Counter[Fate] = Counter()
        self._codes: dict[str, _Code] = {}
        self._soft: Counter[Soft] = Counter()

    def add(self, row: int, answer: Answer) -> None:
        """Count one request's last answer."""
        self._fates[fate_of(answer)] += 1
        if answer.soft is not None:
            self._soft[answer.soft] += 1
        if answer.code is not None:
            code = self._codes.setdefault(answer.code, _Code(message=answer.message or ""))
            code.count += 1
            if len(code.lines) < _FIRST_LINES:
                code.lines.append(row)

    @property
    def requests(self) -> dict[str, int]:
        """Total, and the four that add up to it."""
        counts = {str(fate): self._fates[fate] for fate in Fate}
        return {"total": sum(counts.values()), **counts}

    @property
    def outcome(self) -> str:
        """How the job ended, in one word."""
        total, good = sum(self._fates.values()), self._fates[Fate.SUCCEEDED]
        if good == total:
            return "completed"
        if good:
            return "partial"
        return "cancelled" if self._fates[Fate.CANCELLED] == total else "failed"

    @property
    def soft(self) -> dict[str, int]:
        """Answers that came and are not plain ones, by kind; those that are failures, too."""
        return {str(kind): self._soft[kind] for kind in Soft if self._soft[kind]}

    @property
    def errors(self) -> dict[str, Any]:
        """Failures by code, the most frequent first."""
        ranked = sorted(self._codes.items(), key=lambda item: (-item[1].count, item[0]))
        return {
            code: {"count": seen.count, self._firsts: seen.lines, "message": seen.message}
            for code, seen in ranked
        }


def receipt(
    job: Job,
    shards: Sequence[Shard],
    account: Account,
    files: Iterable[DeliveredFile],
    *,
    now: float,
    price_source: str,
    layout: Layout | None = None,
) -> dict[str, Any]:
    """Put together receipt.json."""
    rejected = job.state is JobState.REJECTED
    requests = account.requests
    # A job that joined another took nothing: its answers are on the other's bill.
    spent = {} if job.joined else merged(shard.usage for shard in shards)
    return {
        "schema": SCHEMA,
        "job": job.id,
        "file": shown(job.name),
        "sha256": job.sha256,
        "task": job.task or None,
        **({"recipe": job.recipe} if job.task else {}),
        **({"table": table_facts(layout)} if layout else {}),
        "outcome": "rejected" if rejected else _outcome(job, account),
        "reason": job.reason,
        "cancelled": _cancelled(job),
        "joined": job.joined,
        "requests": requests,
        "rounds": max((shard.round for shard in shards), default=0),
        "batches": [_batch(shard, job) for shard in shards],
        "usage": _usage(spent),
        "cost": _cost(spent, 0 if job.joined else _answered(job, shards, account), price_source),
        "errors": account.errors,
        "soft": account.soft,
        "repairs": job.repairs or None,
        "warnings": job.warnings or None,
        "oddities": dict(sum((Counter(shard.oddities) for shard in shards), Counter())) or None,
        "times": _times(job, shards, now),
        "files": [{"name": f.name, "bytes": f.size, "sha256": f.sha256} for f in files],
    }


def _outcome(job: Job, account: Account) -> str:
    """A job that was cancelled says so, with whatever answers it has.

    One whose model answers no batch was cut short by us: its requests failed, and that it says.
    """
    is_cut_short = job.cancelled_at is not None and job.cancel_why is not CancelWhy.UNUSABLE_MODEL
    whole = account.outcome
    return "cancelled" if is_cut_short and whole != "completed" else whole


def _cancelled(job: Job) -> dict[str, Any] | None:
    if job.cancelled_at is None:
        return None
    why = str(job.cancel_why) if job.cancel_why else None
    return {"at": rfc3339(job.cancelled_at), "why": why, "text": job.cancel_text}


def _answered(job: Job, shards: Sequence[Shard], account: Account) -> int:
    """How many requests have an answer, at the least, where one is of several records."""
    if not job.task:
        return account.requests["succeeded"]
    return sum(shard.kept * shard.requests // len(shard.rows) for shard in shards)


def _batch(shard: Shard, job: Job) -> dict[str, Any]:
    counts = shard.counts
    return {
        "id": shard.batch,
        "shard": shard.id,
        "round": shard.round,
        "endpoint": shard.endpoint,
        "model": shard.model,
        "requests": shard.requests,
        **({"records": len(shard.rows)} if job.task else {}),
        "status": str(shard.status) if shard.status else None,
        "counts": {
            "total": counts.total,
            "completed": counts.completed,
            "failed": counts.failed,
        },
        "answered": shard.kept,
        "again": len(shard.again),
        "created": rfc3339(shard.opened_at),
        "completed": rfc3339(shard.completed_at or shard.ended_at),
    }


def _usage(spent: Mapping[str, ModelUsage]) -> dict[str, Any]:
    total = sum(spent.values(), ModelUsage()).usage
    return {
        **msgspec.structs.asdict(total),
        "by_model": {
            model: {"requests": used.requests, **msgspec.structs.asdict(used.usage)}
            for model, used in sorted(spent.items())
        },
    }


def _cost(spent: Mapping[str, ModelUsage], answered: int, source: str) -> dict[str, Any] | None:
    total = sum(spent.values(), ModelUsage())
    if total.cost is None or total.requests < answered:
        return None  # a price, or the usage of an answer, is unknown: then so is the sum
    saving = None if total.direct_cost is None else round(total.direct_cost - total.cost, 8)
    return {
        "amount": round(total.cost, 8),
        "currency": "USD",
        "saving": saving,
        "source": source,
    }


def _times(job: Job, shards: Sequence[Shard], now: float) -> dict[str, Any]:
    opened = [shard.opened_at for shard in shards if shard.opened_at is not None]
    ended = [shard.ended_at for shard in shards if shard.ended_at is not None]
    return {
        "claimed": rfc3339(job.claimed_at),
        "first_batch": rfc3339(min(opened, default=None)),
        "last_batch_ended": rfc3339(max(ended, default=None)),
        "delivered": rfc3339(now),
        "seconds": round(now - job.claimed_at, 3),
    }


def rfc3339(at: float | None) -> str | None:
    """Show a time: UTC, to the millisecond."""
    if at is None:
        return None
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return None  # the provider's word, in microseconds perhaps: no reason to lose a receipt
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def receipt_as_text(receipt: Mapping[str, Any]) -> str:
    """Render RECEIPT.txt, which a person reads."""
    requests, times = receipt["requests"], receipt["times"]
    rows = [
        ("file", receipt["file"]),
        ("job", receipt["job"]),
        ("outcome", receipt["outcome"]),
        *_cancelled_in_words(receipt["cancelled"]),
        ("task", receipt["task"]),
        ("records" if receipt["task"] else "requests", _requests_in_words(requests)),
        ("took", f"{_duration(times['seconds'])} ({times['claimed']} to {times['delivered']})"),
        ("tokens", _tokens_in_words(receipt["usage"])),
        ("cost", _cost_in_words(receipt["cost"])),
        ("saving", _saving_in_words(receipt["cost"])),
        ("batches", _batches_in_words(receipt)),
    ]
    text = [*headline(receipt), ""]
    text += [f"{name:<10}{value}" for name, value in rows if value]
    text += _section("errors", errors_in_words(receipt["errors"]))
    text += _section("not plain answers", soft_in_words(receipt["soft"]))
    text += _section("noticed", [*table_in_words(receipt.get("table")), *noticed_in_words(receipt)])
    text += _section("warnings", warnings_in_words(receipt["warnings"] or {}, receipt["task"]))
    text += _section("batches", [_batch_in_words(batch) for batch in receipt["batches"]])
    text += _section("files", [_file_in_words(file) for file in receipt["files"]])
    return "\n".join(text) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []


_WHY = {
    CancelWhy.ASKED: "somebody asked for it",
    CancelWhy.DEADLINE: "its time was over",
    CancelWhy.UNUSABLE_MODEL: "its model answers no batch requests",
}


def _cancelled_in_words(cancelled: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if not cancelled:
        return []
    why = _WHY.get(cancelled["why"], cancelled["why"] or "")
    said = f" ({printable(cancelled['text'])})" if cancelled["text"] else ""
    return [("cancelled", f"{cancelled['at']}: {why}{said}")]


def _requests_in_words(requests: Mapping[str, int]) -> str:
    ends = [f"{requests[str(fate)]:,} {fate}" for fate in Fate if requests[str(fate)]]
    return f"{requests['total']:,}" + (f" ({', '.join(ends)})" if ends else "")


def _tokens_in_words(usage: Mapping[str, Any]) -> str:
    return (
        f"{usage['input_tokens']:,} in ({usage['cached_tokens']:,} cached),"
        f" {usage['output_tokens']:,} out"
        + (f" ({usage['reasoning_tokens']:,} reasoning)" if usage["reasoning_tokens"] else "")
    )


def _cost_in_words(cost: Mapping[str, Any] | None) -> str:
    return f"{cost['amount']:.4f} {cost['currency']} ({cost['source']})" if cost else "unknown"


def _saving_in_words(cost: Mapping[str, Any] | None) -> str | None:
    if not cost or not cost["saving"]:
        return None
    return f"{cost['saving']:.4f} {cost['currency']} less than without batches"


def _batches_in_words(receipt: Mapping[str, Any]) -> str:
    rounds = receipt["rounds"]
    return f"{len(receipt['batches'])} in {rounds} round{'s' if rounds != 1 else ''}"


def errors_in_words(errors: Mapping[str, Any]) -> list[str]:
    """Failures by code: how many, an example of what was said, and where the first ones are."""
    return [
        f"{seen['count']:>6,}  {printable(code)}: {printable(seen['message'])} ({_first(seen)})"
        for code, seen in errors.items()
    ]


def _first(seen: Mapping[str, Any]) -> str:
    where = "in row" if "first_rows" in seen else "on line"
    numbers = seen["first_rows"] if "first_rows" in seen else seen["first_lines"]
    return f"first {where} {', '.join(map(str, numbers))}"


_SOFT = {
    Soft.TRUNCATED: "cut off at their token limit",
    Soft.FILTERED: "cut by the provider's content filter",
    Soft.REFUSAL: "refused by the model",
    Soft.TOOL_CALL: "calls of a tool, which nobody has run",
}


def soft_in_words(soft: Mapping[str, int]) -> list[str]:
    """Answers that came and are not plain ones."""
    return [f"{number:>6,}  {kind}: {_SOFT[Soft(kind)]}" for kind, number in soft.items()]


_NOTICED = {
    "bom": "a byte order mark, which was left out",
    "crlf_lines": "lines that ended with CR and LF; LF was sent",
    "blank_lines": "blank lines, which were left out",
    "unknown_ids": "answers to a custom_id that was not asked",
    "repeated_ids": "answers to a custom_id that had one",
    "invented_ids": "entries of an answer for several, under an id that was not asked",
    "fenced_json": "answers with ``` around their JSON, which were taken",
    "unreadable_lines": "lines from the provider that are no answer",
    "missing_answers": "times that a request was in no file of its batch",
    "lost_answers": "requests whose answers the provider no longer has",
    "unusable_model": "requests to a model that answers none in batches",
}


def noticed_in_words(receipt: Mapping[str, Any]) -> list[str]:
    """What was mended in the file, and what was odd about the answers."""
    noticed = {**(receipt["repairs"] or {}), **(receipt["oddities"] or {})}
    words = {name: _NOTICED.get(name, name.replace("_", " ")) for name in noticed}
    counts = {name: "" if n is True else f": {n:,}" for name, n in noticed.items() if n}
    return [f"{words[name]}{count}" for name, count in counts.items()]


def warnings_in_words(warnings: Mapping[str, Any], task: str | None = None) -> list[str]:
    """What the check warned of. A ledger of another version may know other codes."""
    where = "in row" if task else "on line"
    known = [(code, seen) for code, seen in warnings.items() if code in CAUTIONS]
    return [
        f"{seen['total']:>6,}  {CAUTIONS[code].message} (first {where}"
        f" {', '.join(map(str, seen['lines']))})"
        for code, seen in known
    ]


def _batch_in_words(batch: Mapping[str, Any]) -> str:
    told = [
        f"{batch['id'] or '(none)'}  {batch['requests']:,} x {batch['model']}  {batch['status']}"
    ]
    if "records" in batch:
        told.append(f"{batch['records']:,} records")
    if batch["answered"] != batch.get("records", batch["requests"]):
        told.append(f"{batch['answered']:,} answered")
    if batch["again"]:
        told.append(f"{batch['again']:,} tried again")
    return ", ".join(told)


def _file_in_words(file: Mapping[str, Any]) -> str:
    return f"{file['bytes']:>14,}  {file['name']}  sha256 {file['sha256'] or 'unknown'}"


def _duration(seconds: float) -> str:
    if seconds < 59.95:
        return f"{max(seconds, 0.0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
