"""Runs commands on a test's own root: nothing of this machine reaches them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchd.cli import batchd
from batchd.cli.exits import invoke

OURS = ("BATCHD_", "OPENAI_", "CREDENTIALS_")


@dataclass(frozen=True)
class Said:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str


Shell = Callable[..., Said]


def shell_in(folder: Path, monkeypatch, capsys, *, root: Path | None = None) -> Shell:
    """Run commands in a folder, on its root `root`, with an environment that is empty of ours."""
    folder.mkdir(exist_ok=True, parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BATCHD_BATCHES__COUNT_TOKENS", "bytes")
    for name in list(os.environ):
        if name.startswith(OURS) and name != "BATCHD_BATCHES__COUNT_TOKENS":
            monkeypatch.delenv(name)
    if root is not None:
        monkeypatch.setenv("BATCHD_FOLDERS__ROOT", str(root))

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        code = invoke(batchd, arguments)
        return Said(code, *capsys.readouterr())

    return run
