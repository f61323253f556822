"""What reading a table takes does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: In a process of its own, for its peak: reads what there is, and says by how much it grew.
READ = """
import resource, sys
from pathlib import Path
from batchd.core.tasks import TaskInput
from batchd.tables import ResultTable, find_layout, records_of
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
path, before = Path(sys.argv[1]), peak()
layout = find_layout(path, TaskInput(), name=path.name, pause=lambda: None)
table = ResultTable(path.with_name("results"), layout, ("answer",))
for record in records_of(path, layout, pause=lambda: None):
    table.write(record, {"answer": "x"})
table.close()
print(record.row, peak() - before)
"""
ROWS = 40_000
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
    done = subprocess.run(
        [sys.executable, "-c", READ, path], check=True, capture_output=True, text=True
    )
    rows, grown = map(int, done.stdout.split())
    assert rows == ROWS
    assert grown < MOST
