"""For every test."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

#: These take minutes each: begun last, one of two processes would sit and wait for the other.
LONG = ("crash", "acceptance", "faults", "test_recovery.py")


def pytest_configure() -> None:
    """Let Ctrl-C mean what it means on a terminal, in the processes that tests start, too.

    Those that run the tests side by side ignore it, and what is ignored is inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; everything else stays as it was."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in LONG)
