"""Tables that are dropped into a task's folder: how they get there, and what came of them."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs

from batchd.configuration.shipped import shipped
from batchd.sandbox.answers import answer_for
from tests.acceptance.processes import Processes
from tests.houses import read_lines, read_receipt

SAMPLES = shipped("config", "tasks", "samples")
DATA = Path(__file__).parents[2].parent / "shared" / "data"
Row = dict[str, Any]

csv.field_size_limit(10_000_000)


def with_ready_tasks(folder: Path) -> Path:
    """Put the ready tasks where a daemon of `Processes` in this folder finds them."""
    tasks = folder / "tasks"
    shutil.copytree(shipped("config", "tasks"), tasks)
    return tasks


def drop_into(root: Path, task: str, name: str, content: bytes) -> None:
    """Drop a file into a task's folder, as a program should: write elsewhere, rename."""
    inbox = root / "inbox"
    (inbox / ".tmp").mkdir(parents=True, exist_ok=True)
    (inbox / task).mkdir(exist_ok=True)
    (inbox / ".tmp" / name).write_bytes(content)
    (inbox / ".tmp" / name).rename(inbox / task / name)


def delivered_to(processes: Processes, root: Path, stem: str, *, within: float = 60.0) -> Path:
    """Wait for the folder of a dropped file."""

    def there() -> Path | None:
        outbox = root / "outbox"
        found = list(outbox.glob(f"{stem}--*")) if outbox.is_dir() else []
        return found[0] if found else None

    folder = Path(processes.wait(there, within=within, what=f"the folder of {stem}"))
    if (error := folder / "error.txt").exists():
        raise AssertionError(f"{folder.name}: {error.read_text(encoding='utf-8')}")
    return folder


def rows_of(content: bytes, name: str) -> list[Row]:
    """The rows of a small table, read without anything of batchd's."""
    text = content.decode("utf-8-sig")
    if name.endswith(".json"):
        return list(json.loads(text))
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines() if line]
    if name.endswith(".txt"):
        return [{"text": line} for line in text.splitlines() if line]
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def columns_of(content: bytes, name: str) -> list[str]:
    """The columns of a table, in order; of objects, those of the first."""
    return list(rows_of(content, name)[0])


def result_table(folder: Path, name: str) -> Path | None:
    """The table that comes back for a dropped one of this name."""
    names = {".csv": "results.csv", ".json": "results.json", ".jsonl": "records.jsonl"}
    found = names.get(Path(name).suffix)
    return folder / found if found else None


def requests_of(root: Path, folder: Path) -> list[list[Row]]:
    """The request lines of a job, round by round."""
    job = read_receipt(folder)["job"]
    rounds = (root / "var" / "work" / job / "rounds").glob("[0-9]*.jsonl")
    return [read_lines(path) for path in sorted(rounds, key=lambda path: int(path.stem))]


def asked_ids(request: Row) -> list[str]:
    """The ids that a request for several records ends with."""
    content = request["body"]["messages"][-1]["content"]
    return list(json.loads(content.rpartition("ids: ")[2]))


def answer_of(request: Row) -> Any:
    """What the sandbox answers to a request: the text, the parsed object, the vector, the result."""
    answer = answer_for(request["url"], request["body"])
    if "choices" in answer:
        text = answer["choices"][0]["message"]["content"]
        return json.loads(text) if "response_format" in request["body"] else text
    if "output" in answer:
        text = answer["output"][0]["content"][0]["text"]
        return json.loads(text) if "format" in request["body"].get("text", {}) else text
    return answer["data"][0]["embedding"] if "data" in answer else answer["results"][0]


def words_of(request: Row) -> str:
    """Everything that a request says, as one text."""
    body = request["body"]
    said = body["messages"][-1]["content"] if "messages" in body else body["input"]
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def misfits(schema: Row, values: Iterator[Any]) -> list[str]:
    """What does not fit a schema, in words."""
    check = jsonschema_rs.validator_for(schema, validate_formats=True)
    return [str(error) for value in values for error in check.iter_errors(value)]


def as_cell(value: Any) -> str:
    """A value as it stands in a CSV, for comparing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def same_cell(cell: str, value: Any) -> bool:
    """Whether a cell of a CSV says this value: JSON where it is a list, an object or a number."""
    if isinstance(value, list | dict | int | float):
        return bool(json.loads(cell) == value)
    return cell == as_cell(value)


def check_table(folder: Path, content: bytes) -> list[dict[str, Any]]:
    """The sender's columns and rows are what they were, byte for byte once parsed."""
    before = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    with (folder / "results.csv").open(encoding="utf-8-sig", newline="") as lines:
        after = list(csv.reader(lines, strict=True))
    width = len(before[0])
    assert [row[:width] for row in after] == before
    return rows_of((folder / "results.csv").read_bytes(), "results.csv")


SHOPS = ("GREEN GROCER", "CITY TRANSIT", "NORTH POWER", "STREAMFLIX.COM", "SHOES4U", "OLD OAK INN")


def transactions(count: int) -> bytes:
    """A bank's export, the same every time."""
    chance = random.Random(20260901)
    lines = ["date,description,amount"]
    for number in range(1, count + 1):
        amount = chance.choice([-1, -1, -1, 1]) * chance.randint(100, 250_000) / 100
        text = f"{chance.choice(SHOPS)} {chance.randint(1000, 9999)} REF {number:05}"
        lines.append(f"2026-09-{chance.randint(1, 30):02},{text},{amount:.2f}")
    return "\n".join(lines).encode() + b"\n"


def all_rows(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


def expected_entries(rounds: list[list[Any]]) -> dict[str, Any]:
    """The sandbox's answer to each record: the same in whatever company it is asked."""
    found: dict[str, Any] = {}
    for request in (request for each in rounds for request in each):
        for entry in answer_of(request)["records"]:
            assert found.setdefault(entry["id"], entry["answer"]) == entry["answer"]
            assert entry["answer"]["counterparty"].startswith(f"{entry['id']}: 2026-09-")
    return found
