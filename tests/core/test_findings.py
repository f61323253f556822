"""What was looked at: how it is, and the way out."""

from __future__ import annotations

import pytest

from batchd.core.findings import COMMAND, Finding, Result, ok, warning, worst, wrong


def test_what_is_well_needs_no_way_out_and_all_else_has_one():
    assert ok("disk", "room") == Finding("disk", Result.OK, "room", None, COMMAND)
    assert warning("disk", "little", "rm").fix == "rm"
    assert (wrong("disk", "none", "rm").result, wrong("disk", "none", "rm").fix) == ("wrong", "rm")


@pytest.mark.parametrize(
    ("found", "result"),
    [
        ([], Result.OK),
        ([ok("a", "")], Result.OK),
        ([ok("a", ""), warning("b", "", "")], Result.WARNING),
        ([warning("a", "", ""), wrong("b", "", ""), ok("c", "")], Result.WRONG),
    ],
)
def test_the_worst_of_several_counts(found, result):
    assert worst(found) is result
