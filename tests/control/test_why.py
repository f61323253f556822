"""One answer for any path, job, shard or batch."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from batchd.control.presence import Presence
from batchd.control.why import Ambiguous
from batchd.core.reasons import ReasonCode
from batchd.runtime.services import Services
from batchd.stages import claim
from tests.control.asking import ask, open_batches
from tests.houses import delivered, drop, live, open_services, requests, settings, turn


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


async def claimed(services: Services, name: str) -> str:
    """Drop a file, and let it be taken and nothing more; return its job."""
    drop(services.folders.root, name, requests(2))
    before = await services.ledger.last_job()
    while await services.ledger.last_job() == before:
        services.clock.advance(1.0)
        await claim.run_once(services)
    return str(await services.ledger.last_job())


async def test_a_job_is_found_by_its_id_its_beginning_its_batch_and_its_files_name(root):
    async with open_services(root) as services:
        await open_batches(services, "a.jsonl")
        job, batch = str(await services.ledger.last_job()), services.remote.opened[0][1]
        now = services.clock.now()

        for word in (job, job[:4], f"{job}-1", batch, "a.jsonl", f"{root}/inbox/a.jsonl",
                     f"{root}/var/work/{job}", f"{root}/var/work/{job}/in/a.jsonl"):  # fmt: skip
            answer = ask(root, word, now=now, cwd=root / "inbox")
            assert (answer.job, answer.name) == (job, "a.jsonl"), word
            assert answer.reason.code is ReasonCode.AT_THE_PROVIDER
            assert answer.reason.facts["batch"] == batch


async def test_the_name_of_what_was_submitted_is_its_job_where_the_original_lies_too(root):
    """`batchd submit a.jsonl` copies it, and says `batchd why a.jsonl` to who stands beside it."""
    original = root.parent / "a.jsonl"
    original.touch()
    async with open_services(root) as services:
        await open_batches(services, "a.jsonl")
        job, now = str(await services.ledger.last_job()), services.clock.now()
        (root / "a.jsonl").touch()

        for cwd in (root.parent, root):
            assert ask(root, "a.jsonl", now=now, cwd=cwd).job == job
        assert ask(root, "./a.jsonl", now=now).reason.code is ReasonCode.OUTSIDE
        assert ask(root, str(root / "a.jsonl"), now=now).reason.code is ReasonCode.FOREIGN
        original.rename(root.parent / "b.jsonl")
        assert ask(root, "b.jsonl", now=now).reason.code is ReasonCode.OUTSIDE


async def test_a_file_between_the_inbox_and_the_ledger_is_on_its_way(root):
    async with open_services(root) as services:
        job, now = await claimed(services, "a.jsonl"), services.clock.now()
    work = root / "var" / "work"
    shutil.copytree(work / job, work / "zzzzzz")
    (work / "zzzzzz" / "in" / "a.jsonl").rename(work / "zzzzzz" / "in" / "b.jsonl")

    answer = ask(root, f"{root}/inbox/b.jsonl", now=now)

    assert (answer.reason.code, answer.job) == (ReasonCode.UNLISTED, "zzzzzz")
    assert ask(root, f"{root}/inbox/a.jsonl", now=now).job == job
    assert ask(root, f"{root}/inbox/c.jsonl", now=now).reason.code is ReasonCode.UNKNOWN


async def test_a_beginning_of_several_asks_for_one_letter_more(root):
    async with open_services(root) as services:
        await open_batches(services, "a.jsonl", "b.jsonl")

        with pytest.raises(Ambiguous, match="one letter more"):
            ask(root, str(await services.ledger.last_job())[:2], now=services.clock.now())


async def test_a_delivered_job_is_found_by_its_folder_and_when_that_is_gone_as_well(root):
    async with open_services(root) as services:
        drop(root, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        folder, now = delivered(root)["a"], services.clock.now()

        for word in (f"{folder}", f"{folder}/results.jsonl", f"{root}/inbox/a.jsonl"):
            assert ask(root, word, now=now).reason.code is ReasonCode.DELIVERED, word
        shutil.move(folder, root.parent / "elsewhere")
        answer = ask(root, f"{folder}", now=now)

        assert answer.reason.code is ReasonCode.TAKEN_AWAY
        assert answer.reason.facts["outcome"] == "completed"


async def test_a_rejected_file_says_where_its_error_lies(root):
    async with open_services(root) as services:
        drop(root, "bad.jsonl", [b"nonsense"])
        await live(services, deliveries=1)

        answer = ask(root, f"{root}/inbox/bad.jsonl", now=services.clock.now())

        assert answer.reason.code is ReasonCode.REJECTED
        assert answer.reason.facts["problem"] == "invalid_json_line"
        assert f"outbox/{delivered(root)['bad'].name}" in answer.reason.sentence


async def test_a_name_that_came_several_times_is_its_youngest_job_and_names_the_others(root):
    async with open_services(root) as services:
        first, last = [await claimed(services, "a.jsonl") for _ in range(2)]

        answer = ask(root, f"{root}/inbox/a.jsonl", now=services.clock.now())

        assert (answer.job, answer.older) == (last, (first,))


async def test_a_file_that_is_there_again_is_itself_and_not_its_earlier_job(root):
    async with open_services(root) as services:
        drop(root, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        drop(root, "a.jsonl", requests(2))

        nobody = Presence(is_running=False)
        answer = ask(root, f"{root}/inbox/a.jsonl", now=services.clock.now(), daemon=nobody)

        assert (answer.reason.code, answer.job) == (ReasonCode.NOT_RUNNING, None)


async def test_a_file_that_is_gone_from_the_work_folder_holds_its_job(root):
    async with open_services(root) as services:
        job = await claimed(services, "a.jsonl")
        now = services.clock.now()
        assert ask(root, job, now=now).reason.code is ReasonCode.READING

        (root / "var" / "work" / job / "in" / "a.jsonl").unlink()

        assert ask(root, job, now=now).reason.code is ReasonCode.INPUT_MISSING


async def test_a_work_folder_that_nobody_has_listed_yet_has_left_the_inbox(root):
    async with open_services(root) as services:
        with services.work.claiming(["0tqe86"], services.folders.inbox):
            services.work.claim(drop(root, "a.jsonl", requests(1)), "0tqe86")

        answer = ask(root, f"{root}/var/work/0tqe86", now=services.clock.now())

        assert (answer.reason.code, answer.job) == (ReasonCode.UNLISTED, "0tqe86")


@pytest.mark.parametrize(
    ("word", "code", "is_known"),
    [
        ("{root}", "own", True),
        ("{root}/inbox", "own", True),
        ("{root}/inbox/.tmp", "own", True),
        ("{root}/outbox", "own", True),
        ("{root}/var", "own", True),
        ("{root}/var/batchd.db", "own", True),
        ("{root}/inbox/.tmp/x.jsonl", "staging", True),
        ("{root}/inbox/sub", "directory", True),
        ("{root}/inbox/sub/x.jsonl", "task-missing", True),
        ("{root}/inbox/loop.jsonl", "symlink", True),
        ("{root}/outbox/mine", "foreign", True),
        ("{root}/outbox/mine--0tqe86", "unknown", False),
        ("{root}/notes.txt", "foreign", True),
        ("{root}/inbox/never.jsonl", "unknown", False),
        ("{root}/inbox/never/never.jsonl", "unknown", False),
        ("{root}/var/never", "unknown", False),
        ("{root}/never", "unknown", False),
        ("/etc/passwd", "outside", False),
        ("/etc/never", "outside", False),
        ("never.jsonl", "outside", False),
        ("0tqe86", "outside", False),
        ("batch_never", "outside", False),
        ("", "own", True),
    ],
)
async def test_any_path_has_an_answer(root, word, code, is_known):
    async with open_services(root) as services:
        for folder in ("inbox/sub", "outbox/mine"):
            (root / folder).mkdir()
        for file in ("inbox/.tmp/x.jsonl", "inbox/sub/x.jsonl", "notes.txt"):
            (root / file).touch()
        (root / "inbox" / "loop.jsonl").symlink_to("loop.jsonl")

        cwd = root if not word else None
        answer = ask(root, word.format(root=root), now=services.clock.now(), cwd=cwd)

        assert (answer.reason.code, answer.is_known) == (code, is_known)


async def test_names_that_are_no_text_are_found_and_shown_escaped(root):
    name = os.fsdecode(b"caf\xe9\n.jsonl")
    async with open_services(root) as services:
        drop(root, name, requests(1))
        await live(services, deliveries=1)

        answer = ask(root, f"{root}/inbox/{name}", now=services.clock.now())

        assert answer.name == "caf\\xe9\\n.jsonl"
        assert answer.reason.code is ReasonCode.DELIVERED


async def test_a_shard_without_room_names_the_setting(root):
    few = {"batches": {"max_open": 1}}
    async with open_services(root, **few) as services:
        await open_batches(services, "a.jsonl")
        drop(root, "b.jsonl", requests(3))
        for _ in range(5):
            services.clock.advance(1.0)
            await turn(services)

        answer = ask(root, "b.jsonl", now=services.clock.now(), given=settings(root, **few))

        assert answer.reason.code is ReasonCode.WAITING_FOR_ROOM
        assert answer.reason.setting == "batches.max_open"

        with (root / "var" / "work" / str(answer.job) / "in" / "b.jsonl").open("ab") as file:
            file.write(b"{}")
        answer = ask(root, "b.jsonl", now=services.clock.now(), given=settings(root, **few))

        assert answer.reason.code is ReasonCode.INPUT_CHANGED
