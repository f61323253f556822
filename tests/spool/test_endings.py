"""Whether a quiet file is whole, by what its kind ends with."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from batchd.spool.endings import lacks_end, lacks_last_line

LINE = b'{"custom_id": "a"}\n'


@pytest.mark.parametrize(
    "content",
    [
        LINE,
        LINE.rstrip(),
        b"\xef\xbb\xbf" + LINE.rstrip(),
        LINE + b"   ",
        LINE.replace(b"\n", b"\r\n"),
        b'{"a": "' + b"x" * (3 << 20) + b'"}',
        LINE + b'{"a": "' + b"x" * (2 << 20) + b'"}\n',
    ],
)
def test_a_whole_last_line_needs_no_line_break(tmp_path: Path, content: bytes):
    (tmp_path / "a.jsonl").write_bytes(content)
    assert lacks_last_line(tmp_path / "a.jsonl") is None


def test_a_very_long_cut_line_is_judged_by_its_end(tmp_path: Path):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": "' + b"x" * (3 << 20))
    assert lacks_last_line(tmp_path / "a.jsonl") == "last-line-cut"


def test_a_deeply_nested_last_line_is_no_crash(tmp_path: Path):
    (tmp_path / "a.jsonl").write_bytes(b"[" * 100_000)
    assert lacks_last_line(tmp_path / "a.jsonl") == "last-line-cut"


def workbook() -> bytes:
    """As much of one as an archive is."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>" * 100)
    return written.getvalue()


def lacks(tmp_path: Path, name: str, content: bytes, *, is_closed: bool = False) -> str | None:
    (tmp_path / name).write_bytes(content)
    return lacks_end(tmp_path / name, is_closed=is_closed)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"a,b\n1,2\n"),
        ("a.csv", b"a,b\r1,2\r"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16")),
        ("a.csv", "a,b\n1,2\n".encode("utf-16-be")),
        ("a.TSV", b"a\tb\n"),
        ("a.txt", b"one\n"),
        ("a.json", b'[{"a": 1}]'),
        ("a.json", b'[{"a": 1}]\n\n'),
        ("a.json", b'{"a": 1}'),  # no array: the reader says so
        ("a.jsonl", b'{"a": 1}'),
        ("a.parquet", b"PAR1....PAR1"),
        ("a.xlsx", workbook()),
        ("a.xlsx", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512)),  # locked: the reader says so
        ("export.dat", b"a,b\n"),
    ],
)
def test_a_whole_table_lacks_nothing(tmp_path: Path, name: str, content: bytes):
    assert lacks(tmp_path, name, content) is None


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": ', "last-line-cut"),
        ("a.json", b'[{"a": 1},', "end-missing"),
        ("a.json", b"\0" * 4096, "end-missing"),
        ("a.parquet", b"PAR1....", "end-missing"),
        ("a.xlsx", workbook()[:-30], "end-missing"),
        ("a.XLSM", workbook()[:-30], "end-missing"),
        ("a.xlsx", b"\0" * 4096, "end-missing"),
    ],
)
@pytest.mark.parametrize("is_closed", [True, False])
def test_half_of_one_lacks_its_end_whoever_has_it_open(tmp_path, name, content, code, is_closed):
    assert lacks(tmp_path, name, content, is_closed=is_closed) == code


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "export.dat"])
def test_a_last_row_without_line_break_is_whole_where_nobody_can_be_writing(tmp_path, name):
    """Google Sheets ends its exports so; and so does a copy that pauses."""
    assert lacks(tmp_path, name, b"a,b\n1,2", is_closed=True) is None
    assert lacks(tmp_path, name, b"a,b\n1,2", is_closed=False) == "last-line-open"


def test_what_cannot_be_opened_is_left_to_whoever_reads_it(tmp_path: Path):
    assert lacks_end(tmp_path / "gone.csv", is_closed=False) is None
    assert lacks_end(tmp_path / "gone.xlsx", is_closed=False) is None
    assert lacks_last_line(tmp_path / "gone.jsonl") is None
