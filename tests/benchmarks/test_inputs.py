"""What is dropped is what the provider takes, and what comes back is looked at."""

import json

import pytest

from benchmarks.inputs import TEXT_BYTES, is_in_order, lines, write


def test_a_line_is_a_request_of_the_size_that_was_asked_for():
    first, second = lines(2, text_bytes=TEXT_BYTES, prefix="x")
    asked = json.loads(second)
    assert asked["custom_id"] == "x-1"
    assert len(asked["body"]["messages"][0]["content"]) == TEXT_BYTES
    assert 49_900 * len(first) == pytest.approx(198e6, rel=0.01)
    assert first != second


def test_results_are_in_order_complete_or_not(tmp_path):
    path = write(tmp_path / "r.jsonl", 3)
    assert is_in_order(path, 3)
    one, two, three = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(one + three + two)
    assert not is_in_order(path, 3)
    path.write_bytes(one + two)
    with pytest.raises(ValueError, match="zip"):
        is_in_order(path, 3)
