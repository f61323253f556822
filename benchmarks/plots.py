"""Two small pictures, drawn by hand: SVG is text, and a plotting library is ten times this project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from benchmarks.table import Measure, Results, Row, Series

_WIDTH, _LEFT, _BAR, _LINE = 760, 430, 250, 22
_FULL = 1.5  #: times the bar: what is longer is cut, and says its number
_GREEN, _RED, _GREY = "#2e7d32", "#c62828", "#9e9e9e"
_COLOURS = ("#1565c0", "#ef6c00", "#2e7d32", "#6a1b9a", "#c62828", "#00838f")
_HEIGHT, _TOP = 300, 30


def draw(results: Results) -> dict[str, str]:
    """Return the pictures by the names of their files."""
    return {"bars.svg": bars(results), "memory.svg": memory(results.values())}


def bars(results: Mapping[str, Row]) -> str:
    """Every figure that has a bar, as a share of it."""
    judged = [m for row in results.values() for m in row.measures if m.bar]
    end = 20 + _LINE * len(judged)
    x = _LEFT + _BAR / _FULL
    shapes = [shape for n, measure in enumerate(judged) for shape in _bar(measure, 20 + _LINE * n)]
    shapes.append(
        f'<line x1="{x:.0f}" y1="12" x2="{x:.0f}" y2="{end}" stroke="black" stroke-dasharray="4 3"/>'
    )
    shapes.append(_text(x, 9, "the bar", anchor="middle"))
    return _svg(_WIDTH, end + 8, shapes)


def _bar(measure: Measure, y: int) -> Iterable[str]:
    share = measure.judged / (measure.bar or 1)
    width = max(min(share, _FULL), 0) / _FULL * _BAR
    colour = _GREEN if measure.is_held else _RED
    yield _text(_LEFT - 8, y + 14, measure.what, anchor="end")
    yield f'<rect x="{_LEFT}" y="{y + 3}" width="{width:.1f}" height="14" fill="{colour}"/>'
    yield _text(_LEFT + width + 6, y + 14, f"{share:.2f}")


def memory(rows: Iterable[Row]) -> str:
    """Memory over the time of a run, each stretched to the same width: flat is what it should be."""
    series = [each for row in rows for each in row.series if each.megabytes]
    most = max((mb for each in series for mb in each.megabytes), default=1) * 1.1
    shapes = [
        f'<polyline points="{_points(each, most)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        for each, colour in zip(series, _cycled(len(series)), strict=True)
    ]
    for step in range(5):
        megabytes = most * step / 4
        y = _TOP + _HEIGHT * (1 - step / 4)
        shapes.append(
            f'<line x1="50" y1="{y:.0f}" x2="{_WIDTH - 10}" y2="{y:.0f}" stroke="{_GREY}"'
            ' stroke-width="0.4"/>'
        )
        shapes.append(_text(45, y + 4, f"{megabytes:.0f}", anchor="end"))
    shapes.append(_text(50, 16, "resident memory of the daemon in MB, from the drop to the folder"))
    return _svg(_WIDTH, _TOP + _HEIGHT + 12 + 16 * len(series), [*shapes, *_legend(series)])


def _points(series: Series, most: float) -> str:
    end = max(series.seconds[-1], 0.1)
    return " ".join(
        f"{50 + (_WIDTH - 60) * second / end:.0f},{_TOP + _HEIGHT * (1 - mb / most):.0f}"
        for second, mb in zip(series.seconds, series.megabytes, strict=True)
    )


def _legend(series: Sequence[Series]) -> Iterable[str]:
    for n, (each, colour) in enumerate(zip(series, _cycled(len(series)), strict=True)):
        y = _TOP + _HEIGHT + 20 + 16 * n
        yield f'<rect x="50" y="{y - 9}" width="20" height="4" fill="{colour}"/>'
        yield _text(78, y - 3, f"{each.name}: {each.seconds[-1]:.0f} s, up to "
                    f"{max(each.megabytes):.0f} MB")  # fmt: skip


def _cycled(count: int) -> list[str]:
    return [_COLOURS[n % len(_COLOURS)] for n in range(count)]


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: int, height: int, shapes: Iterable[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
    )
    ground = f'<rect width="{width}" height="{height}" fill="white"/>'
    return "\n".join((head, ground, *shapes, "</svg>", ""))
