"""What a sandbox is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_PORT = 8765


@dataclass(frozen=True, kw_only=True)
class Options:
    """All times are seconds of the real clock; a day at the provider is a few of them here."""

    host: str = "127.0.0.1"
    port: int = 0  #: 0 takes any free port
    api_key: str | None = None  #: None accepts any bearer that is not empty
    batch_seconds: float = 3.0  #: from creation to completion
    validate_seconds: float = 0.5  #: from creation to in_progress (or failed)
    cancel_seconds: float = 0.2  #: how long `cancelling` lasts
    seed: str = ""  #: changes the order of the outputs and nothing else
    folder: Path | None = None  #: where the files lie; None is a temporary one, removed at the end
    faults: Mapping[str, object] = field(default_factory=dict)  #: see batchd.sandbox.faults
