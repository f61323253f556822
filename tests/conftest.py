"""For every test."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let Ctrl-C mean what it means on a terminal, in the processes that tests start, too.

    Those that run the tests side by side ignore it, and what is ignored is inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
