"""Numbers as people read them."""

import pytest

from batchd.core.words import duration, in_words, money, size


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-3, "0 s"),
        (0.04, "0 s"),
        (1.44, "1.4 s"),
        (2.0, "2 s"),
        (59.6, "1 min"),
        (3600, "1 h"),
        (7861, "2 h 11 min"),
        (86_399.7, "1 d"),
        (90_060, "1 d 1 h"),
        (86_460, "1 d"),
    ],
)
def test_a_duration_has_two_units_at_the_most(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 bytes"), (999, "999 bytes"), (41_230_000, "41.2 MB"), (2.5e9, "2.5 GB")],
)
def test_a_size_is_in_the_unit_that_fits(count, shown):
    assert size(count) == shown


@pytest.mark.parametrize(
    ("name", "fact", "shown"),
    [
        ("quiet_seconds", 61, "1 min 1 s"),
        ("again_seconds", 0.0, "now"),
        ("again_seconds", -5.0, "now"),
        ("again_seconds", 5.0, "in 5 s"),
        ("size_bytes", 1500, "1.5 kB"),
        ("max_open", 1200, "1,200"),
        ("model", "gpt-4o", "gpt-4o"),
        ("model", None, "?"),
    ],
)
def test_a_fact_is_shown_in_the_unit_its_name_ends_with(name, fact, shown):
    assert in_words(name, fact) == shown


@pytest.mark.parametrize(
    ("dollars", "shown"),
    [(0.0, "0.00"), (12.4, "12.40"), (1234.5, "1,234.50"), (0.1, "0.10"), (0.00314, "0.0031")],
)
def test_money_is_shown_in_cents_and_small_sums_as_they_are(dollars: float, shown: str):
    assert money(dollars) == shown
