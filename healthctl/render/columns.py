"""Samples as lines of aligned columns below a head that comes again and again, as vmstat has them."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

from healthctl.address import resolve
from healthctl.render.line import Line, cells
from healthctl.render.scale import measure
from healthctl.render.style import Style
from healthctl.render.units import UNKNOWN

_LEAST = 8
"""Columns of a number with its unit."""
_WIDEST = 11
"""Letters of a field that stand beside each other in a head: what is longer goes on below, as far as it has parts."""


class Columns:
    """A column for each address that was asked for, and for each instance that is there.

    `units` are those of the metrics, by `family.field`; from one head to the next there are so many lines.
    """

    def __init__(self, asked: Sequence[str], units: Mapping[str, str], style: Style, lines: int) -> None:
        self._asked = asked
        self._units = units
        self._style = style
        self._lines = lines
        self._left = 0
        self._present: dict[str, None] = {}
        self._addresses: list[str] = []
        self._widths: dict[str, int] = {}

    def draw(self, time: float, values: Mapping[str, Any], width: int) -> list[str]:
        """Return the lines of a sample that was taken at a time (seconds since 1970), none wider than the width."""
        self._choose(values)
        texts = {address: self._text(address, values.get(address)) for address in self._addresses}
        for address, text in texts.items():
            self._widths[address] = max(self._widths[address], cells(text))
        head = [] if self._left else self._head(width)
        self._left = (self._left or max(self._lines - len(head), 1)) - 1
        moment = datetime.fromtimestamp(time).strftime("%H:%M:%S.%f")[:10]  # noqa: DTZ006  # the reader's own zone
        return [*head, self._line(moment, texts, "", width)]

    def _choose(self, values: Mapping[str, Any]) -> None:
        """Have a column for whatever came; what is gone keeps its own until the next head."""
        self._present |= dict.fromkeys(values)
        if self._left and self._meant() == self._addresses:
            return
        self._present = {address: None for address in self._present if address in values}
        meant = self._meant()
        if meant != self._addresses:
            self._addresses, self._left = meant, 0
            self._widths = {address: max(_LEAST, *map(cells, self._names(address))) for address in meant}

    def _meant(self) -> list[str]:
        """Return the addresses that have columns; what was asked for and is not there is one of them."""
        meant: dict[str, None] = {}
        for address in self._asked:
            meant |= dict.fromkeys(resolve([address], self._present) or [address])
        return list(meant)

    def _names(self, address: str) -> list[str]:
        """Return the parts of an address that stand one above the other."""
        name, at, instance = self._style.clean(address).partition("@")
        family, _, field = name.partition(".")
        parts = [""]
        for word in re.findall("[^_]*_?", field):
            if len(parts[-1] + word.rstrip("_")) > _WIDEST and parts[-1]:
                parts.append("")
            parts[-1] += word
        return [family, *parts, *([at + instance] if at else ())]

    def _head(self, width: int) -> list[str]:
        rows = zip_longest(*map(self._names, self._addresses), fillvalue="")
        return [self._line("", dict(zip(self._addresses, row, strict=True)), "bold", width) for row in rows]

    def _line(self, first: str, texts: Mapping[str, str], role: str, width: int) -> str:
        line: Line = [(f"{first:10}", "dim")]
        for address, text in texts.items():
            line.append((f"  {' ' * (self._widths[address] - cells(text))}{text}", role))
        return self._style.write(line, width)

    def _text(self, address: str, value: Any) -> str:
        if value is None:
            return UNKNOWN
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, list):
            return " ".join(self._text(address, part) for part in value)
        if isinstance(value, int | float):
            unit = self._units.get(address.partition("@")[0], "")
            return measure(unit, self._style.glyphs.degree).write(value)
        return self._style.clean(str(value))
