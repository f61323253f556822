"""The XML that a workbook is made of, a piece at a time: nothing is kept but what its reader keeps.

openpyxl's own readers keep all texts, and an empty element of every row and text that went by (figures
in `excel.py`). What is read here is what expat says, and forgotten.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from typing import BinaryIO
from xml.etree import ElementTree
from xml.parsers import expat

from batchd.core.splitting import MAX_FIELD
from batchd.tables.opening import Pause

_PIECE = 1 << 16  #: bytes; less is more calls, more is rows that wait in memory
_LONGEST_TAG = (
    1 << 20
)  #: bytes; expat begins each anew with every piece, which takes squares of time
#: How a workbook writes what XML has no letter for; an underscore that is one is _x005F_ (ECMA-376,
#: 22.9.2.19).
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_SPACE = " \t\r\n"


#: What reading a damaged zip file, or damaged XML, raises.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, expat.ExpatError, ElementTree.ParseError)


class BadPart(Exception):
    """What no whole workbook has in it; the text says what."""


class Part:
    """One part of a workbook, given to expat as it is asked for."""

    #: What its elements are called. Most programs write `row`, some `x:row`.
    names: tuple[str, ...] = ()

    def __init__(self, stream: BinaryIO, pause: Pause) -> None:
        self._stream = stream
        self._pause = pause
        self._fed = 0
        self._letters = list[str]()  #: since a text last began
        self._is_kept = False  #: whether the text's spaces are to be kept at both ends
        self._is_spoken = False  #: within what tells how a text is pronounced
        self._text = ""  #: of a text, as far as it is read
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.CharacterDataHandler = self._letters.append
        self._parser.StartElementHandler = self._root
        self._parser.StartDoctypeDeclHandler = _no_doctype

    def read_on(self) -> bool:
        """Read another piece; False where that was the last."""
        self._pause()
        piece = self._stream.read(_PIECE)
        self._parser.Parse(piece, not piece)
        self._fed += len(piece)
        if piece and self._fed - self._parser.CurrentByteIndex > _LONGEST_TAG:
            raise BadPart(f"it has a tag longer than {_LONGEST_TAG:,} bytes")
        if len(self._text) + sum(map(len, self._letters)) > MAX_FIELD:
            raise BadPart(f"it has a text longer than {MAX_FIELD:,} characters")
        return bool(piece)

    def close(self) -> None:
        """Let the file go."""
        self._stream.close()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        raise NotImplementedError

    def end(self, name: str) -> None:
        """An element ends."""
        raise NotImplementedError

    def named(self, prefix: str) -> None:
        """Before the first element within the root: how names begin here."""
        raise NotImplementedError

    def _root(self, name: str, _attributes: dict[str, str]) -> None:
        prefix, colon, _ = name.rpartition(":")
        self.named(prefix + colon)
        self._parser.StartElementHandler = self.start
        self._parser.EndElementHandler = self.end

    def begin_text(self, attributes: dict[str, str]) -> None:
        """Forget the letters so far: those of a text follow."""
        self._letters.clear()
        self._is_kept = attributes.get("xml:space") == "preserve"

    def end_text(self) -> None:
        """Add what was read to the text, unless it only says how that is pronounced."""
        if not self._is_spoken:
            text = "".join(self._letters)
            self._text += text if self._is_kept else text.strip(_SPACE)


def unescaped(text: str) -> str:
    """Return a text with the letters that XML has none for."""
    if "_x" not in text:
        return text
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    # Two escapes may be the halves of one letter; half a letter alone is none.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _no_doctype(*_: object) -> None:
    raise BadPart("it declares a document type, as no workbook does")
