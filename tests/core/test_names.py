"""Names are safe wherever they go: folders, terminals, sorted lists."""

import random

import pytest

from batchd.core.names import (
    folder_name,
    is_job_id,
    is_task_name,
    next_job_id,
    printable,
    safe_stem,
    shard_id,
    shown,
)

NOW = 1_795_000_000.0  # November 2026


def test_ids_sort_by_age_as_plain_text():
    ids = [next_job_id(NOW + seconds, None) for seconds in (0, 1, 31, 32, 10_000, 40_000_000)]
    assert ids == sorted(set(ids))


def test_many_files_in_one_second_get_ids_of_their_own():
    last, ids = None, []
    for _ in range(1000):
        last = next_job_id(NOW, last)
        ids.append(last)
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("years", [-60, -20, -1, 1, 20])
def test_a_clock_set_by_years_makes_no_id_out_of_order(years: int):
    before = next_job_id(NOW, None)
    after = next_job_id(NOW + years * 31_557_600, before)
    assert is_job_id(after)
    assert after > before


@pytest.mark.parametrize("now", [0.0, -1e9, 4_000_000_000.0, 1e12])
def test_a_clock_beyond_what_an_id_can_say_still_makes_an_id(now: float):
    """Seven digits would sort before six, and no folder of that name would ever be looked into."""
    first = next_job_id(now, None)
    assert is_job_id(first)
    assert next_job_id(now, first) > first
    assert next_job_id(NOW, first) == next_job_id(NOW, None)


@pytest.mark.parametrize("text", ["", "abc", "abcdefg", "abcdei", "ABCDEF", "ab/def", "ééé000"])
def test_other_names_are_no_job_ids(text: str):
    assert not is_job_id(text)


def test_a_shard_is_named_after_its_job():
    assert shard_id("0abcde", 3) == "0abcde-3"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        (b"big.jsonl", "big"),
        (b"big.ndjson", "big"),
        (b"big.jsonl.gz", "big"),
        (b"big.gz.ndjson.gz", "big.gz"),
        (b"reviews.csv", "reviews"),
        (b"reviews.csv.gz", "reviews"),
        (b"reviews.final.parquet", "reviews.final"),
        (b"reviews.csv.jsonl", "reviews"),
        (b"photo.png", "photo.png"),
        (b"../../etc/passwd", "_._.._etc_passwd"),
        (b".hidden.jsonl", "_hidden"),
        (b"-rf.jsonl", "_rf"),
        (b".jsonl", "_"),
        (b"", "_"),
        (b".", "_"),
        (b"..", "_."),
        (b"two\nlines", "two_lines"),
        (b"\x1b[31mred", "_[31mred"),
        ("right\u202eleft".encode(), "right_left"),
        ("line\u2028break".encode(), "line_break"),
        (b"caf\xe9", "caf\ufffd"),
        ("naïve 中文".encode(), "naïve 中文"),
    ],
)
def test_a_stem_is_safe_and_still_known(name: bytes, stem: str):
    assert safe_stem(name) == stem


def test_any_name_of_a_file_makes_a_name_of_a_folder():
    chance = random.Random(4)
    for _ in range(2000):
        name = chance.randbytes(chance.randrange(256))
        folder = "." + folder_name("0abcde", name, ending=".cancelled")
        assert len(folder.encode()) <= 143
        assert "/" not in folder
        assert folder[1] not in ".-"
        assert "\0" not in folder


def test_a_long_stem_is_not_cut_within_a_letter():
    assert safe_stem("é".encode() * 200) == "é" * 60


def test_a_folder_says_file_job_and_end():
    assert folder_name("0abcde", b"big.jsonl", ending=".rejected") == "big--0abcde.rejected"


def test_names_are_shown_without_what_a_terminal_obeys():
    assert shown(b"a\x1b[2J\n\xff.jsonl") == r"a\x1b[2J\n\xff.jsonl"
    assert printable("a\u202eb\u2028c é") == r"a\u202eb\u2028c é"


@pytest.mark.parametrize("name", ["sentiment", "v1.2", "in", "names with spaces"])
def test_a_folder_may_be_a_tasks(name: str):
    assert is_task_name(name)


@pytest.mark.parametrize("name", [".tmp", "..", "a/b", "x.jsonl", "x.ndjson.gz"])
def test_what_is_hidden_or_called_like_a_request_file_is_no_tasks(name: str):
    assert not is_task_name(name)
