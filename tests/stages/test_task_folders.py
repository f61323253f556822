"""inbox/TASK/ -> CLAIMED: what lies in a task's folder is taken as that task's, and waits for it."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from batchd.core.model import JobState
from batchd.core.reasons import ReasonCode, Standing
from batchd.runtime.threads import in_thread
from batchd.stages import claim, plan
from tests.control.asking import ask, look_at
from tests.faults.inboxes import look
from tests.faults.inboxes import why as told
from tests.houses import drop, open_services, request, write_task
from tests.nobody import NOBODY, as_nobody
from tests.stages.steps import step
from tests.workbooks import package

CSV = b"text\nfine\n"
SAYS = 'model = "m"\nprompt = "{{{{ text }}}}"\n[input]\n{}\n'
BROKEN = 'model = "m"\nprmpt = "{{ text }}"\n'


def put(root, name: str, content: bytes = CSV):
    path = root / "inbox" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


async def looks(services, *seconds: float) -> int:
    """Look, and again after so many seconds each; return how many were taken."""
    before = len(services.work.jobs())
    for wait in (0.0, *seconds):
        await look(services, seconds=wait)
    return len(services.work.jobs()) - before


async def claimed(services) -> list[tuple[str, bytes]]:
    jobs = await services.ledger.jobs_in(JobState.CLAIMED)
    return [(job.task, job.name) for job in jobs]


def why(services, word: str):
    return told(services, services.folders.root / word)


async def test_a_file_in_a_tasks_folder_is_claimed_as_its_own(tmp_path):
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path) as services:
        put(tmp_path, "sentiment/a.csv")
        assert await looks(services, 1.0) == 1

        (job,) = await services.ledger.jobs_in(JobState.CLAIMED)
        assert (job.task, job.name, job.size) == ("sentiment", b"a.csv", len(CSV))
        inside = services.work.of(job.id) / "in" / "sentiment" / "a.csv"
        assert services.work.input(job.id) == inside
        assert inside.read_bytes() == CSV
        assert list((tmp_path / "inbox" / "sentiment").iterdir()) == []
        assert await looks(services, 1.0) == 0


async def test_the_oldest_come_first_whatever_folder_they_lie_in(tmp_path):
    for task in ("embed", "sentiment"):
        write_task(tmp_path, task)
    async with open_services(tmp_path, inbox={"max_claimed": 2}) as services:
        for age, name in enumerate(["sentiment/c.csv", "b.jsonl", "embed/a.csv"]):
            put(tmp_path, name, b'{"custom_id": "a"}\n')
            os.utime(tmp_path / "inbox" / name, (age, age))
        assert await looks(services, 1.0) == 2
        assert await claimed(services) == [("sentiment", b"c.csv"), ("", b"b.jsonl")]
        assert await looks(services, 1.0) == 0
        assert why(services, "inbox/embed/a.csv").code is ReasonCode.QUEUE_FULL


async def test_the_same_name_in_two_folders_is_two_jobs(tmp_path):
    for task in ("embed", "sentiment"):
        write_task(tmp_path, task)
    async with open_services(tmp_path) as services:
        for folder in ("embed", "sentiment"):
            put(tmp_path, f"{folder}/a.jsonl")
        drop(tmp_path, "a.jsonl", [request("a")])
        assert await looks(services, 1.0) == 3
        assert sorted(await claimed(services)) == [
            ("", b"a.jsonl"),
            ("embed", b"a.jsonl"),
            ("sentiment", b"a.jsonl"),
        ]


async def test_a_file_that_has_left_is_found_by_where_it_lay(tmp_path):
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path) as services:
        put(tmp_path, "sentiment/a.jsonl")
        assert await looks(services, 1.0) == 1
        drop(tmp_path, "a.jsonl", [request("a")])
        assert await looks(services, 1.0) == 1
        jobs = {job.task: job.id for job in await services.ledger.jobs_in(JobState.CLAIMED)}

        def found(word: str) -> str | None:
            return ask(tmp_path, str(tmp_path / word), now=services.clock.now()).job

        assert found("inbox/sentiment/a.jsonl") == jobs["sentiment"]
        assert found("inbox/a.jsonl") == jobs[""]


async def test_files_of_a_broken_task_wait_and_go_on_when_it_is_mended(tmp_path):
    write_task(tmp_path, "sentiment", BROKEN)
    async with open_services(tmp_path) as services:
        put(tmp_path, "sentiment/a.csv")
        assert await looks(services, 60.0, 60.0) == 0
        reason = why(services, "inbox/sentiment/a.csv")
        assert reason.code is ReasonCode.TASK_BROKEN
        assert "sentiment.toml" in reason.sentence

        write_task(tmp_path, "sentiment")
        assert await looks(services, 1.0) == 1
        assert await claimed(services) == [("sentiment", b"a.csv")]


@pytest.mark.parametrize("text", [None, 'format = "excel"'], ids=["by its name", "by its task"])
async def test_files_that_want_a_library_wait_and_go_on_once_it_is_there(
    tmp_path, monkeypatch, text
):
    write_task(tmp_path, "sentiment", SAYS.format(text or ""))
    name = "sentiment/a.data" if text else "sentiment/a.xlsx"
    async with open_services(tmp_path) as services:
        monkeypatch.setitem(sys.modules, "openpyxl", None)  # as where it is not installed
        package(put(tmp_path, name), "")
        assert await looks(services, 60.0, 60.0) == 0
        reason = why(services, f"inbox/{name}")
        assert reason.code is ReasonCode.LIBRARY_MISSING
        assert "Excel files need openpyxl" in reason.sentence
        assert 'pip install "batchd[tables]"' in reason.sentence
        (ill,) = look_at(tmp_path, now=services.clock.now()).health[-1:]
        assert (ill.code, ill.fix) == ("library-missing", 'pip install "batchd[tables]"')

        monkeypatch.undo()
        assert await looks(services, 1.0) == 1


async def test_a_claimed_file_whose_library_goes_waits_until_it_is_there_again(
    tmp_path, monkeypatch
):
    """A new environment that was made without the extra."""
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path) as services:
        package(put(tmp_path, "sentiment/a.xlsx"), "")
        assert await looks(services, 1.0) == 1
        (job,) = await services.ledger.jobs_in(JobState.CLAIMED)
        monkeypatch.setitem(sys.modules, "openpyxl", None)
        assert await step(services, plan) == 0
        assert list(services.waiting_for_task) == [job.id]
        reason = ask(tmp_path, job.id, now=services.clock.now()).reason
        assert reason.code is ReasonCode.WAITING_FOR_TASK
        assert "Excel files need openpyxl" in reason.sentence

        monkeypatch.undo()
        assert await step(services, plan) == 1
        assert (await services.ledger.job(job.id)).reason == "empty_file"


async def test_a_claimed_file_whose_task_breaks_needs_somebody_until_it_is_mended(tmp_path):
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path) as services:
        put(tmp_path, "sentiment/a.csv")
        assert await looks(services, 1.0) == 1
        (job,) = await services.ledger.jobs_in(JobState.CLAIMED)
        for text, said in ((BROKEN, "line 2: "), (None, "no task file of that name")):
            task = write_task(tmp_path, "sentiment", text or "")
            if text is None:
                task.unlink()
            reason = ask(tmp_path, job.id, now=services.clock.now()).reason
            assert reason.code is ReasonCode.WAITING_FOR_TASK
            assert said in reason.sentence
            assert look_at(tmp_path, now=services.clock.now()).jobs == {Standing.HELD: 1}

        write_task(tmp_path, "sentiment")
        reason = ask(tmp_path, job.id, now=services.clock.now()).reason
        assert reason.code is ReasonCode.READING


async def test_a_mistake_in_a_task_is_said_once_and_so_is_its_end(tmp_path, capsys):
    write_task(tmp_path, "sentiment", BROKEN)
    async with open_services(tmp_path) as services:
        await looks(services, 1.0, 1.0)
        write_task(tmp_path, "sentiment", BROKEN.replace("prmpt", "promt"))
        await looks(services, 1.0)
        write_task(tmp_path, "sentiment")
        await looks(services, 1.0)
    said = [line for line in capsys.readouterr().out.splitlines() if " task." in line]

    assert [line.split("task.")[1].split()[0] for line in said] == ["broken", "broken", "mended"]
    assert "sentiment.toml, line 2" in said[0]


async def test_a_task_that_comes_later_has_its_folder_and_its_files_taken(tmp_path):
    async with open_services(tmp_path) as services:
        put(tmp_path, "sentiment/a.csv")
        assert await looks(services, 60.0) == 0
        reason = why(services, "inbox/sentiment/a.csv")
        assert reason.code is ReasonCode.TASK_MISSING
        assert "there are no tasks yet" in reason.sentence

        write_task(tmp_path, "embed")
        assert await looks(services) == 0
        assert (tmp_path / "inbox" / "embed").is_dir()
        assert "there is embed" in why(services, "inbox/sentiment/a.csv").sentence

        write_task(tmp_path, "sentiment")
        assert await looks(services, 1.0) == 1


async def test_a_name_almost_right_is_told_which_is_meant(tmp_path):
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path) as services:
        put(tmp_path, "sentimnt/a.csv")
        assert "perhaps sentiment is meant" in why(services, "inbox/sentimnt/a.csv").sentence


async def test_no_folder_is_made_where_the_operator_makes_them(tmp_path):
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path, folders={"create": False}) as services:
        assert await looks(services) == 0
        assert not (tmp_path / "inbox" / "sentiment").exists()

        put(tmp_path, "sentiment/a.csv")
        assert await looks(services, 1.0) == 1


async def test_what_is_no_table_stays_and_says_so(tmp_path):
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path) as services:
        put(tmp_path, "sentiment/photo.png")
        put(tmp_path, "a.csv")
        assert await looks(services, 60.0) == 0
        assert why(services, "inbox/sentiment/photo.png").code is ReasonCode.NOT_A_TABLE
        assert why(services, "inbox/a.csv").sentence.endswith(
            "put it into inbox/TASK/ (there is sentiment)"
        )
        assert why(services, "inbox/sentiment").code is ReasonCode.OWN


async def test_a_table_whose_copy_has_not_ended_is_given_time(tmp_path):
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path) as services:
        put(tmp_path, "sentiment/a.json", b'[{"text": "fi')
        assert await looks(services, 2.0, 50.0) == 0
        reason = why(services, "inbox/sentiment/a.json")
        assert reason.code is ReasonCode.END_MISSING
        assert "?" not in reason.sentence
        assert await looks(services, 10.0) == 1


async def test_an_export_without_a_last_line_break_is_taken_as_soon_as_any_other(tmp_path):
    """Google Sheets ends its exports so, and the kernel says that nobody is writing this one."""
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path) as services:
        path = put(tmp_path, "sentiment/a.csv", b"text\nfine")
        with path.open("ab"):
            assert await looks(services, 60.0) == 0
            assert why(services, "inbox/sentiment/a.csv").code is ReasonCode.OPEN_WRITER
        assert await looks(services, 1.0) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="another user's file takes root to make")
async def test_where_the_kernel_does_not_tell_such_a_file_is_given_time_and_then_taken():
    """Another user's, as where batchd is a service: it could be half a copy."""
    with as_nobody() as root:
        write_task(root, "sentiment")
        async with open_services(root) as services:
            theirs = put(root, "sentiment/a.csv", b"text\nfine")
            os.seteuid(0)
            os.chown(theirs, 0, 0)
            theirs.chmod(0o644)
            os.seteuid(NOBODY)
            assert await looks(services, 1.0, 58.0) == 0
            reason = why(services, "inbox/sentiment/a.csv")
            assert reason.code is ReasonCode.LAST_LINE_OPEN
            assert "it is taken as it is after 1 min" in reason.sentence
            assert await looks(services, 1.5) == 1


async def test_a_link_in_place_of_the_folder_leads_nowhere(tmp_path):
    """Whoever may drop files could have batchd move any file that it may move."""
    write_task(tmp_path, "sentiment")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "a.csv").write_bytes(CSV)
    async with open_services(tmp_path) as services:
        (tmp_path / "inbox" / "sentiment").symlink_to(theirs)
        assert await looks(services, 60.0) == 0
        assert (theirs / "a.csv").exists()
        assert why(services, "inbox/sentiment").code is ReasonCode.SYMLINK


async def test_a_folder_swapped_for_a_link_between_look_and_claim_leads_nowhere_either(tmp_path):
    write_task(tmp_path, "sentiment")
    theirs = tmp_path / "theirs"
    async with open_services(tmp_path) as services:
        put(tmp_path, "sentiment/a.csv")
        await looks(services)
        services.clock.advance(1.0)
        settled, _ = claim._settled(services)
        shutil.move(tmp_path / "inbox" / "sentiment", theirs)
        (tmp_path / "inbox" / "sentiment").symlink_to(theirs)
        await in_thread(claim._take, settled, None, services)

        assert (theirs / "a.csv").exists()
        await look(services)
        assert services.work.jobs() == [], "nothing is left of the attempt"


async def test_an_order_to_cancel_is_heard_in_any_folder(tmp_path):
    write_task(tmp_path, "sentiment", BROKEN)
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", [request("a")])
        assert await looks(services, 1.0) == 1
        (job,) = await services.ledger.jobs_in(JobState.CLAIMED)
        order = put(tmp_path, f"sentiment/{job.id}.cancel", b"")
        put(tmp_path, "sentiment/0zzzzz.cancel", b"")
        await looks(services)

        assert not order.exists()
        found = await services.ledger.find_job(job.id)
        assert found is not None
        assert found.cancelled_at is not None
        assert why(services, "inbox/sentiment/0zzzzz.cancel").code is ReasonCode.CANCEL_UNKNOWN


async def test_a_done_file_leaves_a_tasks_folder_with_its_file(tmp_path):
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path, inbox={"done_file": "require"}) as services:
        put(tmp_path, "sentiment/a.csv")
        assert await looks(services, 60.0) == 0
        assert why(services, "inbox/sentiment/a.csv").code is ReasonCode.NO_DONE_FILE
        put(tmp_path, "sentiment/a.csv.done", b"")
        assert why(services, "inbox/sentiment/a.csv.done").code is ReasonCode.DONE_FILE
        assert await looks(services) == 1
        (job,) = await services.ledger.jobs_in(JobState.CLAIMED)
        assert [path.name for path in services.work.leaving(job.id)] == ["a.csv", "a.csv.done"]
        assert list((tmp_path / "inbox" / "sentiment").iterdir()) == []


async def test_a_file_that_may_not_be_read_stays_with_whose_it_is():
    with as_nobody() as root:
        write_task(root, "sentiment")
        async with open_services(root) as services:
            locked = put(root, "sentiment/a.csv")
            locked.chmod(0)
            put(root, "sentiment/b.csv")
            assert await looks(services, 1.0, 1.0) == 1
            assert await claimed(services) == [("sentiment", b"b.csv")]
            reason = why(services, "inbox/sentiment/a.csv")
            assert reason.code is ReasonCode.NO_PERMISSION
            assert "mode 0000" in reason.sentence


async def test_a_folder_that_can_not_be_made_keeps_nobody_out():
    with as_nobody() as root:
        async with open_services(root) as services:
            drop(root, "a.jsonl", [request("a")])
            write_task(root, "sentiment")
            os.seteuid(0)
            (root / "inbox").chmod(0o755)
            os.chown(root / "inbox", 0, 0)
            os.seteuid(NOBODY)
            await looks(services, 1.0, 1.0)
            assert not (root / "inbox" / "sentiment").exists()
            assert why(services, "inbox/a.jsonl").code is ReasonCode.CANNOT_MOVE


@pytest.mark.parametrize("name", ["reviews.csv", "re\nviews.csv", "-rf.csv", "caf\udce9.csv"])
async def test_names_stay_the_bytes_that_they_are(tmp_path, name):
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path) as services:
        put(tmp_path, f"sentiment/{name}")
        assert await looks(services, 1.0) == 1
        assert await claimed(services) == [("sentiment", os.fsencode(name))]
