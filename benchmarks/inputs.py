"""The files that are dropped. Written fast: their making is not what is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

TEXT_BYTES = 3_830  #: with the rest of a line: 198 MB in 49,900 requests
_ID, _TEXT = "@id@", "@text@"


def lines(
    count: int, *, text_bytes: int = 60, first: int = 0, prefix: str = "r"
) -> Iterator[bytes]:
    """Yield request lines, each with a text of its own of so many bytes."""
    template = json.dumps(
        {
            "custom_id": _ID,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": _TEXT}]},
        }
    )
    before, rest = template.split(_ID)
    between, after = rest.split(_TEXT)
    for number in range(first, first + count):
        words = f"question {number}: what of this is new? "
        text = (words * (text_bytes // len(words) + 1))[:text_bytes]
        yield f"{before}{prefix}-{number}{between}{text}{after}\n".encode()


def write(path: Path, count: int, *, text_bytes: int = 60, prefix: str = "r") -> Path:
    """Write a file of so many requests."""
    with path.open("wb") as file:
        file.writelines(lines(count, text_bytes=text_bytes, prefix=prefix))
    return path


def is_in_order(path: Path, count: int, *, prefix: str = "r") -> bool:
    """Whether a file of results has every request's line, in the order of the input."""
    with path.open("rb") as file:
        found = (json.loads(line)["custom_id"] for line in file)
        wanted = (f"{prefix}-{number}" for number in range(count))
        return all(a == b for a, b in zip(found, wanted, strict=True))
