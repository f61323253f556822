"""`python -m benchmarks --rounds 5 --rows native,opened`: measure, and write RESULTS.md and its plots.

Figures are kept in results.json beside the page: a row that is not measured anew keeps the ones
that it has, with their date.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import msgspec

from benchmarks.bench import HERE, Bench, Sizes
from benchmarks.machine import load, machine
from benchmarks.plots import draw
from benchmarks.rows import NAMES
from benchmarks.table import Results, Row, figure, page


def main() -> int:
    given = _arguments()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # nothing is left behind
    folder = Path(tempfile.mkdtemp(prefix="batchd-bench-", dir=given.folder))
    sizes = Sizes(
        small_files=given.small_files,
        large_shards=given.large_shards,
        million_shards=given.million_shards,
        opens=tuple(given.opens),
    )
    bench = Bench(folder=folder, rounds=given.rounds, sizes=sizes)
    try:
        for name in given.rows:
            keep(given.into, name, measured(name, bench))
    finally:
        shutil.rmtree(folder)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--rows", type=_rows, default=NAMES, help=", ".join(NAMES))
    usual = Sizes()
    parser.add_argument("--small-files", type=int, default=usual.small_files)
    parser.add_argument("--large-shards", type=int, default=usual.large_shards, help="of 198 MB")
    parser.add_argument("--million-shards", type=int, default=usual.million_shards)
    parser.add_argument("--opens", type=int, nargs="+", default=usual.opens)
    parser.add_argument("--folder", help="on which file system; some rows need gigabytes")
    parser.add_argument("--into", type=Path, default=HERE, help="where RESULTS.md is written")
    return parser.parse_args()


def _rows(given: str) -> list[str]:
    names = given.split(",")
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(sorted(unknown))}")
    return names


def measured(name: str, bench: Bench) -> Row:
    """Measure one row, and say what came out."""
    sys.stdout.write(f"{name} ...\n")
    sys.stdout.flush()
    before = load()
    row: Row = import_module(f"benchmarks.rows.{name}").measure(bench)
    for measure in row.measures:
        ratio = "" if measure.ratio is None else f" ({measure.ratio:.2f} x {measure.against_what})"
        held = {True: "held", False: "MISSED", None: ""}[measure.is_held]
        said = figure(measure.measured, measure.unit)
        sys.stdout.write(f"  {measure.what}: {said}{ratio} {held}\n")
    for reason in row.skipped:
        sys.stdout.write(f"  not measured: {reason}\n")
    return msgspec.structs.replace(
        row,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        rounds=bench.rounds,
        load=(round(before, 1), round(load(), 1)),
    )


def keep(folder: Path, name: str, row: Row) -> None:
    """Put a row beside the others, and draw the page anew."""
    path = folder / "results.json"
    known = msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else {}
    known[name] = row
    results = {name: known[name] for name in NAMES if name in known}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    pictures = draw(results)
    for picture, drawn in pictures.items():
        (folder / picture).write_text(drawn, encoding="utf-8")
    (folder / "RESULTS.md").write_text(page(results, machine(), pictures), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
