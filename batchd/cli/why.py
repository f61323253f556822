"""`batchd why PATH|JOB`: one reason, one sentence, and the setting it depends on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from batchd.cli.exits import Exit
from batchd.cli.options import reads_settings
from batchd.configuration import Loaded
from batchd.control.ledger import reading
from batchd.control.presence import presence
from batchd.control.views import answer_as_dict, setting_of
from batchd.control.why import Ambiguous, Answer, Question
from batchd.core.names import printable
from batchd.core.words import duration
from batchd.spool.folders import Folders

_INDENT = " " * 10


@click.command()
@click.argument("word", metavar="PATH|JOB")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def why(loaded: Loaded, word: str, as_json: bool) -> int:
    """Say where a file or a job is, and why.

    Takes any path, whether it is in the inbox, in the outbox or nowhere, or the id of a job, a
    shard or a batch, or its beginning. Exits 4 when nothing is known of it.
    """
    folders, now = Folders(loaded.settings.folders.root.resolve()), time.time()
    daemon = presence(folders)
    with reading(folders.database) as reader:
        question = Question(
            word=word,
            cwd=Path.cwd(),
            folders=folders,
            settings=loaded.settings,
            reader=reader,
            daemon=daemon,
            now=now,
        )
        try:
            answer = question.answer()
        except Ambiguous as several:
            raise click.UsageError(str(several)) from several
    if as_json:
        click.echo(json.dumps(answer_as_dict(answer, loaded.settings, loaded.origins, daemon)))
    else:
        click.echo("\n".join(_lines(answer, loaded, now)))
    return Exit.OK if answer.is_known else Exit.NOT_FOUND


def _lines(answer: Answer, loaded: Loaded, now: float) -> Iterator[str]:
    reason = answer.reason
    code = "" if str(reason.code) == str(reason.standing) else f"{reason.code}: "
    yield printable(f"{reason.standing:<9} {code}{reason.sentence}")
    if answer.job and answer.claimed_at is not None:
        ago = duration(now - answer.claimed_at)
        shard = f", shard {answer.shard}" if answer.shard else ""
        yield f"{_INDENT}job {answer.job}{shard} ({answer.name}), taken {ago} ago"
    shards = reason.facts.get("shards")
    if isinstance(shards, Mapping) and sum(shards.values()) > 1:
        counted = ", ".join(f"{count} {code}" for code, count in shards.items())
        yield f"{_INDENT}{sum(shards.values())} batches to go: {counted}"
    if answer.older:
        yield f"{_INDENT}earlier jobs of that name: {', '.join(answer.older)}"
    if reason.setting:
        setting = setting_of(reason.setting, loaded.settings, loaded.origins)
        value = json.dumps(setting["value"])
        yield printable(f"{_INDENT}{reason.setting} = {value} ({setting['origin']})")
