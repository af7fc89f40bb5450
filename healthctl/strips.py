"""How metrics went until now: strips of cells that each stand for the same time, all with the same end."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan

from healthctl.series import Point, resolution

LONGEST = 256
"""Cells that are kept."""
_HELD = 3
"""Cells that a value stands for at least when the next one is late."""
_OPEN = 2.5
"""How much longer than others the newest point of a history stands: what comes after it is gathered yet."""


class Strip:
    """The cells of one metric; NaN is unknown."""

    def __init__(self, end: int) -> None:
        self._cells = array("d", [nan]) * LONGEST
        self.end = end
        """The number of the cell after the last one."""

    def put(self, cell: int, value: float, held: int) -> None:
        """Put a value into a cell, the last one that there is; so many at most are of the value before."""
        ahead = cell + 1 - self.end
        if ahead > 0:
            between = self._cells[-1] if ahead <= held else nan
            self._cells = (self._cells + array("d", [between]) * min(ahead, LONGEST))[-LONGEST:]
            self.end = cell + 1
        self._cells[-1] = value

    def fill(self, begin: int, end: int, value: float) -> None:
        """Put a value into those cells from one to before another that nothing is known of."""
        for place in range(max(begin - self.end, -LONGEST), min(end - self.end, 0)):
            if isnan(self._cells[place]):
                self._cells[place] = value

    def last(self, count: int, end: int) -> Sequence[float]:
        """Return so many cells before the one that is numbered `end`, oldest first."""
        late = min(max(end - self.end, 0), count)
        known = self._cells[max(LONGEST - count + late, 0) :] if late < count else array("d")
        return array("d", [nan]) * (count - late - len(known)) + known + array("d", [nan]) * late


class Strips:
    """The strips by the addresses of their metrics; each cell is `step` seconds, counted from boot.

    healthd samples every `interval` seconds, also where some metrics come oftener.
    """

    def __init__(self, step: float, interval: float) -> None:
        self.step, self.interval = step, interval
        self._held = max(_HELD, round(1.5 * interval / step))
        self._strips: dict[str, Strip] = {}
        self._begin = self._end = 0
        self._asked: set[str] = set()

    @property
    def length(self) -> float:
        """How long ago the first cell begins, seconds."""
        return self.step * LONGEST

    def put(self, since_boot: float, values: Mapping[str, float]) -> None:
        """Put what was observed at a time, seconds since boot."""
        cell = round(since_boot / self.step)
        if cell + 1 < self._end:
            # What is replayed begins anew.
            self._strips.clear()
            self._asked.clear()
        if not self._strips:
            self._begin = cell
        self._end = cell + 1
        for address, value in values.items():
            self._strip(address).put(cell, value, self._held)
        # What came and went is not kept for ever.
        for address in [name for name, strip in self._strips.items() if strip.end <= self._end - LONGEST]:
            del self._strips[address]
            self._asked.discard(address)

    def missing(self, addresses: Iterable[str]) -> list[str]:
        """Return those that were not filled with what was before."""
        return [address for address in addresses if address not in self._asked]

    def fill(self, address: str, points: Sequence[Point], booted: float) -> None:
        """Put what was before behind what is there; `booted` is when the machine was, seconds since 1970.

        A point stands for an interval at least, unless the next one comes before.
        """
        self._asked.add(address)
        strip = self._strip(address)
        usual = max(resolution(points), self.interval, self.step)
        present = self._end * self.step + booted
        following = [*(point.time for point in points[1:]), present]
        for point, later in zip(points, following, strict=False):
            # Where the next is further away there is a gap.
            longest = usual * (_OPEN if later == present else 1.5)
            lasts = later - point.time if later - point.time <= longest else usual
            begin, end = (round((time - booted) / self.step) for time in (point.time, point.time + lasts))
            strip.fill(begin, max(end, begin + 1), point.mean)

    def last(self, addresses: Iterable[str], count: int) -> Sequence[float]:
        """Return the sum of what is known of some strips in each of the last cells."""
        found = [self._strips[address].last(count, self._end) for address in addresses if address in self._strips]
        if len(found) == 1:
            return found[0]
        return [_sum(each) for each in zip(*found, strict=True)] if found else array("d", [nan]) * count

    def lately(self, addresses: Iterable[str], most: int) -> float:
        """Return the mean of the last cells, so many at most; -1 where nothing is known.

        Of what was put alone: by it rows are chosen, and none is to go because another one was filled.
        """
        known = [value for value in self.last(addresses, min(most, self._end - self._begin)) if not isnan(value)]
        return sum(known) / len(known) if known else -1.0

    def _strip(self, address: str) -> Strip:
        found = self._strips.get(address)
        if found is None:
            found = self._strips[address] = Strip(self._end)
        return found


def _sum(values: Iterable[float]) -> float:
    known = [value for value in values if not isnan(value)]
    return sum(known) if known else nan
