"""Where rows measure: a sandbox and a daemon as processes of their own, and programs beside them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import inputs
from benchmarks.machine import warm_memory
from benchmarks.measuring import Used, asked, cpu_of, run
from tests.acceptance.processes import KEY, Daemon, Processes, Sandbox, processes_in

HERE = Path(__file__).parent
LONGEST = 3600.0  #: seconds that anything is waited for
_PAUSE = 0.01  #: between two looks at the outbox
_LOOK, _AT_REST = 0.5, 0.015  #: seconds, and of CPU meanwhile: it wakes up twice a second

#: The provider's own limits are raised: what is measured is what batchd takes, not what it waits.
NO_LIMITS: dict[str, Any] = {
    "batches__max_open": 1_000_000,
    "batches__max_per_hour": 10_000_000,
    "inbox__max_claimed": 1_000_000,
}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much of everything. The defaults are what the bars are about."""

    requests: int = 49_900  #: 198 MB with texts of TEXT_BYTES
    text_bytes: int = inputs.TEXT_BYTES
    large_shards: int = 10  #: 2 GB
    shard_requests: int = 50_000
    million_shards: int = 20
    opens: tuple[int, ...] = (1_000, 10_000)
    ignored: int = 10_000
    idle_seconds: float = 30.0
    small_files: int = 2_000
    five_requests: int = 26_200  #: 104 MB
    sweeps: int = 5


@dataclass
class House:
    """A running daemon with its root and its provider."""

    folder: Path
    root: Path
    processes: Processes
    sandbox: Sandbox
    daemon: Daemon

    def cpu(self) -> float:
        return cpu_of(self.daemon.pid)

    def wait_for_rest(self) -> None:
        """Wait until it has loaded what it loads after its start: no drop's doing."""
        before = -1.0
        while (now := self.cpu()) - before > _AT_REST:
            before = now
            time.sleep(_LOOK)

    def drop(self, *paths: Path) -> None:
        """Move files into the inbox, by renames."""
        for path in paths:
            path.rename(self.root / "inbox" / path.name)

    def folders(self) -> list[Path]:
        """The finished folders."""
        entries = os.scandir(self.root / "outbox")
        return [Path(entry) for entry in entries if not entry.name.startswith(".")]

    def wait_for_folders(self, count: int, *, pause: float = _PAUSE) -> list[Path]:
        """Wait until so many files are delivered."""

        def all_there() -> list[Path]:
            time.sleep(pause)
            folders = self.folders()
            return folders if len(folders) >= count else []

        what = f"{count} finished folders"
        return list(self.processes.wait(all_there, what=what, within=LONGEST))

    def moment(self, event: str) -> float:
        """Unix time of the first such line of the daemon's log (milliseconds)."""
        found = self.processes.wait_for_event(self.daemon, event, within=LONGEST)
        return datetime.fromisoformat(found["ts"]).timestamp()

    def calls(self) -> int:
        """How many calls the provider has had."""
        return asked(self.sandbox.ledger(executions=False)["calls"])


@dataclass(frozen=True)
class Bench:
    """What a row is given."""

    folder: Path
    rounds: int = 5
    sizes: Sizes = field(default_factory=Sizes)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder, gone afterwards: some of what lies here is gigabytes."""
        warm_memory()
        folder = Path(tempfile.mkdtemp(prefix="bench-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    @contextlib.contextmanager
    def provider(self, folder: Path, *, batch_seconds: float = 1.0) -> Iterator[Sandbox]:
        """A sandbox alone, for other people's programs."""
        with processes_in(folder) as processes:
            yield processes.sandbox(batch_seconds=batch_seconds, creates_per_hour=10_000_000)

    @contextlib.contextmanager
    def house(
        self,
        folder: Path,
        *,
        batch_seconds: float = 1.0,
        environment: dict[str, str | None] | None = None,
        **settings: Any,
    ) -> Iterator[House]:
        """A daemon on a new root below `folder`."""
        with processes_in(folder) as processes:
            sandbox = processes.sandbox(batch_seconds=batch_seconds, creates_per_hour=10_000_000)
            root = folder / "root"
            # Its byte code is kept, as where it is installed: a shell may say otherwise.
            here = {"PYTHONPATH": str(HERE.parent), "PYTHONDONTWRITEBYTECODE": None}
            here |= environment or {}
            daemon = processes.daemon(root, sandbox, environment=here, **settings)
            yield House(folder, root, processes, sandbox, daemon)

    def program(self, name: str, *arguments: str | Path, sandbox: Sandbox, cwd: Path) -> Used:
        """Run one of the programs beside this file."""
        command = [sys.executable, str(HERE / f"{name}.py"), *map(str, arguments)]
        return run(command, environment=for_clients(sandbox, cwd), cwd=cwd)

    def native_file(self, folder: Path, name: str = "native.jsonl", *, shards: int = 1) -> Path:
        """A file as large as one batch may be, or as several."""
        sizes = self.sizes
        return inputs.write(folder / name, shards * sizes.requests, text_bytes=sizes.text_bytes)

    def has_room(self, gigabytes: float) -> str | None:
        """None, or why something that large is not done here."""
        free = shutil.disk_usage(self.folder).free / 1e9
        if free > gigabytes:
            return None
        return f"needs {gigabytes:.0f} GB of disk, there are {free:.0f}"


def for_clients(sandbox: Sandbox, home: Path) -> dict[str, str]:
    """The environment of a client: the sandbox is its provider, nothing of this user's reaches it."""
    dropped = ("XDG_", "PYTHON", "OPENAI_", "BATCHD_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {
        "HOME": str(home),
        "OPENAI_BASE_URL": sandbox.base_url,
        "OPENAI_API_KEY": KEY,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
