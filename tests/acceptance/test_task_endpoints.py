"""Tables through every endpoint that a task may ask, one record to a request and several."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchd.sandbox.answers import answer_for
from tests.acceptance.processes import Processes, processes_in
from tests.acceptance.tables import answer_of, delivered_to, drop_into, requests_of
from tests.houses import read_lines, read_receipt

pytestmark = pytest.mark.processes

COUNT = 8  #: records: two full requests of three, and one of two
TEXTS = [f"row {n}: it was {'great' if n % 2 else 'terrible'}" for n in range(1, COUNT + 1)]
SEVERAL = "{% for r in records %}{{ r.id }}: {{ r.text }}\n{% endfor %}"
SCHEMA = """
[output.schema]
type = "object"
additionalProperties = false
required = ["reason", "stars"]
properties = { reason = { type = "string" }, stars = { type = "integer" } }
"""


def task(endpoint: str, prompt: str, *more: str, each: int = 1) -> str:
    head = f'endpoint = "{endpoint}"\nmodel = "m"\nprompt = {json.dumps(prompt)}\n'
    return "\n".join([head, f"records_per_request = {each}", *more])


TASKS = {
    "alone": task("/v1/responses", "{{ text }}", 'system = "Be short."', SCHEMA),
    "together": task("/v1/responses", SEVERAL, SCHEMA, each=3),
    "texts": task("/v1/responses", SEVERAL, each=3),
    "chats": task("/v1/chat/completions", SEVERAL, each=3),
    "vectors": task("/v1/embeddings", "{{ text }}", each=3),
    "flags": task("/v1/moderations", "{{ text }}", each=3),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Any]]]:
    """All of them at once: by task its folder, and the requests that were sent."""
    folder = tmp_path_factory.mktemp("endpoints")
    root, tasks = folder / "root", folder / "tasks"
    tasks.mkdir()
    for name, text in TASKS.items():
        (tasks / f"{name}.toml").write_text(text)
    with processes_in(folder) as processes:
        sandbox = processes.sandbox()
        for name in TASKS:
            drop_into(root, name, f"{name}.jsonl", lines())
        processes.daemon(root, sandbox)
        yield {name: found(processes, root, name) for name in TASKS}


def lines() -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in TEXTS)


def found(processes: Processes, root: Path, name: str) -> tuple[Path, Any]:
    folder = delivered_to(processes, root, name)
    (requests,) = requests_of(root, folder)
    return folder, requests


@pytest.mark.parametrize("name", TASKS)
def test_every_record_is_answered_in_its_order(folders, name):
    folder, requests = folders[name]
    assert len(requests) == (COUNT if name == "alone" else 3)
    results = read_lines(folder / "results.jsonl")
    assert [one["custom_id"] for one in results] == [str(n) for n in range(1, COUNT + 1)]
    assert {one["error"] for one in results} == {None}
    assert [one["text"] for one in read_lines(folder / "records.jsonl")] == TEXTS
    receipt = read_receipt(folder)
    assert receipt["requests"]["succeeded"] == COUNT
    assert [(b["requests"], b["records"]) for b in receipt["batches"]] == [(len(requests), COUNT)]


def test_one_answer_each_of_the_responses_api(folders):
    folder, requests = folders["alone"]
    assert {request["body"]["instructions"] for request in requests} == {"Be short."}
    outputs = [one["output"] for one in read_lines(folder / "results.jsonl")]
    assert outputs == [answer_of(request) for request in requests]
    assert all(isinstance(output["stars"], int) for output in outputs)
    records = read_lines(folder / "records.jsonl")
    assert [{"reason": r["reason"], "stars": r["stars"]} for r in records] == outputs


@pytest.mark.parametrize("name", ["together", "texts", "chats"])
def test_an_answer_for_several_gives_each_its_own(folders, name):
    folder, requests = folders[name]
    expected = {}
    for request in requests:
        said = answer_of(request)
        expected |= {entry["id"]: entry["answer"] for entry in said["records"]}
    results = read_lines(folder / "results.jsonl")
    assert {one["custom_id"]: one["output"] for one in results} == expected
    assert {one["usage"] for one in results} == {None}, "it is the request's"
    assert len({json.dumps(one["output"]) for one in results}) == COUNT


def test_texts_that_were_embedded_together_have_vectors_of_their_own(folders):
    folder, requests = folders["vectors"]
    body = requests[0]["body"]
    assert [request["body"]["input"] for request in requests] == [TEXTS[:3], TEXTS[3:6], TEXTS[6:]]
    alone = [answer_for("/v1/embeddings", {**body, "input": text}) for text in TEXTS]
    vectors = [one["data"][0]["embedding"] for one in alone]
    assert [one["output"] for one in read_lines(folder / "results.jsonl")] == vectors
    assert [one["embedding"] for one in read_lines(folder / "records.jsonl")] == vectors


def test_texts_that_were_judged_together_have_judgements_of_their_own(folders):
    folder, requests = folders["flags"]
    body = requests[0]["body"]
    alone = [answer_for("/v1/moderations", {**body, "input": text}) for text in TEXTS]
    expected = [one["results"][0] for one in alone]
    assert [one["output"] for one in read_lines(folder / "results.jsonl")] == expected
    records = read_lines(folder / "records.jsonl")
    assert [one["flagged"] for one in records] == [one["flagged"] for one in expected]
