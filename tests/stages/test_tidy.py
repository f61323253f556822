"""What is kept goes in its time: here, at the provider, and in the ledger; nothing of the user's."""

import sqlite3

from batchd.core.errors import RemoteRefused
from batchd.core.model import JobState, ShardState
from batchd.stages import claim, collect, deliver, plan, poll, submit, tidy
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote, Kept
from tests.houses import delivered, drop, live, open_services, requests
from tests.stages.steps import opened, planned, step, until

DAY, HOUR = 86_400.0, 3_600.0


async def test_the_work_folder_goes_after_keep_days_and_not_before(tmp_path):
    async with open_services(tmp_path, jobs={"keep_days": 1.0}) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        await live(services, deliveries=1)
        services.clock.advance(DAY - 400.0)
        await step(services, tidy)
        assert len(services.work.jobs()) == 1
        services.clock.advance(401.0)
        await step(services, tidy)
        assert services.work.jobs() == []


# At the provider


async def test_everything_stays_at_the_provider_unless_it_is_to_go(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        services.clock.advance(HOUR)
        await step(services, tidy)
        assert len(services.remote.files) == 2  # what went there, and what came of it


async def test_both_files_go_once_the_folder_is_there_and_not_before(tmp_path):
    remote = FakeRemote(clock := FakeClock())
    remote.files["file-other"] = Kept("batchd-another0root-1a2b3c-1.jsonl", b"{}")
    async with open_services(
        tmp_path, remote=remote, clock=clock, openai={"delete_files": True}
    ) as services:
        drop(tmp_path, "a.jsonl", requests(2))

        async def settled() -> bool:
            return bool(await services.ledger.jobs_in(JobState.SETTLED))

        await until(services, settled, claim, plan, submit, poll, collect, tidy)
        assert len(remote.files) == 3
        await live(services, deliveries=1)
        await step(services, tidy)
        assert set(remote.files) == {"file-other"}

        calls = remote.calls["delete_file"]
        await step(services, tidy)
        assert remote.calls["delete_file"] == calls, "once is enough"


async def test_files_stay_while_one_that_joined_is_not_delivered(tmp_path):
    async with open_services(tmp_path, openai={"delete_files": True}) as services:
        await planned(services, tmp_path, "a", "b", lines=requests(2))

        async def settled() -> bool:
            return len(await services.ledger.jobs_in(JobState.SETTLED)) == 2

        await until(services, settled, submit, poll, collect)
        jobs = await services.ledger.jobs_in(JobState.SETTLED)
        # Either may be read first: the other joins it.
        first, joiner = sorted(jobs, key=lambda job: job.joined is not None)
        assert joiner.joined == first.id
        await deliver._deliver(first, services)
        await step(services, tidy)
        assert len(services.remote.files) == 2
        await live(services, deliveries=2)
        await step(services, tidy)
        assert services.remote.files == {}


async def test_an_upload_whose_answer_was_lost_is_found_by_its_name_and_removed(tmp_path):
    remote = FakeRemote(clock := FakeClock())
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        root = services.ledger.root
        remote.lose_connection_after("upload")
        await planned(services, tmp_path)

        async def is_open() -> bool:
            return bool(await services.ledger.shards_in(ShardState.OPEN))

        await until(services, is_open, submit)
        (shard,) = await services.ledger.shards_in(ShardState.OPEN)
        (lost,) = set(remote.files) - {shard.file_id}
        remote.files["file-theirs"] = Kept(f"{root}.jsonl", b"{}")
        remote.files["file-odd"] = Kept(f"batchd-{root}x-{shard.id}.jsonl", b"{}")

        services.clock.advance(700.0)
        await step(services, tidy)
        assert lost in remote.files, "it may be an upload under way"
        remote.batch_seconds = 3 * DAY
        services.clock.advance(DAY)
        await step(services, tidy)
        assert lost in remote.files, "the shard is live, and only its name is known for sure"

        remote.batch_seconds = 1.0
        await live(services, deliveries=1)
        services.clock.advance(DAY)
        await step(services, tidy)
        assert remote.deleted == [lost]


async def test_a_provider_that_lists_no_files_is_left_alone(tmp_path):
    remote = FakeRemote(clock := FakeClock())
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        remote.fail("list_files", RemoteRefused("no such route", status=404))
        services.clock.advance(700.0)
        await step(services, tidy)
        await step(services, tidy)
        assert remote.calls["list_files"] == 0
        services.clock.advance(700.0)
        await step(services, tidy)
        assert remote.calls["list_files"] == 1
        assert services.crews[tidy.NAME].room == tidy.LIMIT


async def test_a_provider_that_deletes_no_files_is_asked_once(tmp_path):
    remote = FakeRemote(clock := FakeClock())
    remote.fail("delete_file", RemoteRefused("no such route", status=405), times=9)
    async with open_services(
        tmp_path, remote=remote, clock=clock, openai={"delete_files": True}
    ) as services:
        drop(tmp_path, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        services.clock.advance(HOUR)
        await step(services, tidy)
        await step(services, tidy)
        assert remote.calls["delete_file"] == 1


# In the ledger


async def test_a_job_is_forgotten_after_history_days_and_its_folder_and_bill_are_not(tmp_path):
    def counts(connection: sqlite3.Connection) -> list[int]:
        tables = ("jobs", "shards", "history", "spend")
        return [connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables]

    async with open_services(tmp_path, jobs={"keep_days": 1.0, "history_days": 30.0}) as services:
        for name in ("a", "b"):  # the second has the same content, and joins
            drop(tmp_path, f"{name}.jsonl", requests(2))
        await live(services, deliveries=2)
        for days in (2.0, 27.9):
            services.clock.advance(days * DAY)
            await step(services, tidy)
            await step(services, tidy)
        before = await services.ledger._database.read(counts)
        assert before[0] == 2

        services.clock.advance(0.2 * DAY)
        await step(services, tidy)
        assert await services.ledger._database.read(counts) == [0, 0, 0, before[3]]
        assert before[3] == 1
        assert delivered(tmp_path).keys() == {"a", "b"}


async def test_what_is_not_delivered_is_never_forgotten(tmp_path):
    remote = FakeRemote(clock := FakeClock())
    remote.batch_seconds = 300 * DAY
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await opened(services, tmp_path)
        services.clock.advance(200 * DAY)
        await step(services, tidy)
        assert (await services.ledger.job(shard.job)).state is JobState.ACTIVE
