"""Times on a horizontal axis: round ones in the user's time zone."""

from math import ceil
from time import localtime, strftime
from typing import NamedTuple

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(count * _MINUTE for count in (1, 2, 5, 10, 15, 30)),
    *(count * _HOUR for count in (1, 2, 3, 6, 12)),
)
_APART = 8
"""Columns from one label to the next at least."""


class Window(NamedTuple):
    """The time that is looked at, and the present; seconds since 1970."""

    since: float
    until: float
    now: float

    @property
    def length(self) -> float:
        """Seconds."""
        return self.until - self.since


def ticks(window: Window, columns: int) -> list[tuple[int, str]]:
    """Return columns of an axis that is so wide, and what is written below them."""
    step = _step(window.length, columns)
    marks: list[tuple[int, str]] = []
    ahead = localtime(window.since).tm_gmtoff
    wall = ceil((window.since + ahead) / step) * step
    # What is beyond the end may be beyond 2038 too, the end of a time_t of 32 bits.
    while (time := wall - localtime(min(wall - ahead, window.until)).tm_gmtoff) < window.until:
        # A time that summer time leaves out, or brings before the beginning, is passed over.
        if time >= window.since and time + localtime(time).tm_gmtoff == wall:
            dated = not marks and localtime(time)[:3] != localtime(window.now)[:3]
            marks.append((int((time - window.since) / window.length * columns), _label(time, step, dated=dated)))
        wall += step
    return marks


def _step(length: float, columns: int) -> int:
    for step in _STEPS:
        # Seconds take three more.
        if columns * step >= length * (_APART + 3 * (step < _MINUTE)):
            return step
    days = 1
    while columns * days * _DAY < length * _APART:
        days *= 2
    return days * _DAY


def _label(time: float, step: int, *, dated: bool) -> str:
    moment = localtime(time)
    if step >= _DAY or moment[3:6] == (0, 0, 0):
        return strftime("%b %d", moment)
    return strftime(("%b %d " if dated else "") + ("%H:%M:%S" if step < _MINUTE else "%H:%M"), moment)
