"""Tables: columns as wide as their content, the last one as wide as the terminal."""

from collections.abc import Sequence

from healthctl.render.line import Line, Span, cells
from healthctl.render.style import Style


def table(head: Sequence[str], rows: Sequence[Sequence[Span]], width: int, style: Style) -> list[str]:
    """Align the rows under the head; no line is wider than the width."""
    all_rows: list[Sequence[Span]] = [[(title, "bold") for title in head], *rows]
    widths = [max(cells(row[column][0]) for row in all_rows) for column in range(len(head))]
    return [style.write(_aligned(row, widths), width) for row in all_rows]


def _aligned(row: Sequence[Span], widths: Sequence[int]) -> Line:
    line: Line = []
    for (text, role), width in zip(row[:-1], widths[:-1], strict=True):
        line += [(text, role), (" " * (width - cells(text) + 2), "")]
    return [*line, row[-1]]
