"""What the sandbox received and did, for tests and for the curious."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from batchd.sandbox.batches import Batch
from batchd.sandbox.files import StoredFile
from batchd.sandbox.world import World


def ledger_of(world: World, *, executions: bool = True) -> dict[str, Any]:
    """All of it; without `executions` it stays small however many requests there were."""
    ledger: dict[str, Any] = {
        "files": [_file(file) for file in world.shelf.ever()],
        "batches": [_batch(batch) for batch in world.book],
        "calls": dict(world.calls),
        "peak_enqueued_tokens": dict(world.peak_tokens),
        "idempotency_keys": list(world.idempotency_keys),
    }
    return ledger | _executions(world) if executions else ledger


def _file(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "filename": file.filename,
        "bytes": file.bytes,
        "purpose": file.purpose,
        "sha256": file.sha256,
        "deleted": file.deleted,
        "expired": file.expired,
        "created_at": file.created_at,
    }


def _batch(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "input_file_id": batch.input_file_id,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "metadata": batch.metadata,
        "endpoint": batch.endpoint,
        "status": batch.status,
        "counts": batch.counts(),
        "created_at": batch.created_at,
        "model": batch.model,
        "tokens": batch.tokens,
        "executed": batch.done(),
    }


def _executions(world: World) -> dict[str, Any]:
    """Executed is what a model answered or failed; not what expired or was cancelled."""
    by_batch = {batch.id: Counter(_executed(world, batch)) for batch in world.book}
    total: Counter[str] = Counter()
    for counts in by_batch.values():
        total.update(counts)
    return {"executions": total, "executions_by_batch": by_batch}


def _executed(world: World, batch: Batch) -> Iterator[str]:
    """Kept on disk, in the order of execution: memory stays flat."""
    path = world.folder / f"{batch.id}_executed.jsonl"
    if not path.exists():
        return
    if batch.production:
        batch.production.executed.flush()
    with path.open("rb") as source:
        for line in islice(source, batch.done()):
            yield msgspec.json.decode(line, type=str)
