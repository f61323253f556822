"""`batchd bugreport`: enough to see what happened, and nothing that is somebody's."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from batchd.cli.exits import Exit
from batchd.control.blinding import blind
from tests.acceptance.processes import KEY, Processes, processes_in
from tests.cli.places import Shell, shell_in
from tests.houses import delivered, drop, request

PLANTED = ("the-secret-of-our-merger", "quarterlynumbers", "Confidential", "hunter22")


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


def contents(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        return {
            member.name.partition("/")[2]: archive.extractfile(member).read()
            for member in archive.getmembers()
        }


@pytest.mark.processes
def test_no_prompt_no_name_and_no_key_is_in_it_and_its_marker_is_in_the_log(
    processes: Processes, shell, root, monkeypatch
):
    prompt, name, custom_id, password = PLANTED
    message = f"we can't answer: {prompt}"
    fault = {"custom_ids": [custom_id], "status": 400, "code": "bad", "message": message}
    sandbox = processes.sandbox(request_faults=[fault])
    processes.daemon(root, sandbox)
    drop(root, f"{name}.jsonl", [request(custom_id, text=prompt), request("two", text=prompt)])
    drop(root, f"{name}-bad.jsonl", [prompt.encode()])
    processes.wait(lambda: len(delivered(root)) == 2, what="two folders")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("BATCHD_OPENAI__BASE_URL", f"https://me:{password}@example.org/v1")

    said = shell("bugreport", "--output", "report.tar.gz")

    assert said.code == Exit.OK
    marker = said.out.split()[0]
    found = contents(Path("report.tar.gz"))
    assert found.keys() == {
        "report.json", "doctor.json", "settings.json", "ledger.json", "log.jsonl",
    }  # fmt: skip
    for part, content in found.items():
        for planted in (*PLANTED, KEY, str(root)):
            assert planted.encode() not in content, (part, planted)
    assert json.loads(found["report.json"])["marker"] == marker
    assert marker in (root / "var" / "log" / "batchd.jsonl").read_text().splitlines()[-1]
    events = [json.loads(line)["event"] for line in found["log.jsonl"].splitlines()]
    assert {"daemon.ready", "batch.opened", "job.delivered", "bugreport.made"} <= set(events)
    ledger = json.loads(found["ledger.json"])
    assert {row["outcome"]: row["jobs"] for row in ledger["count_jobs"]} == {
        "partial": 1,
        "rejected": 1,
    }
    assert "CREATE TABLE jobs" in ledger["tables"]["jobs"]


def test_it_can_be_made_of_a_configuration_that_is_wrong_and_of_no_root(shell):
    Path("wrong.toml").write_text("[batches\n")

    assert shell("bugreport", "--config", "wrong.toml", "--output", "a.tar.gz").code == Exit.OK
    assert contents(Path("a.tar.gz")).keys() == {"report.json", "doctor.json"}

    said = shell("bugreport", "--output", "b.tar.gz")
    assert said.code == Exit.OK
    assert "the marker is in the report only" in said.err
    assert "ledger.json" in contents(Path("b.tar.gz"))


def test_a_report_is_never_written_over_another_file(shell):
    Path("a.tar.gz").write_text("mine")

    assert shell("bugreport", "--output", "a.tar.gz").code == Exit.IO
    assert Path("a.tar.gz").read_text() == "mine"


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            {"event": "batch.opened", "batch": "batch_0a1B", "job": "0tqe86", "shard": "0tqe86-1"},
            None,
        ),
        ({"ts": "2026-11-21T10:00:00.000Z", "level": "info", "seconds": 1.5, "again": None}, None),
        ({"reason": "provider-unavailable", "model": "gpt-4o-mini"}, None),
        ({"text": "word"}, {"text": "[4 characters]"}),
        ({"whatever": "two words"}, {"whatever": "[9 characters]"}),
        ({"model": "sk-abcdefghijklmnop"}, {"model": "[hidden]"}),
    ],
)
def test_what_batchd_coined_is_told_and_what_people_wrote_is_not(event, told):
    assert blind(event) == (told or event)


def test_a_table_by_somebodys_words_hides_them():
    (key,) = blind({"errors": {"Some Words": 1}})["errors"]

    assert key.startswith("[name ")


def test_a_name_is_the_same_name_everywhere_and_keeps_its_job():
    one = blind({"file": "mine.jsonl", "folder": "mine--0tqe86.rejected"})

    assert one["file"] == blind({"name": "mine.jsonl"})["name"]
    assert one["folder"].endswith("]--0tqe86")
    assert "mine" not in json.dumps(one)


def test_of_a_traceback_remains_where_it_went():
    text = (
        "Traceback (most recent call last):\n"
        '  File "/home/ann/x/batchd/stages/plan.py", line 7, in run_once\n'
        '    raise ValueError("my secret")\n'
        "ValueError: my secret\n"
    )

    assert blind({"exception": text})["exception"] == (
        "  stages/plan.py, line 7, in run_once\nValueError: [hidden]\nValueError: [hidden]"
    )
