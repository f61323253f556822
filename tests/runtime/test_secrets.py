"""A secret in a file: read anew each time, and what is no secret is said with its setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchd.core.errors import ConfigError
from batchd.runtime.secrets import read_secret


def test_a_secret_is_what_the_file_holds_now(tmp_path: Path):
    file = tmp_path / "secret"
    for secret in ("one", "whsec_dHdv"):
        file.write_text(f"{secret}\n")
        assert read_secret(file, setting="a.b") == secret


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), (b"", "is empty"), (b"\xff", "it is no text")]
)
def test_what_is_no_secret_is_the_operators(tmp_path: Path, content: bytes | None, said: str):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"a\.b \(.+secret\).*{said}"):
        read_secret(file, setting="a.b")
