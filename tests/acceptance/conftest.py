"""What every acceptance test is given: its children, and a root of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import Processes, processes_in


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that is to hold inbox/, outbox/ and var/."""
    return tmp_path / "root"
