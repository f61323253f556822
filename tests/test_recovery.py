"""A life interrupted anywhere, its ledger lost, recovered: the same outbox, and nothing paid twice."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from batchd.core.errors import ConfigError, RemoteRefused, RemoteUnavailable
from batchd.core.model import BatchError, BatchStatus
from batchd.recovery.listing import CannotKnow
from batchd.recovery.recovering import Outcome, Recovery, Wish
from batchd.spool.folders import Folders
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import (
    delivered,
    drop,
    live,
    open_services,
    read_lines,
    read_receipt,
    requests,
    settings,
    turn,
)

SHAPE = {"batches": {"max_requests": 3, "doubt_seconds": 20.0}, "jobs": {"keep_days": 1.0}}
FILES = 3
#: a-2 fails once, and is tried again
EXECUTIONS = {f"a-{n}": 1 + (n == 2) for n in range(1, 8)} | {
    "b-1": 1,
    "b-2": 1,
    "c-1": 1,
    "c-2": 1,
}
ANSWERS = 11  #: `again` joins `a`; a failure took no tokens


class PassingClock(FakeClock):
    """Nobody else is there to move it while a recovery waits."""

    async def wait(self, event: anyio.Event, seconds: float) -> None:
        self.advance(seconds)


class World:
    """What outlives a ledger: the folders, the provider, the time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = FakeClock(time.time())  # folders live by the real clock
        self.remote = FakeRemote(self.clock)
        self.database = root / "var" / "batchd.db"

    def drop_all(self) -> None:
        """Several shards, one request that fails once; the same file again; two models."""
        self.remote.verdicts = {"a-2": [429, 200]}
        drop(self.root, "a.jsonl", requests(7, prefix="a"))
        drop(self.root, "again.jsonl", requests(7, prefix="a"))
        drop(self.root, "b.jsonl", [*requests(2, prefix="b"), *requests(2, prefix="c", model="m")])

    async def live(self, *, turns: int | None = None, deliveries: int = FILES) -> None:
        """Live some turns, or until so many folders lie in the outbox."""
        async with open_services(
            self.root, remote=self.remote, clock=self.clock, **SHAPE
        ) as services:
            if turns is None:
                await live(services, deliveries=deliveries)
            for _ in range(turns or 0):
                await turn(services)
                self.clock.advance(2.0)

    async def recover(self, **wish: object) -> Outcome:
        clock = PassingClock(self.clock.now())
        self.remote._clock = clock
        wishes = Wish(**wish)  # type: ignore[arg-type]
        try:
            return await Recovery(
                Folders(self.root),
                settings(self.root, **SHAPE),
                self.remote,
                clock,
                wishes,
                lambda line: None,
            ).run()
        finally:
            self.remote._clock = self.clock
            self.clock.advance(clock.now() - self.clock.now())

    def check(self) -> None:
        """Everything is answered once, and every answer was bought once."""
        folders = delivered(self.root)
        assert sorted(folders) == ["a", "again", "b"]
        for name, ids in {"a": 7, "again": 7, "b": 4}.items():
            results = read_lines(folders[name] / "results.jsonl")
            assert [r["ok"] for r in results] == [True] * ids
            assert [r["output"] for r in results] == [
                f"answer to {r['custom_id']}" for r in results
            ]
        assert dict(self.remote.executions) == EXECUTIONS
        assert set(Counter(shard for shard, _ in self.remote.opened).values()) == {1}
        assert self.paid_for() <= ANSWERS  # sums may be lost with the ledger, and never double

    def paid_for(self) -> int:
        """How many answers are in the sums of what was spent."""
        with closing(sqlite3.connect(self.database)) as connection:
            return int(connection.execute("SELECT sum(requests) FROM spend").fetchone()[0] or 0)


def gone(world: World) -> None:
    for path in world.database.parent.glob("batchd.db*"):
        path.unlink()


def garbage(world: World) -> None:
    world.database.write_bytes(random.Random(1).randbytes(30_000))


def truncated(world: World) -> None:
    world.database.write_bytes(world.database.read_bytes()[:9000])


def tail_destroyed(world: World) -> None:
    """The first pages can be read: the root, and with luck the jobs."""
    content = bytearray(world.database.read_bytes())
    half = len(content) * 2 // 3
    content[half:] = random.Random(2).randbytes(len(content) - half)
    world.database.write_bytes(content)


HARMS = [gone, garbage, truncated, tail_destroyed]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("turns", [2, 3, 4, 5, 7, 9, 12, 16])
async def test_whatever_was_lost_life_goes_on_and_nothing_is_bought_twice(
    tmp_path: Path, turns: int, harm
):
    """F75, F76, R30: at every age of a life."""
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=turns)
    sent = world.remote.opened[:]
    harm(world)
    await world.recover()
    await world.live()
    world.check()
    assert world.remote.opened[: len(sent)] == sent


@pytest.mark.parametrize("turns", [2, 3, 4, 5, 7, 9, 12, 16])
async def test_a_whole_ledger_is_recovered_to_what_it_was(tmp_path: Path, turns: int):
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=turns)
    before = rows(world.database)
    await world.recover()
    assert rows(world.database) == before
    await world.live()
    world.check()
    assert world.paid_for() == ANSWERS


async def test_a_lost_table_of_sums_is_added_up_from_the_answers(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live()
    with closing(sqlite3.connect(world.database)) as connection:
        before = connection.execute("SELECT * FROM spend ORDER BY model").fetchall()
        connection.execute("DELETE FROM spend")
        connection.commit()
    await world.recover()
    with closing(sqlite3.connect(world.database)) as connection:
        assert connection.execute("SELECT * FROM spend ORDER BY model").fetchall() == before
    assert world.paid_for() == ANSWERS


async def test_what_is_collected_anew_is_not_counted_twice(tmp_path: Path):
    """Its answers are gone, so its batches are looked after again, and add up again."""
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=9)
    answers = list((tmp_path / "var" / "work").rglob("*.index"))
    assert answers
    assert world.paid_for() > 0
    for path in answers:
        path.unlink()
    await world.recover()
    assert world.paid_for() == 4  # of b, which is delivered: nobody collects it again
    await world.live()
    world.check()
    assert world.paid_for() == ANSWERS


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        states = "SELECT id, state, round, joined, sha256, tidied_at FROM jobs ORDER BY id"
        shards = "SELECT id, state, batch, rows, due_at, again, kept FROM shards ORDER BY id"
        root = "SELECT id FROM root"
        return [row for query in (states, shards, root) for row in connection.execute(query)]


@pytest.mark.parametrize("later", [3, 5, 9, 16, None])
@pytest.mark.parametrize("at", [2, 3, 5, 7])
async def test_a_backup_of_yesterday_is_brought_up_to_date(
    tmp_path: Path, at: int, later: int | None
):
    """It is a whole ledger, and knows nothing of what was sent since."""
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=at)
    shutil.copy(world.database, tmp_path / "backup")
    await world.live(turns=later)
    shutil.copy(tmp_path / "backup", world.database)
    await world.recover()
    await world.live()
    world.check()


async def test_a_create_whose_answer_was_lost_with_the_ledger_is_found(tmp_path: Path):
    """The batch is listed only after a while: recovery waits as long as a doubt does."""
    world = World(tmp_path)
    world.remote.listing_lag_seconds = 15.0
    world.remote.lose_connection_after("create_batch", times=9)
    world.drop_all()
    await world.live(turns=3)
    assert world.remote.opened
    gone(world)
    await world.recover()
    await world.live()
    world.check()


async def test_what_is_left_of_the_old_ledger_is_kept(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=5)
    garbage(world)
    damaged = world.database.read_bytes()
    (tmp_path / "var" / "batchd.db-wal").write_bytes(b"and this")
    outcome = await world.recover()
    assert [path.read_bytes() for path in outcome.kept] == [damaged, b"and this"]
    assert all(".damaged-" in path.name for path in outcome.kept)
    assert not (tmp_path / "var" / "batchd.db-wal").exists()


async def test_a_ledger_saved_while_it_was_in_use_is_preferred(tmp_path: Path):
    """F76: deleted under a running daemon, which saved it: nothing at all is lost."""
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=5)
    before = rows(world.database)
    world.database.rename(tmp_path / "var" / "batchd.db.rescued-7")
    await world.recover()
    assert rows(world.database) == before
    await world.live()
    world.check()


async def test_a_recovery_killed_before_its_last_rename_is_done_again(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=5)
    root = rows(world.database)[-1]
    world.database.rename(tmp_path / "var" / "batchd.db.damaged-7")
    with pytest.raises(ConfigError, match="batchd recover"):
        await world.live()
    await world.recover()
    assert rows(world.database)[-1] == root
    await world.live()
    world.check()


async def test_a_dry_run_changes_nothing(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=5)
    garbage(world)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    outcome = await world.recover(dry_run=True)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert any("rebuilt" in word for _, word in outcome.rows.values())


async def test_finished_jobs_are_known_again_and_new_ids_sort_after_them(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live()
    gone(world)
    shutil.rmtree(tmp_path / "var" / "work")
    (tmp_path / "var" / "work").mkdir()
    outcome = await world.recover()
    assert outcome.delivered == FILES
    last = max(outcome.jobs)
    world.check()
    drop(tmp_path, "d.jsonl", requests(1, prefix="d"))
    await world.live(deliveries=FILES + 1)
    (folder,) = tmp_path.glob("outbox/d--*")
    assert folder.name > f"d--{last}"


async def test_a_folder_about_to_appear_appears(tmp_path: Path):
    """Killed between the last two renames: the dropped file is in the draft already."""
    world = World(tmp_path)
    world.drop_all()
    await world.live()
    folder = delivered(tmp_path)["b"]
    job = folder.name.rpartition("--")[2]
    folder.rename(tmp_path / "outbox" / f".{job}")
    gone(world)
    await world.recover()
    await world.live()
    world.check()


async def test_who_may_have_joined_a_finished_job_is_left_to_a_person(tmp_path: Path):
    """Its answers were bought with the first: to buy them again is for its owner to say."""
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=3)
    (job,) = (row[0] for row in rows(world.database) if len(row) == 6 and row[3])
    (dropped,) = tmp_path.glob(f"var/work/{job}/in/*")
    content = dropped.read_bytes()
    await world.live()
    shutil.rmtree(delivered(tmp_path)[dropped.stem])
    dropped.write_bytes(content)
    gone(world)
    outcome = await world.recover()
    assert outcome.left == [job]
    assert "drop it again" in outcome.rows[job][1]
    assert (tmp_path / "var" / "work" / f"{job}.left" / "in" / dropped.name).exists()


async def test_a_batch_that_never_began_is_not_looked_after_and_its_requests_travel(tmp_path: Path):
    world = World(tmp_path)
    full = BatchError("token_limit_exceeded", "Enqueued token limit reached")
    world.remote.fail_batches_with(full, times=2)
    world.drop_all()
    await world.live(turns=6)
    gone(world)
    await world.recover()
    await world.live()
    world.check()


@pytest.mark.parametrize("seed", range(25))
async def test_lives_of_many_losses(tmp_path: Path, seed: int):
    """R30: lost answers, lagging lists, refused and expired batches, and the ledger lost again."""
    chance = random.Random(seed)
    world = World(tmp_path)
    world.drop_all()
    world.remote.listing_lag_seconds = chance.choice([0.0, 5.0, 15.0])
    world.remote.lose_connection_after("create_batch", times=chance.randrange(3))
    world.remote.expire(times=chance.randrange(2))
    full = BatchError("token_limit_exceeded", "Enqueued token limit reached")
    world.remote.fail_batches_with(full, times=chance.randrange(3))
    backup = b""
    for _ in range(chance.randrange(1, 4)):
        await world.live(turns=chance.randrange(1, 14))
        if backup and chance.random() < 0.3:
            world.database.write_bytes(backup)
        else:
            chance.choice(HARMS)(world)
        await world.recover()
        backup = world.database.read_bytes()
    await world.live()
    folders = delivered(tmp_path)
    results = {name: read_lines(folders[name] / "results.jsonl") for name in folders}
    assert {name: [r["ok"] for r in lines] for name, lines in results.items()} == {
        "a": [True] * 7,
        "again": [True] * 7,
        "b": [True] * 4,
    }
    assert dict(world.remote.executions) == EXECUTIONS


# What can't be known


async def test_a_provider_that_lists_nothing_is_no_source(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=5)
    garbage(world)
    world.remote.fail("list_batches", RemoteRefused("Method Not Allowed", status=405))
    with pytest.raises(CannotKnow, match="does not list its batches"):
        await world.recover()
    assert world.database.stat().st_size == 30_000


async def test_a_provider_that_is_down_is_asked_again_later(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=5)
    gone(world)
    world.remote.fail("list_batches", RemoteUnavailable("down", may_have_happened=False))
    with pytest.raises(RemoteUnavailable):
        await world.recover()
    await world.recover()
    await world.live()
    world.check()


async def test_without_open_jobs_nobody_is_asked(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live()
    calls = world.remote.calls["list_batches"]
    garbage(world)
    await world.recover()
    assert world.remote.calls["list_batches"] == calls


async def test_two_roots_with_the_same_job_ids_are_told_apart_by_the_operator(tmp_path: Path):
    """Job ids are seconds: two roots on one account may well have the same."""
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=5)
    own = rows(world.database)[-1][0]
    relabel(world, len(world.remote.opened) // 2, batchd_root="another")
    gone(world)
    with pytest.raises(CannotKnow, match="--root-id"):
        await world.recover()
    outcome = await world.recover(root_id=own)
    assert outcome.root == own


async def test_a_root_that_only_shares_job_ids_is_not_taken_for_this_one(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=5)
    for dropped in tmp_path.glob("var/work/*/in/*"):
        dropped.write_bytes(dropped.read_bytes().replace(b"question", b"another"))
    gone(world)
    with pytest.raises(CannotKnow, match="none fits the files here"):
        await world.recover()
    outcome = await world.recover(root_id="mine")
    assert outcome.root == "mine"
    assert outcome.left == []


async def test_a_part_cut_for_another_plan_is_never_sent(tmp_path: Path):
    """The same shard's name, and other rows: it would be uploaded as it lies."""
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=2)
    for job in tmp_path.glob("var/work/*"):
        (job / "shards").mkdir(exist_ok=True)
        for number in range(1, 9):
            (job / "shards" / f"{job.name}-{number}.jsonl").write_text("not what was planned")
    gone(world)
    await world.recover()
    await world.live()
    world.check()


def relabel(world: World, count: int, **metadata: str) -> None:
    for made in list(world.remote._batches.values())[:count]:
        made.order.metadata.update(metadata)  # type: ignore[attr-defined]


async def test_a_server_that_drops_the_names_is_asked_for_the_lines(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=5)
    for made in world.remote._batches.values():
        made.order.metadata.clear()  # type: ignore[attr-defined]
    gone(world)
    await world.recover()
    await world.live()
    assert dict(world.remote.executions) == EXECUTIONS
    assert len(delivered(tmp_path)) == FILES


async def test_another_programs_batch_without_its_file_can_be_ignored(tmp_path: Path):
    world = World(tmp_path)
    world.remote.batch_seconds = 9999.0
    world.drop_all()
    await world.live(turns=5)
    stray = next(iter(world.remote._batches.values()))
    stray.order.metadata.clear()  # type: ignore[attr-defined]
    world.remote.vanish(stray.order.input_file_id)
    gone(world)
    with pytest.raises(CannotKnow, match=f"--ignore {stray.id}"):
        await world.recover()
    await world.recover(ignored=frozenset({stray.id}))


async def test_a_batch_whose_requests_are_gone_leaves_its_job_to_a_person(tmp_path: Path):
    world = World(tmp_path)
    world.remote.batch_seconds = 9999.0
    world.drop_all()
    await world.live(turns=5)
    made = next(
        m
        for m in world.remote._batches.values()
        if "a.jsonl" in m.order.metadata["description"]
        or "again" in m.order.metadata["description"]
    )
    world.remote.vanish(made.order.input_file_id)
    job = made.order.metadata["batchd_job"]
    gone(world)
    outcome = await world.recover()
    assert len(outcome.left) == 2  # and its twin, which has the same requests
    assert (tmp_path / "var" / "work" / f"{job}.left").is_dir()
    calls = len(world.remote.opened)
    await world.live(turns=3)
    assert world.remote.opened[calls:] == []


async def test_a_file_that_was_changed_is_left_to_a_person(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=5)
    (dropped,) = tmp_path.glob("var/work/*/in/b.jsonl")
    lines = read_lines(dropped)
    lines[0]["body"]["messages"][0]["content"] = "something else"
    dropped.write_text("".join(json.dumps(line) + "\n" for line in lines))
    gone(world)
    outcome = await world.recover()
    (word,) = [word for file, word in outcome.rows.values() if file == "b.jsonl"]
    assert "has not its requests" in word


async def test_a_status_that_is_no_end_is_looked_after(tmp_path: Path):
    """Whatever the provider says of a batch, its requests are not sent again."""
    world = World(tmp_path)
    world.remote.cancel_after(3.0, fraction=0.0, times=9)
    world.drop_all()
    await world.live(turns=6)
    gone(world)
    await world.recover()
    await world.live()
    assert not any(world.remote.executions.values())
    assert {b.status for b in world.remote.batches} == {BatchStatus.CANCELLED}


async def test_a_claim_that_had_only_its_done_file_is_undone(tmp_path: Path):
    """Killed between the two, and then the ledger lost: the file still lies in the inbox."""
    world = World(tmp_path)
    world.drop_all()
    await world.live(turns=3)
    taken = tmp_path / "var" / "work" / "0zzzzz" / "done"
    taken.mkdir(parents=True)
    (taken / "d.jsonl.done").write_text("said")
    gone(world)
    outcome = await world.recover()
    assert (tmp_path / "inbox" / "d.jsonl.done").read_text() == "said"
    assert "0zzzzz" not in outcome.jobs
    assert not taken.parent.exists()


async def test_a_compressed_file_is_rebuilt_from_what_is_in_it(tmp_path: Path):
    world = World(tmp_path)
    content = drop(tmp_path, "z.jsonl.gz", requests(7, prefix="z")).read_bytes()
    await world.live(turns=5)
    assert len(world.remote.opened) == 3
    gone(world)
    outcome = await world.recover()
    assert outcome.rebuilt == 1
    await world.live(deliveries=1)
    folder = delivered(tmp_path)["z"]
    assert len(read_lines(folder / "results.jsonl")) == 7
    assert (folder / "input" / "z.jsonl.gz").read_bytes() == content
    assert read_receipt(folder)["sha256"] == hashlib.sha256(content).hexdigest()
    assert set(world.remote.executions.values()) == {1}


async def test_a_damaged_compressed_file_is_left_to_a_person(tmp_path: Path):
    world = World(tmp_path)
    world.drop_all()
    drop(tmp_path, "z.jsonl.gz", requests(7, prefix="z"))
    await world.live(turns=5)
    (dropped,) = tmp_path.glob("var/work/*/in/z.jsonl.gz")
    dropped.write_bytes(dropped.read_bytes()[:-5])
    gone(world)
    outcome = await world.recover()
    (word,) = [word for file, word in outcome.rows.values() if file == "z.jsonl.gz"]
    assert "its file can't be read as it was" in word
