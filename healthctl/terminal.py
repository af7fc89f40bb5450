"""Where the output goes: its width, whether it shows colour and Unicode, and how it is written."""

import os
import select
import sys
from collections.abc import Iterable

from healthctl.render.line import UNBOUNDED
from healthctl.render.style import Style

_NARROW, _LOW = 80, 24
_COLOURLESS = ("dumb", "vt")
"""How the names of terminals begin that have no colours: those of DEC, and none at all."""


def style(color: str) -> Style:
    """Return how lines look on this output; `color` is `auto`, `always` or `never`."""
    is_screen, name = sys.stdout.isatty(), os.environ.get("TERM", "")
    has_colour = is_screen and not os.environ.get("NO_COLOR") and not name.startswith(_COLOURLESS) and name != ""
    # The fonts of the Linux console lack what strips are drawn with.
    has_glyphs = _encodes("●…°↓█░") and not _plain_locale() and not (is_screen and name == "linux")
    colour = color == "always" or (color == "auto" and has_colour)
    return Style(colour=colour, unicode=has_glyphs, colours=_colours())


def _colours() -> int:
    """Return how many colours the terminal has, by what it tells of itself."""
    name = os.environ.get("TERM", "")
    if os.environ.get("COLORTERM") in ("truecolor", "24bit") or name.endswith("-direct"):
        return 1 << 24
    return 256 if "256color" in name else 16


def _encodes(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _plain_locale() -> bool:
    """Tell whether the user's locale is C, also where Python has put C.UTF-8 in its place (PEP 538)."""
    if "PYTHONIOENCODING" in os.environ or os.environ.get("PYTHONUTF8") == "1":
        return False
    whole, kind, language = (os.environ.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    if kind == "C.UTF-8" and not whole and language in ("", "C", "POSIX"):
        return True
    return (whole or kind or language) in ("", "C", "POSIX")


def width(*, bounded: bool = True) -> int:
    """Return the columns of the output: COLUMNS, the terminal's, or 80.

    A table for a file or a pipe need not be cut: then it is not `bounded`.
    """
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _NARROW
    except (OSError, ValueError):
        return _NARROW if bounded else UNBOUNDED


def height() -> int:
    """Return the lines of the output: the terminal's, or 24."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).lines or _LOW
    except (OSError, ValueError):
        return _LOW


def write(lines: Iterable[str]) -> None:
    """Write lines and see them out; what the encoding lacks becomes a question mark."""
    text = "".join(f"{line}\n" for line in lines)
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def pause(descriptor: int, seconds: float | None) -> None:
    """Wait until a descriptor (-1: none) becomes readable, at most so many seconds (`None`: as long as it takes).

    Raises BrokenPipeError when the reader of the output is gone, for whom the next line may be long in coming.
    """
    poll = select.poll()
    poll.register(sys.stdout, 0)
    if descriptor >= 0:
        poll.register(descriptor, select.POLLIN)
    ready = dict(poll.poll(None if seconds is None else seconds * 1000))
    if sys.stdout.fileno() in ready:
        raise BrokenPipeError
