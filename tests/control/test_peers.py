"""Who is at the other end, as the kernel says; and what they may do."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from batchd.control.peers import Peer, Rights, peer_of

ANNA, BERT, SERVICE, DROPPERS = 1001, 1002, 990, 2000
RIGHTS = Rights(service=SERVICE, group=DROPPERS, dropper=SERVICE)


def test_the_kernel_says_who_it_is_and_their_groups():
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        peer = peer_of(here)

    assert peer == Peer(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


@pytest.mark.parametrize(
    ("uid", "gids", "may"),
    [
        (BERT, {BERT, DROPPERS}, True),
        (BERT, {BERT}, False),
        (SERVICE, {SERVICE}, True),
        (0, {0}, True),
    ],
)
def test_whoever_may_drop_files_reads(uid, gids, may):
    assert RIGHTS.may_read(Peer(uid, frozenset(gids))) is may


def test_the_group_does_not_write_for_each_other():
    bert = Peer(BERT, frozenset({DROPPERS}))

    assert not RIGHTS.may_change(bert, owner=ANNA)
    assert RIGHTS.may_change(bert, owner=BERT)
    assert not RIGHTS.may_run_it(bert)


def test_rights_are_those_of_the_inbox_as_it_is(tmp_path: Path):
    status = tmp_path.stat()

    assert Rights.of(tmp_path) == Rights(os.geteuid(), status.st_gid, status.st_uid)
