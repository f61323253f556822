"""What a sandbox is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_PORT = 8765
#: Whose accent it can speak: the keys of batchd.sandbox.dialects, for those in a hurry.
DIALECTS = (
    "openai",
    "azure",
    "together",
    "groq",
    "novita",
    "dashscope",
    "zhipu",
    "doubleword",
    "litellm",
    "maritaca",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """All times are seconds of the real clock; a day at the provider is a few of them here."""

    host: str = "127.0.0.1"
    port: int = 0  #: 0 takes any free port
    api_key: str | None = None  #: None accepts any bearer that is not empty
    batch_seconds: float = 3.0  #: from creation to completion
    validate_seconds: float = 0.5  #: from creation to in_progress (or failed)
    cancel_seconds: float = 0.2  #: how long `cancelling` lasts
    dialect: str = "openai"  #: one of DIALECTS
    expiry_speed: float = 1.0  #: files expire so many times sooner than they were told to
    seed: str = ""  #: changes the order of the outputs and nothing else
    folder: Path | None = None  #: where the files lie; None is a temporary one, removed at the end
    webhook: str | None = None  #: where to ring when a batch is over; None rings nowhere
    webhook_secret: str = ""  #: what the rings are signed with; whsec_ and base64, or plain text
    faults: Mapping[str, object] = field(default_factory=dict)  #: see batchd.sandbox.faults

    def __post_init__(self) -> None:
        if self.dialect not in DIALECTS:
            raise ValueError(f"no such dialect: {self.dialect}; there are {', '.join(DIALECTS)}")
