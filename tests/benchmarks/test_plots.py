"""The pictures are well-formed, and show every figure that has a bar."""

from xml.etree import ElementTree

from benchmarks.plots import draw
from benchmarks.table import Measure, Row, Series

NAME = "{http://www.w3.org/2000/svg}"


def drawn(row: Row) -> dict[str, ElementTree.Element]:
    return {name: ElementTree.fromstring(text) for name, text in draw({"row": row}).items()}


def texts(picture: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{NAME}text")]


def test_a_figure_with_a_bar_has_its_share_of_it_beside_its_name():
    measures = (
        Measure(what="a < b", unit="s", values=(3,), bar=2),
        Measure(what="told only", unit="s", values=(3,)),
    )
    picture = drawn(Row(title="t", measures=measures))["bars.svg"]
    assert {"a < b", "1.50"} <= set(texts(picture))
    assert "told only" not in texts(picture)


def test_what_is_far_beyond_its_bar_stays_on_the_page():
    row = Row(title="t", measures=(Measure(what="x", unit="s", values=(500,), bar=1),))
    picture = drawn(row)["bars.svg"]
    widths = [float(r.get("width", 0)) for r in picture.iter(f"{NAME}rect")]
    assert max(widths[1:]) < float(picture.get("width", 0))


def test_a_run_is_a_line_and_has_its_name():
    series = Series(name="one file", seconds=(0.1, 0.2, 12.0), megabytes=(60.0, 100.0, 80.0))
    picture = drawn(Row(title="t", series=(series,)))["memory.svg"]
    (line,) = picture.iter(f"{NAME}polyline")
    assert len(line.get("points", "").split()) == 3
    assert "one file: 12 s, up to 100 MB" in texts(picture)


def test_without_any_figures_there_is_still_a_page():
    assert set(drawn(Row(title="t", skipped=("all of it",)))) == {"bars.svg", "memory.svg"}
