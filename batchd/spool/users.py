"""The names of users, for people; what counts is the number."""

from __future__ import annotations

import pwd


def name_of(uid: int) -> str:
    """Name a user. May ask a directory server: never in the event loop."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
