"""What a rule looks at, where that is more than the present value: operators that remember.

Each is a function of what it remembers, the present value (`None` where it is unknown) and the time, in seconds that
were observed: it returns what it remembers now, its own value (`None` where there is none yet), and when that can
change though the present value does not. What is remembered are numbers and tuples of them, so that it can be recorded;
it is bounded however long the window is.
"""

from collections.abc import Callable, Mapping
from itertools import chain, combinations
from math import inf
from statistics import median
from typing import Any, NamedTuple

from healthd.health._scale import TRUE
from healthd.metric import Unit

Memory = Any


class Outcome(NamedTuple):
    """What an operator returns."""

    memory: Memory
    value: Any
    due: float = inf


Look = Callable[[Memory, Any, float, float], Outcome]
"""Takes what it remembers, the present value, the time, and the window, seconds."""

NUMBERS, FLAGS = (float, int), (bool,)


class Operator(NamedTuple):
    """One way to look at a value, as rules declare it."""

    name: str
    look: Look
    takes: tuple[type, ...]
    """The types of what it looks at; empty for all."""
    unit: Unit | None = None
    """That of its value; `None` for that of what it looks at."""
    row: int = 0
    """How many numbers it remembers of each time within its window; 0 where it has none."""
    divides: bool = False
    """Whether it looks at a pair, a part and its whole: those are not divided before."""

    @property
    def has_window(self) -> bool:
        """Whether it looks at some time."""
        return self.row > 0

    def remembers(self, memory: Memory) -> bool:
        """Tell whether something, as a recording may hold it, can be what it remembered."""
        match memory:
            case None:
                return True
            case bool():
                return not self.has_window
            case (None | float() | int() | str() as value, tuple() as rows, *times) if self.has_window:
                types = self.takes or (*NUMBERS, *FLAGS, str)
                is_value = value is None or (type(value) in types and TRUE[type(value)](value))
                is_whole = all(isinstance(row, tuple) and len(row) == self.row for row in rows)
                return is_value and is_whole and all(map(TRUE[float], chain(times, *rows)))
        return False


COVERAGE = 0.8
"""Share of a window that must have been observed."""
_PARTS = 20
"""In how many parts a mean is remembered; a window of events in three times as many."""
_POINTS = 24


def mean(memory: Memory, value: Any, now: float, window: float) -> Outcome:
    """Return the mean over the window, once most of that was observed."""
    before, parts, last = memory or (None, (), now)
    parts = _gone_on(parts, last, now, window, () if before is None else (before,))
    seconds, total = sum([part[1] for part in parts]), sum([part[2] for part in parts])
    held = total / seconds if _is_covered(seconds, window) else None
    return Outcome((value, parts, now), held, now + window / _PARTS)


def share(memory: Memory, value: Any, now: float, window: float, *, least: float = 0.0) -> Outcome:
    """Return which share a part had of its whole within the window, by the rates of both, once most was observed.

    Where there was less than `least` of the whole, the share is zero: that is too little to tell.
    """
    before, parts, last, whole = memory or (None, (), now, 0.0)
    parts = _gone_on(parts, last, now, window, () if before is None else (before, whole))
    part, whole = value or (None, 0.0)
    some = sum([each[2] for each in parts])
    if not (some or part):
        # As it is with most of them most of the time: that is no share of whatever there was.
        return Outcome((part, parts, now, whole), None if value is None else 0.0)
    seconds, total = sum([each[1] for each in parts]), sum([each[3] for each in parts])
    # What failed may not be counted in the whole.
    total = max(some, total)
    held = (some / total if total and total >= least else 0.0) if _is_covered(seconds, window) else None
    return Outcome((part, parts, now, whole), held, now + window / _PARTS)


Parts = tuple[tuple[float, ...], ...]
"""When each part of a window began, how many seconds of it were seen, and totals over these; oldest first."""


def _gone_on(parts: Parts, last: float, now: float, window: float, rates: tuple[float, ...]) -> Parts:
    """Return the parts of the window until now, when it was seen how the rates were since the last time."""
    width = window / _PARTS
    first = now - window - width
    while rates and last < now:
        last = max(last, first)
        start = last // width * width
        end = min(start + width, now)
        # A binary fraction may end where it begins.
        end = end if end > last else now
        more = (end - last, *[rate * (end - last) for rate in rates])
        if parts and parts[-1][0] == start:
            more = tuple([one + other for one, other in zip(parts[-1][1:], more, strict=True)])
            parts = parts[:-1]
        parts, last = (*parts, (start, *more)), end
    return tuple([part for part in parts if part[0] > first])


def _is_covered(seconds: float, window: float) -> bool:
    return seconds > 0 and seconds >= COVERAGE * window


def increase(memory: Memory, value: Any, now: float, window: float) -> Outcome:
    """Return how much a total grew within the window; one that begins again has grown by what it says."""
    last, grown = memory or (None, ())
    more = 0 if value is None or last is None else value - last if value >= last else value
    grown = _within(grown, more, now, window)
    return Outcome((last if value is None else value, grown), sum([amount for _, amount in grown]), _end(grown, window))


def changes(memory: Memory, value: Any, now: float, window: float) -> Outcome:
    """Return how often the value became another one within the window."""
    last, times = memory or (None, ())
    times = _within(times, int(None not in (value, last) and value != last), now, window)
    return Outcome((last if value is None else value, times), sum([count for _, count in times]), _end(times, window))


def episodes(memory: Memory, value: Any, now: float, window: float) -> Outcome:
    """Return how often a flag became true within the window; one that is true at first counts as one."""
    last, times = memory or (None, ())
    times = _within(times, int(bool(value and not last)), now, window)
    return Outcome((last if value is None else value, times), sum([count for _, count in times]), _end(times, window))


Amounts = tuple[tuple[float, float], ...]
"""Times and how much there was then, oldest first."""


def _within(amounts: Amounts, more: float, now: float, window: float) -> Amounts:
    """Return what there was within the window; what comes close to each other is remembered as one."""
    amounts = tuple([each for each in amounts if now < each[0] + window])
    if not more:
        return amounts
    if amounts and now - amounts[-1][0] < window / (3 * _PARTS):
        at, amount = amounts[-1]
        return (*amounts[:-1], (at, amount + more))
    return (*amounts, (now, more))


def _end(amounts: Amounts, window: float) -> float:
    return amounts[0][0] + window if amounts else inf


def turned(memory: Memory, value: Any, now: float, window: float) -> Outcome:  # noqa: ARG001  # an operator's form
    """Return whether a flag is true that was seen to be false before: what was so from the start is meant to be."""
    was_false = bool(memory) or value is False
    return Outcome(was_false, None if value is None else bool(value and was_false))


def lost(memory: Memory, value: Any, now: float, window: float) -> Outcome:  # noqa: ARG001  # an operator's form
    """Return whether a flag is false that was seen to be true before: what never was is not meant to be."""
    was_true = bool(memory) or value is True
    return Outcome(was_true, None if value is None else bool(was_true and not value))


def seconds_to_limit(memory: Memory, value: Any, now: float, window: float) -> Outcome:
    """Return after how many seconds what is left will be nothing, by the slope within the window; it may be infinite.

    There is none before most of the window was observed: an hour of backups is no tendency.
    """
    width = window / _POINTS
    slope, points = memory or (None, ())
    if value is None:
        return Outcome((slope, points), None)
    if not points or now - points[-1][0] >= width:
        points = (*[point for point in points if now - point[0] <= window], (now, value))
        slope = _slope(points) if now - points[0][0] >= COVERAGE * window else None
    left = None if slope is None else value / -slope if slope < 0 else inf
    return Outcome((slope, points), left, points[-1][0] + width)


def _slope(points: Amounts) -> float:
    """Return the flatter of two slopes.

    The median of those between any two points (Theil and Sen) is that of the whole, whatever a clean-up took back; that
    of those between points a sixth of the window apart is what happens for most of the time, whatever one large file or
    one backup added.
    """
    whole = combinations(points, 2)
    parts = zip(points, points[max(len(points) // 6, 1) :], strict=False)
    return max(
        median([(late[1] - early[1]) / (late[0] - early[0]) for early, late in pairs]) for pairs in (whole, parts)
    )


OPERATORS: Mapping[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("mean", mean, NUMBERS, row=3),
        Operator("increase", increase, NUMBERS, row=2),
        Operator("changes", changes, (), Unit.COUNT, row=2),
        Operator("episodes", episodes, FLAGS, Unit.COUNT, row=2),
        Operator("turned", turned, FLAGS),
        Operator("lost", lost, FLAGS),
        Operator("seconds_to_limit", seconds_to_limit, NUMBERS, Unit.SECONDS, row=2),
        Operator("share", share, NUMBERS, row=4, divides=True),
    )
}
"""By the names that rules call them."""
