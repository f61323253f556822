"""Every dialect of the Batch object that was seen (reference J.4), and some that were not yet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchd.core.model import Batch, BatchError, BatchStatus, Counts, RemoteFile
from batchd.remote.translating import (
    batch_from,
    batch_in,
    decoded,
    file_page_from,
    page_from,
    page_in,
)

# As it came over the wire (reference A.3).
REAL: dict[str, Any] = {
    "id": "batch_6780bb2f8f6c8190a6c0abfb8502bba6",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "errors": None,
    "input_file_id": "file-TnjeSoqJGFp7SfehYrEuHH",
    "completion_window": "24h",
    "status": "validating",
    "output_file_id": None,
    "error_file_id": None,
    "created_at": 1736489775,
    "in_progress_at": None,
    "expires_at": 1736576175,
    "completed_at": None,
    "request_counts": {"total": 0, "completed": 0, "failed": 0},
    "metadata": {"request_file": "a.jsonl"},
}


def batch(**changes: Any) -> Batch:
    return batch_from(REAL | changes)


def test_a_real_batch_becomes_ours():
    assert batch_from(REAL) == Batch(
        id="batch_6780bb2f8f6c8190a6c0abfb8502bba6",
        status=BatchStatus.VALIDATING,
        raw_status="validating",
        input_file_id="file-TnjeSoqJGFp7SfehYrEuHH",
        created_at=1736489775.0,
        expires_at=1736576175.0,
        metadata={"request_file": "a.jsonl"},
    )


@pytest.mark.parametrize(
    ("raw", "status"),
    [(str(status), status) for status in BatchStatus]
    + [
        ("COMPLETED", BatchStatus.COMPLETED),
        ("In_Progress", BatchStatus.IN_PROGRESS),
        (" failed ", BatchStatus.FAILED),
        ("canceled", BatchStatus.CANCELLED),
        ("CANCELED", BatchStatus.CANCELLED),
        ("canceling", BatchStatus.CANCELLING),
        ("progress", BatchStatus.IN_PROGRESS),
        ("in-progress", BatchStatus.IN_PROGRESS),
        ("InProgress", BatchStatus.IN_PROGRESS),
        ("IN PROGRESS", BatchStatus.IN_PROGRESS),
        ("running", BatchStatus.IN_PROGRESS),
        ("Queued", BatchStatus.VALIDATING),
        ("succeeded", BatchStatus.COMPLETED),
        ("resting", BatchStatus.UNKNOWN),
    ],
)
def test_a_status_is_understood_in_every_spelling_and_kept_as_it_came(raw, status):
    assert (batch(status=raw).status, batch(status=raw).raw_status) == (status, raw)


def test_a_word_nobody_told_us_is_no_end():
    assert not batch(status="exploded").status.is_end


@pytest.mark.parametrize("absent", [None, "", " ", 0, [], {}])
def test_a_file_that_is_not_there_is_none_in_every_way_of_saying_so(absent):
    seen = batch(output_file_id=absent, error_file_id=absent, input_file_id=absent)
    assert (seen.output_file_id, seen.error_file_id, seen.input_file_id) == (None, None, None)


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (1736489775, 1736489775.0),
        (1736489775.5, 1736489775.5),
        (1736489775500, 1736489775.5),
        ("1736489775", 1736489775.0),
        ("2025-01-10T06:16:15Z", 1736489775.0),
        ("2025-01-10T06:16:15.500+00:00", 1736489775.5),
        ("2025-01-10T07:16:15+01:00", 1736489775.0),
        ("2025-01-10T06:16:15", 1736489775.0),
        (None, None),
        ("", None),
        ("soon", None),
        (0, None),
        (-62135596800, None),  # year 1: how Go says "not yet"
        (True, None),
        ([], None),
        (float("nan"), None),
        (10**400, None),
    ],
)
def test_a_time_is_seconds_whatever_it_came_as(raw, seconds):
    seen = batch(created_at=raw, completed_at=raw, expires_at=raw)
    assert (seen.created_at, seen.completed_at, seen.expires_at) == (seconds,) * 3


@pytest.mark.parametrize(
    ("raw", "counts"),
    [
        ({"total": 3, "completed": 2, "failed": 1}, Counts(3, 2, 1)),
        ({"total": 3}, Counts(3, 0, 0)),
        ({"total": None, "completed": "2", "failed": 1.0}, Counts(0, 2, 1)),
        ({}, Counts()),
        (None, Counts()),
        ([3, 2, 1], Counts()),
    ],
)
def test_counts_are_numbers_even_where_nothing_is_said(raw, counts):
    assert batch(request_counts=raw).counts == counts


REASON = {"code": "invalid_url", "message": "not this", "param": "url", "line": 3}


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        (None, ()),
        ([], ()),
        ("", ()),
        ({"object": "list", "data": []}, ()),
        ({"object": "list", "data": None}, ()),
        ({"object": "list", "data": [REASON]}, (BatchError("invalid_url", "not this", "url", 3),)),
        ([REASON], (BatchError("invalid_url", "not this", "url", 3),)),
        (REASON, (BatchError("invalid_url", "not this", "url", 3),)),
        ("out of paper", (BatchError(None, "out of paper"),)),
        (["out of paper", None], (BatchError(None, "out of paper"),)),
        ([{"code": 17, "line": "2"}], (BatchError("17", "17", None, 2),)),
        ([{"param": None, "line": None}], (BatchError(None, "no reason given"),)),
    ],
)
def test_errors_are_a_list_whatever_they_came_as(raw, errors):
    assert batch(errors=raw).errors == errors


@pytest.mark.parametrize(
    ("raw", "metadata"),
    [
        (None, {}),
        ({}, {}),
        ("none", {}),
        ({"batchd_shard": "s1"}, {"batchd_shard": "s1"}),
        ({"round": 2, "gone": None}, {"round": "2"}),
    ],
)
def test_metadata_is_text_or_nothing(raw, metadata):
    assert batch(metadata=raw).metadata == metadata


FULL = "Enqueued token limit reached for m in organization o. Limit: 200,000 enqueued tokens."


@pytest.mark.parametrize(
    "raw",
    [FULL, [FULL], {"message": FULL}, {"code": "429", "message": "Failed: token_limit_exceeded"}],
)
def test_a_full_queue_has_its_code_even_where_only_the_text_says_so(raw):
    (error,) = batch(errors=raw).errors
    assert error.code == "token_limit_exceeded"


def test_a_single_error_may_have_another_name():
    assert batch(errors=None, error="out of paper").errors == (BatchError(None, "out of paper"),)


def test_a_batch_may_be_wrapped():
    """As Together answers a creation; and a batch that has a `job` of its own is no wrapping."""
    assert batch_in({"job": REAL, "warning": "slow today"}) == batch_from(REAL)
    assert batch_in(REAL | {"job": {"id": "other", "status": "failed"}}) == batch_from(REAL)
    assert batch_in({"job": None}) is None


def test_the_least_that_can_be_a_batch():
    assert batch_from({"id": "b", "status": "completed"}) == Batch(
        id="b", status=BatchStatus.COMPLETED, raw_status="completed"
    )


@pytest.mark.parametrize(
    "data",
    [None, "<html>", [], {}, {"id": "b"}, {"id": 1, "status": "x"}, {"id": "", "status": ""}],
)
def test_what_has_no_id_or_no_status_is_not_believed_to_be_a_batch(data):
    assert batch_in(data) is None


def test_a_page_without_a_word_about_more_is_the_last():
    page = page_from({"object": "list", "data": [REAL]})
    assert page is not None
    assert ([seen.id for seen in page.batches], page.has_more) == ([REAL["id"]], False)


def test_a_page_leaves_out_what_has_no_id_and_keeps_what_has_no_status():
    page = page_from({"data": [None, {}, {"id": "b"}], "has_more": True})
    assert page is not None
    assert [(seen.id, seen.status) for seen in page.batches] == [("b", BatchStatus.UNKNOWN)]
    assert page.has_more


def test_an_empty_page_has_no_next_one():
    """Its last batch is where the next page would begin, and it has none."""
    page = page_from({"data": [], "has_more": True})
    assert page is not None
    assert not page.has_more


def test_a_bare_array_is_a_page_and_the_last():
    page = page_from([REAL, "noise"])
    assert page is not None
    assert ([seen.id for seen in page.batches], page.has_more) == ([REAL["id"]], False)


def test_files_are_listed_with_what_is_known_of_them():
    whole = {"id": "f", "filename": "a.jsonl", "bytes": "7", "created_at": "1736489775"}
    page = file_page_from({"data": [whole, {"id": "g", "filename": None}, {"filename": "lost"}]})
    assert page is not None
    assert page.files == (RemoteFile("f", "a.jsonl", 7, 1736489775.0), RemoteFile("g", ""))
    assert not page.has_more


@pytest.mark.parametrize("data", [None, "<html>", 7, {}, {"data": None}, {"data": "x"}])
def test_what_has_no_list_is_no_page(data):
    assert page_from(data) is None
    assert file_page_from(data) is None


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"id": ', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_none(content):
    assert decoded(content) is None


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"object": "list", "data": [REAL, REAL | {"id": "b"}], "has_more": True}),
        json.dumps({"data": [None, {}, {"id": "b"}, "noise", 7], "has_more": True}),
        json.dumps({"data": [], "has_more": True}),
        json.dumps({"data": [{}], "has_more": True}),
        json.dumps({"data": [REAL], "has_more": "true"}),
        json.dumps([REAL, "noise"]),
        json.dumps({"data": {"id": "b"}}),
        json.dumps({"data": None}),
        '{"data": [{"id": "b", "status": "completed", "x": NaN}], "has_more": true}',
        '\ufeff{"data": []}',
        "<html>",
        "",
        "null",
        '{"data": [{"id": "b"}',
    ],
)
def test_a_page_is_the_same_entry_by_entry_and_all_at_once(content):
    assert page_in(content.encode()) == page_from(decoded(content.encode()))


def test_an_entry_that_is_no_text_is_no_page():
    """All of it or nothing: what is left out could make a batch in doubt look as if not there."""
    content = b'{"data": [{"id": "b"}, {"id": "\xff"}], "has_more": false}'
    assert page_in(content) is page_from(decoded(content)) is None
