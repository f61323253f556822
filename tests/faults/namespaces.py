"""Runs a test once more in a namespace of its own, where it may take things from the kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_INSIDE = "BATCHD_TEST_INSIDE"
_REPOSITORY = Path(__file__).parents[2]


def ran_inside(test: pytest.FixtureRequest, setup: str, folder: Path) -> bool:
    """Whether the test was run in a namespace that `setup` has changed; False within it.

    All that a test starts has its namespace, and nobody else is touched. Skips where the machine
    lets nobody have one.
    """
    if os.environ.get(_INSIDE):
        return False
    command = ["unshare", "-rm", "sh", "-ec", f'{setup}\nexec "$@"', "sh"]
    if (
        not shutil.which("unshare")
        or subprocess.run(
            [*command, "true"], check=False, capture_output=True, env=_environment(folder)
        ).returncode
    ):
        pytest.skip("this machine gives nobody a namespace of their own to do that in")
    pytest_again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, *pytest_again, f"--basetemp={folder / 'inside'}", test.node.nodeid],
        check=False,
        capture_output=True,
        text=True,
        cwd=_REPOSITORY,
        env=_environment(folder),
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout, run.stdout
    return True


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {_INSIDE: str(folder)}


def inside() -> Path:
    """The folder that the outer run has given."""
    return Path(os.environ[_INSIDE])
