"""One pass over a file tells what the daemon plans by and what `batchd check` says."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchd.core.problems import Repairs
from batchd.core.sharding import ShardLimits
from batchd.spool.examining import Examined, examine, limits_of, longest_line, rules_of
from batchd.spool.work import InputChanged
from tests.houses import settings

CHAT, EMBED = "/v1/chat/completions", "/v1/embeddings"
MODELS = ("gpt-4o-mini", "gpt-4.1-nano", "gpt-5-mini")


def line(custom_id: str, url: str = CHAT, **changes: Any) -> dict[str, Any]:
    content = {"input": "hi"} if url == EMBED else {"messages": [{"role": "user", "content": "hi"}]}
    body = {"model": "gpt-4o-mini", **content, "max_tokens": 5, **changes}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def dropped(folder: Path, lines: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> Path:
    path = folder / "a.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(one) + "\n" for one in lines)
    return path


def examined(path: Path, *, thorough: bool = False, count=None, **sections) -> Examined:
    chosen = settings(path.parent, **sections)
    return examine(path, chosen, pause=lambda: None, thorough=thorough, count=count)


def test_a_plain_file_travels_as_it_lies(tmp_path):
    path = dropped(tmp_path, [line("a"), line("b")])
    found = examined(path)
    assert found.verbatim
    assert (found.requests, found.exact, found.problems.total) == (2, 0, 0)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.size == path.stat().st_size == found.shards[0].size
    assert (found.repairs, found.cuts, found.warnings.counts()) == (Repairs(), {}, {})


def test_a_mended_file_does_not(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(line("a")).encode() + b"\r\n\n")
    found = examined(path)
    assert found.repairs == Repairs(bom=True, crlf_lines=1, blank_lines=1)
    assert not found.verbatim


def test_each_request_has_its_weight_in_the_plan(tmp_path):
    lines = [
        line("a", max_tokens=7, n=2),
        line("b", max_tokens=None),
        line("c", EMBED, input=["a", "b", "c"], model="text-embedding-3-small"),
    ]
    found = examined(dropped(tmp_path, lines), budget={"output_tokens": 100})
    chat, embeddings = found.shards
    assert (chat.output_tokens, chat.inputs) == (7 * 2 + 100, 0)
    assert (embeddings.output_tokens, embeddings.inputs) == (0, 3)
    assert found.warnings.counts() == {"no_output_limit": 1}


def test_tokens_are_counted_where_there_is_a_counter(tmp_path):
    path = dropped(tmp_path, [line("a"), line("b", model="llama-3")])
    found = examined(path, count=lambda vocabulary, text: 1000)
    assert [shard.tokens for shard in found.shards] == [1007, 1007]
    assert found.exact == 1


def test_a_hundred_and_thirty_thousand_requests_take_the_fewest_batches(tmp_path):
    """Three models and two endpoints, interleaved: cut where the limits say, and nowhere else."""
    kinds = [(model, url) for model in MODELS for url in (CHAT, EMBED)]
    weights = [0] * 8 + [1] * 2 + [2, 3, 4, 5]  # the first fills more than one batch
    counts = dict.fromkeys(kinds, 0)

    def lines() -> Iterator[dict[str, Any]]:
        for number in range(130_000):
            model, url = kinds[weights[number % len(weights)]]
            counts[model, url] += 1
            yield line(f"row-{number}", url, model=model)

    path = dropped(tmp_path, lines())
    unlimited = {"max_output_bytes": 1 << 60}
    found = examined(path, batches=unlimited)
    planned = dict.fromkeys(kinds, 0)
    for shard in found.shards:
        planned[shard.model, shard.endpoint] += 1
        assert shard.requests <= 50_000
    fewest = {kind: -(-count // 50_000) for kind, count in counts.items()}
    assert planned == fewest
    assert max(fewest.values()) == 2
    assert sum(planned.values()) == 7
    assert found.cuts == {"requests": 1}
    assert sum(shard.requests for shard in found.shards) == 130_000
    rows = sorted(row for shard in found.shards for row in shard.rows)
    assert rows == list(range(1, 130_001))


@pytest.mark.parametrize(
    ("batches", "limit"),
    [
        ({"max_requests": 2}, "requests"),
        ({"max_bytes": 400}, "bytes"),
        ({"max_inputs": 5}, "inputs"),
        ({"max_output_bytes": 200_000}, "output_bytes"),
        ({"enqueued_tokens": {"text-embedding-3-small": 90}}, "tokens"),
    ],
)
def test_what_cuts_a_file_is_told(tmp_path, batches, limit):
    path = dropped(
        tmp_path,
        [line(f"{n}", EMBED, model="text-embedding-3-small", input=["a", "b"]) for n in range(4)],
    )
    found = examined(path, batches=batches)
    assert [shard.requests for shard in found.shards] == [2, 2]
    assert found.cuts == {limit: 1}
    assert len(examined(path).shards) == 1


def test_other_prefixes_are_let_through_and_travel_as_they_are(tmp_path):
    path = dropped(tmp_path, [line("a", "/chat/completions")])
    assert examined(path).problems.listed[0].code == "invalid_url"
    found = examined(path, openai={"endpoint_prefixes": [""]})
    assert found.problems.total == 0
    assert found.shards[0].endpoint == "/chat/completions"
    assert found.shards[0].output_tokens == 5


def test_repeats_are_looked_for_when_somebody_asks(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(line("a")).encode().replace(b'{"role"', b'{"role": "x", "role"'))
    assert examined(path).warnings.counts() == {}
    assert examined(path, thorough=True).warnings.counts() == {"repeated_key": 1}


def test_two_requests_of_one_name_are_found(tmp_path):
    found = examined(dropped(tmp_path, [line("a"), line("b"), line("a")]))
    assert [(p.code, p.line) for p in found.problems.listed] == [("duplicate_custom_id", 3)]


def test_a_file_that_is_hopeless_is_known_by_all_its_bytes(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(line("a")).encode("utf-16") * 3 + b"\n" * 5)
    found = examined(path)
    assert found.problems.total == 1
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_with_a_writer_is_not_done(tmp_path):
    path = dropped(tmp_path, [line("a")])
    with path.open("ab"), pytest.raises(InputChanged):
        examined(path)


def test_the_settings_are_where_the_limits_come_from(tmp_path):
    chosen = settings(
        tmp_path,
        inbox={"max_line_bytes": 900},
        batches={
            "max_requests": 1,
            "max_bytes": 800,
            "max_inputs": 3,
            "max_output_bytes": 4,
            "enqueued_tokens": {"m": 5},
        },
        budget={"output_tokens": 6},
    )
    assert limits_of(chosen) == ShardLimits(1, 800, {"m": 5}, 3, 4)
    rules = rules_of(chosen, count=None, thorough=True)
    assert (rules.max_line_bytes, rules.max_bytes, rules.room) == (800, 800, {"m": 5})
    assert (rules.output_tokens, rules.looks_for_repeated_keys) == (6, True)
    assert longest_line(chosen) == 800


# Compressed


def packed(path: Path) -> Path:
    beside = path.with_name(path.name + ".gz")
    beside.write_bytes(gzip.compress(path.read_bytes()))
    return beside


def test_a_compressed_file_is_planned_as_what_is_in_it_and_known_by_its_own_bytes(tmp_path):
    path = dropped(tmp_path, [line(str(number)) for number in range(50)])
    plain, found = examined(path), examined(packed(path))
    assert found.shards == plain.shards
    assert found.verbatim
    assert (found.inflated, plain.inflated) == (path.stat().st_size, None)
    assert found.size == packed(path).stat().st_size
    assert found.sha256 == hashlib.sha256(packed(path).read_bytes()).hexdigest()


def test_of_a_damaged_file_only_the_damage_is_told(tmp_path):
    """The lines before it may be damaged, too, and nobody could find them in the file."""
    path = packed(dropped(tmp_path, [line("a"), line("a"), {"custom_id": "b"}]))
    path.write_bytes(path.read_bytes()[:-3])
    found = examined(path)
    assert [problem.code for problem in found.problems.listed] == ["gzip_cut"]
    assert found.problems.total == 1
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_id_that_comes_twice_is_found_in_a_compressed_file(tmp_path):
    found = examined(packed(dropped(tmp_path, [line("a"), line("b"), line("a")])))
    assert [(p.code, p.line) for p in found.problems.listed] == [("duplicate_custom_id", 3)]


def test_what_inflates_too_far_is_read_no_further(tmp_path):
    path = packed(dropped(tmp_path, [line(str(number)) for number in range(50)]))
    found = examined(path, inbox={"max_inflated_bytes": 1000})
    assert [problem.code for problem in found.problems.listed] == ["inflates_too_far"]
    assert {one.name for one in tmp_path.iterdir()} == {"a.jsonl", "a.jsonl.gz"}
