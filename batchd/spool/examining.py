"""One pass over a dropped file: what the daemon plans by, and `batchd check` tells beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchd.core import limits
from batchd.core.contents import Count
from batchd.core.inflated import BadGzip
from batchd.core.problems import Problems, Repairs, Warnings
from batchd.core.reading import RequestReader, Rules
from batchd.core.records import Layout
from batchd.core.sharding import Sharder, ShardLimits, ShardPlan
from batchd.settings import Settings
from batchd.spool.identities import WORTH_KEEPING, Keeping, keeping
from batchd.spool.inflating import is_packed
from batchd.spool.signature import has_writer, signature
from batchd.spool.work import InputChanged, Pause, digest, raw_lines


@dataclass(frozen=True, slots=True)
class Examined:
    """What one pass over a file tells."""

    sha256: str
    signature: str
    size: int  #: of the file as it lies
    requests: int
    shards: tuple[ShardPlan, ...]
    repairs: Repairs
    warnings: Warnings = field(default_factory=Warnings)
    problems: Problems = field(default_factory=Problems)
    is_counted: bool = False  #: whether tokens were counted at all; else they are a quarter
    exact: int = 0  #: requests whose input tokens were counted, and nothing in them guessed
    cuts: Mapping[str, int] = field(default_factory=dict)  #: by limit: how often it cut the file
    inflated: int | None = None  #: bytes that were read of a compressed file
    records: int | None = None  #: of a table; None for a file of request lines
    layout: Layout | None = None  #: of a table, as far as it was found out
    example: bytes = b""  #: the first request that a table becomes

    @property
    def rows(self) -> int:
        """How many requests, or of a table, records."""
        return self.requests if self.records is None else self.records

    @property
    def verbatim(self) -> bool:
        """Whether the file travels as it lies, or as it is inflated."""
        return len(self.shards) == 1 and not self.repairs and self.records is None


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
    ids: Path | None = None,
) -> Examined:
    """Read every line once. Raises `InputChanged` for a file that is still being written.

    `ids`: where whose each line is may be kept, for those who ask later.
    """
    before = signature(path)
    reader = RequestReader(rules_of(settings, count=count, thorough=thorough))
    sharder = Sharder(limits_of(settings))
    with keeping(ids if before.size >= WORTH_KEEPING else None) as kept:
        sha256 = _read(path, reader, sharder, settings, kept, pause=pause)
    # A writer that had the file open before the claim goes on writing into it where it lies now.
    if signature(path) != before or has_writer(path):
        raise InputChanged(f"{path.name} is still being written")
    return Examined(
        sha256=sha256,
        signature=before.as_text(),
        size=before.size,
        inflated=reader.bytes if is_packed(path) else None,
        requests=reader.requests,
        shards=sharder.finish(),
        repairs=reader.repairs,
        warnings=reader.warnings,
        problems=reader.problems,
        is_counted=count is not None,
        exact=reader.exact,
        cuts=sharder.cuts,
    )


def _read(
    path: Path,
    reader: RequestReader,
    sharder: Sharder,
    settings: Settings,
    kept: Keeping | None,
    *,
    pause: Pause,
) -> str:
    """Read the lines, and return the hash of the file as it was dropped."""
    lines, sha256 = lines_of(path, settings, pause=pause), hashlib.sha256()
    try:
        for raw in lines:
            sha256.update(raw)
            request = reader.take(raw)
            if request is not None:
                sharder.add(reader.row, request)
                if kept is not None:
                    kept.add(reader.row, request, reader.bytes)
            if reader.hopeless:
                break
        reader.finish()
        if reader.suspects:
            reader.confirm_duplicates(lines_of(path, settings, pause=pause))
    except BadGzip as bad:
        reader.give_up(bad.problem)
    # Only the bytes of a plain file that was read to its end are those of its lines.
    as_read = not (reader.hopeless or is_packed(path))
    digested = sha256.hexdigest() if as_read else digest(path, pause=pause)
    if kept is not None and not reader.hopeless:
        kept.finish(digested)
    return digested


def lines_of(path: Path, settings: Settings, *, pause: Pause) -> Iterator[bytes]:
    """Return a dropped file's lines as far as these settings read them; a packed one is inflated.

    Nothing of a packed file is written to the disk before all of it was found to be good.
    """
    longest, most = longest_line(settings), settings.inbox.max_inflated_bytes
    return raw_lines(path, longest=longest, most=most, pause=pause)
