"""What comes back of a table is of its kind, in its order, with the answers beside each record."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.dropped_tables import PLAIN, SCHEMA, as_asked, claimed_table, judged
from tests.fakes.remote import Request
from tests.houses import delivered, live, read_lines, read_receipt
from tests.stages.table_house import JOB, House

RECORDS = [{"text": "one", "n": 1.50}, {"text": "two", "nested": {"a": [1, 2]}}, {"text": "three"}]


async def lived(house: House, name: str, content: str | bytes) -> Path:
    async with house.open() as services:
        claimed_table(house.root, "judge", name, content, job=JOB)
        await live(services, deliveries=1)
    (folder,) = delivered(house.root).values()
    return folder


async def test_objects_come_back_with_their_answers_as_members(tmp_path: Path):
    lines = [json.dumps(record) for record in RECORDS]
    house = House(tmp_path, SCHEMA)
    house.remote.verdicts = {"2": [400]}
    folder = await lived(house, "a.jsonl", "\n".join(lines) + "\n")
    found = read_lines(folder / "records.jsonl")
    as_sent = [{name: one[name] for name in sent} for sent, one in zip(RECORDS, found, strict=True)]
    assert as_sent == RECORDS
    assert [one["verdict"] for one in found] == ["of 1", None, "of 3"]
    assert (folder / "retry.jsonl").read_text() == lines[1] + "\n"
    assert '"n": 1.5' in (folder / "records.jsonl").read_text().splitlines()[0]


async def test_an_array_comes_back_as_an_array(tmp_path: Path):
    folder = await lived(House(tmp_path, SCHEMA), "a.json", json.dumps(RECORDS))
    found = json.loads((folder / "results.json").read_bytes())
    assert [one["score"] for one in found] == [1, 1, 1]
    assert found[1]["nested"] == {"a": [1, 2]}
    assert [line["output"] for line in read_lines(folder / "results.jsonl")] == [
        judged(str(n)) for n in (1, 2, 3)
    ]


async def test_plain_text_comes_back_as_results_alone(tmp_path: Path):
    house = House(tmp_path, PLAIN)
    house.remote.verdicts = {"2": [400]}
    folder = await lived(house, "a.txt", "one\n\ntwo\nthree\n")
    assert not list(folder.glob("results.t*"))
    assert [line["ok"] for line in read_lines(folder / "results.jsonl")] == [True, False, True]
    assert (folder / "retry.txt").read_text() == "two\n"


async def test_vectors_come_back_beside_the_records_where_they_have_a_place(tmp_path: Path):
    task = 'endpoint = "/v1/embeddings"\nmodel = "text-embedding-3-small"\nprompt = "{{ text }}"\n'
    house = House(tmp_path, task + "records_per_request = 2\n")

    def vectors(request: Request) -> tuple[int, dict[str, Any]]:
        texts = request["body"]["input"]
        data = [{"index": n, "embedding": [float(len(text))]} for n, text in enumerate(texts)]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return 200, {"model": request["body"]["model"], "data": data[::-1], "usage": usage}

    house.remote.answers = vectors
    content = "".join(json.dumps(record) + "\n" for record in RECORDS)
    folder = await lived(house, "a.jsonl", content)
    assert [one["embedding"] for one in read_lines(folder / "records.jsonl")] == [
        [3.0],
        [3.0],
        [5.0],
    ]
    assert [one["output"] for one in read_lines(folder / "results.jsonl")] == [[3.0], [3.0], [5.0]]


@pytest.mark.parametrize("setting", ["keep", "fail"])
async def test_an_answer_that_was_cut_off_is_what_the_setting_says(tmp_path: Path, setting: str):
    house = House(tmp_path, PLAIN, retries={"on_truncated": setting})

    def cut(request: Request) -> tuple[int, dict[str, Any]]:
        status, body = as_asked(request)
        body["choices"][0]["finish_reason"] = "length"
        return status, body

    house.remote.answers = cut
    folder = await lived(house, "a.txt", "one\n")
    (line,) = read_lines(folder / "results.jsonl")
    assert line["ok"] is (setting == "keep")


async def test_a_packed_table_comes_back_unpacked_and_lies_there_as_it_came(tmp_path: Path):
    house, packed = (
        House(tmp_path, SCHEMA),
        gzip.compress(b"\xef\xbb\xbfkey;text\r\na;one\r\nb;two\r\n"),
    )
    house.remote.verdicts = {"2": [400]}
    folder = await lived(house, "a.csv.gz", packed)
    lines = (folder / "results.csv").read_bytes().splitlines(keepends=True)
    assert lines[0] == b"\xef\xbb\xbfkey;text;verdict;score;batchd_error\r\n"
    assert lines[1] == b"a;one;of 1;1;\r\n"
    assert (folder / "retry.csv").read_bytes() == b"\xef\xbb\xbfkey;text\r\nb;two\r\n"
    assert (folder / "input" / "a.csv.gz").read_bytes() == packed


async def test_a_packed_table_that_inflates_too_far_is_not_read_on(tmp_path: Path):
    house = House(tmp_path, SCHEMA, inbox={"max_inflated_bytes": 5_000})
    packed = gzip.compress(("key,text\n" + "a,b\n" * 5_000).encode())
    async with house.open() as services:
        claimed_table(house.root, "judge", "a.csv.gz", packed, job=JOB)
        await live(services, deliveries=1)
    (folder,) = delivered(tmp_path).values()
    told = json.loads((folder / "error.json").read_bytes())
    assert [error["code"] for error in told["errors"]] == ["inflates_too_far"]


async def test_parquet_comes_back_as_parquet(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `tables`")
    arrow = pytest.importorskip("pyarrow")
    sent, house = arrow.table({"n": [1, 2], "text": ["one", "two"]}), House(tmp_path, SCHEMA)
    parquet.write_table(sent, tmp_path / "a.parquet")
    house.remote.verdicts = {"2": [400]}
    folder = await lived(house, "a.parquet", (tmp_path / "a.parquet").read_bytes())
    found = parquet.read_table(folder / "results.parquet")
    assert found.column_names == ["n", "text", "verdict", "score", "batchd_error"]
    assert found.column("verdict").to_pylist() == ["of 1", None]
    assert parquet.read_table(folder / "retry.parquet").to_pylist() == [{"n": 2, "text": "two"}]
    hashes = {file["name"]: file["sha256"] for file in read_receipt(folder)["files"]}
    for name in ("results.parquet", "retry.parquet", "results.jsonl"):
        assert hashes[name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_a_table_comes_back_the_same_whether_its_rows_are_copied_or_read(
    tmp_path: Path, end: str
):
    """Of a packed table nobody notes where its rows lie."""
    rows = ["key,text", '1,"one, ""1"""', "", '2,"t\nwo"', "3,drei 🙂", '"4","" ', "5,"]
    content = ("\ufeff" + end.join(rows)).encode()
    found = list[dict[str, bytes]]()
    for name, dropped in (("a.csv", content), ("a.csv.gz", gzip.compress(content))):
        house = House(tmp_path / name, SCHEMA + '\n[input]\nid = "key"\n')
        house.remote.verdicts = {"2": [400], "5": [400]}
        folder = await lived(house, name, dropped)
        names = ("results.csv", "results.jsonl", "errors.jsonl", "retry.csv")
        found.append({name: (folder / name).read_bytes() for name in names})
    assert found[0] == found[1]
    assert found[0]["retry.csv"].decode() == f'\ufeffkey,text{end}2,"t\nwo"{end}5,{end}'
    assert '\n1,"one, ""1""",' in found[0]["results.csv"].decode()
