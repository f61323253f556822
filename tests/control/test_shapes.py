"""`--json` is a contract: what it says is described, what is described is said, and it only grows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchd.control.shapes import SHAPES, schema_of
from batchd.runtime.threads import in_thread
from batchd.sandbox.options import Options
from batchd.sandbox.serving import running_sandbox
from tests.cli.places import Said, Shell, shell_in
from tests.houses import drop, live, open_services, request, requests, turn
from tests.sandbox.schema_checker import problems

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


def text_of(name: str) -> str:
    return msgspec.json.format(msgspec.json.encode(schema_of(name)), indent=2).decode() + "\n"


def committed(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return schema


def taken_back(before: Any, now: Any, where: str = "") -> list[str]:
    """What a reader of the old schema would miss: members removed, retyped, or no longer sure."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return [] if before == now else [f"{where}: {before!r} became {now!r}"]
    found = []
    for name in ("properties", "$defs"):
        for member, old in before.get(name, {}).items():
            here = f"{where}/{name}/{member}"
            if member not in now.get(name, {}):
                found.append(f"{here} is gone")
            else:
                found += taken_back(old, now[name][member], here)
    for word in ("type", "anyOf", "$ref", "enum", "const"):
        if before.get(word) != now.get(word):
            found.append(f"{where}: {word} {before.get(word)!r} became {now.get(word)!r}")
    for word in ("items", "additionalProperties"):
        if word in before:
            found += taken_back(before[word], now.get(word), f"{where}/{word}")
    lost = set(before.get("required", [])) - set(now.get("required", []))
    return found + [f"{where}: {member} may be absent now" for member in sorted(lost)]


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_in_the_repository_is_what_is_said(name):
    """To draw them anew: `python -m tests.control.test_shapes`; it takes nothing back."""
    assert (FOLDER / f"{name}.json").read_text() == text_of(name)


def test_there_is_a_schema_for_each_and_no_other():
    assert {path.stem for path in FOLDER.iterdir()} == SHAPES.keys()


@pytest.mark.parametrize("name", SHAPES)
def test_they_only_grow(name):
    assert taken_back(committed(name), schema_of(name)) == []


def test_what_is_taken_back_is_noticed():
    before = schema_of("why")
    for change, said in (
        (lambda s: s["$defs"]["Why"]["properties"].pop("code"), "code is gone"),
        (lambda s: s["$defs"]["Why"]["properties"]["code"].update(type="integer"), "type 'string'"),
        (lambda s: s["$defs"]["Why"]["required"].remove("code"), "code may be absent now"),
        (lambda s: s["$defs"].pop("Daemon"), "Daemon is gone"),
        (
            lambda s: s["$defs"]["Why"]["properties"]["older"]["items"].update(type="null"),
            "items: ",
        ),
    ):
        now = json.loads(json.dumps(before))
        change(now)
        assert said in "\n".join(taken_back(before, now))
    now = json.loads(json.dumps(before))
    now["$defs"]["Why"]["properties"]["news"] = {"type": "string"}
    assert taken_back(before, now) == []


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    return shell_in(tmp_path / "here", monkeypatch, capsys, root=tmp_path / "root")


async def tried(shell: Shell, monkeypatch) -> list[Said]:
    """A task for single rows, and one for several in a request."""
    async with running_sandbox(Options()) as sandbox:
        monkeypatch.setenv("OPENAI_BASE_URL", sandbox.base_url)
        return [
            await in_thread(shell, "task", "try", name, "table.csv", "--json")
            for name in ("whole", "plain")
        ]


def write_tasks() -> None:
    Path("config/tasks").mkdir(parents=True)
    Path("table.csv").write_text("text\none\ntwo\n")
    whole = 'model = "gpt-4o-mini"\nprompt = "{{ text }}"\n'
    Path("config/tasks/whole.toml").write_text(whole)
    loop = "{% for record in records %}{{ record.id }} {{ record.text }} {% endfor %}"
    plain = f'model = "gpt-4o-mini"\nprompt = "{loop}"\nrecords_per_request = 2\n'
    Path("config/tasks/plain.toml").write_text(plain)
    Path("config/tasks/broken.toml").write_text("prompt = \n")


async def test_what_each_command_says_is_what_its_schema_says(shell, tmp_path, monkeypatch):
    root = tmp_path / "root"
    write_tasks()
    async with open_services(root, budget={"per_job": 1.0}) as services:
        services.remote.verdicts = {"r-2": [400]}
        drop(root, "done.jsonl", requests(3))
        drop(root, "bad.jsonl", [b"nonsense"])
        drop(root, "dear.jsonl", [request("x", model="nobodys-model")])
        await live(services, deliveries=2)
        services.remote.batch_seconds = 10_000.0
        drop(root, "open.jsonl", requests(2, prefix="open"))
        for _ in range(20):
            await turn(services)
            services.clock.advance(1.0)
        (root / "inbox" / "a.csv").touch()
        (root / "inbox" / "b.jsonl").touch()
        jobs = {job["file"]: job["job"] for job in json.loads(shell("jobs", "--json").out)["jobs"]}
        good = tmp_path / "good.jsonl"
        good.write_text("".join(json.dumps(line) + "\n" for line in requests(2)))
        odd = tmp_path / "odd.jsonl"
        odd.write_bytes(b"nonsense\n")
        said = {
            "status": [shell("status", "--json")],
            "jobs": [shell("jobs", "--json"), shell("jobs", "--json", "--state", "held")],
            "wait": [
                shell("wait", *jobs.values(), "--json", "--timeout", "0"),
                shell("wait", jobs["done.jsonl"], "--json"),
            ],
            "show": [shell("show", job, "--json") for job in jobs.values()],
            "why": [
                shell("why", word, "--json")
                for word in (*jobs.values(), "a.csv", "b.jsonl", "nothing", "/tmp")
            ],
            "check": [shell("check", "--json", str(good), str(odd), "nothing")],
            "spend": [shell("spend", "--json", "--by", by) for by in ("day", "model", "task")],
            "config-check": [shell("config", "check", "--offline", "--json")],
            "config-show": [shell("config", "show", "--json")],
            "doctor": [shell("doctor", "--offline", "--json")],
            "version": [shell("version", "--json")],
            "task-check": [shell("task", "check", "whole", "table.csv", "nothing", "--json")],
            "task-list": [shell("task", "list", "--json")],
            "task-try": await tried(shell, monkeypatch),
        }

    assert said.keys() == SHAPES.keys()
    assert len(jobs) == 4
    for name, answers in said.items():
        for answer in answers:
            told = json.loads(answer.out)
            assert problems(told, committed(name)) == [], name
            # And nothing is said that is not described.
            kept = msgspec.json.encode(msgspec.convert(told, SHAPES[name]))
            assert json.loads(kept) == told, name


def draw() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in SHAPES:
        path = FOLDER / f"{name}.json"
        lost = taken_back(committed(name), schema_of(name)) if path.exists() else []
        if lost:
            sys.exit(f"{path.name} would take back what was promised:\n" + "\n".join(lost))
        path.write_text(text_of(name))


if __name__ == "__main__":
    draw()
