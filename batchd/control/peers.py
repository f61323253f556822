"""Who is at the other end of a unix socket, as the kernel says, and what they may do."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from batchd.core.rights import may_change, may_run_it

_UCRED = struct.Struct("3i")  # pid, uid, gid: struct ucred, unix(7)
_SO_PEERGROUPS = (
    59  # include/uapi/asm-generic/socket.h, since Linux 4.13; Python has no name for it
)
_MOST_BYTES = 1024  # CPython's limit for getsockopt: 256 groups; whoever has more is told by one


class Socket(Protocol):
    """A socket, or what asyncio shows of one."""

    def getsockopt(self, level: int, option: int, length: int, /) -> bytes:
        """See socket(7)."""
        ...


@dataclass(frozen=True, slots=True)
class Peer:
    """A user and their groups, at the moment they connected."""

    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may read and who may change, in one root."""

    service: int  #: the uid of the daemon
    group: int  #: the gid of those who may drop files
    dropper: int  #: the uid of the inbox

    @classmethod
    def of(cls, inbox: Path) -> Rights:
        """Take them from this process and the inbox as it is."""
        status = inbox.stat()
        return cls(service=os.geteuid(), group=status.st_gid, dropper=status.st_uid)

    def may_read(self, peer: Peer) -> bool:
        """Whether it is somebody who may drop files, too."""
        is_ours = may_run_it(peer.uid, service=self.service)
        return is_ours or self.group in peer.gids or peer.uid == self.dropper

    def may_change(self, peer: Peer, *, owner: int) -> bool:
        """Whether it is the job's owner, the service user or root."""
        return may_change(peer.uid, owner=owner, service=self.service)

    def may_run_it(self, peer: Peer) -> bool:
        """Whether it is the service user or root."""
        return may_run_it(peer.uid, service=self.service)


def peer_of(connection: Socket) -> Peer | None:
    """Return who connected; None where the system does not say (it is Linux that does)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))
    return Peer(uid, frozenset({gid, *_groups(connection)}))


def _groups(connection: Socket) -> tuple[int, ...]:
    """Their other groups; none where the kernel is too old to say."""
    try:
        told = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_BYTES)
    except OSError:
        return ()
    return struct.unpack(f"{len(told) // struct.calcsize('I')}I", told)
