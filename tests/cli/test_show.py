"""`batchd show` and `batchd jobs`, from the ledger: what a person and what a program sees."""

from __future__ import annotations

import grp
import json
import os
import re
import tempfile
from pathlib import Path

import pytest

from batchd.cli import batchd
from batchd.cli.exits import Exit, invoke
from batchd.runtime import wishes
from batchd.runtime.services import Services
from batchd.spool.folders import Folders
from tests.control.asking import open_batches
from tests.dropped_tables import PLAIN, claimed_table
from tests.fakes.remote import answer_for
from tests.houses import drop, live, open_services, requests, turn, write_task
from tests.nobody import NOBODY


@pytest.fixture
def shell(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("BATCHD_", "OPENAI_", "CREDENTIALS_")):
            monkeypatch.delenv(name)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = invoke(batchd, [*arguments, "--set", f"folders.root={tmp_path / 'root'}"])
        return code, *capsys.readouterr()

    return run


async def some_jobs(root: Path) -> dict[str, str]:
    """One delivered with a failure, one rejected, one open and cancelled: ids by file."""
    async with open_services(root) as services:
        drop(root, "good.jsonl", requests(2))
        drop(root, "bad.jsonl", [b"nonsense"])
        await live(services, deliveries=2)
        await open_batches(services, "open.jsonl")
        await wishes.cancel(str(await services.ledger.last_job()), services, by="by anna: oops")
        jobs = [
            *await services.ledger.jobs_in("delivered"),
            *await services.ledger.jobs_in("active"),
        ]  # type: ignore[arg-type]
        return {job.name.decode(): job.id for job in jobs}


async def test_a_delivered_job_is_shown_with_its_batches_and_its_history(shell, tmp_path):
    job = (await some_jobs(tmp_path / "root"))["good.jsonl"]

    code, out, err = shell("show", job)
    lines = out.splitlines()

    assert code == Exit.OK
    assert err == (
        "batchd: the daemon is not running (start it: batchd run); this is from the ledger,"
        " read only\n"
    )
    assert lines[0] == f"job         {job}"
    assert "state       delivered (completed)" in lines
    assert any(f"as outbox/good--{job}" in line for line in lines)
    assert any(line.endswith("2 of 2 answered") for line in lines)
    assert lines[lines.index("timeline:") + 1].split("  ")[2] == "job claimed"
    assert lines[-1].endswith("job delivered")


async def test_a_rejected_one_says_what_is_wrong(shell, tmp_path):
    job = (await some_jobs(tmp_path / "root"))["bad.jsonl"]

    _, out, _ = shell("show", job)

    assert "state       delivered (rejected)" in out
    assert "rejected    " in out


async def test_a_cancelled_one_says_by_whom(shell, tmp_path):
    job = (await some_jobs(tmp_path / "root"))["open.jsonl"]

    _, out, _ = shell("show", f"var/work/{job}")
    told = json.loads(shell("show", job, "--json")[1])

    assert "state       active, cancelled" in out
    assert "(by anna: oops)" in out
    assert (told["code"], told["cancelled_by"]) == ("cancelling", "by anna: oops")
    assert told["schema"] == 1


def refusing(custom_id: str):
    def answer(request):
        if request["custom_id"] != custom_id:
            return answer_for(request)
        error = {"message": "no such temperature", "type": "invalid_request_error", "param": None}
        return 400, {"error": error | {"code": "invalid_value"}}

    return answer


async def test_failures_are_shown_by_code_as_the_receipt_has_them(shell, tmp_path):
    root = tmp_path / "root"
    async with open_services(root) as services:
        services.remote.answers = refusing("r-2")  # type: ignore[attr-defined]  # the fake one
        drop(root, "a.jsonl", requests(3))
        await live(services, deliveries=1)
        job = str(await services.ledger.last_job())

    _, out, _ = shell("show", job)

    assert "errors:\n       1  invalid_value: " in out
    assert "(first on line 2)" in out


async def test_the_rest_is_told_in_the_words_of_the_receipt(shell, tmp_path):
    root = tmp_path / "root"
    async with open_services(root) as services:
        services.remote.drop("r-2")  # type: ignore[attr-defined]  # the fake one
        drop(root, "a.jsonl", requests(3))
        await live(services, deliveries=1)
        job = str(await services.ledger.last_job())
    receipt = next((root / "outbox").glob("*/RECEIPT.txt")).read_text().splitlines()

    out = shell("show", job)[1].splitlines()

    for title in ("noticed:", "warnings:"):
        assert receipt[receipt.index(title) + 1] == out[out.index(title) + 1]


async def test_jobs_lists_the_youngest_first_and_only_what_is_asked_for(shell, tmp_path):
    jobs = await some_jobs(tmp_path / "root")

    def listed(*arguments: str) -> list[str]:
        return [line.split()[0] for line in shell("jobs", *arguments)[1].splitlines()]

    youngest_first = sorted(jobs.values(), reverse=True)
    assert listed() == youngest_first
    assert listed("--state", "rejected") == [jobs["bad.jsonl"]]
    assert listed("--state", "cancelled") == [jobs["open.jsonl"]]
    assert listed("--mine") == youngest_first
    assert listed("--limit", "1") == [youngest_first[0], "and"]
    assert listed("--since", "2999-01-01") == ["no"]
    words = {line.split()[0]: line.split()[1] for line in shell("jobs")[1].splitlines()}
    assert words == {
        jobs["good.jsonl"]: "completed",
        jobs["bad.jsonl"]: "rejected",
        jobs["open.jsonl"]: "cancelling",
    }
    assert len(json.loads(shell("jobs", "--json")[1])["jobs"]) == 3


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("show", "zzzzzz"), Exit.NOT_FOUND),
        (("show",), Exit.USAGE),
        (("jobs", "--state", "lost"), Exit.USAGE),
        (("jobs", "--since", "soon"), Exit.USAGE),
        (("jobs", "--limit", "0"), Exit.USAGE),
        (("jobs",), Exit.OK),
    ],
)
def test_each_ends_as_its_list_of_exit_codes_says(shell, command, code):
    assert shell(*command)[0] == code


async def test_a_beginning_of_several_exits_2(shell, tmp_path):
    jobs = list((await some_jobs(tmp_path / "root")).values())

    code, _, err = shell("show", jobs[0][:2])

    assert code == Exit.USAGE
    assert "is the beginning of several" in err


async def test_of_a_table_its_task_is_named_and_its_records_are_counted(shell, tmp_path):
    root = tmp_path / "root"
    write_task(root, "judge", PLAIN)
    async with open_services(root) as services:
        claimed_table(root, "judge", "a.csv", "key,text\n1,x\n,\n", job="0aaaaa")
        await live(services, deliveries=1)

    out = shell("show", "0aaaaa")[1]

    assert "task        judge\n" in out
    assert "records     2; 2 answered" in out
    assert "(first in row 2)" in out


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("jobs",), Exit.OK),
        (("show", "7k3c9q"), Exit.NOT_FOUND),
        (("why", "a.jsonl"), Exit.NOT_FOUND),
        (("spend",), Exit.OK),
        (("wait", "7k3c9q"), Exit.NOT_FOUND),
        (("retry", "7k3c9q"), Exit.NOT_FOUND),
        (("cancel", "7k3c9q"), Exit.NOT_RUNNING),
        (("logs",), Exit.OK),
    ],
)
def test_in_a_folder_that_is_no_root_each_says_so(shell, tmp_path, command, code):
    """At night one stands in the wrong folder, and "no jobs" would be believed."""
    got, _, err = shell(*command)

    assert got == code
    assert f"{tmp_path / 'root'} is no root of batchd, for it has neither" in err


async def test_without_a_daemon_a_job_that_is_not_there_is_told_with_who_says_so(shell, tmp_path):
    await some_jobs(tmp_path / "root")

    code, out, err = shell("show", "zzzzzz")

    assert (code, out) == (Exit.NOT_FOUND, "")
    assert err.startswith(
        "batchd: there is no job zzzzzz; batchd jobs lists them; the daemon is not"
    )


async def test_what_a_shard_meets_again_and_again_is_one_line_with_a_count(shell, tmp_path):
    """A key that is refused for a night is told once a minute: nobody reads five hundred lines."""
    root = tmp_path / "root"
    async with open_services(root) as services:
        services.remote.deny()
        drop(root, "a.jsonl", requests(1))
        while sum(fact == "SubmitDeferred" for fact in await facts(services)) < 4:
            services.clock.advance(10.0)
            await turn(services)
        job = str(await services.ledger.last_job())

    out = shell("show", job)[1]
    told = json.loads(shell("show", job, "--json")[1])["timeline"]

    (line,) = (line for line in out.splitlines() if "submit deferred" in line)
    assert "reason=denied" in line
    assert re.search(r"  x\d+ until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", line)
    assert sum(fact["event"] == "SubmitDeferred" for fact in told) >= 4


async def facts(services: Services) -> list[str]:
    job = await services.ledger.last_job()
    return [fact["event"] for fact in await services.ledger.history_of(job)] if job else []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("command", [("status",), ("jobs",), ("show", "7k3c9q"), ("logs",)])
def test_who_may_not_ask_is_told_who_may_and_how_to_become_one(capsys, command):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others
        Path(folder).chmod(0o755)
        root = Path(folder) / "root"
        Folders(root).prepare()
        os.chown(root, 0, 1)  # whatever the group is called
        root.chmod(0o750)
        group = grp.getgrgid(1).gr_name
        os.seteuid(NOBODY)
        try:
            code = invoke(batchd, [*command, "--set", f"folders.root={root}"])
        finally:
            os.seteuid(0)

    assert code == Exit.PERMISSION
    said = f"is for the group {group} and root only: sudo usermod -aG {group} "
    assert said in capsys.readouterr().err
