"""A workbook's package: a zip file whose parts name each other. Which sheets it has, and their rows.

Little is asked of it, for programs write the rest in many ways: what its sheets are called, where
they lie, and which formats are of days.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from batchd.tables.opening import Pause
from batchd.tables.parts import DAMAGE, BadPart
from batchd.tables.shared import NoStrings, SharedStrings
from batchd.tables.sheets import Formats, Sheet, formats_of

#: Bytes of a part that is held whole: the list of the sheets, the formats. Excel has 65,490 formats
#: at most, which are 10 MB.
MOST_HELD = 32_000_000
_OLE = bytes.fromhex(
    "d0cf11e0a1b11ae1"
)  #: how .xls begins, and every file of Office with a password
_LOCKED = "EncryptedPackage".encode("utf-16-le")  #: [MS-OFFCRYPTO] 2.3.4.4
_TRUE = ("1", "true", "on")


@dataclass(frozen=True, slots=True)
class SheetName:
    """A sheet as the workbook lists it."""

    name: str
    part: str
    is_hidden: bool


class Workbook:
    """One workbook, open. Everything raises `BadPart` for what is no whole one."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        with damaged_is_bad():
            self._zip = _opened(path)
        self._parts = {_plain(one.filename): one for one in self._zip.infolist()}
        self._book = self._target("", "officeDocument") or "xl/workbook.xml"
        if other := self._other_kind():
            self.close()
            raise BadPart(f"it is an {other}")

    def close(self) -> None:
        """Let the file go."""
        self._zip.close()

    def _other_kind(self) -> str | None:
        if self._book.endswith(".bin"):
            return ".xlsb"
        return ".ods, an OpenDocument" if "content.xml" in self._parts else None

    @property
    def inflated(self) -> int:
        """Bytes that it says it unpacks to. Python's zipfile holds every part to it."""
        return sum(one.file_size for one in self._parts.values())

    @cached_property
    def sheets(self) -> tuple[SheetName, ...]:
        """Those with cells: not those of charts."""
        parts = {id: part for id, kind, part in self._related(self._book) if kind == "worksheet"}
        return tuple(self._sheets(parts))

    @contextmanager
    def opened(self, sheet: SheetName, *, pause: Pause) -> Iterator[Sheet]:
        """Open a sheet to read its rows."""
        with damaged_is_bad():
            strings = self._strings(pause)
            try:
                with self._stream(sheet.part) as stream:
                    formats = self._formats
                    yield Sheet(stream, strings=strings, formats=formats, pause=pause)
            finally:
                strings.close()

    def _strings(self, pause: Pause) -> SharedStrings | NoStrings:
        part = self._target(self._book, "sharedStrings")
        if part is None or _plain(part) not in self._parts:
            return NoStrings()
        return SharedStrings(self._stream(part), pause=pause, folder=self._folder)

    @cached_property
    def _root(self) -> ElementTree.Element:
        return self._tree(self._book)

    def _sheets(self, parts: dict[str, str]) -> Iterator[SheetName]:
        for one in _all(self._root, "sheet"):
            id = next((value for key, value in one.items() if key.endswith("}id")), "")
            if id in parts:
                hidden = one.get("state", "visible") != "visible"
                yield SheetName(one.get("name", ""), parts[id], hidden)

    @cached_property
    def _formats(self) -> Formats:
        counts = (one.get("date1904", "") for one in _all(self._root, "workbookPr"))
        is_1904 = next(counts, "") in _TRUE
        part = self._target(self._book, "styles")
        if part is None or _plain(part) not in self._parts:
            return Formats(is_1904=is_1904)
        root = self._tree(part)
        styles = {
            _int(one.get("numFmtId")): one.get("formatCode", "") for one in _all(root, "numFmt")
        }
        of_cells = next(_all(root, "cellXfs"), ())
        cells = [_int(one.get("numFmtId")) for one in of_cells]
        return formats_of(styles, cells, is_1904=is_1904)

    def _target(self, part: str, kind: str) -> str | None:
        return next((to for _, what, to in self._related(part) if what == kind), None)

    def _related(self, part: str) -> Iterator[tuple[str, str, str]]:
        """Yield what a part refers to: an id, what it is, and the other part. "" is the package."""
        folder, name = posixpath.split(part)
        listed = posixpath.join(folder, "_rels", f"{name}.rels")
        if _plain(listed) in self._parts:
            for one in self._tree(listed):
                target = posixpath.join("/", folder, one.get("Target", ""))
                kind = one.get("Type", "").rpartition("/")[2]
                yield one.get("Id", ""), kind, posixpath.normpath(target).lstrip("/")

    def _tree(self, part: str) -> ElementTree.Element:
        with damaged_is_bad(), self._stream(part) as stream:
            content = stream.read(MOST_HELD + 1)
            if len(content) > MOST_HELD:
                raise BadPart(f"{part} in it has more than {MOST_HELD:,} bytes")
            return ElementTree.fromstring(content)

    def _stream(self, part: str) -> BinaryIO:
        found = self._parts.get(_plain(part))
        if found is None:
            raise BadPart(f"there is no {part} in it")
        if found.flag_bits & 1:
            raise BadPart("it is locked with a password")
        if found.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadPart("it is compressed as no workbook is")
        stream: BinaryIO = self._zip.open(found)  # type: ignore[assignment]
        return stream


@contextmanager
def damaged_is_bad() -> Iterator[None]:
    """Raise `BadPart` for whatever a damaged file makes the libraries raise."""
    try:
        yield
    except DAMAGE as error:
        raise BadPart(str(error)) from error


def _opened(path: Path) -> zipfile.ZipFile:
    with path.open("rb") as file:
        if file.read(len(_OLE)) == _OLE:
            raise BadPart(_older(file))
    try:
        return zipfile.ZipFile(path)
    except (ValueError, NotImplementedError) as error:  # names that are none, a zip of tomorrow
        raise BadPart(str(error)) from error


def _older(file: BinaryIO) -> str:
    """What a file is that is laid out as Office did before 2007: in sectors, with a list of names."""
    file.seek(0)
    header = file.read(512)
    size = 1 << int.from_bytes(header[30:32], "little") % 16
    file.seek((int.from_bytes(header[48:52], "little") + 1) * size)
    if _LOCKED in file.read(size):
        return "it is locked with a password"
    return "it is an .xls, as Excel wrote them before 2007, or locked with a password"


def _plain(part: str) -> str:
    """Return a part's name as others may write it: some programs of Windows took the other slash."""
    return part.replace("\\", "/").lstrip("/").lower()


def _all(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return root.iterfind(f".//{{*}}{name}")


def _int(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
