"""What the rows of the dashboard share: meters, and columns, by which every strip tells of the same time."""

from collections.abc import Iterable, Sequence
from math import isnan, nan
from typing import NamedTuple

from healthctl.render import units
from healthctl.render.described import Described
from healthctl.render.line import Line, cells, cut_start, fit, length, pad
from healthctl.render.style import Style
from healthctl.strips import LONGEST, Strips

# From which width on the columns of names, and of figures, are so wide.
_WIDTHS = ((160, 28, 56), (100, 22, 46), (72, 17, 36), (56, 15, 28), (0, 13, 10))
_APART = 2
_VALUE, _DETAIL = 8, 20
"""Columns of a value with its unit, and of what else there is to say of it."""
_BOTH_RATES = 26
"""Columns that two rates take."""
_BESIDE = 6
"""Columns beside them from which on they are worth something."""
_HEATS = 10
_LATELY = 30
"""Cells by whose mean one row has more to tell than another: what lasts a moment moves none."""


class Picture(NamedTuple):
    """What is drawn."""

    described: Described
    strips: Strips


class Row(NamedTuple):
    """A row, the addresses of the metrics in its strip, and how much it has to tell beside its equals."""

    line: Line
    addresses: tuple[str, ...] = ()
    rank: float = 0.0


class Section(NamedTuple):
    """A part of the dashboard."""

    name: str
    head: Row
    """What sums it up."""
    rows: Sequence[Row] = ()
    more: Sequence[Row] = ()
    """Rows that are shown only where everything is."""
    brief: Sequence[Row] = ()
    """What stands for the rows where there is no room for them."""


class Range(NamedTuple):
    """What the lowest and the highest step of a strip stand for; `heated`: high is bad."""

    low: float = 0.0
    high: float = 100.0
    heated: bool = True


SHARE = Range()


class Grid(NamedTuple):
    """The picture, and the columns into which it goes."""

    described: Described
    strips: Strips
    style: Style
    width: int
    name: int
    """Columns of the names."""
    middle: int
    """Columns of the figures."""
    strip: int
    """Columns of the strips."""

    def row(
        self, name: str, figures: Line, addresses: Iterable[str] = (), span: Range | None = None, *,
        worst: bool = False, is_head: bool = False,
    ) -> Row:  # fmt: skip
        """Draw a row; its strip is the sum of the addresses, or the `worst` of them, from 0 to its peak without a span.

        The heads of sections stand left of the other rows.
        """
        mark, chosen = self.style.glyphs.mark, tuple(addresses)
        figures = fit(figures, self.middle, mark)
        gap = " " * (self.middle - length(figures) + _APART)
        line = [self._label(name, is_head=is_head), *figures, (gap, ""), *self._strip(chosen, span, worst=worst)]
        return Row(line, chosen, self.lately(chosen))

    def note(self, name: str, words: Line) -> Row:
        """Draw a head that has words in the place of figures."""
        return Row([self._label(name, is_head=True), *words])

    def _label(self, name: str, *, is_head: bool) -> tuple[str, str]:
        indent = 1 if is_head else 2
        room = max(self.name - indent - 1, 1)
        mark = self.style.glyphs.mark
        # The end tells most: of a path, of a core, of an interface.
        return f"{'':{indent}}{pad(cut_start(name, room, mark), room, mark)} ", "bold" if is_head else ""

    def meter(self, share: float | None, value: str, detail: str = "", *, bar: Line | None = None) -> Line:
        """Draw a bar, where there is room: of the share where there is no other; a value; what else there is to say."""
        drawn = self.bar((share, heat(share))) if bar is None else bar
        line: Line = [*drawn, (f"{value:>{_VALUE}}", "")]
        return [*line, (f" {detail}", "dim")] if self.middle >= _VALUE + _DETAIL else line

    def percent(self, share: float | None, detail: str = "", *, bar: Line | None = None) -> Line:
        """Draw a share as a meter."""
        return self.meter(share, units.percent(share), detail, bar=bar)

    def bar(self, *parts: tuple[float | None, str]) -> Line:
        """Draw shares of a whole, each a percentage and its role; nothing where there is no room."""
        size = self.middle - _VALUE - _DETAIL
        if size <= 0:
            return []
        if all(share is None for share, _ in parts):
            return [(" " * size, "")]
        glyphs = self.style.glyphs
        line: Line = []
        end, drawn = 0.0, 0
        shapes = (glyphs.user, glyphs.system, glyphs.iowait, glyphs.iowait)
        for (share, role), glyph in zip(parts, shapes, strict=False):
            end = min(100.0, end + max(share or 0.0, 0.0))
            count = round(end * size / 100) - drawn
            drawn += count
            line.append((glyph * count, role))
        return [*line, (glyphs.free * (size - drawn), "dim")]

    def rates(self, signs: Sequence[str], rates: Sequence[float | None], more: Line) -> Line:
        """Draw what goes in and out, bytes per second; only the sum where there is no room."""
        if self.middle < _BOTH_RATES:
            return [(f"{units.rate(total(rates)):>10}", "")]
        line: Line = []
        for sign, rate in zip(signs, rates, strict=True):
            line += [("  " if line else "", ""), (sign, "dim"), (f"{units.rate(rate):>{12 - cells(sign)}}", "")]
        return [*line, ("  ", ""), *more] if more and self.middle >= _BOTH_RATES + 2 + _BESIDE else line

    def beside_rates(self, name: str) -> str:
        """Return as much of a name as there is room for beside two rates."""
        return cut_start(name, max(self.middle - _BOTH_RATES - 2, 0), self.style.glyphs.mark)

    def lately(self, addresses: Iterable[str]) -> float:
        """Return what the last cells of a strip are in the mean; unknown is less than nothing."""
        return self.strips.lately(addresses, _LATELY)

    def _strip(self, addresses: tuple[str, ...], span: Range | None, *, worst: bool) -> Line:
        if worst:
            found = [self.strips.last([address], self.strip) for address in addresses]
            together = zip(*found, strict=True)
            values = [max((value for value in each if not isnan(value)), default=nan) for each in together]
        else:
            values = list(self.strips.last(addresses, self.strip))
        if span is None:
            span = Range(0.0, max([1.0, *(value for value in values if not isnan(value))]), heated=False)
        line: Line = []
        glyphs = self.style.glyphs.steps
        scale = (len(glyphs) - 1e-6) / (span.high - span.low)
        for value in values:
            glyph, role = " ", ""
            if not isnan(value):
                step = min(max(int((value - span.low) * scale), 0), len(glyphs) - 1)
                glyph, role = glyphs[step], _role(step, len(glyphs), heated=span.heated)
            if line and line[-1][1] == role:
                line[-1] = (line[-1][0] + glyph, role)
            else:
                line.append((glyph, role))
        return line


def grid(picture: Picture, width: int, style: Style) -> Grid:
    """Divide a width into columns."""
    name, middle = next(columns for least, *columns in _WIDTHS if width >= least)
    strip = min(max(width - name - middle - _APART, 0), LONGEST)
    return Grid(picture.described, picture.strips, style, width, name, middle, strip)


def heat(share: float | None) -> str:
    """Return the role of a share, 0 to 100, by how bad it is."""
    return "" if share is None else f"heat{min(max(int(share * _HEATS / 100), 0), _HEATS - 1)}"


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum of what is known; `None` where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _role(step: int, steps: int, *, heated: bool) -> str:
    if step == 0:
        return "dim"
    return f"heat{step * _HEATS // steps}" if heated else "flow"
