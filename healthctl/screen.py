"""The whole terminal for one program, and the signals that a program which has it must heed."""

import os
import select
import signal
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from healthctl.render.style import columns

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
# A console that has no second screen goes on below the last picture.
_LEAVE = "\x1b[999H\x1b[2K\x1b[?25h\x1b[?1049l"
# What is written between them is shown at once, where the terminal knows of that, and without wrapping: a character
# that is wider than it was taken for spoils no more than its line.
_BEGIN, _END = "\x1b[?2026h\x1b[?7l", "\x1b[?7h\x1b[?2026l"
_MOMENT = 0.1
"""How long after the first byte of a key the second one may come, seconds."""
_REST = "\x1b[K"


class Signals:
    """Signals as bytes on a descriptor, so that one select() waits for them too; used as a context manager."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = numbers

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        # What is ignored, as below nohup, stays so.
        heeded = [number for number in self._numbers if signal.getsignal(number) is not signal.SIG_IGN]
        self._handlers = {number: signal.signal(number, _noted) for number in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a signal came."""
        return self._reader

    def take(self) -> list[int]:
        """Return the signals that came, in their order."""
        try:
            return list(os.read(self._reader, 512))
        except BlockingIOError:
            return []


def obey(number: int) -> None:
    """Let a signal do what it does to a program that has no handler; returns if that was to stop for a while."""
    handler = signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.signal(number, handler)


def _noted(*_: object) -> None:
    """Leave it at the byte that is written to the wake-up descriptor."""


class Screen:
    """The alternate screen, without cursor, echo and line editing; `leave` is to be called in any case."""

    def __init__(self) -> None:
        self._output = sys.stdout.fileno()
        self._encoding = sys.stdout.encoding or "ascii"
        self._keys = sys.stdin.fileno() if sys.stdin.isatty() else -1
        self._entered = False
        self._modes: list[Any] = []
        self._shown: list[str] = []
        """What is known to be on the screen."""

    def enter(self) -> None:
        """Take the terminal, or take it again after somebody else has used it."""
        if self._keys >= 0:
            modes = termios.tcgetattr(self._keys)
            if not self._entered:
                self._modes = [*modes]
            modes[3] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(self._keys, termios.TCSADRAIN, modes)
        self._entered = True
        self.forget()
        self._write(_ENTER)

    def leave(self) -> None:
        """Give the terminal back as it was; where there is none any more, there is nothing to do."""
        if not self._entered:
            return
        self._entered = False
        with suppress(OSError):
            self._write(_LEAVE)
        if self._keys >= 0:
            with suppress(OSError, termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._modes)

    def fileno(self) -> int:
        """Return the descriptor of the keyboard; -1 where there is none."""
        return self._keys

    def typed(self) -> str:
        """Return what was typed; "q" when the keyboard is gone."""
        text = self._read()
        # Other keys begin like Esc: over a slow line their rest comes a moment later.
        if text.endswith("\x1b") and select.select([self._keys], [], [], _MOMENT)[0]:
            text += self._read()
        return text

    def _read(self) -> str:
        try:
            return os.read(self._keys, 512).decode("ascii", "replace") or "q"
        except OSError:
            return "q"

    def size(self) -> os.terminal_size:
        """Return columns and lines as they are now."""
        try:
            size = os.get_terminal_size(self._output)
        except OSError:
            size = os.terminal_size((0, 0))
        return os.terminal_size((size.columns or 80, size.lines or 24))

    def forget(self) -> None:
        """Draw everything the next time: a terminal that was resized has moved what was there, if only for a moment."""
        self._shown = []

    def draw(self, lines: Sequence[str]) -> None:
        """Put lines, none wider and no more than the screen, over what is there: those that changed, in one write."""
        if not self._entered:
            self.enter()
        width, height = self.size()
        pieces = [
            # The rest is cleared, and not what is written over: that flickers where it is not shown at once. After a
            # line as wide as the screen there is no rest: the cursor still stands on its end.
            f"\x1b[{row}H{line}{_REST if columns(line) < width else ''}"
            for row, line in enumerate(lines, 1)
            if row > len(self._shown) or self._shown[row - 1] != line
        ]
        if len(lines) < height and len(lines) != len(self._shown):
            pieces.append(f"\x1b[{len(lines) + 1}H\x1b[J")
        self._shown = list(lines)
        if pieces:
            self._write(f"{_BEGIN}{''.join(pieces)}{_END}")

    def _write(self, text: str) -> None:
        content = text.encode(self._encoding, "replace")
        while content:
            content = content[os.write(self._output, content) :]
