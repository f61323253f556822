"""A file is judged before it is dropped as it would be afterwards."""

from __future__ import annotations

import json

import pytest

from batchd.control.checking import CUT_BY, Fate, as_dict, check
from batchd.core.model import JobState
from batchd.meters.prices import Prices
from batchd.settings import Settings
from tests.houses import drop, live, open_services, request, settings
from tests.nobody import as_nobody
from tests.stages.steps import planned

PRICES = Prices()


def looked_at(path, **sections):
    return check(path, settings(path.parent, **sections), prices=PRICES, count=None)


def embedding(custom_id: str, texts: int = 1, **body) -> dict:
    one = request(custom_id)
    body = {"model": "text-embedding-3-small", "input": ["a"] * texts, **body}
    return {**one, "url": "/v1/embeddings", "body": body}


def mixed() -> list[dict]:
    chat = [request(f"c{n}", model="gpt-4o-mini" if n % 2 else "gpt-5") for n in range(9)]
    return [*chat, *(embedding(f"e{n}", 3) for n in range(4))]


async def test_it_is_cut_and_priced_as_the_daemon_does_it(tmp_path):
    sections = {"batches": {"max_requests": 3, "max_inputs": 6}}
    path = drop(tmp_path, "mixed.jsonl", mixed())
    checked = looked_at(path, **sections)
    async with open_services(tmp_path, **sections) as services:
        await planned(services, tmp_path, "mixed", lines=mixed())
        (job,) = await services.ledger.jobs_in(JobState.ACTIVE)
        shards = await services.ledger.shards_of(job.id)
    found = checked.examined
    assert [(s.model, s.endpoint, s.rows, s.tokens) for s in shards] == [
        (s.model, s.endpoint, s.rows, s.tokens) for s in found.shards
    ]
    assert [(s.inputs, s.output_tokens) for s in shards] == [
        (s.inputs, s.output_tokens) for s in found.shards
    ]
    assert job.sha256 == found.sha256
    assert job.estimate == pytest.approx(checked.cost.batch)
    assert sum(shard.estimate for shard in shards) == pytest.approx(checked.cost.batch)
    assert job.warnings == found.warnings.as_dict()
    assert job.warnings["no_output_limit"] == {"total": 9, "lines": [1, 2, 3, 4, 5], "detail": ""}


async def test_a_file_is_rejected_for_what_it_was_told(tmp_path):
    path = drop(tmp_path, "bad.jsonl", [request("a"), {**request("b"), "url": "/v1/x"}, {}])
    checked = looked_at(path)
    assert checked.fate is Fate.REJECTED
    async with open_services(tmp_path) as services:
        await live(services, deliveries=1)
    (error,) = (tmp_path / "outbox").glob("bad--*.rejected/error.json")
    assert json.loads(error.read_text()) == as_dict(checked)["problems"]


def test_sums_are_by_model_and_endpoint(tmp_path):
    checked = looked_at(drop(tmp_path, "mixed.jsonl", mixed()), batches={"max_requests": 3})
    assert [(k.model, k.requests, k.batches, k.inputs) for k in checked.kinds] == [
        ("gpt-5", 5, 2, 0),
        ("gpt-4o-mini", 4, 2, 0),
        ("text-embedding-3-small", 4, 2, 12),
    ]
    assert checked.output_tokens == 9 * 500
    assert checked.cost.batch == pytest.approx(sum(kind.cost.batch for kind in checked.kinds))


def test_every_limit_that_cuts_is_a_setting():
    for name in CUT_BY.values():
        section, key = name.split(".")
        assert hasattr(getattr(Settings(), section), key)


def test_a_file_that_may_not_be_read_is_no_crash():
    with as_nobody() as root:
        path = drop(root, "a.jsonl", [request("a")])
        path.chmod(0)
        checked = looked_at(path)
    assert (checked.fate, checked.examined) == (Fate.UNREADABLE, None)
    assert checked.trouble == "Permission denied"
