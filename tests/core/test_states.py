"""The tables against the enums, the events and the schema: what must agree, agrees."""

import re
from typing import get_args

import pytest

from batchd.core import events as e
from batchd.core.errors import BrokenInvariant
from batchd.core.model import LIVE_SHARDS, JobState, ShardState
from batchd.core.states import JOB_MOVES, SETTLES, SHARD_MOVES, job_after, shard_after
from batchd.store import sql

JOB_EVENTS = [event for event in get_args(e.Event) if issubclass(event, e.JobEvent)]
SHARD_EVENTS = [event for event in get_args(e.Event) if issubclass(event, e.ShardEvent)]
ROOT_EVENTS = [event for event in get_args(e.Event) if issubclass(event, e.RootEvent)]
BASES = (e.JobEvent, e.ShardEvent, e.RootEvent)
BEGINNINGS = {e.JobClaimed}

JOB_PAIRS = [(state, event) for state in JobState for event in JOB_EVENTS]
SHARD_PAIRS = [(state, event) for state in ShardState for event in SHARD_EVENTS]


@pytest.mark.parametrize(("state", "event"), JOB_PAIRS)
def test_a_job_moves_by_the_table_or_not_at_all(state: JobState, event: type[e.JobEvent]):
    if (state, event) in JOB_MOVES:
        assert job_after(state, event) is JOB_MOVES[state, event]
    else:
        with pytest.raises(BrokenInvariant, match=f"{event.__name__} cannot follow"):
            job_after(state, event)


@pytest.mark.parametrize(("state", "event"), SHARD_PAIRS)
def test_a_shard_moves_by_the_table_or_not_at_all(state: ShardState, event: type[e.ShardEvent]):
    if (state, event) in SHARD_MOVES:
        assert shard_after(state, event) is SHARD_MOVES[state, event]
    else:
        with pytest.raises(BrokenInvariant, match=f"{event.__name__} cannot follow"):
            shard_after(state, event)


def test_every_event_is_in_a_table_or_begins_something():
    known = {event for _, event in (*JOB_MOVES, *SHARD_MOVES)} | BEGINNINGS
    assert known == {*JOB_EVENTS, *SHARD_EVENTS}
    assert len(JOB_EVENTS) + len(SHARD_EVENTS) + len(ROOT_EVENTS) == len(get_args(e.Event))


def test_every_event_class_is_recorded():
    """A class that is not in `Event` could never be handed to the ledger."""
    defined = {
        kind
        for kind in vars(e).values()
        if isinstance(kind, type) and issubclass(kind, BASES) and kind not in BASES
    }
    assert defined == set(get_args(e.Event))


def reachable(start, moves):
    found = {start}
    while more := {to for frm, to in moves if frm in found} - found:
        found |= more
    return found


JOB_ARROWS = [(state, after) for (state, _), after in JOB_MOVES.items()] + [SETTLES]
SHARD_ARROWS = [(state, after) for (state, _), after in SHARD_MOVES.items()]


def test_every_state_is_reached():
    assert reachable(JobState.CLAIMED, JOB_ARROWS) == set(JobState)
    assert reachable(ShardState.PLANNED, SHARD_ARROWS) == set(ShardState)


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.DELIVERED])
def test_every_job_can_be_delivered(state: JobState):
    assert JobState.DELIVERED in reachable(state, JOB_ARROWS)


@pytest.mark.parametrize("state", LIVE_SHARDS)
def test_every_live_shard_can_be_collected(state: ShardState):
    assert ShardState.COLLECTED in reachable(state, SHARD_ARROWS)


def test_the_ends_are_ends():
    assert reachable(JobState.DELIVERED, JOB_ARROWS) == {JobState.DELIVERED}
    assert reachable(ShardState.COLLECTED, SHARD_ARROWS) == {ShardState.COLLECTED}


def test_a_shard_goes_back_only_from_doubt():
    order = list(ShardState)
    back = {(frm, to) for frm, to in SHARD_ARROWS if order.index(to) < order.index(frm)}
    assert back == {(ShardState.SUBMITTING, ShardState.PLANNED)}


@pytest.mark.parametrize(("table", "states"), [("jobs", JobState), ("shards", ShardState)])
def test_the_schema_knows_the_same_words(table: str, states: type[JobState] | type[ShardState]):
    body = re.search(rf"CREATE TABLE {table} \((.*?)\) STRICT;", sql.schema(), re.DOTALL)
    assert body
    check = re.search(r"CHECK \(state IN\s*\(([^)]*)\)\)", body[1])
    assert check
    assert re.findall(r"'(\w+)'", check[1]) == [str(state) for state in states]
