"""All of a root at a glance: every file and every job is counted once."""

from __future__ import annotations

import json
from pathlib import Path

from batchd.control.presence import Presence
from batchd.control.views import answer_as_dict, setting_of, status_as_dict
from batchd.core.reasons import Standing
from batchd.settings import Settings
from batchd.spool.folders import Folders
from tests.control.asking import ask, look_at, open_batches
from tests.houses import drop, live, open_services, requests, write_task

NOBODY = Presence(is_running=False)


def test_a_root_where_nothing_ever_was_is_empty_and_stays_so(tmp_path):
    status = look_at(tmp_path, now=0.0, daemon=NOBODY)

    assert status.inbox_trouble == "No such file or directory"
    assert (status.jobs, status.ended, list(status.batches), status.problem) == ({}, {}, [], None)
    assert list(tmp_path.iterdir()) == []


async def test_every_file_and_every_job_is_counted_once(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "done.jsonl", requests(1))
        drop(tmp_path, "bad.jsonl", [b"nonsense"])
        await live(services, deliveries=2)
        await open_batches(services, "first.jsonl", "second.jsonl")
        services.clock.advance(60)
        drop(tmp_path, "new.jsonl", requests(1))
        (tmp_path / "inbox" / "a.csv").touch()
        (tmp_path / "inbox" / "a.png").touch()
        (tmp_path / "inbox" / "b.csv").touch()

        status = look_at(tmp_path, now=services.clock.now(), daemon=NOBODY)

    assert status.inbox == {
        Standing.WAITING: {"not-running": 1},
        Standing.IGNORED: {"table-without-task": 2, "not-wanted-name": 1},
    }
    assert status.jobs == {Standing.CLAIMED: 2}
    assert status.ended == {"completed": 1, "rejected": 1}
    assert [batch.name for batch in status.batches] == ["first.jsonl", "second.jsonl"]
    waits = {(wait.code, wait.count) for wait in status.waits}
    assert waits == {("not-running", 1), ("at-the-provider", 2)}


async def test_files_in_folders_are_counted_by_folder_too(tmp_path):
    write_task(tmp_path, "sentiment")
    async with open_services(tmp_path) as services:
        drop(tmp_path, "new.jsonl", requests(1))
        for name in ("sentiment/a.csv", "sentiment/b.csv", "sentiment/photo.png", "sentimnt/a.csv"):
            (tmp_path / "inbox" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "inbox" / name).touch()
        found = look_at(tmp_path, now=services.clock.now(), daemon=NOBODY)

    assert found.inbox == {
        Standing.WAITING: {"not-running": 3, "task-missing": 1},
        Standing.IGNORED: {"not-a-table": 1},
    }
    assert found.inbox_tasks == {"sentiment": 2, "sentimnt": 1}
    told = status_as_dict(found, Folders(tmp_path), source="test")
    assert told["inbox"]["tasks"] == found.inbox_tasks


async def test_what_programs_read_is_json_and_says_its_schema(tmp_path):
    async with open_services(tmp_path) as services:
        await open_batches(services, "first.jsonl")
        now = services.clock.now()
        status = status_as_dict(look_at(tmp_path, now=now), Folders(tmp_path), source="x")
        answer = answer_as_dict(
            ask(tmp_path, "first.jsonl", now=now), Settings(), {}, NOBODY, source="x"
        )

    for shown in (status, answer):
        assert json.loads(json.dumps(shown))["schema"] == 1
    assert status["batches"]["open"][0]["name"] == "first.jsonl"
    assert answer["code"] == "at-the-provider"
    assert answer["setting"]["origin"] == "the default"


def test_a_setting_is_told_with_who_has_set_it():
    origins = {"inbox.ignore": "batchd.toml, line 3"}

    assert setting_of("inbox.ignore", Settings(), origins) == {
        "name": "inbox.ignore",
        "value": (),
        "origin": "batchd.toml, line 3",
    }
    assert setting_of("folders.root", Settings(), {})["value"] == str(Path())
