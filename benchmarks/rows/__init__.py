"""One module per row of the table: each measures one thing against the sandbox.

A row has a `TITLE` and a function `measure(bench)` that returns a `Row`.
"""

from __future__ import annotations

#: In the order of the page.
NAMES = (
    "native", "tabled", "large", "lag", "million", "latency", "opened", "idle", "small", "five",
    "hundred", "cold", "peers",
)  # fmt: skip
