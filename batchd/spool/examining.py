"""One pass over a dropped file: what the daemon plans by, and `batchd check` tells beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchd.core import limits
from batchd.core.contents import Count
from batchd.core.problems import Problems, Repairs, Warnings
from batchd.core.reading import RequestReader, Rules
from batchd.core.sharding import Sharder, ShardLimits, ShardPlan
from batchd.settings import Settings
from batchd.spool.signature import has_writer, signature
from batchd.spool.work import InputChanged, Pause, digest, raw_lines


@dataclass(frozen=True, slots=True)
class Examined:
    """What one pass over a file tells."""

    sha256: str
    signature: str
    size: int
    requests: int
    shards: tuple[ShardPlan, ...]
    repairs: Repairs
    warnings: Warnings = field(default_factory=Warnings)
    problems: Problems = field(default_factory=Problems)
    is_counted: bool = False  #: whether tokens were counted at all; else they are a quarter
    exact: int = 0  #: requests whose input tokens were counted, and nothing in them guessed
    cuts: Mapping[str, int] = field(default_factory=dict)  #: by limit: how often it cut the file

    @property
    def verbatim(self) -> bool:
        """Whether the file travels as it lies."""
        return len(self.shards) == 1 and not self.repairs


def rules_of(settings: Settings, *, count: Count | None, thorough: bool = False) -> Rules:
    """What these settings say of a line. `thorough` also looks for repeated keys."""
    return Rules(
        max_line_bytes=longest_line(settings),
        max_bytes=settings.batches.max_bytes,
        endpoints=limits.accepted(settings.openai.endpoint_prefixes),
        room=settings.batches.enqueued_tokens,
        output_tokens=settings.budget.output_tokens,
        count=count,
        looks_for_repeated_keys=thorough,
    )


def longest_line(settings: Settings) -> int:
    """How many bytes of a line are worth reading."""
    return min(settings.inbox.max_line_bytes, settings.batches.max_bytes)


def limits_of(settings: Settings) -> ShardLimits:
    """How large these settings let a batch be."""
    batches = settings.batches
    return ShardLimits(
        max_requests=batches.max_requests,
        max_bytes=batches.max_bytes,
        enqueued_tokens=batches.enqueued_tokens,
        max_inputs=batches.max_inputs,
        max_output_bytes=batches.max_output_bytes,
    )


def examine(
    path: Path,
    settings: Settings,
    *,
    pause: Pause,
    count: Count | None = None,
    thorough: bool = False,
) -> Examined:
    """Read every line once. Raises `InputChanged` for a file that is still being written."""
    before, longest = signature(path), longest_line(settings)
    sha256 = hashlib.sha256()
    reader = RequestReader(rules_of(settings, count=count, thorough=thorough))
    sharder = Sharder(limits_of(settings))
    for raw in raw_lines(path, longest=longest, pause=pause):
        sha256.update(raw)
        request = reader.take(raw)
        if request is not None:
            sharder.add(reader.row, request)
        if reader.hopeless:
            break
    reader.finish()
    if reader.suspects:
        reader.confirm_duplicates(raw_lines(path, longest=longest, pause=pause))
    # A writer that had the file open before the claim goes on writing into it where it lies now.
    if signature(path) != before or has_writer(path):
        raise InputChanged(f"{path.name} is still being written")
    return Examined(
        sha256=digest(path, pause=pause) if reader.hopeless else sha256.hexdigest(),
        signature=before.as_text(),
        size=before.size,
        requests=reader.requests,
        shards=sharder.finish(),
        repairs=reader.repairs,
        warnings=reader.warnings,
        problems=reader.problems,
        is_counted=count is not None,
        exact=reader.exact,
        cuts=sharder.cuts,
    )
