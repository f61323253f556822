"""What the provider tells: which batches are ours, and which lines each of them has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from batchd.core.errors import ConfigError, RemoteRefused
from batchd.core.model import Batch, BatchStatus
from batchd.recovery.lines import Lines, fingerprints
from batchd.remote.api import Remote

_MANY_PAGES = 1000  #: a hundred thousand batches; a list that goes on and on is none
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class CannotKnow(ConfigError):
    """What would have to be guessed; a wrong guess is a second bill."""


async def all_batches(remote: Remote) -> list[Batch]:
    """Read the provider's whole list: what isn't in it isn't there."""
    batches: list[Batch] = []
    for _ in range(_MANY_PAGES):
        try:
            page = await remote.list_batches(after=batches[-1].id if batches else None)
        except RemoteRefused as refused:
            raise CannotKnow(
                f"the provider does not list its batches ({refused}), so that nobody knows what"
                " was sent. Nothing was changed"
            ) from refused
        batches += page.batches
        if not page.has_more or not page.batches:
            return batches
    raise CannotKnow(f"the provider's list did not end after {_MANY_PAGES} pages")


def choose_root(
    batches: Iterable[Batch], jobs: Collection[str], *, given: str | None, salvaged: str | None
) -> str | None:
    """Return this root's id; None where nothing anywhere bears one.

    Job ids are seconds, so that another root on the same account may well have the same.
    """
    named = sorted(
        {b.metadata["batchd_root"] for b in batches if "batchd_root" in b.metadata and _of(b, jobs)}
    )
    if given is not None or salvaged in named or not named:
        return given or salvaged
    if salvaged is None and len(named) == 1:
        return named[0]  # whether its batches are ours is seen by their lines
    raise CannotKnow(
        f"the provider has batches of jobs with these ids for {' and '.join(named)};"
        f" the old ledger says {salvaged or 'nothing'}. Say which is this root: --root-id ID"
    )


def by_job(
    batches: Iterable[Batch], jobs: Collection[str], root: str | None
) -> dict[str, list[Batch]]:
    """Sort the batches that bear our name."""
    ours: dict[str, list[Batch]] = defaultdict(list)
    for batch in batches:
        if root is not None and batch.metadata.get("batchd_root") == root and _of(batch, jobs):
            ours[batch.metadata["batchd_job"]].append(batch)
    return ours


def nameless(batches: Iterable[Batch], *, since: float, ignored: Collection[str]) -> list[Batch]:
    """Return batches without a name of batchd's: another program's, or a server that drops names."""
    return [
        batch
        for batch in batches
        if "batchd_root" not in batch.metadata
        and batch.id not in ignored
        and batch.status is not BatchStatus.FAILED
        and (batch.created_at is None or batch.created_at >= since)
    ]


def number_of(batch: Batch, job: str) -> int | None:
    """Return the number of the shard that a batch says it is."""
    name = batch.metadata.get("batchd_shard", "")
    number = name.removeprefix(f"{job}-")
    return int(number) if name != number and _NUMBER.fullmatch(number) else None


async def lines_of(batch: Batch, remote: Remote) -> Sequence[tuple[str, int]]:
    """Fetch the requests of a batch: of each its custom_id, and a hash of its line."""
    if batch.input_file_id is None:
        raise CannotKnow(f"the provider names no input file for batch {batch.id}")
    with TemporaryDirectory(prefix="batchd-recover-") as folder:
        file = Path(folder) / "input.jsonl"
        try:
            await remote.download(batch.input_file_id, file)
        except RemoteRefused as refused:
            raise CannotKnow(
                f"the provider has batch {batch.id}, but not its requests any more ({refused})"
            ) from refused
        try:
            return list(fingerprints(file))
        except msgspec.MsgspecError:
            return ()  # no request of ours: every line of ours was read before it was sent


async def adopted_by_lines(
    strays: Iterable[Batch], files: Mapping[str, Lines], remote: Remote
) -> dict[str, list[Batch]]:
    """Find out, line by line, whose the nameless batches are."""
    found: dict[str, list[Batch]] = defaultdict(list)
    for batch in strays:
        try:
            lines = await lines_of(batch, remote)
        except CannotKnow as unknown:
            raise CannotKnow(
                f"{unknown}; it may be another program's: then say --ignore {batch.id}"
            ) from unknown
        for job, file in files.items():
            if file.rows_of(lines) is not None:
                found[job].append(batch)
                break
    return found


def _of(batch: Batch, jobs: Collection[str]) -> bool:
    return batch.metadata.get("batchd_job") in jobs
