"""Real daemons and sandboxes as child processes, watched from outside: log, outbox, ledger."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

KEY = "sk-acceptance-no-real-key"  # the sandbox takes any
START_SECONDS = 30.0  # on a noisy machine an import alone may take some
STOP_SECONDS = 15.0  # what the daemon promises
LAST_LINES = 25
_PAUSE = 0.02  # between two looks at a fact

QUICK = {
    "folders.min_free_bytes": 0,  # the disk of whoever runs the tests is theirs
    "inbox.settle_seconds": 0.2,
    "inbox.scan_seconds": 0.5,
    "inbox.empty_grace_seconds": 1,
    "batches.poll_min_seconds": 0.2,
    "batches.poll_max_seconds": 1,
    "batches.doubt_seconds": 1,
}

Event = dict[str, Any]


class Process:
    """One `batchd ...` of ours, its two outputs in one file."""

    def __init__(
        self,
        *arguments: str,
        output: Path,
        cwd: Path,
        environment: dict[str, str | None],
        module: str = "batchd",
    ) -> None:
        self.name = f"batchd {arguments[0]}"
        self.may_end = False  #: somebody has told it to
        self.output_file = output
        command = [*_dies_with_us(), sys.executable, "-m", module, *arguments]
        with output.open("ab") as sink:
            self._popen = subprocess.Popen(
                command,
                cwd=cwd,
                env=_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._popen.poll()

    def output(self) -> str:
        return self.output_file.read_text(encoding="utf-8", errors="replace")

    def tail(self) -> str:
        lines = self.output().splitlines()[-LAST_LINES:]
        return "\n".join([f"--- {self.name} (pid {self.pid}, exit code {self.code}):", *lines])

    def send(self, number: signal.Signals) -> None:
        self.may_end = True
        self._popen.send_signal(number)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.may_end = True
        self._popen.kill()
        self._popen.wait()

    def exit_code(self, *, within: float) -> int:
        """Wait for its end."""
        self.may_end = True
        try:
            return self._popen.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within} s\n{self.tail()}") from None

    def stop(self, *, within: float = STOP_SECONDS) -> int:
        """SIGTERM; return the exit code."""
        self.send(signal.SIGTERM)
        return self.exit_code(within=within)

    def peak_megabytes(self) -> float:
        """The most memory it has had, as the kernel counts (VmHWM)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6


class Sandbox(Process):
    """A sandbox on a free port, and what its own routes tell."""

    @property
    def url(self) -> str:
        return self.base_url.removesuffix("/v1")

    @property
    def base_url(self) -> str:
        """For OPENAI_BASE_URL; empty until it listens."""
        words = [line.split() for line in self.output().splitlines() if "listening on" in line]
        return words[0][-1] if words else ""

    def ledger(self, *, executions: bool = True) -> dict[str, Any]:
        """What it received and did."""
        return self._ask("GET", f"/sandbox/ledger?executions={int(executions)}")

    def faults(self, **faults: Any) -> None:
        """Switch faults on; None switches one off."""
        self._ask("PUT", "/sandbox/faults", json=faults)

    def calls(self, route: str) -> int:
        """How often a route was called."""
        return int(self.ledger(executions=False)["calls"].get(route, 0))

    def _ask(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = httpx2.request(method, self.url + path, trust_env=False, timeout=30, **arguments)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


class Daemon(Process):
    """A `batchd run` on a root; its log begins where the one before it ended."""

    def __init__(self, root: Path, *arguments: str, **options: Any) -> None:
        self.root = root
        self._log = root / "var" / "log" / "batchd.jsonl"
        self._offset = self._log.stat().st_size if self._log.exists() else 0
        super().__init__("run", *arguments, **options)

    def events(self, name: str, **facts: Any) -> list[Event]:
        """Those of this daemon's events that have this name and these facts."""
        return [e for e in self._events() if e["event"] == name and facts.items() <= e.items()]

    def _events(self) -> Iterator[Event]:
        if not self._log.exists():
            return
        with self._log.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                with contextlib.suppress(json.JSONDecodeError):  # the last may be half a line
                    yield json.loads(line)


class Processes:
    """All children of one test. They end with it, whatever becomes of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Process] = []

    def sandbox(
        self,
        *,
        batch_seconds: float = 0.5,
        port: int = 0,
        dialect: str = "openai",
        webhook: tuple[str, str] | None = None,
        **faults: Any,
    ) -> Sandbox:
        """Start a sandbox and wait until it listens. `webhook` is an address and a secret."""
        rings = ("--webhook", webhook[0], "--webhook-secret", webhook[1]) if webhook else ()
        sandbox = Sandbox(
            *("sandbox", "--port", str(port), "--batch-seconds", str(batch_seconds)),
            *("--dialect", dialect, *rings),
            *(f"--fault={name}={json.dumps(value)}" for name, value in faults.items()),
            output=self._output("sandbox"),
            cwd=self._folder,
            environment={},
        )
        self._all.append(sandbox)
        self.wait(lambda: sandbox.base_url, what="a listening sandbox")
        return sandbox

    def daemon(
        self,
        root: Path,
        sandbox: Sandbox,
        *,
        environment: dict[str, str | None] | None = None,
        may_end: bool = False,
        module: str = "batchd",
        **settings: Any,
    ) -> Daemon:
        """Start a daemon, and wait until it is ready, or not where it may end before that.

        A setting is written `batches__max_open=5`. A `module` may be another program that runs
        batchd's own, to look at it from within.
        """
        given = QUICK | {name.replace("__", "."): value for name, value in settings.items()}
        root.mkdir(parents=True, exist_ok=True)
        config = self._folder / "empty.toml"  # nothing of this machine's own may reach a test
        config.touch()
        provider = {"OPENAI_BASE_URL": sandbox.base_url, "OPENAI_API_KEY": KEY}
        daemon = Daemon(
            root,
            *("--config", str(config), "--set", f"folders.root={root}"),
            *(f"--set={name}={value}" for name, value in given.items()),
            output=self._output("daemon"),
            cwd=self._folder,
            environment=provider | (environment or {}),
            module=module,
        )
        self._all.append(daemon)
        daemon.may_end = may_end
        if not may_end:
            self.wait_for_event(daemon, "daemon.ready", within=START_SECONDS)
        return daemon

    def adopt(self, process: Process) -> None:
        """Let a child that was started otherwise end with the test, too."""
        self._all.append(process)

    def wait_for_event(
        self, daemon: Daemon, name: str, *, within: float = 30.0, **facts: Any
    ) -> Event:
        """Wait until the daemon has logged an event; return the first such one."""
        what = f"the event {name} {facts or ''}"
        found = self.wait(lambda: daemon.events(name, **facts), within=within, what=what)
        return dict(found[0])

    def wait(self, fact: Callable[[], Any], *, what: str, within: float = START_SECONDS) -> Any:
        """Wait until something holds and return it; everybody's last words where it doesn't."""
        deadline = time.monotonic() + within
        while not (found := fact()):
            for process in self._all:
                if process.code is not None and not process.may_end:
                    raise AssertionError(f"{process.name} ended before {what}\n{self._tails()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} within {within} s\n{self._tails()}")
            time.sleep(_PAUSE)
        return found

    def _tails(self) -> str:
        return "\n".join(process.tail() for process in self._all)

    def _output(self, name: str) -> Path:
        return self._folder / f"{name}-{len(self._all)}.out"

    def end(self) -> None:
        """kill -9 for whoever is left."""
        for process in self._all:
            process.kill()


@contextlib.contextmanager
def processes_in(folder: Path) -> Iterator[Processes]:
    """Children for the time of the block."""
    children = Processes(folder)
    try:
        yield children
    finally:
        children.end()


def _environment(changes: dict[str, str | None]) -> dict[str, str]:
    """Nothing of the machine's own settings, keys or proxies; None takes a variable away."""
    ours = ("BATCHD_", "OPENAI_", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "JOURNAL_STREAM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    here = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    # As without the extra `tokens`, which the tests have: its vocabularies take 70 MB.
    here["BATCHD_BATCHES__COUNT_TOKENS"] = "bytes"
    changed = {**kept, **here, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def _dies_with_us() -> list[str]:
    """Not even kill -9 of pytest leaves a daemon behind, where util-linux is there."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
