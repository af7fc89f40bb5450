"""Where `watch` shows what comes: the whole terminal, or line after line."""

import json
import signal
from typing import ClassVar, Protocol

from healthctl import terminal
from healthctl.errors import Loss
from healthctl.feed import Feed, History, News
from healthctl.keys import Keys
from healthctl.recent import Recent, fill
from healthctl.render.dashboard import dashboard
from healthctl.render.dashboard_plain import plain
from healthctl.render.dashboard_rows import Picture
from healthctl.render.dashboard_state import Ui, press
from healthctl.render.described import number
from healthctl.render.status import status
from healthctl.render.style import Style
from healthctl.screen import Screen, obey
from healthd import protocol

_REDRAW = "\x0c"
"""Ctrl-L: somebody else has written on the screen."""


class View(Protocol):
    """Where samples are shown, and what the person there does."""

    signals: ClassVar[tuple[signal.Signals, ...]]
    """The signals that `heed` is to be told of."""

    def take(self, news: News, step: float) -> None:
        """Take what came; something comes every `step` seconds."""

    def lost(self, reason: str) -> None:
        """Say that there is no daemon now."""

    def heed(self, number: int) -> bool:
        """Tell whether to go on after a signal."""

    def keyboard(self) -> int:
        """Return the descriptor of the keyboard; -1 where there is none."""

    def typed(self) -> bool:
        """Tell whether to go on after what was typed."""

    def refresh(self, feed: Feed) -> None:
        """Show what has changed, and ask for what is missing."""

    def close(self) -> None:
        """Leave nothing behind."""


class _Roll:
    """Output that grows; what is wrong is said beside it."""

    signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGINT,)

    def __init__(self) -> None:
        self._loss = Loss()

    def lost(self, reason: str) -> None:
        """Say once that there is no daemon."""
        self._loss.say(reason)

    def heed(self, number: int) -> bool:
        """Tell whether to go on after a signal."""
        return number != signal.SIGINT

    def keyboard(self) -> int:
        """Return the descriptor of the keyboard: none."""
        return -1

    def typed(self) -> bool:
        """Tell whether to go on after what was typed."""
        return True

    def refresh(self, feed: Feed) -> None:
        """Leave it at what is written already."""

    def close(self) -> None:
        """Leave nothing behind."""


class JsonRoll(_Roll):
    """One object a line."""

    def take(self, news: News, step: float) -> None:  # noqa: ARG002  # the screen's
        """Write the object."""
        self._loss.over()
        terminal.write([json.dumps(news)])


class TextRoll(_Roll):
    """One screen after the other, an empty line between them."""

    def __init__(self, style: Style) -> None:
        super().__init__()
        self._style = style
        self._begun = False

    def take(self, news: News, step: float) -> None:  # noqa: ARG002  # the screen's
        """Write the screen."""
        assert isinstance(news, dict)
        self._loss.over()
        lines = status(news, terminal.width(), self._style)
        terminal.write(["", *lines] if self._begun else lines)
        self._begun = True


class PlainRoll(_Roll):
    """One line of words a sample."""

    def __init__(self, style: Style) -> None:
        super().__init__()
        self._style = style
        self._recent = Recent(style)

    def take(self, news: News, step: float) -> None:
        """Write the line."""
        self._loss.over()
        self._recent.take(news, step)
        # Beside samples that are watched, what is described is the same once more.
        if self._recent.picture and (not isinstance(news, dict) or step >= (number(news, "interval") or 0.0)):
            terminal.write([plain(self._recent.picture.described, self._style)])


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
        self._keys = Keys()
        self._recent = Recent(style)
        self._paused: Picture | None = None
        self._ui = Ui()
        self._lost = ""
        self._step = 1.0
        self._is_old = False
        """Whether something has changed since it was drawn."""
        self._shown: list[str] = []
        """The addresses of the metrics whose strips are on the screen."""

    def take(self, news: News, step: float) -> None:
        """Take what came."""
        self._recent.take(news, step)
        if self._paused and isinstance(news, History):
            fill(self._paused, news)
        self._step, self._lost = step, ""
        self._is_old = True

    def lost(self, reason: str) -> None:
        """Show the last values faded, below the reason."""
        self._is_old = self._is_old or reason != self._lost
        self._lost = reason

    def heed(self, number: int) -> bool:
        """Tell whether to go on after a signal."""
        if number == signal.SIGTSTP:
            self._screen.leave()
            obey(number)
        if number in (signal.SIGTSTP, signal.SIGCONT):
            self._screen.enter()
        if number == signal.SIGWINCH:
            self._screen.forget()
        self._is_old = True
        return number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)

    def keyboard(self) -> int:
        """Return the descriptor of the keyboard; -1 where there is none."""
        return self._screen.fileno()

    def typed(self) -> bool:
        """Tell whether to go on after what was typed."""
        for key in self._keys.of(self._screen.typed()):
            if key == _REDRAW:
                self._screen.forget()
            self._ui = press(self._ui, key)
            self._is_old = True
        if not self._ui.paused:
            self._paused = None
        elif self._paused is None:
            self._paused = self._recent.frozen()
        return not self._ui.ended

    def refresh(self, feed: Feed) -> None:
        """Draw what has changed, and have loaded what was before."""
        if self._is_old:
            self._draw()
            self._is_old = False
        self._recent.load(self._shown, feed)

    def close(self) -> None:
        """Give the terminal back."""
        self._screen.leave()

    def _draw(self) -> None:
        picture = self._paused or self._recent.picture
        if picture is None:
            return
        columns, height = self._screen.size()
        banner = []
        if self._lost:
            text = self._style.clean(f"{self._style.glyphs.dot} trying again: {self._lost}")
            banner = [self._style.write([(text, protocol.CRITICAL)], columns)]
        style = self._style._replace(faded=bool(self._lost))
        drawn = dashboard(picture, (columns, height - len(banner)), style, self._ui, self._step)
        self._ui, self._shown = drawn.ui, drawn.addresses
        self._screen.draw([*banner, *drawn.lines][:height])
