"""What a command is told when nobody answers, or nonsense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchd.control.client import NotListening, Refused, ask
from batchd.spool.folders import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path)
    folders.prepare()
    return folders


@contextmanager
def somebody(folders: Folders, answer: bytes) -> Iterator[None]:
    """Whatever is asked, say this and hang up."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folders.socket))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        listener.close()


def test_without_a_daemon_nobody_listens(folders: Folders):
    with pytest.raises(NotListening, match="not running") as nobody:
        ask(folders, "GET", "jobs")
    assert not nobody.value.is_running


def test_a_socket_without_a_daemon_is_nobody(folders: Folders):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folders.socket))
    with pytest.raises(NotListening, match="not running"):
        ask(folders, "GET", "jobs")


def test_a_daemon_without_a_socket_is_there_and_does_not_answer(folders: Folders):
    """Where it can't be made; one that is just starting is waited for."""
    with folders.locked(), pytest.raises(NotListening, match="does not answer") as nobody:
        ask(folders, "GET", "jobs")
    assert nobody.value.is_running
    assert str(folders.log) in str(nobody.value)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Len"])
def test_one_that_goes_away_is_said_and_may_be_asked_again(folders: Folders, answer):
    with somebody(folders, answer), pytest.raises(NotListening, match="asking again"):
        ask(folders, "GET", "jobs")


def test_a_refusal_that_is_none_of_ours_is_shown_as_it_came(folders: Folders):
    answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nwhat?"
    with somebody(folders, answer), pytest.raises(Refused, match="answered 500: what") as refused:
        ask(folders, "GET", "jobs")
    assert refused.value.code == "unavailable"
