"""Libraries that may not be there."""

from __future__ import annotations

import pytest

from batchd.core.errors import LibraryMissing
from batchd.tables.extras import library


def test_a_library_that_is_not_installed_is_told_with_the_command():
    with pytest.raises(LibraryMissing) as missing:
        library("batchd_no_such_library", kind="Parquet")
    assert "batchd_no_such_library" in str(missing.value)
    assert 'pip install "batchd[tables]"' in str(missing.value)


def test_one_that_is_there_is_imported():
    assert library("json", kind="JSON").loads("1") == 1
