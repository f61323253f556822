"""Every event says its sentence, and when to look again."""

from dataclasses import fields
from typing import get_args

import pytest

from batchd.core import events as e
from batchd.core.model import ShardState
from batchd.core.states import SHARD_MOVES

LEAVES_IT_LIVE = {
    event for (_, event), after in SHARD_MOVES.items() if after is not ShardState.COLLECTED
}


@pytest.mark.parametrize("event", sorted(LEAVES_IT_LIVE, key=lambda event: event.__name__))
def test_what_leaves_a_shard_live_says_when_it_is_looked_at_next(event: type[e.ShardEvent]):
    """A leftover `due_at` once made a run of a third of a second take a minute."""
    due_at = next(field for field in fields(event) if field.name == "due_at")
    assert due_at.type == "float"


@pytest.mark.parametrize("event", get_args(e.Event), ids=lambda event: event.__name__)
def test_an_event_says_its_sentence(event: type[e.JobEvent | e.ShardEvent]):
    assert event.__doc__
    assert not event.__doc__.startswith(event.__name__)


def test_facts_do_not_change():
    event = e.JobDelivered(job="0abcde")
    with pytest.raises(AttributeError):
        event.job = "0abcdf"
