"""Where `watch` shows samples: the whole terminal, or line after line."""

import json
import signal
import sys
from typing import Any, ClassVar, Protocol

from healthctl import terminal
from healthctl.errors import complaint
from healthctl.render.status import status
from healthctl.render.style import Style
from healthctl.screen import Screen, obey
from healthd import protocol


class View(Protocol):
    """Where samples are shown, and what the person there does."""

    signals: ClassVar[tuple[signal.Signals, ...]]
    """The signals that `heed` is to be told of."""

    def show(self, described: dict[str, Any]) -> None:
        """Show a sample."""

    def lost(self, reason: str) -> None:
        """Say that there is no daemon now."""

    def heed(self, number: int) -> bool:
        """Tell whether to go on after a signal."""

    def keyboard(self) -> int:
        """Return the descriptor of the keyboard; -1 where there is none."""

    def typed(self) -> bool:
        """Tell whether to go on after what was typed."""

    def close(self) -> None:
        """Leave nothing behind."""


class _Roll:
    """Output that grows; what is wrong is said beside it."""

    signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGINT,)

    def __init__(self) -> None:
        self._lost = ""

    def lost(self, reason: str) -> None:
        """Say once that there is no daemon."""
        if reason != self._lost:
            self._lost = reason
            sys.stderr.write(complaint(reason))

    def heed(self, number: int) -> bool:
        """Tell whether to go on after a signal."""
        return number != signal.SIGINT

    def keyboard(self) -> int:
        """Return the descriptor of the keyboard: none."""
        return -1

    def typed(self) -> bool:
        """Tell whether to go on after what was typed."""
        return True

    def close(self) -> None:
        """Leave nothing behind."""


class JsonRoll(_Roll):
    """One object a line."""

    def show(self, described: dict[str, Any]) -> None:
        """Write the object."""
        self._lost = ""
        terminal.write([json.dumps(described)])


class TextRoll(_Roll):
    """One screen after the other, an empty line between them."""

    def __init__(self, style: Style) -> None:
        super().__init__()
        self._style = style
        self._begun = False

    def show(self, described: dict[str, Any]) -> None:
        """Write the screen."""
        self._lost = ""
        lines = status(described, terminal.width(), self._style)
        terminal.write(["", *lines] if self._begun else lines)
        self._begun = True


class Live:
    """The whole terminal."""

    signals: ClassVar[tuple[signal.Signals, ...]] = (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGTSTP,
        signal.SIGCONT,
        signal.SIGWINCH,
    )

    def __init__(self, style: Style) -> None:
        self._style = style
        self._screen = Screen()
        self._lost = ""
        self._described: dict[str, Any] = {}

    def show(self, described: dict[str, Any]) -> None:
        """Draw the sample."""
        self._described, self._lost = described, ""
        self._draw()

    def lost(self, reason: str) -> None:
        """Draw the last values faded, below the reason."""
        self._lost = reason
        self._draw()

    def heed(self, number: int) -> bool:
        """Tell whether to go on after a signal."""
        if number == signal.SIGTSTP:
            self._screen.leave()
            obey(number)
        if number in (signal.SIGTSTP, signal.SIGCONT):
            self._screen.enter()
        if number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
            self._draw()
            return True
        return False

    def keyboard(self) -> int:
        """Return the descriptor of the keyboard; -1 where there is none."""
        return self._screen.fileno()

    def typed(self) -> bool:
        """Tell whether to go on after what was typed."""
        return "q" not in self._screen.typed()

    def close(self) -> None:
        """Give the terminal back."""
        self._screen.leave()

    def _draw(self) -> None:
        if not self._described:
            return
        columns, height = self._screen.size()
        dot, mark = self._style.glyphs.dot, self._style.glyphs.mark
        lines = status(self._described, columns, self._style._replace(faded=bool(self._lost)))
        if self._lost:
            lines = [self._say(f"{dot} trying again: {self._lost}", protocol.CRITICAL, columns), "", *lines]
        if len(lines) > height:
            missing = len(lines) - height + 1
            lines = [*lines[: height - 1], self._say(f"{mark} {missing} more lines", "dim", columns)]
        self._screen.draw(lines)

    def _say(self, text: str, role: str, columns: int) -> str:
        return self._style.write([(self._style.clean(text), role)], columns)
