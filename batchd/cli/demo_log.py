"""The daemon's JSON log, followed: each fact once, as it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Fact = dict[str, Any]


class Tail:
    """What was added to a file since the last look. The file may not be there yet."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0

    def new(self) -> list[Fact]:
        try:
            with self._file.open("rb") as log:
                log.seek(self._offset)
                data = log.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]  # the last line may be half written
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
