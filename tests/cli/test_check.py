"""`batchd check`: what a person sees, what a program sees, and the exit codes."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from batchd.cli import batchd
from batchd.cli.exits import Exit, invoke
from batchd.core.events import RoomLearned
from batchd.core.problems import MAX_LISTED
from batchd.core.words import size
from batchd.meters.tokens import LIBRARIES
from tests.fakes.clock import FakeClock
from tests.houses import drop, open_services, request, requests, turn

needs_one = pytest.mark.skipif(
    not any(map(find_spec, LIBRARIES)),
    reason='no vocabulary is installed: pip install "batchd[tokens]"',
)
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("BATCHD_", "OPENAI_", "CREDENTIALS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def check(capsys):
    """Run it: code, stdout, stderr. There is no root, no daemon, no key."""

    def run(*arguments: object, by: str = "bytes") -> tuple[int, str, str]:
        how = ("--set", f"batches.count_tokens={by}")
        code = invoke(batchd, ["check", *map(str, arguments), *how])
        return code, *capsys.readouterr()

    return run


def written(folder: Path, lines: list[dict[str, Any]], name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    return path


def limited(custom_id: str, *, model: str = "gpt-4o-mini", most: int = 100) -> dict[str, Any]:
    one = request(custom_id, model=model)
    return {**one, "body": {**one["body"], "max_tokens": most}}


def test_a_good_file_is_told_what_it_will_be(check, tmp_path):
    path = written(tmp_path, [limited(f"r{n}") for n in range(10)])
    code, out, err = check(path)
    tokens = sum(-(-len(line) // 4) for line in path.read_bytes().splitlines(keepends=True))
    dollars = (tokens * 0.075 + 10 * 100 * 0.30) / 1e6  # per million tokens, in a batch
    assert (code, err) == (Exit.OK, "")
    assert out.splitlines() == [
        f"{path} ({path.stat().st_size / 1000:.1f} kB): would be accepted",
        "  requests    10 to gpt-4o-mini, /v1/chat/completions",
        "  batches     1: one model, one endpoint, within all limits; the file travels as it lies",
        f"  input       {tokens:,} tokens, estimated: a quarter of the bytes (batches.count_tokens)",
        "  output      1,000 tokens expected",
        f"  cost        {dollars:.4f} USD expected; {dollars:.4f} less than direct calls",
    ]


def test_nothing_is_left_behind(check, tmp_path):
    path = written(tmp_path, requests(3))
    check(path)
    assert list(tmp_path.iterdir()) == [path]


def test_what_cuts_a_file_is_told(check, tmp_path):
    lines = [limited(f"{model}-{n}", model=model) for n in range(4) for model in ("gpt-5", "o3")]
    _, out, _ = check(written(tmp_path, lines), "--set", "batches.max_requests=2")
    assert "  4 to gpt-5, " in out
    assert (
        "batches     4: one for each of 2 combinations of model and endpoint;"
        " cut 2 times by batches.max_requests\n"
    ) in out


def test_a_little_is_not_told_as_nothing(check, tmp_path):
    _, out, _ = check(written(tmp_path, [limited("a", most=1)]))
    assert "cost        under 0.0001 USD expected; under 0.0001 less than direct calls" in out


def test_a_bad_file_is_told_its_mistakes(check, tmp_path):
    path = written(tmp_path, [limited("a"), {"custom_id": "b"}, limited("c")])
    code, out, _ = check(path)
    assert code == Exit.FAILED
    assert "would be rejected" in out
    assert 'line 2: missing required parameter "method"' in out
    assert "[missing_required_parameter]" in out
    assert "errors      3 in all" in out
    assert "cost" not in out


def test_twenty_mistakes_are_listed_and_the_rest_is_counted(check, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"not json\n" * 50)
    _, out, _ = check(path)
    assert out.count("[invalid_json_line]") == MAX_LISTED
    assert "... and 30 more" in out
    assert "errors      50 in all" in out


def test_what_is_mended_and_what_is_odd_is_told(check, tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({**request(f"r{n}"), "extra": 1}).encode() for n in range(7)]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines) + b"\r\n\n")
    code, out, _ = check(path)
    assert code == Exit.OK
    assert "mended      the byte order mark is left out" in out
    assert "mended      7 lines end with CR and LF" in out
    assert "mended      1 blank lines are left out" in out
    assert "no_output_limit, 7 of 7 (lines 1, 2, 3, 4, 5, ...)" in out
    assert "unknown_member, 7 of 7" in out
    assert "(extra)" in out
    assert "travels as it lies" not in out


def test_a_repeated_key_is_only_looked_for_here(check, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(limited("a")).encode().replace(b'{"role"', b'{"role": 1, "role"'))
    _, out, _ = check(path)
    assert "repeated_key, 1 of 1 (line 1)" in out
    assert "(role)" in out


@pytest.mark.parametrize("name", ["per_job", "per_day", "per_month"])
def test_what_stands_against_the_budget_is_told(check, tmp_path, name):
    path = written(tmp_path, [limited(f"r{n}", most=1000) for n in range(100)])
    code, out, _ = check(path, "--set", f"budget.{name}=0.01")
    assert code == Exit.OK
    assert "would be held by the budget" in out
    assert f"(budget.{name}); held until batchd release JOB" in out
    assert "held" not in check(path, "--set", f"budget.{name}=1")[1]


def test_an_unknown_price_is_unknown_and_a_budget_holds_it(check, tmp_path):
    path = written(tmp_path, [limited("a", model="nobodys")])
    assert "cost        unknown" in check(path)[1]
    assert json.loads(check(path, "--json")[1])["files"][0]["cost"] is None
    _, out, _ = check(path, "--set", "budget.per_job=5")
    assert "there is a budget, and the price of its model is not known" in out


async def test_what_is_spent_already_counts_and_so_does_the_queue_that_was_named(check, tmp_path):
    path = written(tmp_path, [limited(f"r{n}", most=1000) for n in range(100)])
    budget = ("--set", "budget.per_day=0.05")
    assert "would be accepted" in check(path, *budget)[1]
    async with open_services(tmp_path, clock=FakeClock(time.time())) as services:
        services.remote.batch_seconds = 1e6  # type: ignore[attr-defined]  # the fake one
        drop(tmp_path, "earlier.jsonl", [limited(f"s{n}", most=1000) for n in range(100)])
        for _ in range(10):
            services.clock.advance(1.0)  # type: ignore[attr-defined]  # likewise
            await turn(services)
        learned = RoomLearned(model="gpt-4o-mini", tokens=1000)
        await services.ledger.record(learned, at=services.clock.now())
    _, out, _ = check(path, *budget)
    assert "would be held by the budget" in out
    assert re.search(r"0\.03\d+ of 0\.0500 are spent or under way today", out)
    assert "by batches.enqueued_tokens" in out


def test_a_ledger_that_cannot_be_read_is_said_and_no_obstacle(check, tmp_path):
    path = written(tmp_path, [limited("a")])
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "batchd.db").write_bytes(b"no ledger at all, not even nearly" * 100)
    code, out, err = check(path)
    assert (code, "would be accepted" in out) == (Exit.OK, True)
    assert "what is spent already is not counted" in err


def test_an_own_price_tells_no_saving(check, tmp_path):
    path = written(tmp_path, [limited("a", model="mine", most=1_000_000)])
    own = ("prices.input.mine=1", "prices.output.mine=2")
    _, out, _ = check(path, *(word for one in own for word in ("--set", one)))
    assert "cost        2.0000 USD expected; what direct calls cost is not known" in out


@needs_one
@pytest.mark.parametrize(
    ("models", "said"),
    [
        (["gpt-4o-mini"], "exact: counted with the model's vocabulary"),
        (["gpt-4o-mini", "llama-3"], "estimated: 1 requests have more than texts"),
    ],
)
def test_counted_tokens_are_told_from_estimated_ones(check, tmp_path, models, said):
    lines = [limited(name, model=model) for name, model in zip("ab", models, strict=False)]
    _, out, _ = check(written(tmp_path, lines), by="exact")
    each = 4 + 3 + 2  # around the message, before the answer, and "question a"
    assert f"  input       {len(models) * each} tokens, {said}" in out


def test_several_files_are_told_one_by_one(check, tmp_path):
    good, bad = written(tmp_path, [limited("a")]), written(tmp_path, [{}], "b.jsonl")
    code, out, _ = check(good, bad, tmp_path / "none")
    assert code == Exit.FAILED
    assert [part.split(": ")[1].splitlines()[0] for part in out.split("\n\n")] == [
        "would be accepted",
        "would be rejected",
        "there is no such file",
    ]


def test_a_file_that_is_not_there_is_not_found(check, tmp_path):
    good = written(tmp_path, [limited("a")])
    assert check(tmp_path / "none.jsonl")[0] == Exit.NOT_FOUND
    assert check(good, tmp_path / "none.jsonl")[0] == Exit.NOT_FOUND
    assert check(good / "below.jsonl")[0] == Exit.NOT_FOUND


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_file_is_not_opened(check, tmp_path, what):
    path = tmp_path / "a.jsonl"
    path.mkdir() if what == "folder" else os.mkfifo(path)
    code, out, _ = check(path)
    assert code == Exit.FAILED
    assert "it is not a file" in out


def test_a_file_that_is_written_is_not_judged(check, tmp_path):
    path = written(tmp_path, [limited("a")])
    with path.open("ab"):
        code, out, _ = check(path)
    assert code == Exit.FAILED
    assert "still writing" in out


def test_the_name_counts_in_the_inbox_only(check, tmp_path):
    code, out, _ = check(written(tmp_path, [limited("a")], "a.log"))
    assert code == Exit.OK
    assert "left alone in the inbox: its name is not like *.jsonl, *.ndjson" in out


def test_it_is_no_matter_where_a_file_lies(check, tmp_path):
    assert check(drop(tmp_path, "a.jsonl", [limited("a")]))[0] == Exit.OK
    assert check(Path("inbox/a.jsonl"))[0] == Exit.OK


def test_a_program_reads_the_same(check, tmp_path):
    good, bad = written(tmp_path, [limited("a")]), written(tmp_path, [{}], "b.jsonl")
    code, out, _ = check(good, bad, tmp_path / "none", "--json")
    told = json.loads(out)
    assert code == Exit.FAILED
    assert [file["fate"] for file in told["files"]] == ["accepted", "rejected", "not-found"]
    first, second, third = told["files"]
    assert told["schema"] == 1
    assert "genai-prices" in told["prices"]
    (kind,) = first["kinds"]
    assert (kind["model"], kind["requests"], kind["batches"]) == ("gpt-4o-mini", 1, 1)
    assert first["cost"]["direct"] == pytest.approx(2 * first["cost"]["amount"])
    assert first["cost"]["saving"] == pytest.approx(first["cost"]["amount"])
    assert (first["output_tokens"], first["counted_requests"], first["verbatim"]) == (100, 0, True)
    assert second["problems"]["total"] == 4
    assert second["problems"]["errors"][0]["line"] == 1
    assert third == {
        "file": str(tmp_path / "none"),
        "fate": "not-found",
        "trouble": "there is no such file",
    }


def test_what_strangers_wrote_breaks_no_line(check, tmp_path):
    path = written(tmp_path, [{**limited("a"), "x\x1b[2J\ny": 1}], "b\n.jsonl")
    _, out, _ = check(path)
    assert "\x1b" not in out
    assert "b\n.jsonl" not in out


def test_a_file_is_required(check):
    assert check()[0] == Exit.USAGE


def test_a_compressed_file_is_read_as_a_stream_and_nothing_is_written(check, tmp_path):
    path = written(tmp_path, [limited(f"r{n}") for n in range(10)])
    packed = path.with_name("a.jsonl.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    code, out, _ = check(packed)
    assert code == Exit.OK
    assert "would be accepted" in out
    assert f"inflated    {size(path.stat().st_size)}" in out
    assert "10 to gpt-4o-mini" in out
    assert "the file travels inflated, as it is" in out
    assert "left alone" not in out

    packed.write_bytes(packed.read_bytes()[:-1])
    code, out, _ = check(packed)
    assert code == Exit.FAILED
    assert "[gzip_cut]" in out
    code, out, _ = check(path, packed, "--json")
    plain, cut = json.loads(out)["files"]
    assert (plain["inflated_bytes"], cut["problems"]["errors"][0]["code"]) == (None, "gzip_cut")
    assert {one.name for one in tmp_path.iterdir()} == {"a.jsonl", "a.jsonl.gz"}
