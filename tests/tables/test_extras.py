"""Libraries that may not be there."""

from __future__ import annotations

import pytest

from batchd.core.records import BadTable
from batchd.tables.extras import library


def test_a_library_that_is_not_installed_is_told_with_the_command():
    with pytest.raises(BadTable) as bad:
        library("batchd_no_such_library", kind="Parquet")
    problem = bad.value.problem
    assert problem.code == "extra_missing"
    assert "batchd_no_such_library" in problem.message
    assert 'pip install "batchd[tables]"' in problem.remedy


def test_one_that_is_there_is_imported():
    assert library("json", kind="JSON").loads("1") == 1
