"""A compressed file on its whole way: its lines travel, and what was dropped comes back."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from batchd.core.model import ShardState
from batchd.runtime.services import Services
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
    turn,
)

NAME = "a.jsonl.gz"
MANY = {"max_requests": 3}


def plain_in(root: Path) -> Path:
    """Where the lines are to lie."""
    (job,) = (root / "var" / "work").iterdir()
    return job / "plain.jsonl"


async def opened(services: Services) -> None:
    """Let everything that was dropped be sent."""
    while not await services.ledger.shards_in(ShardState.OPEN):
        if not await turn(services):
            services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one


async def pass_time(services: Services) -> None:
    for _ in range(60):
        while await turn(services):
            pass
        services.clock.advance(2.0)  # type: ignore[attr-defined]


def check(root: Path, content: bytes, *, count: int) -> None:
    """Every line is answered in order, and the file is the one that was dropped."""
    folder = delivered(root)["a"]
    results = read_lines(folder / "results.jsonl")
    assert [(line["custom_id"], line["ok"]) for line in results] == [
        (f"r-{number}", True) for number in range(1, count + 1)
    ]
    assert (folder / "input" / NAME).read_bytes() == content
    assert read_receipt(folder)["sha256"] == hashlib.sha256(content).hexdigest()


async def test_a_small_one_travels_inflated_and_comes_back_as_it_was_dropped(tmp_path):
    async with open_services(tmp_path) as services:
        content = drop(tmp_path, NAME, requests(3)).read_bytes()
        await opened(services)
        (sent,) = services.remote.files.values()
        assert sent.content == gzip.decompress(content)
        plain = plain_in(tmp_path)
        assert plain.read_bytes() == sent.content
        await live(services, deliveries=1)
        check(tmp_path, content, count=3)
        assert not plain.exists(), "nobody needs it any more"


async def test_its_parts_are_cut_from_its_lines_in_every_round(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.verdicts = {"r-2": [429, 200], "r-7": [500, 200]}
    async with open_services(tmp_path, remote=remote, clock=clock, batches=MANY) as services:
        content = drop(tmp_path, NAME, requests(8)).read_bytes()
        await live(services, deliveries=1)
        check(tmp_path, content, count=8)
        assert len(remote.opened) == 4
        assert read_receipt(delivered(tmp_path)["a"])["rounds"] == 2


async def test_lines_that_are_gone_or_that_an_earlier_life_left_are_inflated_again(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    content = drop(tmp_path, NAME, requests(8)).read_bytes()
    for then in (Path.unlink, lambda plain: plain.write_bytes(b"a stranger's\n")):
        async with open_services(tmp_path, remote=remote, clock=clock, batches=MANY) as services:
            await opened(services)
        then(plain_in(tmp_path))
    async with open_services(tmp_path, remote=remote, clock=clock, batches=MANY) as services:
        await live(services, deliveries=1)
    check(tmp_path, content, count=8)
    assert len(remote.opened) == 3


class Meddled(FakeRemote):
    """Somebody writes to the lines while they are uploaded for the first time."""

    root: Path

    async def effect(self, name: str, phase: str) -> None:
        if (name, phase) == ("upload", "before") and not self.uploads:
            plain = plain_in(self.root)
            plain.write_bytes(plain.read_bytes().replace(b"r-", b"x-"))


async def test_lines_that_were_changed_while_they_were_sent_are_not_a_batch(tmp_path):
    clock = FakeClock()
    remote = Meddled(clock)
    remote.root = tmp_path
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        content = drop(tmp_path, NAME, requests(3)).read_bytes()
        await live(services, deliveries=1)
        check(tmp_path, content, count=3)
        assert len(remote.uploads) == 2
        assert b"x-" in remote.uploads[0][1]
        assert len(remote.opened) == 1


async def test_a_nearly_full_disk_lets_it_wait_until_there_is_room(tmp_path):
    """F56: what is to be inflated waits like everything else that can wait."""
    async with open_services(tmp_path) as services:
        content = drop(tmp_path, NAME, requests(3)).read_bytes()
        services.work.plain_copies.keep_free = 1 << 60
        await pass_time(services)
        assert services.remote.files == {}
        assert list(plain_in(tmp_path).parent.glob("plain*")) == []

        services.work.plain_copies.keep_free = 0
        await live(services, deliveries=1)
        check(tmp_path, content, count=3)


async def test_the_same_file_joins_and_has_the_same_answers(tmp_path):
    async with open_services(tmp_path) as services:
        content = drop(tmp_path, NAME, requests(3)).read_bytes()
        drop(tmp_path, "again.jsonl.gz", requests(3))
        await live(services, deliveries=2)
        check(tmp_path, content, count=3)
        again = delivered(tmp_path)["again"]
        assert len(read_lines(again / "results.jsonl")) == 3
        assert len(services.remote.opened) == 1


async def test_one_that_somebody_deleted_is_held_until_it_is_put_back(tmp_path):
    """Its lines were uploaded, its bytes were not: nothing is fetched to no purpose."""
    async with open_services(tmp_path) as services:
        content = drop(tmp_path, NAME, requests(3)).read_bytes()
        await opened(services)
        dropped = plain_in(tmp_path).parent / "in" / NAME
        dropped.unlink()
        await pass_time(services)
        assert delivered(tmp_path) == {}
        assert not (dropped.parents[1] / "regaining").exists()

        dropped.write_bytes(content)
        await live(services, deliveries=1)
        check(tmp_path, content, count=3)


async def test_a_damaged_one_is_rejected_and_nothing_is_sent(tmp_path):
    async with open_services(tmp_path, inbox={"cut_grace_seconds": 5.0}) as services:
        path = drop(tmp_path, NAME, requests(100))
        path.write_bytes(path.read_bytes()[:-20])
        await live(services, deliveries=1)
        receipt = read_receipt(delivered(tmp_path)["a"])
        assert (receipt["outcome"], receipt["reason"]) == ("rejected", "gzip_cut")
        assert services.remote.files == {}
