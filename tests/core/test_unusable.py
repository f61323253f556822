"""When more of a model would only be the same failure again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchd.core.model import CancelWhy, ShardState
from batchd.core.unusable import ODDITY, cancels_job, is_without_model, unsent_for, why_unsent
from tests.control.test_jobs import JOB
from tests.core.test_admission import shard

FAILED = shard("a", 1, state=ShardState.COLLECTED, oddities={ODDITY: 5}, kept=0)
NEXT = shard("a", 2, oddities={}, kept=0)


@pytest.mark.parametrize(
    ("code", "status", "found"),
    [
        ("model_not_found", None, True),
        ("model_not_found", 400, True),
        (None, 404, True),
        ("404", 404, True),
        ("image_file_not_found", 404, False),
        ("invalid_value", 400, False),
        (None, None, False),
    ],
)
def test_it_is_known_by_the_code_or_by_a_404_that_speaks_of_nothing_else(code, status, found):
    assert is_without_model(code, status) is found


def test_a_job_with_more_of_the_same_ends():
    assert cancels_job(FAILED, [FAILED, NEXT])
    assert not cancels_job(FAILED, [FAILED]), "it has its last word without that"
    assert not cancels_job(FAILED, [FAILED, replace(NEXT, model="other")])
    assert not cancels_job(FAILED, [FAILED, NEXT, shard("a", 3, kept=1)]), "it does answer"


def test_in_a_job_of_several_models_only_its_shards_are_not_sent():
    (told,) = unsent_for(NEXT, [FAILED, NEXT])
    assert told.code == "model_not_found"
    assert "all 5 requests of a-1" in told.message
    assert unsent_for(replace(NEXT, model="other"), [FAILED, NEXT]) == ()
    assert unsent_for(NEXT, [NEXT]) == ()
    answered = shard("a", 3, oddities={}, kept=1)
    assert unsent_for(NEXT, [FAILED, answered, NEXT]) == ()


def test_what_was_not_sent_is_told_why_where_it_was_the_model():
    ended = replace(JOB, cancel_why=CancelWhy.UNUSABLE_MODEL, cancel_text="none there")
    assert why_unsent(ended)[0].message == "not sent: none there"
    assert why_unsent(replace(JOB, cancel_why=CancelWhy.ASKED)) == ()
