"""The form that the parts of the status screen share: a label, rows beside it, and what is unavailable."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from healthctl.render.described import Described
from healthctl.render.line import Line, Span, cells
from healthctl.render.style import Style

LABEL = 13
"""Columns of the labels at the left."""

LIMIT = 8
"""Rows of one section at most; the rest is counted."""

_T = TypeVar("_T")


class Frame(NamedTuple):
    """What a section is drawn from, and into."""

    described: Described
    width: int
    style: Style

    @property
    def room(self) -> int:
        """Columns beside the labels."""
        return max(self.width - LABEL, 0)

    def bar(self, *parts: tuple[float | None, str, str]) -> Line:
        """Draw shares of a whole (percent, glyph, role) as a bar, its length by the width of the screen."""
        size = min(max(8, 8 + (self.width - 60) * 2 // 5), 50)
        line: Line = []
        end = drawn = 0.0
        for share, glyph, role in parts:
            end = min(100.0, end + max(share or 0.0, 0.0))
            count = round(end * size / 100) - drawn
            drawn += count
            line.append((glyph * int(count), role))
        return [*line, (self.style.glyphs.free * int(size - drawn), "dim")]


def section(label: str, rows: Iterable[Line]) -> list[Line]:
    """Put the label before the first row and its width before the others."""
    lines: list[Line] = []
    for row in rows:
        head: Span = (" " * LABEL, "") if lines else (f"{label[: LABEL - 1]:<{LABEL}}", "bold")
        lines.append([head, *row])
    return lines


def unavailable(problem: str) -> Line:
    """Say that there is nothing to show, and why."""
    return [(f"unavailable: {problem}" if problem else "unknown", "dim")]


def stale(problem: str) -> list[Line]:
    """Say of values that are shown that they are no longer true."""
    return [[(f"not up to date: {problem}", "dim")]] if problem else []


def most(items: Sequence[tuple[_T, float | None]]) -> tuple[list[_T], int]:
    """Choose what is shown of many: the largest first, or all in their order where they are few; count the rest."""
    if len(items) <= LIMIT:
        return [item for item, _ in items], 0
    ordered = sorted(items, key=lambda item: -1.0 if item[1] is None else item[1], reverse=True)
    return [item for item, _ in ordered[:LIMIT]], len(items) - LIMIT


def names_width(names: Iterable[str], largest: int) -> int:
    """Return the width of a column of names."""
    return min(max(map(cells, names), default=0), largest)
