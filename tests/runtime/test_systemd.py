"""What is said to the service manager, to a real socket; and that it never costs us anything."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchd.runtime.systemd import NOBODY, Manager

PID = 4711


@pytest.fixture(params=["a path", "an abstract name"])
def listening(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, socket.socket]]:
    """A manager's socket, and its address as it stands in the environment."""
    abstract = request.param == "an abstract name"
    address = f"@batchd-{secrets.token_hex(8)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as theirs:
        theirs.bind("\0" + address[1:] if abstract else address)
        theirs.setblocking(False)
        yield address, theirs


def manager(address: str, **others: str) -> Manager:
    return Manager.of({"NOTIFY_SOCKET": address, **others}, pid=PID)


def test_each_message_is_one_datagram_with_all_its_fields(listening):
    address, theirs = listening
    to = manager(address, WATCHDOG_USEC="2000000")
    to.starting(seconds=1.5)
    to.ready()
    to.alive("łódź: 3 open")
    to.status("hanging")
    to.stopping(seconds=13)
    assert [theirs.recv(4096).decode() for _ in range(5)] == [
        "STATUS=starting\nEXTEND_TIMEOUT_USEC=1500000",
        "READY=1",
        "WATCHDOG=1\nSTATUS=łódź: 3 open",
        "STATUS=hanging",
        "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=13000000",
    ]


def test_a_reload_bears_the_time_that_systemd_compares_with_its_own(listening):
    address, theirs = listening
    before = time.monotonic_ns() // 1000
    manager(address).reloading()
    first, _, moment = theirs.recv(4096).decode().partition("\nMONOTONIC_USEC=")
    assert first == "RELOADING=1"
    assert before <= int(moment) <= time.monotonic_ns() // 1000


def test_a_status_is_one_line_and_no_field_of_its_own(listening):
    address, theirs = listening
    manager(address).status("a\nREADY=1\n" + "x" * 10_000)
    message = theirs.recv(100_000).decode()
    assert message.startswith("STATUS=a READY=1 xxx")
    assert len(message) < 1000
    assert "\n" not in message


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(PID)}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),  # somebody else's
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_where_it_is_meant_for_us(listening, variables, seconds):
    address, theirs = listening
    to = manager(address, **variables)
    assert to.watchdog_seconds == seconds
    to.alive("well")
    assert ("WATCHDOG=1" in theirs.recv(4096).decode()) is (seconds is not None)


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_without_a_socket_we_know_nobody(address):
    assert manager(address, WATCHDOG_USEC="1000000") == NOBODY
    assert Manager.of({}, pid=PID) == NOBODY
    NOBODY.ready()
    NOBODY.alive("well")


def test_a_manager_that_is_gone_costs_nothing(tmp_path):
    to = manager(str(tmp_path / "nobody-listens"))
    to.ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as theirs:
        theirs.bind(to.address)
    to.alive("there is a socket, and nobody behind it")
    to.stopping(seconds=1)


def test_a_manager_that_reads_nothing_keeps_nobody_waiting(listening):
    address, theirs = listening
    to, most = manager(address), 10_000
    for number in range(most):
        to.status(f"{number}")
    first, heard = theirs.recv(4096), 1
    assert first == b"STATUS=0"
    while True:
        try:
            theirs.recv(4096)
        except BlockingIOError:
            break
        heard += 1
    assert heard < most, "its queue was never full, and nothing was shown"
