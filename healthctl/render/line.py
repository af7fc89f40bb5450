"""Lines of styled text, measured in the cells of a terminal."""

from collections.abc import Iterable
from unicodedata import category, east_asian_width

Span = tuple[str, str]
"""Text and its role: a name that `Style` gives a colour, or ""."""

Line = list[Span]

UNBOUNDED = 1_000_000
"""A width that no line needs."""

_NARROW = " ▁▂▃▄▅▆▇█░▒▓"


def cells(text: str) -> int:
    """Return how many columns a terminal takes for printable text."""
    # What bars and strips are made of is by far the most that is not ASCII.
    return len(text) if text.isascii() or not text.strip(_NARROW) else sum(map(_cells, text))


def _cells(char: str) -> int:
    if east_asian_width(char) in "WF":
        return 2
    # The emoji selector widens what stands before it, where the terminal knows of that.
    return 0 if category(char) in ("Mn", "Me") and char != "\ufe0f" else 1


def length(line: Line) -> int:
    """Return the columns that a line takes."""
    return sum(cells(text) for text, _ in line)


def cut(text: str, width: int, mark: str) -> str:
    """Return text that fits the width: its beginning and the mark, where it is too long."""
    if cells(text) <= width:
        return text
    room = width - cells(mark)
    if room < 0:
        return ""
    kept = []
    for char in text:
        room -= _cells(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + mark


def cut_start(text: str, width: int, mark: str) -> str:
    """Return text that fits the width: the mark and its end, where it is too long; for paths."""
    start, room = len(text), width - cells(mark)
    if cells(text) <= width or room < 0:
        return cut(text, width, mark)
    while room >= (taken := _cells(text[start - 1])):
        start, room = start - 1, room - taken
    return mark + text[start:]


def pad(text: str, width: int, mark: str) -> str:
    """Return text of exactly this width, cut or filled with spaces."""
    text = cut(text, width, mark)
    return text + " " * (width - cells(text))


def fit(line: Line, width: int, mark: str) -> Line:
    """Return a line that is no wider than the width."""
    if length(line) <= width:
        return line
    fitted: Line = []
    room = width - cells(mark)
    for text, role in line:
        if cells(text) > room:
            fitted.append((cut(text + " " * room, room, ""), role))
            break
        fitted.append((text, role))
        room -= cells(text)
    return [*fitted, (cut(mark, width, ""), "dim")]


def extend(line: Line, spans: Iterable[Span], width: int) -> Line:
    """Return the line with the spans two columns behind it, or without them where they don't fit."""
    more = list(spans)
    if not any(text for text, _ in more) or length(line) + 2 + length(more) > width:
        return line
    return [*line, ("  ", ""), *more]


def wrap(text: str, width: int) -> list[str]:
    """Return text as lines that fit the width, broken between words; a longer word has its own line."""
    lines: list[str] = []
    for word in text.split():
        if lines and cells(lines[-1]) + 1 + cells(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
