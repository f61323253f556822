"""`python -m batchd`."""

from __future__ import annotations

from batchd.cli import main

if __name__ == "__main__":
    main()
