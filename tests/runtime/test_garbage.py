"""What is made of a storm of files is not looked at by the collector, and is given back after it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from batchd.runtime.garbage import MANY, Collector, blind


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The collector is the whole process's."""
    yield
    gc.unfreeze()
    assert gc.isenabled()


def is_watched(thing: object) -> bool:
    return any(thing is other for other in gc.get_objects())


def test_what_is_made_in_a_storm_is_not_looked_at_until_the_storm_is_over():
    collector, made = Collector(), list[list[int]]()
    with collector.kept_out(lambda: MANY + 1):
        assert not gc.isenabled()
        made.append([1])
    assert gc.isenabled()
    assert not is_watched(made[0])
    with collector.kept_out(lambda: 3):
        pass
    assert is_watched(made[0])


def test_a_few_files_change_nothing():
    collector, made = Collector(), list[list[int]]()
    before = gc.get_freeze_count()
    with collector.kept_out(lambda: MANY):
        made.append([1])
    assert gc.get_freeze_count() == before
    assert is_watched(made[0])


def test_it_is_let_in_again_when_a_look_fails():
    def look(collector: Collector) -> None:
        with collector.kept_out(lambda: 0):
            raise OSError("the inbox is gone")

    with pytest.raises(OSError, match="gone"):
        look(Collector())
    assert gc.isenabled()


def test_garbage_of_a_long_storm_is_not_kept():
    """A look is taken every few seconds, for as long as the storm lasts."""
    collector = Collector()
    for _ in range(3):
        with collector.kept_out(lambda: MANY + 1):
            pass
        before = gc.get_freeze_count()
        for _ in range(100):
            knot: list[object] = []
            knot.append(knot)
        del knot
    with collector.kept_out(lambda: MANY + 1):
        pass
    assert gc.get_freeze_count() < before + 50


def test_what_is_imported_is_never_looked_at():
    made = list[list[int]]()
    with blind():
        assert not gc.isenabled()
        made.append([1])
    assert gc.isenabled()
    assert not is_watched(made[0])
    with pytest.raises(ImportError), blind():
        raise ImportError
    assert gc.isenabled()
