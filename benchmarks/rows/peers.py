"""Published tools, each in an environment of its own, do what the first row does."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks import inputs
from benchmarks.bench import HERE, Bench, for_clients
from benchmarks.measuring import Failed, run
from benchmarks.rows import hundred, native
from benchmarks.table import Measure, Row
from tests.acceptance.processes import KEY, Sandbox

TITLE = "Published tools, the same file"
_CACHE = HERE.parent / ".cache" / "peers"  # the acceptance tests keep theirs there, too
_INSTALL_SECONDS = 180
_NOT_TRIED = (
    "bespokelabs-curator: 862 MB to install and seven minutes for this file; it takes prompts, not"
    " request lines."
)


_RUN = ("-m", "openai_batch.run", "--base-url")
_KEYED = ("--api-key", KEY, "--output-file", "out/results.jsonl")


@dataclass(frozen=True)
class Tool:
    """A published program, and how its users call it."""

    requirement: str
    program: str  #: in the bin/ of its environment
    arguments: Callable[[Path, str], list[str]]  #: from the input's path and the provider's address
    also: tuple[str, ...] = ()  #: what it needs and doesn't ask for

    @property
    def name(self) -> str:
        return self.requirement.partition("==")[0]


TOOLS = (
    Tool(
        "openai-batch-helper==0.1.1",
        "openai-batch-helper",
        lambda path, _: [
            "--input",
            str(path),
            "--out",
            "out/results.jsonl",
            "--poll-seconds",
            "0.2",
        ],
    ),
    Tool(
        "batchwizard==0.5.0",
        "batchwizard",
        lambda path, _: [
            "process",
            str(path),
            "--output-directory",
            "out",
            "--check-interval",
            "1",
        ],
    ),
    Tool(
        "openai-batch==0.3.4",
        "python",
        lambda path, url: [*_RUN, url, *_KEYED, str(path)],
        also=("httpx",),  # came with the SDK before 3
    ),
)


class Run(NamedTuple):
    """What a tool took."""

    cpu: float
    megabytes: float
    seconds: float
    calls: int
    order: str  #: of its results


class Absent(Exception):
    """A tool could not be installed here."""


def measure(bench: Bench) -> Row:
    measures, skipped = list[Measure](), [_NOT_TRIED]
    for tool in TOOLS:
        try:
            rounds = [_one_file(bench, tool) for _ in range(bench.rounds)]
        except (Absent, Failed) as why:
            skipped.append(f"{tool.name}: {why}")
        else:
            measures += _measures(tool, rounds)
    try:
        measures.append(_hundred(bench))
    except (Absent, Failed) as why:
        skipped.append(f"batchwizard, a hundred files: {why}")
    return Row(title=TITLE, measures=tuple(measures), skipped=tuple(skipped))


def _measures(tool: Tool, rounds: list[Run]) -> list[Measure]:
    return [
        Measure(
            what=f"{tool.name}: CPU",
            unit="s",
            values=tuple(run.cpu for run in rounds),
            note=f"the results are {rounds[-1].order}.",
        ),
        Measure(
            what=f"{tool.name}: peak memory",
            unit="MB",
            values=tuple(run.megabytes for run in rounds),
        ),
        Measure(
            what=f"{tool.name}: wall time", unit="s", values=tuple(run.seconds for run in rounds)
        ),
        Measure(what=f"{tool.name}: API calls", unit="", values=tuple(run.calls for run in rounds)),
    ]


def _one_file(bench: Bench, tool: Tool) -> Run:
    with _provided(bench) as (folder, sandbox):
        source = bench.native_file(folder)
        used = run(
            [_installed(tool), *tool.arguments(source, sandbox.base_url)],
            environment=for_clients(sandbox, folder),
            cwd=folder,
        )
        calls = sum(sandbox.ledger(executions=False)["calls"].values())
        return Run(used.cpu, used.megabytes, used.seconds, calls, _order(folder, bench))


@contextmanager
def _provided(bench: Bench) -> Iterator[tuple[Path, Sandbox]]:
    with (
        bench.scratch() as folder,
        bench.provider(folder, batch_seconds=native.BATCH_SECONDS) as sandbox,
    ):
        (folder / "out").mkdir()
        yield folder, sandbox


def _order(folder: Path, bench: Bench) -> str:
    """In the order of the input or not; incomplete ones are no results."""
    files = [file for file in (folder / "out").rglob("*") if file.stat().st_size]
    lines = sum(file.read_bytes().count(b"\n") for file in files)
    if len(files) != 1 or lines < bench.sizes.requests - 1:  # the last line may have no end
        return f"{lines:,} lines in {len(files)} files"
    try:
        is_ordered = inputs.is_in_order(files[0], bench.sizes.requests)
    except ValueError:
        return "not complete"
    return "complete, in the order of the input" if is_ordered else "complete, in another order"


def _hundred(bench: Bench) -> Measure:
    """The only one of them that takes many files at once."""
    (tool,) = (tool for tool in TOOLS if tool.name == "batchwizard")
    seconds = list[float]()
    for _ in range(bench.rounds):
        with _provided(bench) as (folder, sandbox):
            sources = [str(path) for path in hundred.files(folder / "files")]
            options = ["--output-directory", "out", "--check-interval", "1"]
            started = time.monotonic()
            run(
                [_installed(tool), "process", *sources, *options, "--max-concurrent-jobs", "100"],
                environment=for_clients(sandbox, folder),
                cwd=folder,
            )
            seconds.append(time.monotonic() - started)
    return Measure(
        what=f"batchwizard: wall time, {hundred.FILES} files of {hundred.REQUESTS} requests",
        unit="s",
        values=tuple(seconds),
    )


def _installed(tool: Tool) -> str:
    """Return the path of its program; its environment is made once. Raises `Absent`."""
    version = ".".join(map(str, sys.version_info[:2]))
    folder = _CACHE / f"{tool.requirement}-python{version}"
    stamp = folder / "installed"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        _install([tool.requirement, *tool.also], folder / "bin" / "python")
        stamp.touch()
    return str(folder / "bin" / tool.program)


def _install(requirements: list[str], python: Path) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--retries", "0", *requirements]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Absent(f"could not be installed within {_INSTALL_SECONDS} s") from None
    if done.returncode:
        raise Absent(f"could not be installed: {done.stderr.strip()[-200:]}")
