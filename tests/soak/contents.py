"""What the soak drops: contents whose every custom_id is theirs alone, and some that are no good."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.houses import requests

Requests = list[dict[str, Any]]

MOST_REQUESTS = 500
_MODELS = ("gpt-4o-mini", "gpt-4o")


@dataclass(frozen=True)
class Content:
    """Bytes, and the requests that are in them; None where they are to be rejected."""

    data: bytes
    requests: tuple[dict[str, Any], ...] | None

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def good(label: str, chance: random.Random) -> Content:
    """1 to 500 requests, many small files and some large ones; sometimes for two models."""
    count = 1 if chance.random() < 0.05 else MOST_REQUESTS if chance.random() < 0.03 else 0
    count = count or max(1, round(MOST_REQUESTS ** chance.uniform(0.1, 1)))
    second = chance.randrange(count) if chance.random() < 0.3 else count
    asked = requests(second, prefix=f"{label}-a", model=_MODELS[0])
    asked += requests(count - second, prefix=f"{label}-b", model=_MODELS[1])
    lines = [json.dumps(request).encode() for request in asked]
    return Content(chance.choice(_WRAPPINGS)(lines), tuple(asked))


def _plain(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _windows(lines: Sequence[bytes]) -> bytes:
    return b"\xef\xbb\xbf" + b"".join(line + b"\r\n" for line in lines)


def _endless(lines: Sequence[bytes]) -> bytes:
    return b"\n".join(lines)


_WRAPPINGS = (_plain, _plain, _plain, _windows, _endless)


def bad(label: str, chance: random.Random) -> Content:
    """Something that is wrong for good: it comes back with the reason."""
    asked = requests(chance.randint(2, 20), prefix=label)
    lines = [json.dumps(request).encode() for request in asked]
    chance.choice(_SPOILINGS)(lines, chance.randrange(len(lines)))
    return Content(_plain(lines), None)


def _no_json(lines: list[bytes], at: int) -> None:
    lines[at] = b"{" + lines[at]


def _twice_the_same_id(lines: list[bytes], at: int) -> None:
    lines.append(lines[at])


def _no_model(lines: list[bytes], at: int) -> None:
    lines[at] = lines[at].replace(b'"model"', b'"modle"')


_SPOILINGS: tuple[Callable[[list[bytes], int], None], ...] = (
    _no_json,
    _twice_the_same_id,
    _no_model,
)


def of_bytes(data: bytes) -> Content:
    """The content that a piece of a good one is."""
    try:
        lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
        asked = tuple(json.loads(line) for line in lines)
    except ValueError:
        return Content(data, None)
    return Content(data, asked or None)


def halves(content: Content, chance: random.Random) -> tuple[bytes, bytes]:
    """Cut it in two somewhere: between two lines, or in the middle of one."""
    data = content.data
    if chance.random() < 0.5 and len(content.requests or ()) > 1:
        ends = [at + 1 for at, byte in enumerate(data[:-1]) if byte == 0x0A]
        at = chance.choice(ends)
    else:
        at = chance.randrange(1, len(data) - 1)
    return data[:at], data[at:]


def pieces(data: bytes, chance: random.Random) -> list[bytes]:
    """Cut it into a few chunks, as a slow copy writes them."""
    cuts = sorted(chance.randrange(1, len(data)) for _ in range(chance.randint(1, 9)))
    edges = [0, *cuts, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if b > a]
