"""What a command is told when nobody answers, or nonsense."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchd.control.client import NotListening, Refused, TooOld, ask, ask_lines
from batchd.spool.folders import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path)
    folders.prepare()
    return folders


@contextmanager
def somebody(folders: Folders, *answers: bytes) -> Iterator[None]:
    """Whatever is asked, say this and hang up; when asked again, the next."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folders.socket))
    listener.listen()

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass  # what is unread when it closes would take the answer along

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


def said(status: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


NOT_FOUND = said("404 Not Found", {"code": "not-found", "sentence": "nothing is asked by that"})


def test_a_daemon_without_such_a_question_is_older(folders: Folders):
    described = said("200 OK", {"paths": {"/v1/jobs": {"get": {}}, "/v1/jobs/{id}": {"get": {}}}})
    for method, *path in (("GET", "tasks"), ("POST", "jobs"), ("GET", "jobs", "x", "y")):
        with somebody(folders, NOT_FOUND, described), pytest.raises(TooOld, match="restart it"):
            ask(folders, method, *path)
        folders.socket.unlink()


def test_what_is_not_there_is_no_sign_of_age(folders: Folders):
    described = said("200 OK", {"paths": {"/v1/jobs/{id}": {"get": {}}}})
    with somebody(folders, NOT_FOUND, described), pytest.raises(Refused) as no:
        ask(folders, "GET", "jobs", "zzzzzz")
    assert no.value.code == "not-found"


def test_lines_come_one_by_one_and_a_no_is_a_no(folders: Folders):
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    with somebody(folders, head + b'{"a": 1}\n{"a": 2}\n'):
        assert list(ask_lines(folders, "POST", "x", seconds=5)) == [{"a": 1}, {"a": 2}]
    folders.socket.unlink()
    no = said("422 No", {"code": "unusable", "sentence": "no table"})
    with somebody(folders, no), pytest.raises(Refused, match="no table"):
        list(ask_lines(folders, "POST", "x", seconds=5))


def test_a_line_that_breaks_off_is_no_line(folders: Folders):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    with somebody(folders, head + b'{"a": 1}\n{"a": '):
        lines = ask_lines(folders, "POST", "x", seconds=5)
        assert next(lines) == {"a": 1}
        with pytest.raises(NotListening, match="went away"):
            next(lines)
