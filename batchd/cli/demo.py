"""`batchd demo`: sandbox, daemon and a small file, and what becomes of it, in half a minute."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import click
from rich.console import Console

from batchd.cli.demo_children import Child, DemoFailed, ended_by_signals, together
from batchd.cli.demo_log import Fact, Tail
from batchd.cli.demo_results import show_results
from batchd.cli.demo_story import Story
from batchd.cli.demo_views import View, view_for

SAMPLE = files("batchd.cli").joinpath("samples", "reviews.jsonl")
START_SECONDS = 20.0  # a cold disk and a slow machine; a warm one needs one
STORY_SECONDS = 60.0  # from drop to delivery; the sandbox's batch takes four
TICK_SECONDS = 0.1
CONFIG = """\
# What the demo's daemon ran with: a provider that is done in seconds may be asked more often.
[folders]
root = '{root}'
min_free_bytes = 0
[openai]
base_url = "{address}"
[inbox]
settle_seconds = 0.5
[batches]
poll_min_seconds = 0.3
poll_max_seconds = 0.5
[logging]
level = "debug"
"""


@click.command()
@click.option(
    "--root",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Do it in this folder, new or empty, instead of a temporary one.",
)
def demo(root: Path | None) -> None:
    """Show all of it in half a minute, without a key.

    Starts the sandbox and a daemon in a folder of their own, drops a file with 24 product reviews
    and shows what happens to it. Nothing leaves this machine, and nothing is left running.
    """
    root = _folder(root)
    console = Console(highlight=False)
    console.print(f"A daemon and a stand-in for the provider, in [bold]{root}[/bold]\n")
    with ended_by_signals(), together() as children:
        story = _play(root, children, console)
    show_results(root, story, sample=SAMPLE, console=console)


def _folder(root: Path | None) -> Path:
    """A real root would have its files answered by the sandbox: only an empty folder will do."""
    if root is None:
        return Path(tempfile.mkdtemp(prefix="batchd-demo-"))
    if root.exists() and any(root.iterdir()):
        raise click.UsageError(f"--root {root} must be new or empty")
    root.mkdir(parents=True, exist_ok=True)
    return root.absolute()


def _play(root: Path, children: list[Child], console: Console) -> Story:
    outputs = root / "demo"
    outputs.mkdir()
    sandbox = Child(
        "sandbox", "--port", "0", "--batch-seconds", "4", output=outputs / "sandbox.txt"
    )
    children.append(sandbox)
    address = _address(sandbox)
    config = outputs / "batchd.toml"
    config.write_text(CONFIG.format(root=root, address=address), encoding="utf-8")
    daemon = Child("run", "--config", str(config), output=outputs / "daemon.txt")
    children.append(daemon)
    tail = Tail(root / "var" / "log" / "batchd.jsonl")
    _wait_until_ready(tail, children)
    _drop(root / "inbox")
    story = Story()
    with view_for(console) as view:
        _follow(tail, story, view, children)
    return story


def _address(sandbox: Child) -> str:
    for _ in _patiently(START_SECONDS, "the sandbox to listen", [sandbox]):
        if found := re.search(r"listening on (\S+)", sandbox.output()):
            return found[1]
    raise AssertionError  # _patiently raises before it ends


def _wait_until_ready(tail: Tail, children: list[Child]) -> None:
    for _ in _patiently(START_SECONDS, "the daemon to be ready", children):
        if any(fact["event"] == "daemon.ready" for fact in tail.new()):
            return


def _drop(inbox: Path) -> None:
    """As a program should: write where nobody looks, then rename."""
    name = "reviews.jsonl"
    with as_file(SAMPLE) as sample:
        shutil.copyfile(sample, inbox / ".tmp" / name)
    (inbox / ".tmp" / name).rename(inbox / name)


def _follow(tail: Tail, story: Story, view: View, children: list[Child]) -> None:
    """Tell every fact of the daemon's log, as it comes."""
    begun = time.monotonic()
    for _ in _patiently(STORY_SECONDS, "the file to be delivered", children):
        elapsed = time.monotonic() - begun
        for fact in tail.new():
            _tell(fact, story, view, elapsed)
        view.refresh(story, elapsed)
        if story.is_over:
            return


def _tell(fact: Fact, story: Story, view: View, elapsed: float) -> None:
    if fact["event"] == "job.rejected":
        raise DemoFailed(f"the sample was rejected: {fact.get('reason')}")
    if line := story.tell(fact):
        view.line(line, elapsed)


def _patiently(seconds: float, what: str, children: list[Child]) -> Iterator[None]:
    """Tick while the children live, for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for child in children:
            child.must_live()
        yield
        time.sleep(TICK_SECONDS)
    raise DemoFailed(f"waited {seconds:g} s for {what}, in vain")
