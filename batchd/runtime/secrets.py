"""A secret that lies in a file: read when it is needed, so that it may be changed meanwhile."""

from __future__ import annotations

from pathlib import Path

from batchd.core.errors import ConfigError

_MOST_BYTES = 4096  #: whoever names the wrong file names no secret


def read_secret(file: Path, *, setting: str) -> str:
    """Return what it holds. Raises `ConfigError`, which names the setting."""
    try:
        with file.open("rb") as opened:
            secret = opened.read(_MOST_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{setting} ({file}) cannot be read: {said}") from None
    if not secret:
        raise ConfigError(f"{setting} ({file}) is empty: it must hold the secret and nothing else")
    return secret
