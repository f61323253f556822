"""What was uploaded becomes the dropped file again, or nothing does."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from batchd.core.rows import RowSet
from batchd.spool.regaining import NotTheSame, Uploaded, regain

A, B, C = b'{"a": 1}\n', b'{"b": 2}\n', b'{"c": 3}\n'


def regained(tmp_path: Path, content: bytes, *parts: tuple[bytes, list[int]]) -> bytes:
    """Regain a file of this content from these uploads."""
    uploads = []
    for number, (sent, rows) in enumerate(parts):
        path = tmp_path / f"{number}.part.jsonl"
        path.write_bytes(sent)
        uploads.append(Uploaded(path, RowSet.of(rows)))
    target = tmp_path / "job" / "in" / ("x" * 249 + ".jsonl")
    sha256 = hashlib.sha256(content).hexdigest()
    regain(uploads, target, sha256=sha256, pause=lambda: None)
    return target.read_bytes()


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (A + B + C, [(A + B + C, [1, 2, 3])]),
        (A + b"\r\n\n" + B, [(A + b"\r\n\n" + B, [1, 4])]),
        (A + B + C, [(A + C, [1, 3]), (B, [2])]),
        ((A + B + C).rstrip(), [(B, [2]), (A + C, [1, 3])]),
        (A.rstrip(), [(A, [1])]),
    ],
)
def test_from_one_or_several_uploads_every_byte_is_there(tmp_path: Path, content, parts):
    assert regained(tmp_path, content, *parts) == content
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"job", *(f"{number}.part.jsonl" for number in range(len(parts)))}


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [(A + B, [1, 2])],
        [(A, [1]), (C, [3])],
        [(A + B + B, [1, 2, 3])],
        [(A + B, [1, 2]), (C + C, [3])],
    ],
)
def test_what_is_not_the_same_is_not_taken_for_it(tmp_path: Path, parts):
    content = A + B + C if len(parts) != 2 or parts[1][0] != C + C else A + B + C + C
    with pytest.raises(NotTheSame):
        regained(tmp_path, content, *parts)
    assert not list(tmp_path.glob("job/in/*"))
