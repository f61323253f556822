"""When: what a person writes."""

import time
from datetime import datetime

import click
import pytest

from batchd.cli.times import clock, moment

NOW = 1_795_275_600.0


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90s", 90), ("30min", 1800), ("2h", 7200), ("1.5 d", 129_600), ("1w", 604_800)],
)
def test_so_long_ago(text, ago):
    assert moment(text, NOW) == NOW - ago


def test_a_day_is_this_machines_and_a_time_with_a_zone_is_its_own():
    assert moment("2026-11-21", NOW) == datetime(2026, 11, 21).timestamp()  # noqa: DTZ001
    assert moment("2026-11-21T10:00:00Z", NOW) == 1_795_255_200.0


@pytest.mark.parametrize("text", ["", "soon", "2 fortnights", "2026-13-01", "-2h"])
def test_anything_else_is_said_with_what_to_write(text):
    with pytest.raises(click.UsageError, match="write 30min, 2h"):
        moment(text, NOW)


def test_a_time_is_shown_as_the_clock_on_the_wall_does(monkeypatch):
    try:
        monkeypatch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert clock("2026-11-21T20:00:00.123Z") == "2026-11-22 01:30:00"
        assert clock(None) == "?"
    finally:
        monkeypatch.undo()
        time.tzset()
