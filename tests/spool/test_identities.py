"""Whose each line of a file is: as it was kept, or as the file says, and both say the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from batchd.core.rows import RowSet
from batchd.settings import Inbox, Settings
from batchd.spool.examining import examine
from batchd.spool.identities import WORTH_KEEPING, Identities, identities_of, near
from batchd.spool.work import rows_of

JSON = {"response_format": {"type": "json_object"}}


def nothing() -> None:
    """Nobody wants us to stop."""


def line(custom_id: str, text: str = "", **body: object) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **body}
    return json.dumps(
        {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    ).encode()


LONG = "x" * WORTH_KEEPING
LINES = [
    line("a", LONG),
    b"",
    line("naïve \n \u2028", **JSON),
    line('"q"'),
    b"  ",
    line("b", **JSON),
]


@pytest.fixture
def dropped(tmp_path: Path) -> Path:
    path = tmp_path / "dropped.jsonl"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    return path


@pytest.fixture
def kept(dropped: Path, tmp_path: Path) -> Path:
    path = tmp_path / "made" / "ids.jsonl"
    examine(dropped, Settings(), pause=nothing, ids=path)
    return path


def never() -> Path:
    raise AssertionError("the file itself is read")


def asked(rows: RowSet, kept: Path, dropped: Path) -> Identities:
    sha256 = hashlib.sha256(dropped.read_bytes()).hexdigest()
    return identities_of(rows, kept, sha256, never, pause=nothing)


@pytest.mark.parametrize("rows", [[1, 3, 4, 6], [1], [6], [3, 6], [1, 4]])
def test_what_is_kept_says_what_the_file_says(kept, dropped, tmp_path, rows: list[int]):
    chosen = RowSet.of(rows)
    ids, as_json = asked(chosen, kept, dropped)
    by_row = {1: "a", 3: "naïve \n \u2028", 4: '"q"', 6: "b"}
    assert ids == {by_row[row]: row for row in rows}
    assert as_json == RowSet.of(row for row in rows if row in (3, 6))
    gone = tmp_path / "gone"
    assert identities_of(chosen, gone, "", lambda: dropped, pause=nothing) == (ids, as_json)


@pytest.mark.parametrize("spoil", ["cut", "emptied", "another's"])
def test_what_is_not_of_this_file_is_not_believed(kept, dropped, spoil: str):
    whole = kept.read_bytes()
    spoilt = {
        "cut": whole[:-70],
        "emptied": b"",
        "another's": whole[:-64] + hashlib.sha256(b"another").hexdigest().encode(),
    }
    kept.write_bytes(spoilt[spoil])
    with pytest.raises(AssertionError, match="the file itself"):
        asked(RowSet.of([1]), kept, dropped)
    sha256 = hashlib.sha256(dropped.read_bytes()).hexdigest()
    ids, _ = identities_of(RowSet.of([4]), kept, sha256, lambda: dropped, pause=nothing)
    assert ids == {'"q"': 4}


def test_of_a_small_file_nothing_is_kept(tmp_path):
    small, path = tmp_path / "small.jsonl", tmp_path / "ids.jsonl"
    small.write_bytes(line("a") + b"\n")
    examine(small, Settings(), pause=nothing, ids=path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("bad", "is_read_on"), [(b"not a request", True), (LONG.encode() * 3, False)]
)
def test_of_a_file_that_is_given_up_nothing_is_believed(tmp_path, bad: bytes, is_read_on: bool):
    path, ids = tmp_path / "dropped.jsonl", tmp_path / "ids.jsonl"
    path.write_bytes(line("a", LONG) + b"\n" + bad + b"\n" + line("b") + b"\n")
    limited = Settings(inbox=Inbox(max_line_bytes=2 * WORTH_KEEPING))
    found = examine(path, limited, pause=nothing, ids=ids)
    assert found.problems.total == 1
    assert ids.read_bytes().endswith(found.sha256.encode()) is is_read_on


def test_a_row_is_found_without_reading_what_lies_before_it(tmp_path):
    dropped, ids = tmp_path / "dropped.jsonl", tmp_path / "ids.jsonl"
    ends = (b"\n", b"\r\n", b"\n \n", b"\n")
    raw = b"".join(line(f"é{n}", "x" * 300) + ends[n % 4] for n in range(4_000))
    dropped.write_bytes(b"\xef\xbb\xbf" + raw)
    found = examine(dropped, Settings(), pause=nothing, ids=ids)
    every = dict(rows_of(dropped, RowSet(((1, 5_000),)), pause=nothing))
    assert len(every) == 5_000
    for row in (1, 2, 3, 999, 1_001, 1_002, 1_003, 2_500, 4_999, 5_000):
        first, start = near(row, ids, found.sha256)
        assert max(row - 1_001, 1) <= first <= row
        chosen = rows_of(dropped, RowSet.of([row]), pause=nothing, near=(first, start))
        assert dict(chosen) == {row: every[row]}
    assert near(5_000, ids, "another's") == near(5_000, tmp_path / "gone", "") == (1, 0)


class Stopped(Exception):
    """Nobody waits any more."""


@pytest.mark.parametrize("is_kept", [True, False])
def test_long_work_can_be_stopped(tmp_path, is_kept: bool):
    dropped, ids = tmp_path / "dropped.jsonl", tmp_path / "ids.jsonl"
    dropped.write_bytes(b"".join(line(str(n), "x" * 200) + b"\n" for n in range(5_000)))
    examine(dropped, Settings(), pause=nothing, ids=ids if is_kept else None)

    def stop() -> None:
        raise Stopped

    sha256 = hashlib.sha256(dropped.read_bytes()).hexdigest()
    with pytest.raises(Stopped):
        identities_of(RowSet(((1, 5_000),)), ids, sha256, lambda: dropped, pause=stop)
