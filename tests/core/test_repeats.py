"""What came twice is found among many, and nothing that came once is under suspicion for long."""

from batchd.core.repeats import Repeats


def test_only_what_came_twice_is_suspected():
    repeats = Repeats()
    for number in range(10_000):
        repeats.add(f"id-{number}")
    assert repeats.suspects() == set()
    repeats.add("id-77")
    repeats.add("id-4711")
    repeats.add("id-4711")
    assert repeats.suspects() == {hash("id-77"), hash("id-4711")}


def test_nothing_is_repeated_in_nothing():
    assert Repeats().suspects() == set()
