"""Page after page of the log: nothing twice, nothing missed, and no page without an end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from batchd.control.log_pages import Cursor, NoCursor, Pages
from batchd.control.places import NoSuchJob
from batchd.control.why import Ambiguous

LIFE = [
    {"event": "daemon.ready"},
    {"event": "job.claimed", "job": "0tr1c1", "file": "a.jsonl"},
    {"event": "job.claimed", "job": "0tr1c2", "file": "b.jsonl"},
    {"event": "batch.opened", "job": "0tr1c1", "shard": "0tr1c1-1", "batch": "batch_aa"},
    {"event": "batch.ended", "batch": "batch_aa"},
    {"event": "job.delivered", "job": "0tr1c1", "file": "a.jsonl"},
]
OF_A = ["job.claimed", "batch.opened", "batch.ended", "job.delivered"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "batchd.jsonl"


def write(log: Path, *events: dict[str, object], end: str = "") -> None:
    with log.open("a") as file:
        file.write("".join(json.dumps(event) + "\n" for event in events) + end)


def events(page) -> list[str]:
    return [json.loads(bytes(raw))["event"] for raw in page.lines]


def all_of(log: Path, pages: Pages) -> list[str]:
    """Page after page, until there is no more."""
    after, found = None, []
    while True:
        page = pages.page(log, None, after=after)
        found += events(page)
        after = page.after
        if not page.more:
            return found


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_a_job_is_found_however_small_the_pages_are(log, most):
    """What a page has learned, such as a batch of the job, the next one knows."""
    write(log, *LIFE)
    assert all_of(log, Pages(word="a.jsonl", most=most)) == OF_A
    assert all_of(log, Pages(most=most)) == [event["event"] for event in LIFE]


def test_what_is_wanted_is_chosen_here(log):
    write(log, {"event": "a.b", "level": "error", "ts": "2026-11-21T10:00:00Z"}, *LIFE)
    assert all_of(log, Pages(level=3)) == ["a.b"]
    assert all_of(log, Pages(pattern="batch.*")) == ["batch.opened", "batch.ended"]
    assert all_of(log, Pages(since=1.0)) == ["a.b"]


def test_a_page_looks_at_so_much_of_the_log_and_no_more(log):
    """A question that finds nothing in a long log must not keep the daemon at it."""
    write(log, *({"event": "e", "text": "x" * 100_000} for _ in range(100)))
    first = Pages(pattern="none").page(log, None, after=None)
    second = Pages(pattern="none").page(log, None, after=first.after)

    assert (first.lines, first.more, second.more) == ((), True, True)
    assert all_of(log, Pages(pattern="none")) == []


def test_what_nobody_knows_is_said_and_may_be_waited_for(log):
    write(log, *LIFE)
    with pytest.raises(NoSuchJob, match=r"nothing is known of new\.jsonl"):
        Pages(word="new.jsonl").page(log, None, after=None)
    patient = Pages(word="new.jsonl", is_patient=True)
    first = patient.page(log, None, after=None)
    write(log, {"event": "job.claimed", "job": "0tr1c3", "file": "new.jsonl"})
    assert (events(first), first.more) == ([], False)
    assert events(patient.page(log, None, after=first.after)) == ["job.claimed"]


def test_the_beginning_of_several_ids_is_ambiguous(log):
    write(log, *LIFE)
    for is_patient in (False, True):
        with pytest.raises(Ambiguous, match="0tr1c1, 0tr1c2"):
            Pages(word="0tr", is_patient=is_patient).page(log, None, after=None)


def test_a_compressed_file_is_gone_on_with(log):
    with gzip.open(log.with_name("batchd.jsonl.1.gz"), "wb") as file:
        file.write(b"".join(json.dumps(event).encode() + b"\n" for event in LIFE))
    write(log, {"event": "last"})
    assert all_of(log, Pages(most=2)) == [*(event["event"] for event in LIFE), "last"]


def test_half_a_line_is_none_and_comes_when_it_is_whole(log):
    write(log, {"event": "a"}, end='{"event": "b"')
    first = Pages().page(log, None, after=None)
    assert events(first) == ["a"]
    write(log, end="}\n")
    assert events(Pages().page(log, None, after=first.after)) == ["b"]


def test_another_file_under_the_same_number_is_read_from_its_beginning(log):
    """A file system gives the number of a deleted file to the next one."""
    write(log, {"event": "a", "n": 1}, {"event": "b"})
    page = Pages().page(log, None, after=None)
    log.write_text('{"event": "a", "n": 2}\n{"event": "c"}\n{"event": "d"}\n')  # the same inode
    assert events(Pages().page(log, None, after=page.after)) == ["a", "c", "d"]


def test_without_a_log_there_is_none(log):
    page = Pages().page(log, None, after=None)
    assert (page.lines, page.is_there, page.more) == ((), False, False)
    write(log, {"event": "a"})
    assert events(Pages().page(log, None, after=page.after)) == ["a"]


@pytest.mark.parametrize("word", ["nonsense", "e30", "WzFd", "ü", "W1sxLDIsMyw0XV0" * 3])
def test_a_word_that_no_answer_gave_is_refused(log, word):
    with pytest.raises(NoCursor):
        Pages().page(log, None, after=word)


def test_a_cursor_reads_as_it_was_written():
    cursor = Cursor(None, ("0tr1c1",), ("batch_aa",))
    assert Cursor.of(str(cursor)) == cursor
