"""`batchd why PATH|JOB`: one reason, one sentence, and the setting it depends on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from batchd.cli.asking import exit_of_refusal
from batchd.cli.completing import jobs_or_files
from batchd.cli.exits import Exit, complain
from batchd.cli.local import SOURCE, as_said, from_ledger, say_so
from batchd.cli.options import reads_settings
from batchd.cli.times import epoch
from batchd.configuration import Loaded
from batchd.control.client import Refused, ask
from batchd.control.places import place_of
from batchd.control.shapes import Why
from batchd.control.why import Ambiguous
from batchd.core.names import printable
from batchd.core.reasons import ReasonCode
from batchd.core.words import duration
from batchd.spool.folders import Folders

if TYPE_CHECKING:
    from batchd.control.ledger import Reader

_INDENT = " " * 10
_UNKNOWN = (ReasonCode.UNKNOWN, ReasonCode.OUTSIDE)


@click.command()
@click.argument("word", metavar="PATH|JOB", shell_complete=jobs_or_files)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def why(loaded: Loaded, word: str, as_json: bool) -> int:
    """Say where a file or a job is, and why.

    Takes any path, whether it is in the inbox, in the outbox or nowhere, or the id of a job, a
    shard or a batch, or its beginning. Exits 4 when nothing is known of it.
    """
    folders, now = Folders(loaded.settings.folders.root.resolve()), time.time()
    try:
        found, note = _found(loaded, folders, word)
    except (Refused, Ambiguous) as no:
        complain(str(no))
        return exit_of_refusal(no)
    if as_json:
        click.echo(json.dumps(found))
    else:
        say_so(note)
        click.echo("\n".join(_lines(msgspec.convert(found, Why), now)))
    return Exit.NOT_FOUND if found["code"] in _UNKNOWN else Exit.OK


def _found(loaded: Loaded, folders: Folders, word: str) -> tuple[dict[str, Any], str | None]:
    """Ask the daemon, or the ledger. What a path means here is ours to say: we stand here."""
    place = place_of(word, folders=folders, cwd=Path.cwd())

    def read(reader: Reader) -> dict[str, Any]:
        from batchd.cli.asking import recipes_of
        from batchd.control.presence import presence
        from batchd.control.views import answer_as_dict
        from batchd.control.why import Question

        question = Question(
            word=word,
            place=place,
            folders=folders,
            settings=loaded.settings,
            recipes=recipes_of(loaded),
            reader=reader,
            daemon=presence(folders),
            now=time.time(),
        )
        origins, daemon = loaded.origins, question.daemon
        answer = question.answer()
        return as_said(answer_as_dict(answer, loaded.settings, origins, daemon, source=SOURCE))

    there = str(place.is_there).lower()
    return from_ledger(
        lambda: dict(ask(folders, "GET", "why", word=word, path=place.path, there=there)),
        read,
        folders,
    )


def _lines(answer: Why, now: float) -> Iterator[str]:
    code = "" if answer.code == answer.standing else f"{answer.code}: "
    yield printable(f"{answer.standing:<9} {code}{answer.sentence}")
    if answer.job and answer.claimed_at is not None:
        ago = duration(now - epoch(answer.claimed_at))
        shard = f", shard {answer.shard}" if answer.shard else ""
        yield f"{_INDENT}job {answer.job}{shard} ({answer.name}), taken {ago} ago"
    shards = answer.facts.get("shards")
    if isinstance(shards, Mapping) and sum(shards.values()) > 1:
        counted = ", ".join(f"{count} {code}" for code, count in shards.items())
        yield f"{_INDENT}{sum(shards.values())} batches to go: {counted}"
    if answer.older:
        yield f"{_INDENT}earlier jobs of that name: {', '.join(answer.older)}"
    if setting := answer.setting:
        value = json.dumps(setting.value)
        yield printable(f"{_INDENT}{setting.name} = {value} ({setting.origin})")
