"""Who may change what. Who may read is the folder's group, and the kernel's business."""

from __future__ import annotations

ROOT = 0  #: of the machine; the name is its own


def may_change(user: int, *, owner: int, service: int) -> bool:
    """Whether a user may cancel, hold or release a job: it is theirs, or batchd is.

    `service` is the user that the daemon runs as.
    """
    return user == owner or may_run_it(user, service=service)


def may_run_it(user: int, *, service: int) -> bool:
    """Whether a user may do what concerns everybody's jobs, such as letting all intake rest."""
    return user in (ROOT, service)
