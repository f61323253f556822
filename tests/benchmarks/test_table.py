"""The page says what was measured, and whether it holds."""

import pytest

from benchmarks.table import Measure, Row, figure, page


def test_a_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_the_medians():
    busy_once = Measure(what="x", unit="s", values=(2, 9, 3), against=(1, 10, 2), bar=1.5)
    assert busy_once.ratio == pytest.approx(1.5)
    assert busy_once.measured / 2 == pytest.approx(1.5)
    assert Measure(what="x", unit="s", values=(1, 4, 9), against=(1, 1, 3)).ratio == 3


def test_what_is_judged_is_the_ratio_where_there_is_one():
    assert Measure(what="x", unit="s", values=(10,), against=(10,), bar=1.1).is_held
    assert Measure(what="x", unit="s", values=(12,), against=(10,), bar=1.1).is_held is False
    assert Measure(what="x", unit="s", values=(0.2,), bar=0.2).is_held
    assert Measure(what="x", unit="s", values=(0.2,)).is_held is None


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.2345, "s", "1.23 s"),
        (1234.5, "MB", "1,234 MB"),
        (10_000, "", "10,000"),
        (0.00123, "s", "0.00123 s"),
        (3, "", "3"),
    ],
)
def test_a_figure_has_as_many_digits_as_are_worth_reading(value, unit, text):
    assert figure(value, unit) == text


def test_the_page_has_a_line_per_measure_and_says_what_was_left_out():
    row = Row(
        title="One file",
        measures=(
            Measure(what="CPU", unit="s", values=(2,), against=(1,), against_what="it", bar=1.5),
            Measure(what="memory", unit="MB", values=(90,), bar=120, note="at the peak."),
        ),
        skipped=("a | b: not here",),
        date="today",
        rounds=1,
        load=(0.5, 1.25),
    )
    text = page({"one": row}, {"Machine": "a fast one"}, ["bars.svg"])
    assert "| CPU | ≤ 1.5 times | 2 s | 1 s (it) | 2.00 | **missed** |" in text
    assert "| memory | ≤ 120 MB | 90 MB |  |  | held |" in text
    assert "* memory: at the peak." in text
    assert "* Not measured: a | b: not here" in text
    assert "today, rounds: 1, load average 0.5 before, 1.2 after." in text
    assert "* Machine: a fast one" in text
    assert "![bars.svg](bars.svg)" in text
