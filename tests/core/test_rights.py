"""Who may change what."""

import pytest

from batchd.core.rights import ROOT, may_change, may_run_it

ANNA, BERT, SERVICE = 1001, 1002, 990


@pytest.mark.parametrize(
    ("user", "may"), [(ANNA, True), (BERT, False), (SERVICE, True), (ROOT, True)]
)
def test_a_job_is_changed_by_its_owner_by_batchd_and_by_root(user, may):
    assert may_change(user, owner=ANNA, service=SERVICE) is may


@pytest.mark.parametrize(("user", "may"), [(ANNA, False), (SERVICE, True), (ROOT, True)])
def test_what_concerns_everybody_is_batchds_and_roots(user, may):
    assert may_run_it(user, service=SERVICE) is may
