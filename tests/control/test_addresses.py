"""The address of a socket is short enough, however deep its folder lies."""

from __future__ import annotations

import socket
from pathlib import Path

from batchd.control.addresses import near


def test_a_short_path_is_its_own_address():
    with near(Path("/run/batchd.sock")) as address:
        assert address == b"/run/batchd.sock"


def test_a_long_one_can_be_bound_and_connected_to_and_leaves_nothing_open(tmp_path: Path):
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as speaker:
        with near(folder / "s") as address:
            listener.bind(address)
        listener.listen()
        with near(folder / "s") as address:
            assert len(address) < 108
            speaker.connect(address)
        assert (folder / "s").is_socket()
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
