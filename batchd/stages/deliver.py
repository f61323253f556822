"""SETTLED or REJECTED -> PUBLISHING -> DELIVERED. Builds the folder, lets it appear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from batchd.core.answers import read_answer
from batchd.core.asked import asked_for_json
from batchd.core.events import JobDelivered, PublishStarted
from batchd.core.model import JobState
from batchd.core.names import folder_name, shown
from batchd.core.notes import LOST_ODDITY, notes_for
from batchd.core.receipt import ENDINGS, Account, DeliveredFile, receipt, receipt_as_text
from batchd.core.records import Layout
from batchd.core.rendering import error_line, problems_as_text, result_line
from batchd.core.rounds import all_rows, executions, is_final
from batchd.core.subjects import Job, Shard
from batchd.rounds.filling import fill_table
from batchd.rounds.lines import RenderedLines, lines_of
from batchd.runtime.fetching import fetch
from batchd.runtime.loop import LIGHT_REQUESTS
from batchd.runtime.services import Services
from batchd.runtime.threads import finish_undisturbed, in_thread, pause
from batchd.settings import Settings
from batchd.spool.filling import Filling, filled
from batchd.spool.harvesting import bring_in
from batchd.spool.kept import AnswersGone, KeptAnswers, kept_answers
from batchd.spool.placing import place, remove_file
from batchd.spool.work import rows_of

log = structlog.get_logger()

NAME = "deliver"
WAKES = ("claim", "tidy")
_CHECK_EVERY = 512  #: rows between two looks at whether somebody wants us to stop
LIMIT = 2  #: folders built at once: rendering is work for a processor


async def run_once(services: Services) -> int:
    """Finish what is appearing, build what is settled or rejected."""
    started, reach = 0, services.crews[NAME].reach
    for job in await services.ledger.jobs_to_deliver(most=reach):
        is_light = job.requests <= LIGHT_REQUESTS
        started += services.start(NAME, job.id, _deliver, job, services, light=is_light)
    return started


async def next_look(services: Services) -> float | None:
    """Only a settled or rejected job brings something, and both ring."""
    return None


async def _deliver(listed: Job, services: Services) -> None:
    job, shards = await services.ledger.job_and_shards(listed.id)
    if job.state in (JobState.SETTLED, JobState.REJECTED):
        job = await _prepare(job, shards, services)
    elif job.state is JobState.PUBLISHING and await in_thread(_lacks_its_draft, job, services):
        await _built(job, shards, services)
    if job.state is JobState.PUBLISHING:
        await _publish(job, services)


async def _prepare(job: Job, shards: Sequence[Shard], services: Services) -> Job:
    """Build the folder under its dot-name, whole, and only then say so."""
    built = await _built(job, shards, services)
    started = PublishStarted(
        job=job.id, folder=built.folder, outcome=built.outcome, summary=built.summary
    )
    return await services.ledger.move(started, at=services.clock.now())


def _lacks_its_draft(job: Job, services: Services) -> bool:
    """Whether the folder never appeared, and has to be built again.

    The dropped file goes into the draft before it appears: so it never did, and somebody who cleans
    up what begins with a dot has removed it.
    """
    has_its_file = services.work.input(job.id) is not None
    return has_its_file and not services.outbox.draft(job.id).is_dir()


async def _publish(job: Job, services: Services) -> None:
    folder = job.folder or ""
    # One way in both cases: the draft is there and appears now, or it had appeared already.
    await finish_undisturbed(_appear, job, folder, services)
    await services.ledger.record(JobDelivered(job=job.id), at=services.clock.now())
    seconds = round(services.clock.now() - job.claimed_at, 3)
    log.info(
        "job.delivered",
        job=job.id,
        file=shown(job.name),
        outcome=job.outcome,
        folder=folder,
        seconds=seconds,
        **job.summary,
    )


def _appear(job: Job, folder: str, services: Services) -> None:
    services.outbox.publish(job.id, folder, services.work.leaving(job.id))
    services.work.forget_plain(job.id)


@dataclass(frozen=True, slots=True)
class _Built:
    folder: str
    outcome: str
    summary: dict[str, Any]


async def _built(job: Job, shards: Sequence[Shard], services: Services) -> _Built:
    """Build the folder. Answers that somebody took out of var/work are brought again.

    A job that joined another has its answers: they lie in the other's folder.
    """
    for _ in shards:
        try:
            return await in_thread(_build, job, shards, services)
        except AnswersGone as gone:
            log.warning("answers.gone", job=job.id, shard=gone.shard.id, text=str(gone))
            if gone.file:
                await in_thread(remove_file, gone.file)
            await _bring_again(gone.shard, job, services)
    return await in_thread(_build, job, shards, services)


async def _bring_again(shard: Shard, job: Job, services: Services) -> None:
    """Fetch what is missing, and find every answer in it again.

    What became of its requests is recorded and stays; this is only where their answers lie.
    """
    if await _found_again(shard, job, services) < shard.kept:
        # The index was gone and the answers were cut. The whole of them is at the provider.
        output = services.work.answers(shard.job, shard.id, "output")
        await in_thread(remove_file, output)
        await _found_again(shard, job, services)


async def _found_again(shard: Shard, job: Job, services: Services) -> int:
    was_lost = LOST_ODDITY in shard.oddities
    gone = await fetch(shard, services)
    if gone and not was_lost:
        raise gone
    # By the job's own copy: that of the one it joined may have been delivered.
    lines = await in_thread(lines_of, job, services.work, services.recipes, pause=pause)
    harvest = await in_thread(lines.harvest_again, shard)
    owner = await services.ledger.job(shard.job)
    words = notes_for(shard, lost=was_lost, final=is_final(owner), per_request=lines.per_request)
    await in_thread(bring_in, services.work, shard, harvest, words, pause=pause)
    return harvest.tally().kept


def _build(job: Job, shards: Sequence[Shard], services: Services) -> _Built:
    """Build everything but input/, which is moved in when the folder appears."""
    account, draft = Account(of_records=bool(job.task)), services.outbox.begin(job.id)
    with filled(draft) as filling:
        if job.problems is not None:
            layout = None
            _explain(job, filling)
        else:
            layout = _fill(job, shards, account, filling, services)
    bill = receipt(
        job,
        shards,
        account,
        [*filling.files, *services.work.done_files(job.id, pause=pause), _input_of(job, services)],
        now=services.clock.now(),
        price_source=services.prices.source,
        layout=layout,
    )
    whole = msgspec.json.format(msgspec.json.encode(bill)) + b"\n"
    place(draft / "receipt.json", whole, among_others=True)
    place(draft / "RECEIPT.txt", receipt_as_text(bill).encode())
    folder = folder_name(job.id, job.name, ending=ENDINGS.get(bill["outcome"], ""))
    return _Built(folder, bill["outcome"], _summary(bill))


def _explain(job: Job, filling: Filling) -> None:
    problems = job.problems or {}
    filling.write(
        "error.txt", problems_as_text(shown(job.name), problems, job.task).rstrip("\n").encode()
    )
    filling.write("error.json", msgspec.json.format(msgspec.json.encode(problems)))


def _fill(
    job: Job, shards: Sequence[Shard], account: Account, filling: Filling, services: Services
) -> Layout | None:
    """Write one line per request of the input, in its order, failed ones included.

    Returns how a table was read; None where there is none.
    """
    lines = lines_of(job, services.work, services.recipes, pause=pause)
    if isinstance(lines, RenderedLines):
        work, settings = services.work, services.settings
        fill_table(lines, shards, account, filling, work=work, settings=settings)
        return lines.table.layout
    dropped = services.work.unchanged_input(job, pause=pause)
    rows = all_rows(shards)
    attempts = executions(shards, last_row=rows.ranges[-1][1])
    with kept_answers(services.work, shards) as kept:
        # Only as far as somebody asks for one: of a file that went well nobody does.
        line_of = _in_order(rows_of(dropped, rows, pause=pause))
        page = _Page(kept, line_of, account, filling, services.settings)
        for number, row in enumerate(rows):
            if number % _CHECK_EVERY == 0:
                pause()
            page.add(row, attempts[row])
    return None


def _in_order(lines: Iterator[tuple[int, bytes]]) -> Callable[[int], bytes]:
    """Give access to lines by their rows, each later than the one before, or that one again."""
    last = next(lines)

    def line_of(row: int) -> bytes:
        nonlocal last
        while last[0] != row:
            last = next(lines)
        return last[1]

    return line_of


class _Page:
    """What one request leaves in the files of its folder."""

    def __init__(
        self,
        kept: KeptAnswers,
        line_of: Callable[[int], bytes],
        account: Account,
        filling: Filling,
        settings: Settings,
    ) -> None:
        self._kept = kept
        self._line_of = line_of
        self._account = account
        self._write = filling.write
        self._truncated_fails = settings.retries.on_truncated == "fail"
        self._with_responses = settings.results.responses

    def add(self, row: int, attempts: int) -> None:
        """Write one request's result, the answer as it came, and why it failed where it did."""
        write, (line, endpoint, from_provider, noted) = self._write, self._kept.of(row)
        answer = read_answer(line, endpoint, truncated_fails=self._truncated_fails)
        self._account.add(row, answer)
        as_json = isinstance(answer.output, str) and (
            asked_for_json(self._line_of(row)) if noted is None else noted
        )
        write("results.jsonl", result_line(answer, as_json=as_json, attempts=attempts))
        if from_provider and self._with_responses:
            write("responses.jsonl", line)
        if answer.code is not None:
            write("errors.jsonl", error_line(answer, row=row, attempts=attempts))
            write("retry.jsonl", self._line_of(row))


def _input_of(job: Job, services: Services) -> DeliveredFile:
    dropped = services.work.input(job.id)
    # It may have grown after it was claimed, and before it was read.
    size = dropped.stat().st_size if dropped else job.size
    return DeliveredFile(f"input/{shown(job.name)}", size, job.sha256 or "")


def _summary(bill: Mapping[str, Any]) -> dict[str, Any]:
    """What the log's one line per job says, besides how it ended and where it lies."""
    requests, cost = bill["requests"], bill["cost"]
    return {
        "requests": requests["total"],
        "succeeded": requests["succeeded"],
        "failed": requests["total"] - requests["succeeded"],
        "rounds": bill["rounds"],
        "batches": len(bill["batches"]),
        "cost": cost["amount"] if cost else None,
    }
