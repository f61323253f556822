"""Where a line is written: a stream, or a file that is put aside when it is full."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TextIO

#: What writing a line may raise: a full disk, a closed stream; and what other people's loggers
#: may, whose arguments do not fit their text. None of it may reach the one who logs.
TROUBLE = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError)


class Quiet(logging.Handler):
    """A handler whose troubles are nobody else's."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(*TROUBLE):
            self.write(self.format(record))

    def write(self, line: str) -> None:
        raise NotImplementedError


class ToStream(Quiet):
    """stderr, whatever it is."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


class RotatedFile(Quiet):
    """`FILE`, `FILE.1` ... `FILE.n`, the newest first. logrotate may take the file away as well.

    The standard library's was considered: it keeps half a line in its buffer when the disk is
    full, writes nothing more once a rename fails, and goes on writing to a file that was moved.
    """

    def __init__(self, file: Path, *, max_bytes: int, keep_files: int) -> None:
        super().__init__()
        self._file = file
        self._max_bytes = max_bytes
        self._keep_files = keep_files
        self._descriptor: int | None = None
        self._is_torn = False  #: the last line has no end: it did not fit on the disk

    def limit(self, *, max_bytes: int, keep_files: int) -> None:
        """Keep so much from now on. Older files than that stay until somebody takes them away."""
        self._max_bytes, self._keep_files = max_bytes, keep_files

    def trouble(self) -> str | None:
        """Why nothing can be written, asked once at the start; later it would be asked in vain."""
        try:
            self._open()
        except OSError as error:
            return str(error)
        return None

    def write(self, line: str) -> None:
        data = f"{line}\n".encode()
        descriptor = self._ready(room=len(data))
        if self._is_torn:
            data = b"\n" + data
        self._is_torn = os.write(descriptor, data) < len(data)

    def _ready(self, *, room: int) -> int:
        """The file to write to, which has room for that many bytes."""
        descriptor = self._descriptor
        if descriptor is None or self._was_moved(descriptor):
            descriptor = self._open()
        size = os.fstat(descriptor).st_size
        if size and size + room > self._max_bytes and self._put_aside():
            descriptor = self._open()
        return descriptor

    def _was_moved(self, descriptor: int) -> bool:
        try:
            there = self._file.stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(os.fstat(descriptor), there)

    def _open(self) -> int:
        self._close_file()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = self._descriptor = os.open(self._file, flags, 0o640)
        size = os.fstat(descriptor).st_size
        self._is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        return descriptor

    def _put_aside(self) -> bool:
        """False where renaming is refused: then the file grows, and no line is lost."""
        names = [self._file, *(self._aside(n) for n in range(1, self._keep_files + 1))]
        try:
            for newer, older in zip(names[-2::-1], names[:0:-1], strict=True):
                if newer.exists():
                    newer.replace(older)
        except OSError:
            return False
        return True

    def _aside(self, number: int) -> Path:
        return self._file.with_name(f"{self._file.name}.{number}")

    def _close_file(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def close(self) -> None:
        self._close_file()
        super().close()
