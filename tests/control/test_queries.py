"""What stands after the question mark is read, or refused with what it should have been."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchd.control import log_pages
from batchd.control.log_wanted import LEVELS
from batchd.control.queries import (
    Odd,
    asked_by,
    jobs_asked,
    pages_asked,
    place_asked,
    sums_asked,
)
from batchd.control.spend import By
from batchd.spool.folders import Folders


def test_a_name_that_is_no_text_comes_through_as_it_is():
    assert asked_by(b"word=a%FFb%26c&there=true") == {"word": "a\udcffb&c", "there": "true"}
    assert asked_by(b"") == {}


@pytest.mark.parametrize("query", [b"word=\xff", b"&".join(b"a=1" for _ in range(50))])
def test_what_no_client_of_ours_sends_is_odd(query):
    with pytest.raises(Odd):
        asked_by(query)


def test_jobs_are_asked_for_by_state_time_and_owner():
    asked = jobs_asked({"state": "held", "since": "12.5", "owner": "7", "limit": "3"})
    assert (asked.state, asked.since, asked.owner, asked.most) == ("held", 12.5, 7, 3)
    assert jobs_asked({}).owner is None


def test_lines_are_asked_for_and_never_too_many():
    asked = pages_asked(
        {"word": "a.jsonl", "level": "error", "limit": "1000000", "patient": "true"}
    )
    assert (asked.word, asked.level, asked.is_patient) == ("a.jsonl", LEVELS.index("error"), True)
    assert asked.most == log_pages.MOST
    assert pages_asked({"limit": "-3"}).most == 1
    assert pages_asked({}).word is None


def test_sums_are_asked_for_by_what_and_since_a_day():
    assert sums_asked({}) == (By.DAY, "")
    assert sums_asked({"by": "model", "since": "2026-11-21"}) == (By.MODEL, "2026-11-21")


@pytest.mark.parametrize(
    ("read", "asked", "said"),
    [
        (jobs_asked, {"state": "no"}, "there is no state no"),
        (jobs_asked, {"since": "noon"}, "no number"),
        (jobs_asked, {"owner": "anna"}, "no number"),
        (jobs_asked, {"limit": "many"}, "no number"),
        (pages_asked, {"level": "loud"}, "there is no level loud"),
        (pages_asked, {"patient": "perhaps"}, "true or false"),
        (sums_asked, {"by": "week"}, "there is no by week"),
        (sums_asked, {"since": "yesterday"}, "no day"),
    ],
)
def test_what_cannot_be_asked_for_is_said(read, asked, said):
    with pytest.raises(Odd, match=said):
        read(asked)


# Places


def test_below_the_root_the_daemon_looks_itself_whatever_it_is_told(tmp_path: Path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "a.jsonl").touch()
    for there in ("true", "false"):
        asked = {"word": "a.jsonl", "path": str(tmp_path / "inbox/a.jsonl"), "there": there}
        word, place = place_asked(asked, Folders(tmp_path))
        assert (word, place.parts, place.is_there) == ("a.jsonl", ("inbox", "a.jsonl"), True)


def test_outside_of_the_root_it_does_not_look_at_all(tmp_path: Path):
    """What lies in a home that is closed is nothing that the daemon may tell."""
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").touch()
    for asked in ({"word": str(tmp_path / "secret")}, {"word": "../secret"}):
        _, place = place_asked(asked, Folders(tmp_path / "root"))
        assert (place.parts, place.is_there) == (None, False)
    told = {"word": "x", "path": str(tmp_path / "not-there"), "there": "true"}
    assert place_asked(told, Folders(tmp_path / "root"))[1].is_there


@pytest.mark.parametrize("asked", [{}, {"word": ""}, {"word": "a\0b"}, {"word": "a", "path": "\0"}])
def test_a_question_for_no_place_is_odd(tmp_path: Path, asked):
    with pytest.raises(Odd):
        place_asked(asked, Folders(tmp_path))
