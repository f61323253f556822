"""What reading a table takes does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workbooks import package

#: In a process of its own, for its peak: reads what there is, and says by how much it grew.
READ = """
import sys
from pathlib import Path
from batchd.core.tasks import TaskInput
from batchd.tables import ResultTable, find_layout, records_of
def peak():  # not ru_maxrss, which a child has from its parent, and that has the table
    (line,) = (one for one in open("/proc/self/status") if one.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
path, before = Path(sys.argv[1]), peak()
layout = find_layout(path, TaskInput(), name=path.name, pause=lambda: None)
table = ResultTable(path.with_name("results"), layout, ("answer",))
for record in records_of(path, layout, pause=lambda: None):
    table.write(record, {"answer": "x"})
table.close()
print(record.row, peak() - before)
"""
ROWS = 40_000
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux's /proc"
)
MOST = 24 << 20  #: bytes; the tables below have 80 MB


@pytest.mark.processes
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl", "a.txt"])
def test_a_large_table_takes_no_more_memory_than_a_small_one(tmp_path, name):
    path = tmp_path / name
    text = "two words " * 200
    line = {"a.csv": f"1,{text}", "a.txt": text}.get(name) or json.dumps({"t": text})
    between = ",\n" if name == "a.json" else "\n"
    start, end = {"a.csv": ("id,text\n", ""), "a.json": ("[", "]")}.get(name, ("", ""))
    path.write_text(start + between.join([line] * ROWS) + end)
    assert path.stat().st_size > 3 * MOST
    assert grown_by(path) < MOST


@pytest.mark.processes
def test_a_large_workbook_takes_no_more_memory_than_a_small_one(tmp_path):
    """Each text is unlike all others, and lies where Excel puts it: shared, and shared by nobody."""
    text = "two words " * 200
    rows = "".join(f'<row><c t="s"><v>{n}</v></c></row>' for n in range(ROWS + 1))
    texts = "".join(f"<si><t>{n} {text}</t></si>" for n in range(ROWS + 1))
    assert len(texts) > 3 * MOST
    assert grown_by(package(tmp_path / "a.xlsx", rows, texts=texts)) < MOST


def grown_by(path: Path) -> int:
    """Bytes more that a process had while it read and wrote all of a table."""
    done = subprocess.run(
        [sys.executable, "-c", READ, path], check=True, capture_output=True, text=True
    )
    rows, grown = map(int, done.stdout.split())
    assert rows == ROWS
    return grown
