"""Workbooks as other programs write them: a package made of the parts that a test is about."""

from __future__ import annotations

import zipfile
from pathlib import Path

_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"

#: By their place: a day, a day and hour, a duration, a day again, no day, a time, a Japanese day.
STYLES = (14, 22, 164, 165, 166, 167, 30)
DAY, MOMENT, DURATION, ISO_DAY, DAYS, TIME, REIWA = (str(at) for at in range(1, 8))
_FORMATS = {
    164: "[h]:mm:ss",
    165: r"yyyy\-mm\-dd;@",
    166: "0.00 &quot;days&quot;",
    167: "hh:mm",
}


def package(path: Path, rows: str, *, texts: str | None = None, **others: str) -> Path:
    """Write a workbook of one sheet "S" with these rows of XML; `others` are parts to be otherwise."""
    parts = {
        "_rels/.rels": relations(document=("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": book('<sheet name="S" sheetId="1" r:id="rows"/>'),
        "xl/_rels/workbook.xml.rels": relations(
            rows=("worksheet", "worksheets/sheet1.xml"),
            styles=("styles", "styles.xml"),
            texts=("sharedStrings", "/xl/sharedStrings.xml"),
        ),
        "xl/styles.xml": styles(),
        "xl/worksheets/sheet1.xml": sheet(rows),
    }
    if texts is not None:
        parts["xl/sharedStrings.xml"] = shared(texts)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in (parts | others).items():
            file.writestr(name, content)
    return path


def relations(**targets: tuple[str, str]) -> str:
    """What a part refers to: by an id, of which kind, and where."""
    found = "".join(
        f'<Relationship Id="{id}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for id, (kind, target) in targets.items()
    )
    return f'<?xml version="1.0"?><Relationships xmlns="{_PACKAGE}">{found}</Relationships>'


def book(sheets: str, *, date1904: str = "0") -> str:
    """The list of the sheets."""
    return (
        f'<?xml version="1.0"?><workbook {_MAIN} xmlns:r="{_OFFICE}">'
        f'<workbookPr date1904="{date1904}"/><sheets>{sheets}</sheets></workbook>'
    )


def styles() -> str:
    """Formats: none, and then those of `STYLES`."""
    named = "".join(f'<numFmt numFmtId="{n}" formatCode="{c}"/>' for n, c in _FORMATS.items())
    cells = "".join(f'<xf numFmtId="{number}"/>' for number in (0, *STYLES))
    return (
        f'<?xml version="1.0"?><styleSheet {_MAIN}><numFmts>{named}</numFmts>'
        f'<cellStyleXfs><xf numFmtId="9"/></cellStyleXfs><cellXfs>{cells}</cellXfs></styleSheet>'
    )


def sheet(rows: str, *, before: str = "", after: str = "") -> str:
    """A sheet with these rows."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><worksheet {_MAIN}>{before}'
        f"<sheetData>{rows}</sheetData>{after}</worksheet>"
    )


def shared(texts: str) -> str:
    """The texts that cells share."""
    return f'<?xml version="1.0" encoding="UTF-8"?><sst {_MAIN}>{texts}</sst>'
