"""What the demo leaves: the folder, a few answers, the receipt, and what to do next."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from batchd.cli.demo_story import Story

SHOWN = 5
EXCERPT = 60  # characters of a review
UNPAID = (
    "The sandbox answered, by keywords: nothing was paid. The cost is OpenAI's for these tokens."
)


def show_results(root: Path, story: Story, *, sample: Traversable, console: Console) -> None:
    folder = root / "outbox" / (story.folder or "")
    console.print(_tree(folder))
    console.print(_answers(folder, sample))
    console.print(Text(_summary(folder)), soft_wrap=True)
    console.print(Text(f"{UNPAID}\n", "dim"), soft_wrap=True)
    console.print(Text(_next(root)), soft_wrap=True)


def _tree(folder: Path) -> Tree:
    tree = Tree(Text("outbox/"))
    _grow(tree.add(Text(f"{folder.name}/", style="bold green")), folder)
    return tree


def _grow(branch: Tree, folder: Path) -> None:
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name.lower())):
        if path.is_dir():
            _grow(branch.add(Text(f"{path.name}/")), path)
        else:
            branch.add(Text.assemble(path.name, (f"  {path.stat().st_size:,} bytes", "dim")))


def _answers(folder: Path, sample: Traversable) -> Table:
    """Some of results.jsonl, each beside what was asked."""
    asked = {request["custom_id"]: request for request in _lines(sample.read_text("utf-8"))}
    results = list(_lines((folder / "results.jsonl").read_text("utf-8")))
    table = Table("review", "answer", box=box.SIMPLE, title=None)
    for result in results[:SHOWN]:
        review = asked[result["custom_id"]]["body"]["messages"][-1]["content"]
        table.add_row(Text(_excerpt(review)), _answer(result))
    table.caption = f"{min(SHOWN, len(results))} of {len(results)} lines of results.jsonl"
    return table


def _lines(text: str) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in text.splitlines())


def _excerpt(text: str) -> str:
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT].rsplit(' ', 1)[0]} …"


def _answer(result: dict[str, Any]) -> Text:
    if not result["ok"]:
        return Text(str(result["error"]["code"]), style="red")
    colours = {"positive": "green", "negative": "red"}
    return Text(str(result["output"]), style=colours.get(result["output"], ""))


def _summary(folder: Path) -> str:
    """The receipt's first paragraph: the counts, the time, the cost."""
    return (folder / "RECEIPT.txt").read_text("utf-8").partition("\n\n")[0].rstrip()


def _next(root: Path) -> str:
    return (
        f"It all lies in {root}; when you have seen it: rm -r {shlex.quote(str(root))}\n\n"
        "With your own key, in a folder of your own:\n\n"
        "    export OPENAI_API_KEY=…\n"
        f"    {_run()}\n\n"
        "Then drop a file of requests into inbox/."
    )


def _run() -> str:
    """The command as this user can type it."""
    if shutil.which("batchd"):
        return "batchd run"
    program, here = Path(sys.executable).parent / "batchd", Path.cwd()
    short = program.relative_to(here) if program.is_relative_to(here) else program
    return f"{short} run"
