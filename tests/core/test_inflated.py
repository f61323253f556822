"""Gzip data of any number of members, piece by piece. Files of it: tests/spool/test_inflating.py."""

from __future__ import annotations

import gzip
import io

import pytest

from batchd.core.inflated import NO_LIMIT, BadGzip, Inflated

TWO_MEMBERS = gzip.compress(b"one\n", mtime=0) + gzip.compress(b"two\n", mtime=0)


def inflated(data: bytes, most: int = NO_LIMIT) -> bytes:
    return io.BufferedReader(Inflated(io.BytesIO(data), most)).read()


def test_all_members_are_one_content():
    assert inflated(TWO_MEMBERS + bytes(512)) == b"one\ntwo\n"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (TWO_MEMBERS[:-1], "gzip_cut"),
        (b"id,text\n", "not_gzip"),
        (TWO_MEMBERS + b"x", "gzip_damaged"),
        (TWO_MEMBERS[:12] + b"\xff" + TWO_MEMBERS[13:], "gzip_damaged"),
    ],
)
def test_what_is_not_whole_is_told(data, code):
    with pytest.raises(BadGzip) as bad:
        inflated(data)
    assert bad.value.problem.code == code


def test_a_limit_is_kept():
    assert inflated(TWO_MEMBERS, most=8) == b"one\ntwo\n"
    with pytest.raises(BadGzip, match="more than 7 bytes"):
        inflated(TWO_MEMBERS, most=7)
