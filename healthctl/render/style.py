"""How a line looks: colour or none, Unicode or ASCII."""

import re
from typing import NamedTuple

from healthctl.render.line import Line, cells, cut, fit
from healthd import protocol

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_COLOURS = {
    "bold": "1",
    "dim": "2",
    protocol.OK: "32",
    protocol.NOTICE: "36",
    protocol.WARNING: "33",
    protocol.CRITICAL: "1;31",
    protocol.UNKNOWN: "35",
    "used": "32",
    "user": "32",
    "system": "31",
    "iowait": "33",
    "steal": "35",
    "flow": "36",
    "selected": "1;7",
    **{f"heat{level}": "32" if level < 6 else "33" if level < 8 else "31" for level in range(10)},
}
# From cool to hot, where a terminal has more than 16 colours: of the 256, and as red, green and blue.
_HEATS = (71, 71, 107, 107, 143, 179, 179, 173, 167, 160)
_TRUE_HEATS = (
    (78, 154, 90), (98, 160, 84), (122, 166, 78), (150, 170, 72), (180, 172, 66),
    (206, 164, 60), (214, 144, 58), (216, 118, 58), (214, 88, 60), (210, 58, 62),
)  # fmt: skip
_MORE = {
    256: {f"heat{level}": f"38;5;{colour}" for level, colour in enumerate(_HEATS)},
    1 << 24: {f"heat{level}": "38;2;{};{};{}".format(*colour) for level, colour in enumerate(_TRUE_HEATS)},
}


class Glyphs(NamedTuple):
    """The characters beyond text; those of a bar differ also where there is no colour."""

    dot: str
    mark: str
    degree: str
    down: str
    up: str
    user: str
    system: str
    iowait: str
    free: str
    became: str
    steps: str
    """What stands for values from low to high in strips and sparklines."""


_UNICODE = Glyphs("●", "…", "°C", "↓", "↑", "█", "▓", "▒", "░", "→", "▁▂▃▄▅▆▇█")
_ASCII = Glyphs("*", ">", "C", "rx", "tx", "#", "=", "-", ".", "->", "_.-:=+*#")


class Style(NamedTuple):
    """How lines are written; `faded`: all of them as what is no longer true."""

    colour: bool = False
    unicode: bool = True
    faded: bool = False
    colours: int = 16
    """How many the terminal has: 16, 256 or 2 ** 24."""

    @property
    def glyphs(self) -> Glyphs:
        """The characters that can be shown."""
        return _UNICODE if self.unicode else _ASCII

    def write(self, line: Line, width: int) -> str:
        """Return a line as text with escape sequences, cut at the width; none ends in spaces."""
        fitted = fit(line, width, self.glyphs.mark)
        text = "".join(self._paint(*span) for span in fitted)
        return text.rstrip(" ")

    def _paint(self, text: str, role: str) -> str:
        code = "2" if self.faded else _MORE.get(self.colours, _COLOURS).get(role) or _COLOURS.get(role)
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text.strip(" ") else text

    def clean(self, text: str) -> str:
        """Return text that can't move a cursor: what is not printable is written as its escape."""
        if not text.isprintable():
            text = "".join(char if char.isprintable() else _escape(char) for char in text)
        return text if self.unicode else text.encode("ascii", "replace").decode()

    def cut(self, text: str, width: int) -> str:
        """Return text that fits the width."""
        return cut(text, width, self.glyphs.mark)


def columns(written: str) -> int:
    """Return how many columns a terminal takes for what `Style.write` returned."""
    return cells(_ESCAPE.sub("", written))


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()
