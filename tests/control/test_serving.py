"""The socket: who may use it, what becomes of an old one, and that it goes with the daemon."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from batchd.control.client import NotListening, Refused, ask
from batchd.control.routes import ROUTES
from batchd.control.serving import listening
from batchd.runtime.threads import in_thread
from tests.control.asking import open_batches
from tests.control.raw import raw
from tests.control.speaking import listening_house, say, until
from tests.houses import write_task
from tests.nobody import NOBODY


async def test_the_socket_is_for_the_group_of_the_inbox(tmp_path: Path):
    if os.getuid() == 0:
        (tmp_path / "inbox").mkdir()
        os.chown(tmp_path / "inbox", -1, NOBODY)
    async with listening_house(tmp_path) as services:
        status = services.folders.socket.stat()

        assert stat.S_IMODE(status.st_mode) == 0o660
        assert status.st_gid == (tmp_path / "inbox").stat().st_gid


async def test_it_goes_with_the_daemon(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        assert await say(services, "GET", "jobs")

    assert not os.path.lexists(services.folders.socket)
    assert not list((tmp_path / "var").glob("*.part"))


async def test_what_a_killed_daemon_left_is_replaced(tmp_path: Path):
    (tmp_path / "var").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "var" / "batchd.sock"))
    with socket.socket(socket.AF_UNIX) as half:
        half.bind(str(tmp_path / "var" / "batchd.sock.part"))

    async with listening_house(tmp_path) as services:
        await until(lambda: answers(services))
        assert not list((tmp_path / "var").glob("*.part"))


def answers(services) -> bool:
    try:
        return bool(ask(services.folders, "GET", "jobs"))
    except (NotListening, Refused):
        return False


def test_what_is_no_socket_is_not_replaced(tmp_path: Path):
    path = tmp_path / "batchd.sock"
    path.write_text("mine")

    with pytest.raises(FileExistsError, match="something else"), listening(path, group=-1):
        pass

    assert path.read_text() == "mine"


async def test_a_folder_however_deep_will_do(tmp_path: Path):
    root = tmp_path / ("deep-" * 20) / ("deeper-" * 20)
    root.mkdir(parents=True)

    async with listening_house(root) as services:
        assert len(os.fsencode(services.folders.socket)) > 108
        assert (await say(services, "GET", "jobs"))["jobs"] == []


async def test_one_that_was_deleted_is_made_again(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        services.folders.socket.unlink()

        await until(services.folders.socket.exists, move=lambda: services.clock.advance(5.0))

        assert (await say(services, "GET", "jobs"))["jobs"] == []


async def test_while_it_cannot_be_made_the_house_goes_on_and_it_is_tried_again(
    tmp_path: Path, capsys
):
    (tmp_path / "var" / "batchd.sock").mkdir(parents=True)

    async with listening_house(tmp_path, wait=False) as services:
        await until(lambda: "control.off" in capsys.readouterr().out)
        services.folders.socket.rmdir()
        await until(services.folders.socket.exists, move=lambda: services.clock.advance(60.0))

        assert (await say(services, "GET", "jobs"))["jobs"] == []


async def test_nonsense_is_answered_and_harms_nobody(tmp_path: Path, caplog):
    async with listening_house(tmp_path) as services:
        head, _ = await raw(services, b"\x16\x03\x01nonsense\r\n\r\n")
        assert b"400" in head
        assert (await say(services, "GET", "jobs"))["jobs"] == []


async def test_many_who_say_nothing_do_not_keep_others_out_for_ever(tmp_path: Path):
    """More than are served at once are told to come again; a connection ends by itself."""
    async with listening_house(tmp_path) as services:
        idle = [socket.socket(socket.AF_UNIX) for _ in range(20)]
        for one in idle:
            one.connect(str(services.folders.socket))
        with pytest.raises(Refused, match="503"):
            await say(services, "GET", "jobs")
        for one in idle:
            one.close()
        await until(lambda: answers(services))


# --- Who may

ANNA, BERT, CARL, DROPPERS = 61_001, 61_002, 61_003, 61_100

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be several users")


def as_user(uid: int, *groups: int, asked: Callable[[], Any]) -> str:
    """Ask in a child that is another user; return what they are told."""
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.write(write, _told(asked).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        said = file.read().decode()
    os.wait()
    return said


def _told(asked: Callable[[], Any]) -> str:
    try:
        return str(asked())
    except Refused as refused:
        return f"{refused.code}: {refused}"
    except (OSError, NotListening) as error:
        return type(error).__name__


@needs_root
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_the_group_reads_and_the_owner_writes(capsys):
    """R60: with real users, and the kernel's own word for who they are."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder)
        async with listening_house(root) as services:
            os.chown(services.folders.inbox, -1, DROPPERS)
            os.chown(services.folders.var, -1, DROPPERS)
            os.chown(services.folders.socket, -1, DROPPERS)
            services.folders.var.chmod(0o755)
            await open_batches(services, "a.jsonl")
            job = str(await services.ledger.last_job())
            await services.ledger.lend(partial(_is_of, ANNA))

            async def asks(uid: int, *asked: str, groups: tuple[int, ...] = (DROPPERS,)) -> str:
                question = partial(ask, services.folders, *asked)
                return await in_thread(as_user, uid, *groups, asked=question)

            wish = ("POST", "jobs", job, "hold")
            assert "a.jsonl" in await asks(BERT, "GET", "jobs")
            assert await asks(CARL, "GET", "jobs", groups=()) == "PermissionError"
            refused = await asks(BERT, *wish)
            assert refused.startswith(f"refused: job {job} is user {ANNA}'s, not user {BERT}'s")
            assert (await services.ledger.job(job)).hold is None
            assert (await asks(BERT, "POST", "pause")).startswith("refused: that concerns")
            assert await services.ledger.pauses() == {}
            assert (await asks(BERT, "POST", "reload")).startswith("refused: that concerns")
            write_task(root, "mood")
            for route in ("status", "spend", "config", "logs", "standing", "tasks", "tasks/mood"):
                assert "refused" not in await asks(BERT, "GET", *route.split("/"))
            assert "'changed': True" in await asks(ANNA, *wish)
            assert (await services.ledger.job(job)).hold_text == f"by user {ANNA}"

            services.folders.socket.chmod(0o666)  # what the folder allows is not all that counts
            assert {route.method for route in ROUTES} == {"GET", "POST"}
            for route in ROUTES:
                path = route.path.replace("{id}", job).replace("{name}", "mood").split("/")[2:]
                said = await asks(CARL, route.method, *path, groups=())
                assert said.startswith("refused: "), route
            assert "'changed': True" in await asks(0, "POST", "jobs", job, "cancel", groups=())


def _is_of(uid: int, connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE jobs SET owner = ?", (uid,))
