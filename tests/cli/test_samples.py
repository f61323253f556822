"""What of a table is handed to the daemon."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from batchd.cli.samples import beginning
from batchd.control.messages import MOST_SENT
from batchd.core.errors import InputError

ROW = b'1,"a text\nof two lines"\n'


def large(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    assert path.stat().st_size > MOST_SENT
    return path


def test_a_small_one_is_handed_in_whole(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\none")

    assert beginning(path) == b"text\none"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.txt"])
def test_a_large_one_of_lines_is_cut_after_one(tmp_path: Path, name):
    path = large(tmp_path / name, b"id,text\n" + ROW * (MOST_SENT // len(ROW) + 1))

    content = beginning(path)

    assert MOST_SENT - len(ROW) < len(content) <= MOST_SENT
    assert content.endswith(b"\n")
    assert path.read_bytes().startswith(content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b" " * MOST_SENT + b"[]"),
        ("a.parquet", b"PAR1" * (MOST_SENT // 4 + 1)),
        ("a.csv", gzip.compress(b"x") + b"\n" * MOST_SENT),
        ("a.csv", b"x" * (MOST_SENT + 1)),
        ("a.dat", ROW * (MOST_SENT // len(ROW) + 1)),
    ],
)
def test_what_cannot_be_cut_is_said_with_the_way_out(tmp_path: Path, name, content):
    with pytest.raises(InputError, match=r"make one of its first rows"):
        beginning(large(tmp_path / name, content))


def test_what_is_not_there_is_not_there(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        beginning(tmp_path / "a.csv")
