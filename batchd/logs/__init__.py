"""Where events go: stderr or the journal for whoever watches, and always `var/log/batchd.jsonl`.

Imported by the command line only; everybody else does `structlog.get_logger()`. Nothing here may
hurt the daemon: a full disk, a closed stderr or a folder that cannot be written costs log lines.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict, Processor, WrappedLogger

from batchd import settings
from batchd.core.errors import BatchdError, BrokenInvariant
from batchd.core.hiding import redact
from batchd.logs.cleaning import cleaner
from batchd.logs.handlers import RotatedFile, ToStream
from batchd.logs.journal import SOCKET, ToJournal, is_there
from batchd.logs.rendering import as_json, for_stream

__all__ = ["Logs", "configure", "redact"]

OURS = "batchd"


class Logs:
    """What `configure` set up; `close` takes it down again."""

    def __init__(self, handlers: Sequence[logging.Handler], *, level: int) -> None:
        self._handlers = handlers
        root = logging.getLogger()
        self._root_level = root.level
        # Other people's loggers say what is wrong and nothing more: openai's would tell prompts.
        root.setLevel(logging.WARNING)
        logging.getLogger(OURS).setLevel(level)
        for handler in handlers:
            handler.addFilter(_is_ours_or_a_warning)
            root.addHandler(handler)

    def adopt(self, values: settings.Logging) -> None:
        """Go by other settings from now on: level, `max_bytes` and `keep_files`."""
        level = _level(values)
        logging.getLogger(OURS).setLevel(level)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
        for handler in self._handlers:
            if isinstance(handler, RotatedFile):
                handler.limit(max_bytes=values.max_bytes, keep_files=values.keep_files)

    def close(self) -> None:
        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(self._root_level)
        logging.getLogger(OURS).setLevel(logging.NOTSET)
        structlog.reset_defaults()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """What nobody expected is in the log file too: stderr may be gone tomorrow."""
        is_known = isinstance(error, BatchdError) and not isinstance(error, BrokenInvariant)
        if isinstance(error, Exception) and not is_known:
            structlog.get_logger().critical("process.failed", exc_info=error)
        self.close()


def configure(
    values: settings.Logging,
    log_file: Path | None,
    *,
    stream: TextIO | None = None,
    secrets: Sequence[str] = (),
) -> Logs:
    """Events to `stream` (stderr) or the journal, and as JSON lines to `log_file`.

    `secrets` are hidden wherever they turn up, whatever they look like.
    """
    stream = sys.stderr if stream is None else stream
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,
        _facts_in_order,
        cleaner(secrets),
    ]
    wants_journal = values.target == "journal"
    handlers = [
        _to_journal(before) if wants_journal and is_there() else _to_stream(values, stream, before)
    ]
    trouble = None
    if log_file is not None:
        file = RotatedFile(log_file, max_bytes=values.max_bytes, keep_files=values.keep_files)
        file.setFormatter(_formatter(as_json, before))
        handlers.append(file)
        trouble = file.trouble()
    level = _level(values)
    structlog.configure(
        processors=[*before, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # loggers are made when modules are imported
    )
    logs = Logs(handlers, level=level)
    if wants_journal and not is_there():
        structlog.get_logger().warning("log.unavailable", file=SOCKET, error="no journal listens")
    if trouble:
        structlog.get_logger().warning("log.unavailable", file=log_file, error=trouble)
    return logs


def _to_stream(
    values: settings.Logging, stream: TextIO, before: Sequence[Processor]
) -> logging.Handler:
    handler = ToStream(stream)
    renderer = for_stream(values.format, stream, target=values.target)
    handler.setFormatter(_formatter(renderer, before))
    return handler


def _to_journal(before: Sequence[Processor]) -> logging.Handler:
    handler = ToJournal()
    handler.setFormatter(_formatter(as_json, before))
    return handler


def _level(values: settings.Logging) -> int:
    return logging.getLevelNamesMapping()[values.level.upper()]


def _formatter(renderer: Processor, before: Sequence[Processor]) -> ProcessorFormatter:
    return ProcessorFormatter(
        processors=[ProcessorFormatter.remove_processors_meta, renderer],
        foreign_pre_chain=[_name_the_logger, *before],
    )


def _is_ours_or_a_warning(record: logging.LogRecord) -> bool:
    """OPENAI_LOG=debug lowers openai's level when it is imported, after we have raised it."""
    ours = record.name == OURS or record.name.startswith(f"{OURS}.")
    return ours or record.levelno >= logging.WARNING


def _name_the_logger(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["logger"] = event["_record"].name
    return event


def _facts_in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`ts` (RFC 3339, UTC, milliseconds), level and event first, then the facts as they came."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    first = {"ts": now, "level": event.pop("level", "info"), "event": event.pop("event", "")}
    return {**first, **event}
