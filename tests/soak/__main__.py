"""The long soak: `python -m tests.soak --files 200 --seconds 600 --kills 200 --seed 7`."""

from __future__ import annotations

import argparse
import random
import sys

from tests.soak.soaking import Size, SoakFailed, run_and_tell


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--kills", type=int, default=200, help="at least")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    try:
        run_and_tell(Size(**vars(parser.parse_args())), _say)
    except SoakFailed as failure:
        _say(f"FAILED: {failure}")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
