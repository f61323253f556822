"""Compressed files: what is in them, what is said of those that lie, and the copies made of them."""

from __future__ import annotations

import errno
import gzip
import os
import random
from pathlib import Path
from threading import Thread

import pytest

from batchd.core.inflated import BadGzip
from batchd.spool.inflating import (
    PlainChanged,
    PlainCopies,
    Probe,
    inflate,
    is_packed,
    open_lines,
)

FIRST, SECOND = b"one line\n" * 50, b"another\n" * 50
TWO_MEMBERS = gzip.compress(FIRST) + gzip.compress(SECOND)
MEGABYTE = 1 << 20


def go_on() -> None:
    pass


@pytest.fixture
def packed(tmp_path) -> Path:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(TWO_MEMBERS)
    return path


def content_of(path: Path, content: bytes, *, most: int = 1 << 40) -> bytes:
    path.write_bytes(content)
    with open_lines(path, most=most) as file:
        return file.read()


def problem_of(path: Path, content: bytes, *, most: int = 1 << 40) -> tuple[str, str]:
    with pytest.raises(BadGzip) as bad:
        content_of(path, content, most=most)
    return bad.value.problem.code, bad.value.problem.message


# What is in them


@pytest.mark.parametrize("size", [0, 1, MEGABYTE - 1, MEGABYTE, MEGABYTE + 1, 3 * MEGABYTE])
@pytest.mark.parametrize("is_dense", [True, False])
def test_every_byte_comes_out(packed, size, is_dense):
    """Whether a piece of the output holds many of the input, or the other way round."""
    whole = os.urandom(size) if is_dense else bytes(size)
    assert content_of(packed, gzip.compress(whole)) == whole


def test_several_members_are_one_content(packed):
    assert content_of(packed, TWO_MEMBERS) == FIRST + SECOND


def test_a_hundred_thousand_small_members_are_read_in_seconds(packed):
    member = gzip.compress(b"x\n")
    assert content_of(packed, member * 100_000) == b"x\n" * 100_000


def test_zeros_behind_the_end_are_padding(packed):
    assert content_of(packed, TWO_MEMBERS + bytes(100_000)) == FIRST + SECOND


def test_a_file_without_a_byte_has_no_line(packed):
    assert content_of(packed, b"") == b""


@pytest.mark.parametrize("name", ["a.jsonl.gz", "A.NDJSON.GZ"])
def test_a_name_says_that_a_file_is_packed(name):
    assert is_packed(Path(name))
    assert not is_packed(Path(name[:-3]))


def test_a_plain_file_is_read_as_it_lies(tmp_path):
    assert content_of(tmp_path / "a.jsonl", TWO_MEMBERS) == TWO_MEMBERS


# What is wrong with them


def test_wherever_it_is_cut_the_end_is_missed(packed):
    """But exactly between two members, where nobody could tell."""
    between = len(gzip.compress(FIRST))
    for size in set(range(1, len(TWO_MEMBERS))) - {between}:
        code, message = problem_of(packed, TWO_MEMBERS[:size])
        assert (code, f"after {size:,} bytes" in message) == ("gzip_cut", True), size


def test_a_byte_that_is_another_one_is_damage(packed):
    """In the data, and in the check sums behind it; before it stand the time and the like."""
    whole = gzip.compress(random.Random(1).randbytes(5000))
    for place in (2, *range(11, 5000, 97), *range(-8, 0)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0x10
        code, message = problem_of(packed, bytes(spoilt))
        assert (code, "damaged before byte" in message) == ("gzip_damaged", True), place


def test_what_stands_behind_the_gzip_data_is_told_with_its_place(packed):
    code, message = problem_of(packed, TWO_MEMBERS + b"PK and so on")
    assert code == "gzip_damaged"
    assert message.endswith(f"behind the gzip data, at byte {len(TWO_MEMBERS):,}")


@pytest.mark.parametrize("content", [b'{"custom_id": "a"}\n', b"PK\3\4", bytes(4096), b"\x1f\x00"])
def test_what_is_no_gzip_is_told(packed, content):
    assert problem_of(packed, content)[0] == "not_gzip"


def test_inflating_ends_where_the_limit_is_crossed(packed):
    whole = gzip.compress(bytes(MEGABYTE))
    assert len(content_of(packed, whole, most=MEGABYTE)) == MEGABYTE
    code, message = problem_of(packed, whole, most=MEGABYTE - 1)
    assert code == "inflates_too_far"
    assert "1,048,575 bytes" in message


# Whether they are whole, before they are taken


def test_a_probe_tells_whole_from_cut(packed):
    probe = Probe()
    assert probe.is_whole(packed) is True
    packed.write_bytes(TWO_MEMBERS[:-1])
    assert probe.is_whole(packed) is False
    packed.write_bytes(bytes(4096))
    assert probe.is_whole(packed) is False
    assert probe.is_whole(packed.with_name("gone.gz")) is True


def test_a_probe_takes_one_more_file_until_its_time_is_up(packed):
    probe = Probe(left=1)
    assert probe.is_whole(packed) is True
    assert probe.left < 0
    assert probe.is_whole(packed) is None


def test_a_probe_leaves_a_bomb_to_the_reading(packed):
    packed.write_bytes(gzip.compress(bytes(10 * MEGABYTE)))
    probe = Probe(most=MEGABYTE, left=MEGABYTE)
    assert probe.is_whole(packed) is True
    assert -2 * MEGABYTE < probe.left < 0, "it was left at the limit"


def test_a_probe_stops_when_it_is_told_to(packed):
    with pytest.raises(KeyboardInterrupt):
        Probe(pause=stop).is_whole(packed)


def stop() -> None:
    raise KeyboardInterrupt


# Their copies


def test_a_copy_is_made_once(packed, tmp_path):
    copies, plain = PlainCopies(), tmp_path / "plain.jsonl"
    assert copies.of(packed, plain, pause=go_on) == plain
    assert plain.read_bytes() == FIRST + SECOND
    made = plain.stat().st_ino
    copies.of(packed, plain, pause=go_on)
    assert plain.stat().st_ino == made


def test_a_copy_that_is_gone_is_made_again(packed, tmp_path):
    copies, plain = PlainCopies(), tmp_path / "plain.jsonl"
    copies.of(packed, plain, pause=go_on).unlink()
    assert copies.of(packed, plain, pause=go_on).read_bytes() == FIRST + SECOND
    copies.forget(plain)
    assert not plain.exists()
    assert copies.of(packed, plain, pause=go_on).read_bytes() == FIRST + SECOND


def test_what_an_earlier_life_left_is_not_believed(packed, tmp_path):
    plain = tmp_path / "plain.jsonl"
    plain.write_bytes(b"a stranger's\n")
    assert PlainCopies().of(packed, plain, pause=go_on).read_bytes() == FIRST + SECOND


def test_a_copy_that_was_written_to_is_told_once_and_made_again(packed, tmp_path):
    copies, plain = PlainCopies(), tmp_path / "plain.jsonl"
    with copies.of(packed, plain, pause=go_on).open("ab") as file:
        file.write(b"one more\n")
    with pytest.raises(PlainChanged, match=r"plain\.jsonl was changed"):
        copies.of(packed, plain, pause=go_on)
    assert copies.of(packed, plain, pause=go_on).read_bytes() == FIRST + SECOND


def test_threads_that_need_it_at_once_get_one_whole_copy(packed, tmp_path):
    packed.write_bytes(gzip.compress(FIRST * 20_000))
    copies, plain, sizes, nodes = PlainCopies(), tmp_path / "plain.jsonl", set(), set()

    def need() -> None:
        status = copies.of(packed, plain, pause=go_on).stat()
        sizes.add(status.st_size)
        nodes.add(status.st_ino)

    threads = [Thread(target=need) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sizes, len(nodes)) == ({len(FIRST) * 20_000}, 1)


def test_a_disk_that_is_nearly_full_gets_none_of_it(packed, tmp_path):
    """F56: and what had been written when it got full is removed, so that others have room."""
    plain = tmp_path / "plain.jsonl"
    with pytest.raises(OSError, match="too few to write") as full:
        inflate(packed, plain, keep_free=1 << 60, pause=go_on)
    assert full.value.errno == errno.ENOSPC
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl.gz"]


def test_nothing_half_made_is_left_when_it_is_stopped(packed, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        inflate(packed, tmp_path / "plain.jsonl", keep_free=0, pause=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl.gz"]
