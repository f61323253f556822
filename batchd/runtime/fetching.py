"""Brings what a batch left: its output and its error file, whole, to where answers are kept."""

from __future__ import annotations

from pathlib import Path

import structlog

from batchd.core.errors import RemoteRefused, RemoteUnavailable
from batchd.core.subjects import Shard
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread
from batchd.spool.placing import PART, make_folder

log = structlog.get_logger()

_NOT_THERE = (404, 410)  #: what the provider says of a file that expired or was deleted


async def fetch(shard: Shard, services: Services) -> RemoteRefused | None:
    """Fetch what does not lie here yet; what lies here already is whole.

    Returns the provider's word where it does not find a file; the other one is here all the same.
    """
    gone = None
    for kind, file_id in (("output", shard.output_file), ("error", shard.error_file)):
        path = services.work.answers(shard.job, shard.id, kind)
        if file_id is None or path.exists():  # one stat
            continue
        if not path.parent.is_dir():  # another stat: it was made when the shard was sent
            await in_thread(make_folder, path.parent)
        part = path.with_name(path.name + PART)
        try:
            length = await services.remote.download(file_id, part)
        except RemoteRefused as refusal:
            if refusal.status not in _NOT_THERE:
                raise
            gone = refusal
            continue
        await in_thread(_keep, part, path, length)
        log.info("answers.fetched", job=shard.job, shard=shard.id, kind=kind, bytes=length)
    return gone


def _keep(part: Path, path: Path, length: int) -> None:
    if part.stat().st_size != length:
        raise RemoteUnavailable(f"{path.name} came short", may_have_happened=False)
    # Its name is made durable with that of the index, before anything is recorded.
    part.replace(path)
