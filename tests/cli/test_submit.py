"""`batchd submit`, `wait` and `retry`: files that are dropped by a command, and waited for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from batchd.cli.exits import Exit
from batchd.spool.folders import Folders
from tests.acceptance.processes import Processes, processes_in
from tests.cli.places import Shell, shell_in
from tests.houses import (
    delivered,
    drop,
    live,
    open_services,
    read_lines,
    requests,
    turn,
    write_task,
)


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys, root) -> Shell:
    return shell_in(tmp_path / "here", monkeypatch, capsys, root=root)


@pytest.fixture
def processes(tmp_path):
    with processes_in(tmp_path) as children:
        yield children


def write(path: Path, lines) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


# submit


def test_a_copy_lies_in_the_inbox_and_the_way_it_will_take_is_said(shell, root):
    Folders(root).prepare()
    original = write(Path("a.jsonl"), requests(2))

    said = shell("submit", "a.jsonl")

    assert said.code == Exit.OK
    assert (root / "inbox" / "a.jsonl").read_bytes() == original.read_bytes()
    assert said.out.startswith("inbox/a.jsonl (")
    assert "becomes outbox/a--JOB; on its way: batchd why a.jsonl" in said.out
    assert "the daemon is not running" in said.err


def test_what_the_inbox_would_leave_alone_is_refused_and_the_rest_is_taken(shell, root):
    Folders(root).prepare()
    write(Path("a.jsonl"), requests(1))
    Path("folder").mkdir()
    Path("a.csv").write_text("x\n")
    Path("a.png").write_text("x\n")

    said = shell("submit", "folder", "a.png", "a.csv", "nothing.jsonl", "a.jsonl")

    assert said.code == Exit.PARTLY
    assert said.err.splitlines()[:4] == [
        "batchd: folder: only files are taken; name the files in it",
        (
            "batchd: a.png: its name is not like *.jsonl, *.ndjson, *.jsonl.gz or *.ndjson.gz;"
            " rename it, and it is taken"
        ),
        (
            "batchd: a.csv: it is a table, and only a task knows what to ask of one; put it into"
            " inbox/TASK/ (there are no tasks yet: batchd task new); here: --task TASK"
        ),
        "batchd: nothing.jsonl: there is no such file",
    ]
    assert [path.name for path in (root / "inbox").iterdir() if path.is_file()] == ["a.jsonl"]


def test_each_no_has_its_exit_code(shell, root):
    Folders(root).prepare()
    Path("folder").mkdir()

    assert shell("submit", "folder").code == Exit.REFUSED
    assert shell("submit", "nothing.jsonl").code == Exit.NOT_FOUND
    assert shell("submit", "a.jsonl", "--timeout", "1").code == Exit.USAGE
    assert shell("submit").code == Exit.USAGE


def test_without_a_root_nothing_is_made_and_init_is_named(shell, root):
    write(Path("a.jsonl"), requests(1))

    said = shell("submit", "a.jsonl")

    assert said.code == Exit.CONFIGURATION
    assert "batchd init makes its folders" in said.err
    assert not root.exists()


# into a task's folder


@pytest.fixture
def task(root) -> str:
    """A task of the root's; its configuration lies there as well."""
    write_task(root, "sentiment")
    (root / "config" / "batchd.toml").touch()
    return "sentiment"


def with_tasks(root: Path, *words: str) -> list[str]:
    return [*words, "--config", str(root / "config" / "batchd.toml")]


def test_a_table_is_dropped_into_its_tasks_folder(shell, root, task):
    """Which the daemon has not made yet."""
    Folders(root).prepare()
    Path("a.csv").write_text("text\nfine\n")

    said = [shell(*with_tasks(root, "submit", "a.csv", "--task", task)) for _ in range(2)]

    assert [one.code for one in said] == [Exit.OK, Exit.OK]
    assert said[0].out.startswith("inbox/sentiment/a.csv (")
    assert "becomes outbox/a--JOB; on its way: batchd why sentiment/a.csv" in said[0].out
    assert said[1].out.startswith("inbox/sentiment/a-2.csv (")
    folder = root / "inbox" / "sentiment"
    assert sorted(path.name for path in folder.iterdir()) == ["a-2.csv", "a.csv"]
    assert (folder / "a.csv").read_text() == "text\nfine\n"


def test_a_table_without_a_task_is_told_which_there_are(shell, root, task):
    Folders(root).prepare()
    Path("a.csv").write_text("text\nfine\n")

    said = shell(*with_tasks(root, "submit", "a.csv"))

    assert said.code == Exit.REFUSED
    assert "(there is sentiment); here: --task TASK" in said.err


@pytest.mark.parametrize(
    ("name", "word"), [("sentimnt", "perhaps sentiment is meant"), ("../x", "there is no task")]
)
def test_a_task_that_is_not_there_is_refused(shell, root, task, name, word):
    Folders(root).prepare()
    Path("a.csv").write_text("text\nfine\n")

    said = shell(*with_tasks(root, "submit", "a.csv", "--task", name))

    assert said.code == Exit.REFUSED
    assert word in said.err
    assert [path.name for path in (root / "inbox").iterdir()] == [".tmp"]


def test_what_no_task_reads_is_refused(shell, root, task):
    Folders(root).prepare()
    Path("photo.png").touch()

    said = shell(*with_tasks(root, "submit", "photo.png", "--task", task))

    assert said.code == Exit.REFUSED
    assert "its name is not like *.csv, " in said.err


def test_a_broken_task_has_its_file_dropped_and_its_mistake_said(shell, root, task):
    Folders(root).prepare()
    write_task(root, task, 'model = "m"\nprompt = "{{ text"\n')
    Path("a.csv").write_text("text\nfine\n")

    said = shell(*with_tasks(root, "submit", "a.csv", "--task", task))

    assert said.code == Exit.OK
    assert "sentiment.toml, line 2" in said.err
    assert (root / "inbox" / "sentiment" / "a.csv").is_file()


def test_a_table_whose_library_is_missing_is_dropped_and_waits(shell, root, task, monkeypatch):
    """The daemon may have it, and its operator can: neither is for the sender to mend."""
    Folders(root).prepare()
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as where it is not installed
    Path("a.parquet").write_bytes(b"PAR1PAR1")
    said = shell(*with_tasks(root, "submit", "a.parquet", "--task", task))
    assert said.code == Exit.OK
    assert (root / "inbox" / task / "a.parquet").exists()
    assert (
        'Parquet files need pyarrow, which is not installed here; pip install "batchd' in said.err
    )
    said = shell(*with_tasks(root, "check", str(root / "inbox" / task / "a.parquet")))
    assert said.code == Exit.FAILED
    assert "it would wait: Parquet files need pyarrow" in said.out


def test_a_link_in_place_of_the_folder_is_not_followed(shell, root, task, tmp_path):
    Folders(root).prepare()
    (tmp_path / "theirs").mkdir()
    (root / "inbox" / "sentiment").symlink_to(tmp_path / "theirs")
    Path("a.csv").write_text("text\nfine\n")

    said = shell(*with_tasks(root, "submit", "a.csv", "--task", task))

    assert said.code == Exit.CONFIGURATION
    assert "links are never followed" in said.err
    assert list((tmp_path / "theirs").iterdir()) == []


# wait


async def test_how_jobs_ended_is_the_exit_code(shell, root):
    async with open_services(root) as services:
        drop(root, "good.jsonl", requests(2))
        drop(root, "bad.jsonl", [b"nonsense"])
        await live(services, deliveries=2)
        jobs = {job.name: job.id for job in await services.ledger.jobs_in("delivered")}
    good, bad = jobs[b"good.jsonl"], jobs[b"bad.jsonl"]

    said = shell("wait", good)
    assert (said.code, said.out) == (Exit.OK, f"{good}  completed  outbox/good--{good}\n")
    assert shell("wait", bad).code == Exit.FAILED
    assert shell("wait", good, bad).code == Exit.PARTLY
    assert shell("wait", "zzzzzz").code == Exit.NOT_FOUND
    assert shell("wait", good[:4]).code == Exit.USAGE  # the beginning of both
    assert shell("wait", f"outbox/good--{good}").code == Exit.OK
    assert shell("wait", "..").code == Exit.NOT_FOUND


async def test_waiting_ends_with_the_time_or_where_no_daemon_runs(shell, root):
    async with open_services(root) as services:
        drop(root, "a.jsonl", requests(2))
        while not (jobs := await services.ledger.jobs_in("active")):
            services.clock.advance(1.0)
            await turn(services)

    said = shell("wait", jobs[0].id, "--timeout", "0")
    assert said.code == Exit.STILL_RUNNING
    assert "still on its way" in said.err

    said = shell("wait", jobs[0].id)
    assert said.code == Exit.NOT_RUNNING
    assert "batchd run" in said.err


# retry


async def test_what_failed_is_dropped_again_once_and_its_price_is_said(shell, root):
    async with open_services(root) as services:
        services.remote.verdicts = {"r-2": [400]}
        drop(root, "a.jsonl", requests(3))
        await live(services, deliveries=1)
        (job,) = await services.ledger.jobs_in("delivered")
        retry = delivered(root)["a"] / "retry.jsonl"

        said = shell("retry", job.id, "--dry-run")
        assert said.out.startswith(f"{job.id}: would be inbox/a-retry.jsonl: 1 request, for some ")
        assert not (root / "inbox" / "a-retry.jsonl").exists()

        assert shell("retry", "--all-failed").code == Exit.OK
        assert (root / "inbox" / "a-retry.jsonl").read_bytes() == retry.read_bytes()

        said = shell("retry", job.id)  # it waits in the inbox
        assert said.code == Exit.REFUSED
        assert "waits as inbox/a-retry.jsonl" in said.err

        services.remote.verdicts = {}
        await live(services, deliveries=2)
        assert [
            line["ok"] for line in read_lines(delivered(root)["a-retry"] / "results.jsonl")
        ] == [True]
        assert shell("retry", job.id).code == Exit.REFUSED
        assert "left to try again" in shell("retry", "--all-failed").out
        assert shell("retry", job.id, "--again", "--dry-run").code == Exit.OK


async def test_what_has_nothing_to_try_again_is_refused_and_says_why(shell, root):
    async with open_services(root) as services:
        drop(root, "good.jsonl", requests(1))
        drop(root, "bad.jsonl", [b"nonsense"])
        await live(services, deliveries=2)
        jobs = {job.name: job.id for job in await services.ledger.jobs_in("delivered")}

    assert "it has no retry.jsonl (completed)" in shell("retry", jobs[b"good.jsonl"]).err
    assert "error.txt in its folder says what to mend" in shell("retry", jobs[b"bad.jsonl"]).err
    assert shell("retry", jobs[b"bad.jsonl"]).code == Exit.REFUSED
    assert shell("retry", "zzzzzz").code == Exit.NOT_FOUND
    assert shell("retry").code == Exit.USAGE


@pytest.mark.processes
def test_beside_a_real_daemon_a_file_is_dropped_waited_for_and_tried_again(
    processes: Processes, shell, root
):
    faults = [{"custom_ids": ["r-2"], "status": 400}]
    sandbox = processes.sandbox(request_faults=faults)
    processes.daemon(root, sandbox)
    write(Path("a.jsonl"), requests(3))

    said = shell("submit", "a.jsonl", "--wait", "--timeout", "60")

    assert said.code == Exit.PARTLY, said
    job = said.out.splitlines()[-1].split()[0]
    sandbox.faults(request_faults=None)
    assert shell("retry", job).code == Exit.OK
    write(Path("b.jsonl"), requests(1))
    assert shell("submit", "b.jsonl", "--wait", "--timeout", "60").code == Exit.OK
    processes.wait(lambda: "a-retry" in delivered(root), what="the second try")


async def test_what_failed_of_a_table_goes_back_into_its_tasks_folder(shell, root, task):
    async with open_services(root) as services:
        services.remote.verdicts = {"2": [400]}
        folder = root / "inbox" / "sentiment"
        folder.mkdir()
        (folder / "a.csv").write_text("text\nfine\nbad\n")
        await live(services, deliveries=1)
        (job,) = await services.ledger.jobs_in("delivered")

        def again(*words: str):
            return shell(*with_tasks(root, "retry", *words))

        said = again(job.id, "--dry-run")
        by = "1 row, by the task sentiment as it is now: 1 request, for an unknown sum"
        assert said.out == f"{job.id}: would be inbox/sentiment/a-retry.csv: {by}\n"
        assert again("--all-failed").code == Exit.OK
        assert (folder / "a-retry.csv").read_text() == "text\nbad\n"
        assert "waits as inbox/sentiment/a-retry.csv" in again(job.id).err

        services.remote.verdicts = {}
        await live(services, deliveries=2)
        (answer,) = read_lines(delivered(root)["a-retry"] / "results.jsonl")
        assert answer["ok"]
        assert "it was dropped again already, as job" in again(job.id).err

        (root / "config" / "tasks" / "sentiment.toml").unlink()
        said = again(job.id, "--again")
        assert said.code == Exit.REFUSED
        assert "there is no task sentiment any more" in said.err


@pytest.mark.processes
def test_a_submitted_table_is_waited_for(shell, root, task, processes, tmp_path):
    """Beside a file of the same name that has no task: each is known by its folder."""
    sandbox = processes.sandbox()
    (tmp_path / "tasks").mkdir()
    (root / "config" / "tasks" / "sentiment.toml").rename(tmp_path / "tasks" / "sentiment.toml")
    config = tmp_path / "empty.toml"
    processes.daemon(root, sandbox)
    Path("a.jsonl").write_text(json.dumps({"text": "fine"}) + "\n")

    said = shell("submit", "a.jsonl", "--task", task, "--wait", "--config", str(config))

    assert said.code == Exit.OK, said.err
    assert said.out.splitlines()[-1].split()[1] == "completed"
    (folder,) = (root / "outbox").glob("a--*")
    assert (folder / "records.jsonl").is_file()
