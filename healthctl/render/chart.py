"""Charts of history: the mean as a line in the band from the least to the greatest value, and nothing where no data is.

Drawn here because no library in Debian draws such bands, in Unicode and in ASCII alike.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from healthctl.render.axis import Window, ticks
from healthctl.render.line import Line, Span, cells, length
from healthctl.render.scale import Measure, Scale, measure, scale
from healthctl.render.style import Style
from healthctl.render.units import span
from healthctl.series import Point, Series, resolution

_LARGEST = 1e24
"""Beyond what any unit has values for."""


class _Pen(NamedTuple):
    """What a chart is drawn with."""

    across: int
    """Dots of one character, side by side."""
    up: int
    """Dots of one character, one above the other."""
    side: str
    side_tick: str
    corner: str
    floor: str
    floor_tick: str


class _Paper(NamedTuple):
    """Where a chart is drawn, beside its axis."""

    columns: int
    rows: int
    pen: _Pen


_BRAILLE = _Pen(2, 4, "│", "┤", "└", "─", "┬")
_ASCII = _Pen(1, 1, "|", "+", "+", "-", "+")
# Bits of the dots in a braille character, each column from the lowest dot to the highest (Unicode 15, section 21.1).
_DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))


def most(kinds: Iterable[str], width: int) -> int:
    """Return how many points charts of these units can show on so many columns."""
    gutter = max(measure(unit, "°C").column for unit in kinds)
    return _BRAILLE.across * max(width - gutter - 2, 1)


def charts(shown: Sequence[Series], window: Window, width: int, style: Style) -> list[str]:
    """Draw charts below one another, on the same time axis; no line is wider than the width."""
    rows = 9 if len(shown) <= 2 else 7 if len(shown) <= 4 else 5
    kinds = [measure(series.unit, style.glyphs.degree) for series in shown]
    scales = [_scale(series, kind, rows) for series, kind in zip(shown, kinds, strict=True)]
    labels = [cells(tick.label) for found in scales if found for tick in found.ticks]
    gutter = max([*labels, *(kind.column for kind in kinds)])
    paper = _Paper(max(width - gutter - 2, 1), rows, _BRAILLE if style.unicode else _ASCII)
    lines: list[Line] = []
    for series, kind, found in zip(shown, kinds, scales, strict=True):
        title: Line = [(style.clean(series.address), "bold"), ("  ", ""), (style.clean(series.summary), "dim")]
        lines += [[], title] if lines else [title]
        if found is None:
            lines.append([("no data in this time", "dim")])
            continue
        lines += _beside(found, gutter, paper, _plot(series.points, window, found, paper))
        lines += _below(window, gutter, paper)
        lines += _flow(_figures(series.points, kind, window), width)
    return [style.write(line, width) for line in lines]


def _scale(series: Series, kind: Measure, rows: int) -> Scale | None:
    if not series.points:
        return None
    low, high = min(point.low for point in series.points), max(point.high for point in series.points)
    return scale(kind, max(low, -_LARGEST), min(high, _LARGEST), (rows - 1) // 2)


def slots(points: Sequence[Point], window: Window, count: int) -> list[Point | None]:
    """Divide the time into so many slots and return what each shows: `None` where no point reaches it."""
    each = window.length / count
    steps = [later.time - point.time for point, later in pairwise(points)]
    found: list[list[Point]] = [[] for _ in range(count)]
    for index, point in enumerate(points):
        # How long it stands for: older points may be longer ones, and where the next is further away there is a gap.
        near = steps[max(index - 2, 0) : max(index + 1, 2)]
        lasts = min(near, default=0.0)
        if index < len(steps) and steps[index] <= 1.5 * lasts:
            lasts = steps[index]
        begins, ends = (point.time - window.since) / each, (point.time + lasts - window.since) / each
        # The slots whose middle it covers; a short one has at least the slot in which it begins.
        reached = range(max(ceil(begins - 0.5), 0), min(ceil(ends - 0.5), count))
        for slot in reached or [min(max(int(begins), 0), count - 1)]:
            found[slot].append(point)
    return [_merged(inside) if inside else None for inside in found]


def _merged(points: list[Point]) -> Point:
    mean = sum(point.mean / len(points) for point in points)
    return Point(points[0].time, min(point.low for point in points), mean, max(point.high for point in points))


def _plot(points: Sequence[Point], window: Window, found: Scale, paper: _Paper) -> list[Line]:
    """Draw the points; the rows from top to bottom."""
    columns, rows, pen = paper
    top = rows * pen.up - 1
    bits = [[0] * columns for _ in range(rows)]
    means: set[tuple[int, int]] = set()
    before = None
    for x, point in enumerate(slots(points, window, columns * pen.across)):
        if point is None:
            before = None
            continue
        low, mean, high = (round(found.place(value) * top) for value in (point.low, point.mean, point.high))
        # From one mean to the next without a break, as far as there are dots to do so.
        start = mean if before is None or pen.up == 1 else before
        line = range(min(mean, start + 1), max(mean, start - 1) + 1)
        column = x // pen.across
        for y in range(min(low, line[0]), max(high, line[-1]) + 1):
            # Half of the dots are a band in which the line stays visible, also without colour.
            if y in line or pen.up == 1 or (x + y) % 2 == 0:
                bits[y // pen.up][column] |= _DOTS[x % pen.across][y % pen.up]
            if y in line:
                means.add((y // pen.up, column))
        before = mean
    return [
        _joined(
            (_character(bits[row][column], (row, column) in means, pen), "bold" if (row, column) in means else "dim")
            for column in range(columns)
        )
        for row in reversed(range(rows))
    ]


def _character(bits: int, mean: bool, pen: _Pen) -> str:  # noqa: FBT001  # one of two kinds of dots
    if not bits:
        return " "
    if pen.up > 1:
        return chr(0x2800 + bits)
    return "*" if mean else ":"


def _joined(spans: Iterable[Span]) -> Line:
    """Join what has the same role, so that a line has few escape sequences."""
    line: Line = []
    for text, role in spans:
        if line and line[-1][1] == role:
            line[-1] = (line[-1][0] + text, role)
        else:
            line.append((text, role))
    return line


def _beside(found: Scale, gutter: int, paper: _Paper, plot: list[Line]) -> list[Line]:
    """Put the vertical axis before the rows."""
    _, rows, pen = paper
    labels = {rows - 1 - round(tick.place * (rows * pen.up - 1)) // pen.up: tick.label for tick in found.ticks}
    return [
        [(f"{labels.get(row, ''):>{gutter}} ", "dim"), (pen.side_tick if row in labels else pen.side, "dim"), *line]
        for row, line in enumerate(plot)
    ]


def _below(window: Window, gutter: int, paper: _Paper) -> list[Line]:
    """Draw the time axis."""
    columns, _, pen = paper
    axis, text = [pen.floor] * columns, ""
    for column, label in ticks(window, columns):
        axis[column] = pen.floor_tick
        start = min(max(column - len(label) // 2, 0), columns - len(label))
        if start >= len(text) + 2 * bool(text):
            text = f"{text:<{start}}{label}"
    indent = " " * (gutter + 1)
    return [[(indent + pen.corner + "".join(axis), "dim")], [(f"{indent} {text}", "dim")]]


def _figures(points: Sequence[Point], kind: Measure, window: Window) -> Iterable[Line]:
    """Say in numbers what the chart shows."""
    every, last = resolution(points), points[-1]
    present = window.until >= window.now and last.time + 2 * every + 60 >= window.now
    figures = {
        "min": min(point.low for point in points),
        "mean": sum(point.mean / len(points) for point in points),
        "max": max(point.high for point in points),
        "now" if present else "last": last.mean,
    }
    for name, value in figures.items():
        yield [(f"{name} ", "dim"), (kind.write(value), "bold" if name == "mean" else "")]
    if every:
        yield [(f"each point {span(every)}", "dim")]


def _flow(parts: Iterable[Line], width: int) -> list[Line]:
    """Put parts beside each other, and where they don't fit, below."""
    lines: list[Line] = []
    for part in parts:
        if lines and length(lines[-1]) + 2 + length(part) <= width:
            lines[-1] = [*lines[-1], ("  ", ""), *part]
        else:
            lines.append(part)
    return lines
