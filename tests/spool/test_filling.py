"""The files of a draft folder: made when their first line comes, hashed as they are written."""

from __future__ import annotations

import hashlib

import pytest

from batchd.spool.filling import filled


def test_a_file_is_made_by_its_first_line_and_known_by_its_hash(tmp_path):
    with filled(tmp_path) as filling:
        filling.write("b.jsonl", b"1")
        filling.write("a.jsonl", b"2")
        filling.write("b.jsonl", b"3")
        assert not list(tmp_path.glob("*.jsonl"))
    assert (tmp_path / "b.jsonl").read_bytes() == b"1\n3\n"
    assert [(file.name, file.size) for file in filling.files] == [("a.jsonl", 2), ("b.jsonl", 4)]
    assert filling.files[1].sha256 == hashlib.sha256(b"1\n3\n").hexdigest()


def test_nothing_written_is_nothing_there(tmp_path):
    with filled(tmp_path) as filling:
        pass
    assert filling.files == []
    assert list(tmp_path.iterdir()) == []


def fill_half(folder):
    with filled(folder) as filling:
        filling.write("a.jsonl", b"1")
        raise OSError(28, "No space left on device")


def test_an_error_lets_no_file_appear(tmp_path):
    with pytest.raises(OSError, match="No space"):
        fill_half(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl.part"]
