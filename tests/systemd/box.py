"""A machine with a real systemd, for a test: booted in namespaces, gone afterwards (`box.sh`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
PYTHON = Path("/usr/bin/python3")  # the box sees /usr, and hides what lies in somebody's home
OPT = Path("/opt/batchd")
BATCHD = str(OPT / "bin" / "batchd")
_SCRIPT = Path(__file__).with_name("box.sh")
_NEEDED = ("unshare", "nsenter", "setpriv", "findmnt", "systemctl", "systemd-sysusers")


class Box:
    """What a test does with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, *command: str, check: bool = True, stdin: str = "") -> str:
        """Run a command in there as root; return what it wrote, both ways."""
        code, said = self.try_to(*command, stdin=stdin)
        assert not check or code == 0, f"{command}: exit code {code}\n{said}\n{self.last_words()}"
        return said

    def try_to(self, *command: str, stdin: str = "") -> tuple[int, str]:
        """Run a command that may fail."""
        ran = subprocess.run(
            [str(_SCRIPT), "exec", str(self._folder), *command],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
            start_new_session=True,  # a slip such as `kill 0` in there must not reach us
        )
        return ran.returncode, ran.stdout

    def run_as(self, user: str, script: str, *, check: bool = True) -> str:
        """Run a shell's words as somebody else, with the groups they are in."""
        command = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "sh", "-ec"]
        return self.run(*command, script, check=check)

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Write a file."""
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, stdin=text)

    def show(self, unit: str, name: str) -> str:
        """One of a unit's properties."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """What was logged, as the journal has it."""
        text = self.run("journalctl", "--output=json", "--all", *matches)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def wait(self, fact: Callable[[], Any], *, what: str, within: float = 30.0) -> Any:
        """Wait until something holds, and return it."""
        deadline = time.monotonic() + within
        while not (found := fact()):
            assert time.monotonic() < deadline, f"no {what} in {within} s\n{self.last_words()}"
            time.sleep(0.1)
        return found

    def last_words(self) -> str:
        """For whoever reads of a failure."""
        return self.try_to("journalctl", "--no-pager", "--lines=40")[1]


@contextmanager
def box(folder: Path, opt: Path) -> Iterator[Box]:
    """Boot one whose /opt is a folder of ours."""
    subprocess.run([str(_SCRIPT), "boot", str(folder), str(opt)], check=True, timeout=60)
    try:
        machine = Box(folder)
        is_up = lambda: machine.try_to("systemctl", "is-system-running")[1].strip() in UP
        machine.wait(is_up, what="a running system")
        yield machine
    finally:
        subprocess.run([str(_SCRIPT), "down", str(folder)], check=True, timeout=60)


UP = ("running", "degraded")


def why_not() -> str | None:
    """Why there can be no such machine here."""
    if not os.environ.get("BATCHD_TEST_SYSTEMD"):
        return "takes three minutes and root: make systemd"
    if sys.platform != "linux" or os.getuid() != 0:
        return "a systemd of one's own takes root on Linux"
    if not Path("/lib/systemd/systemd").exists():
        return "there is no systemd on this machine"
    missing = [name for name in _NEEDED if not shutil.which(name)]
    if missing:
        return f"missing: {', '.join(missing)}"
    if not _ran("findmnt", "-t", "cgroup2"):
        return "there is no cgroup2 here"
    if not _ran("unshare", "--pid", "--mount", "--cgroup", "--net", "--fork", "true"):
        return "this machine gives nobody namespaces"
    if not _ran(
        str(PYTHON), "-c", "import sys, venv, ensurepip; assert sys.version_info >= (3, 11)"
    ):
        return f"{PYTHON} is no Python 3.11 with venv"
    return None


def _ran(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def install_wheel(folder: Path) -> Path:
    """Build the wheel, and install it as an operator would, below what will be /opt in the box."""
    opt, wheels = folder / "opt", folder / "wheels"
    opt.mkdir()
    _pip(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--wheel-dir",
        str(wheels),
        str(REPOSITORY),
    )
    (wheel,) = wheels.glob("batchd-*.whl")
    # An environment knows its own path: it is made in a mount namespace where /opt is ours.
    script = (
        'mount --bind "$1" /opt; "$2" -m venv /opt/batchd; exec /opt/batchd/bin/pip install "$3"'
    )
    _pip("unshare", "--mount", "sh", "-ec", script, "sh", str(opt), str(PYTHON), str(wheel))
    return opt


def _pip(*command: str) -> None:
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    if "Failed to establish a new connection" in ran.stderr or "No matching dist" in ran.stderr:
        pytest.skip(f"the package registry is out of reach: {ran.stderr.splitlines()[-1]}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
