"""Tables: columns as wide as their content, the last one as wide as the terminal, or below its row."""

from collections.abc import Sequence

from healthctl.render.line import Line, Span, cells, wrap
from healthctl.render.style import Style

_LEAST = 20
"""Columns with which what is cut off can still be told."""


def table(head: Sequence[str], rows: Sequence[Sequence[Span]], width: int, style: Style) -> list[str]:
    """Align the rows under the head; no line is wider than the width.

    Where too little room is left for the last column, it stands below its row.
    """
    all_rows: list[Sequence[Span]] = [[(title, "bold") for title in head], *rows]
    widths = [max(cells(row[column][0]) for row in all_rows) for column in range(len(head))]
    room = width - sum(column + 2 for column in widths[:-1])
    if widths[-1] <= room or room >= _LEAST or len(head) == 1:
        return [style.write(_aligned(row, widths), width) for row in all_rows]
    lines: list[Line] = []
    for *row, (text, role) in all_rows:
        lines += [_aligned(row, widths[:-1]), *([("  ", ""), (part, role)] for part in wrap(text, width - 2))]
    return [style.write(line, width) for line in lines]


def _aligned(row: Sequence[Span], widths: Sequence[int]) -> Line:
    line: Line = []
    for (text, role), width in zip(row[:-1], widths[:-1], strict=True):
        line += [(text, role), (" " * (width - cells(text) + 2), "")]
    return [*line, row[-1]]
