"""`POST /v1/files`: a multipart body streamed to disk, and judged while it passes."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from batchd.core.limits import MAX_UPLOAD_BYTES
from batchd.sandbox.wire import ApiError

_MAX_FIELD_BYTES = 64 * 1024  # `purpose` and its like are a few bytes


class Received:
    """The one file of an upload: on disk already, and what was noticed on its way there."""

    def __init__(self, path: Path, filename: str) -> None:
        self.path = path
        self.filename = filename
        self.bytes = 0
        self.is_utf8 = True
        self.sha = hashlib.sha256()
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._sink: BinaryIO = path.open("wb")

    @property
    def is_too_large(self) -> bool:
        return self.bytes > MAX_UPLOAD_BYTES

    def write(self, data: bytes) -> None:
        self.bytes += len(data)
        if self.is_too_large:
            return  # read to its end, or the client never hears the refusal; but not kept
        self._sink.write(data)
        self.sha.update(data)
        self._check_utf8(data)

    def close(self) -> None:
        self._check_utf8(b"", final=True)
        self._sink.close()

    def discard(self) -> None:
        self._sink.close()
        self.path.unlink(missing_ok=True)

    def starts_with_json(self) -> bool:
        """Whether the first line parses. A BOM passes here and fails the batch (seen 2026-08)."""
        with self.path.open("rb") as source:
            first = source.readline().removeprefix(codecs.BOM_UTF8)
        try:
            msgspec.json.decode(first)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return True

    def _check_utf8(self, data: bytes, *, final: bool = False) -> None:
        if not self.is_utf8:
            return
        try:
            self._utf8.decode(data, final)
        except UnicodeDecodeError:
            self.is_utf8 = False


class Form:
    """Takes the body apart as it comes: fields into memory, the file to disk."""

    def __init__(self, content_type: str, path: Path) -> None:
        self.fields: dict[str, str] = {}
        self.file: Received | None = None
        self._path = path
        self._parser = MultipartParser(_boundary(content_type), self._callbacks())  # type: ignore[arg-type]
        self._new_part()

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in chunks:
                self._parser.write(chunk)
            self._parser.finalize()
        except FormParserError as error:
            raise ApiError(400, "Could not parse multipart form.") from error
        if self.file:
            self.file.close()

    def discard(self) -> None:
        if self.file:
            self.file.discard()

    def _callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._new_part,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._end_of_header,
            "on_headers_finished": self._end_of_headers,
            "on_part_data": self._data,
            "on_part_end": self._end_of_part,
        }

    def _new_part(self) -> None:
        self._name, self._is_file = "", False
        self._headers: dict[bytes, bytes] = {}
        self._key, self._value = b"", b""
        self._text = bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._key += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_of_header(self) -> None:
        self._headers[self._key.lower()] = self._value
        self._key, self._value = b"", b""

    def _end_of_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode(errors="replace")
        self._is_file = self._name == "file" and self.file is None
        if self._is_file:
            filename = options.get(b"filename", b"upload").decode(errors="replace")
            self.file = Received(self._path, filename)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file and self.file:
            self.file.write(data[start:end])
        elif len(self._text) < _MAX_FIELD_BYTES:
            self._text += data[start:end]

    def _end_of_part(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._text.decode(errors="replace")


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise ApiError(400, "Expected a multipart/form-data body.")
    return options[b"boundary"]
