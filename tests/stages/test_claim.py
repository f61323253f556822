"""inbox -> CLAIMED: by one rename, listed once, and nobody's file is ever in the way of another's."""

from __future__ import annotations

import os
import shutil

import pytest

from batchd.core.model import JobState
from batchd.stages import claim
from tests.fakes.clock import FakeClock
from tests.houses import drop, open_services, request
from tests.nobody import NOBODY, as_nobody


async def claimed(services) -> list[bytes]:
    return [job.name for job in await services.ledger.jobs_in(JobState.CLAIMED)]


async def settle_and_claim(services, *, seconds: float = 1.0) -> int:
    taken = await claim.run_once(services)
    services.clock.advance(seconds)
    return taken + await claim.run_once(services)


async def test_a_settled_file_is_moved_into_a_folder_of_its_own(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", [request("a")])
        assert await claim.run_once(services) == 0
        assert (tmp_path / "inbox" / "a.jsonl").exists()
        services.clock.advance(1.0)
        assert await claim.run_once(services) == 1

        (job,) = await services.ledger.jobs_in(JobState.CLAIMED)
        assert job.name == b"a.jsonl"
        assert job.owner == os.getuid()
        inside = services.work.input(job.id)
        assert inside == tmp_path / "var" / "work" / job.id / "in" / "a.jsonl"
        assert inside.stat().st_size == job.size
        assert not (tmp_path / "inbox" / "a.jsonl").exists()
        assert await claim.run_once(services) == 0


async def test_each_file_that_is_taken_is_a_sign_of_life(tmp_path):
    """A thousand of them on a slow disk are one turn of the loop, and no hang."""
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", [request("a")])
        await claim.run_once(services)
        assert services.heartbeat == {}
        services.clock.advance(1.0)
        await claim.run_once(services)
        assert services.heartbeat == {"claim": services.clock.monotonic()}


async def test_a_claim_that_was_never_listed_is_listed_at_the_next_look(tmp_path):
    """C1: killed between the rename and the ledger."""
    async with open_services(tmp_path) as services:
        dropped = drop(tmp_path, "a.jsonl", [request("a")])
        with services.work.claiming(["0aaaaa"], services.folders.inbox):
            services.work.claim(dropped, "0aaaaa")
    async with open_services(tmp_path, clock=FakeClock()) as services:
        assert await claim.run_once(services) == 1
        assert await claimed(services) == [b"a.jsonl"]


async def test_an_empty_folder_of_a_claim_is_removed(tmp_path):
    """C0: killed between the folder and the rename; or the sender took the file back."""
    async with open_services(tmp_path) as services:
        (tmp_path / "var" / "work" / "0aaaaa" / "in").mkdir(parents=True)
        (tmp_path / "var" / "work" / "0aaaab").mkdir()
        assert await claim.run_once(services) == 0
        assert services.work.jobs() == []


@pytest.mark.parametrize("kind", ["folder", "link"])
async def test_what_is_no_file_is_neither_claimed_nor_removed(tmp_path, kind):
    """Swapped for something else between look and rename: it is not ours to delete, or to follow."""
    async with open_services(tmp_path) as services:
        inside = tmp_path / "var" / "work" / "0aaaaa" / "in"
        inside.mkdir(parents=True)
        if kind == "folder":
            (inside / "x.jsonl").mkdir()
            (inside / "x.jsonl" / "precious").write_text("theirs")
        else:
            (inside / "x.jsonl").symlink_to("/etc/passwd")
        assert await claim.run_once(services) == 0
        assert os.path.lexists(inside / "x.jsonl")
        assert await claimed(services) == []


async def test_names_stay_the_bytes_that_they_are(tmp_path):
    names = [b"caf\xe9.jsonl", b"a\nb.jsonl", b"-rf.jsonl", b"x" * 249 + b".jsonl"]
    async with open_services(tmp_path) as services:
        for name in names:
            (tmp_path / "inbox" / os.fsdecode(name)).write_bytes(b"{}\n")
        assert await settle_and_claim(services) == 4
        assert sorted(await claimed(services)) == sorted(names)


async def test_ids_sort_by_age_even_when_the_clock_was_set_back(tmp_path):
    clock = FakeClock()
    async with open_services(tmp_path, clock=clock) as services:
        drop(tmp_path, "first.jsonl", [request("a")])
        await settle_and_claim(services)
    clock = FakeClock(start=clock.now() - 10 * 365 * 86_400)
    async with open_services(tmp_path, clock=clock) as services:
        drop(tmp_path, "second.jsonl", [request("a")])
        await settle_and_claim(services)
        assert await claimed(services) == [b"first.jsonl", b"second.jsonl"]


async def test_an_id_is_not_given_twice_though_its_job_was_never_listed(tmp_path):
    async with open_services(tmp_path) as services:
        unlisted = drop(tmp_path, "unlisted.jsonl", [request("a")])
        drop(tmp_path, "b.jsonl", [request("b")])
        await claim.run_once(services)
        services.clock.advance(1.0)
        with services.work.claiming(["0zzzzz"], services.folders.inbox):
            services.work.claim(unlisted, "0zzzzz")
        assert await claim.run_once(services) == 2
        assert await claimed(services) == [b"unlisted.jsonl", b"b.jsonl"]


async def test_many_files_at_once_are_taken_by_the_handful_oldest_first(tmp_path):
    async with open_services(tmp_path, inbox={"max_claimed": 5000}) as services:
        for number in range(2500):
            path = tmp_path / "inbox" / f"{number:04}.jsonl"
            path.write_bytes(b"{}\n")
            os.utime(path, (number, number))
        await claim.run_once(services)
        services.clock.advance(1.0)
        handfuls = [await claim.run_once(services) for _ in range(4)]
        assert handfuls == [1000, 1000, 500, 0]
        jobs = await services.ledger.jobs_in(JobState.CLAIMED, most=5000)
        assert [job.name for job in jobs] == [f"{n:04}.jsonl".encode() for n in range(2500)]
        assert len({job.id for job in jobs}) == 2500


async def test_more_than_a_handful_rings_its_own_bell(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", [request("a")])
        await settle_and_claim(services)
        await services.bells["claim"].wait(1e9)
        await services.bells["plan"].wait(1e9)


async def test_the_next_look_is_the_scan_or_when_a_file_may_have_settled(tmp_path):
    async with open_services(tmp_path) as services:
        assert await claim.next_look(services) == 10.0
        drop(tmp_path, "a.jsonl", [request("a")])
        await claim.run_once(services)
        assert await claim.next_look(services) == 1.0


async def test_an_inbox_that_is_gone_is_an_error_of_the_disk_and_a_new_one_is_served(tmp_path):
    async with open_services(tmp_path) as services:
        shutil.rmtree(tmp_path / "inbox")
        with pytest.raises(FileNotFoundError):
            await claim.run_once(services)
        drop(tmp_path, "a.jsonl", [request("a")])
        assert await settle_and_claim(services) == 1


async def test_a_file_that_may_not_be_read_stays_in_the_inbox_and_keeps_nobody_out():
    with as_nobody() as root:
        async with open_services(root) as services:
            locked = drop(root, "a-locked.jsonl", [request("a")])
            locked.chmod(0)
            drop(root, "b.jsonl", [request("b")])
            assert await settle_and_claim(services) == 1
            assert await claimed(services) == [b"b.jsonl"]
            assert locked.exists()
            assert len(services.work.jobs()) == 1, "nothing is left of the attempt"

            locked.chmod(0o600)
            assert await settle_and_claim(services) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="another user's file takes root to make")
async def test_a_file_that_may_not_be_moved_keeps_nobody_out():
    """Another user's file in an inbox with the sticky bit."""
    with as_nobody() as root:
        async with open_services(root) as services:
            drop(root, "b.jsonl", [request("b")])
            os.seteuid(0)
            theirs = drop(root, "a-theirs.jsonl", [request("a")])
            os.chown(root / "inbox", 0, 0)
            (root / "inbox").chmod(0o1777)
            os.seteuid(NOBODY)
            assert await settle_and_claim(services) == 1
            assert await claimed(services) == [b"b.jsonl"]
            assert theirs.exists()
            assert len(services.work.jobs()) == 1
            assert await claim.run_once(services) == 0, "and it is put off"


async def test_a_file_and_its_done_file_leave_the_inbox_together(tmp_path):
    async with open_services(tmp_path, inbox={"done_file": "require"}) as services:
        drop(tmp_path, "a.jsonl", [request("a")])
        drop(tmp_path, "alone.jsonl.done", [])
        assert await settle_and_claim(services) == 0
        drop(tmp_path, "a.jsonl.done", [])
        assert await settle_and_claim(services) == 1
        assert await claimed(services) == [b"a.jsonl"]
        left = sorted(path.name for path in (tmp_path / "inbox").iterdir())
        assert left == [".tmp", "alone.jsonl.done"]


async def test_a_done_file_whose_claim_came_to_nothing_is_given_back(tmp_path):
    """C0: killed between the done file's rename and that of its file."""
    async with open_services(tmp_path, inbox={"done_file": "require"}) as services:
        drop(tmp_path, "a.jsonl", [request("a")])
        taken = tmp_path / "var" / "work" / "0aaaaa" / "done"
        taken.mkdir(parents=True)
        (taken / "a.jsonl.done").write_text("said")
        assert await claim.run_once(services) == 0
        assert (tmp_path / "inbox" / "a.jsonl.done").read_text() == "said"
        assert services.work.jobs() == []
        assert await settle_and_claim(services) == 1


async def test_a_done_file_that_can_not_be_given_back_keeps_nobody_out():
    with as_nobody() as root:
        async with open_services(root) as services:
            taken = root / "var" / "work" / "0aaaaa" / "done"
            taken.mkdir(parents=True)
            (taken / "a.jsonl.done").touch()
            with services.work.claiming(["0aaaab"], services.folders.inbox):
                services.work.claim(drop(root, "b.jsonl", [request("b")]), "0aaaab")
            (root / "inbox").chmod(0o555)
            assert await claim.run_once(services) == 1
            assert await claimed(services) == [b"b.jsonl"]
            (root / "inbox").chmod(0o755)
            await claim.run_once(services)
            assert (root / "inbox" / "a.jsonl.done").exists()


async def test_a_file_changed_between_look_and_claim_waits_again(tmp_path):
    async with open_services(tmp_path) as services:
        path = drop(tmp_path, "a.jsonl", [request("a")])
        await claim.run_once(services)
        services.clock.advance(1.0)
        (found,), _ = claim._settled(services)
        path.write_bytes(path.read_bytes() * 2)
        with services.work.claiming(["0aaaaa"], services.folders.inbox):
            claim._take_one(found, "0aaaaa", services)
        assert path.exists()
        assert await settle_and_claim(services) == 1
