"""The history in memory: what every gauge did, finer for the last hour and coarser for the last week.

It is made of accepted readings alone, so it follows from the snapshots. Each series (`family.field` or
`family.field@instance`) takes 37 kB, where there are a hundred, when all tiers are full.
"""

import logging
from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from math import ceil, inf, nan
from typing import NamedTuple

from healthd.model import Entry, Kind, Point, Reading, Snapshot
from healthd.state._points import fold, points_of
from healthd.state._rows import Columns, Row, bucket, coarser, merge, rows_data, rows_from

__all__ = [
    "TIERS",
    "Columns",
    "History",
    "Point",
    "Row",
    "Tier",
    "coarser",
    "fold",
    "points_of",
    "rows_data",
    "rows_from",
]


_log = logging.getLogger(__name__)


class Tier(NamedTuple):
    """How fine the history is, and for how long."""

    step: float
    """What one row spans, seconds."""
    keep: float
    """What all rows together span, seconds."""


TIERS = (Tier(5, 3600), Tier(60, 86400), Tier(900, 604800))

# More parts of one bucket than these are folded before it ends.
_MOST_PARTS = 64


class _Level:
    """One tier: its rows, and the parts of the bucket that is open."""

    def __init__(self, tier: Tier, most: int) -> None:
        self.step = tier.step
        self.rows: deque[Row] = deque(maxlen=ceil(tier.keep / tier.step))
        self.open: list[Row] = []
        self._start = 0.0
        self._weight = 1
        self._most = most

    @property
    def oldest(self) -> float:
        """The earliest time that is known; infinite where there is none."""
        return min(chain((row.time for row in self.rows), [self._start] if self.open else [inf]))

    @property
    def is_full(self) -> bool:
        """Whether the next row drives out the oldest."""
        return len(self.rows) == self.rows.maxlen

    def put(self, part: Row) -> None:
        """Take in a part of the open bucket, or the first of a new one."""
        if not self.open:
            self._start = bucket(part.time, self.step)
        elif len(self.open) == _MOST_PARTS:
            self.open = [self._merged()]
            self._weight += _MOST_PARTS - 1
        self.open.append(part)

    def is_over(self, time: float) -> bool:
        """Tell whether `time` is not in the open bucket."""
        return bool(self.open) and bucket(time, self.step) != self._start

    def close(self) -> Row:
        """Return the open bucket, which becomes a row."""
        row = self._merged()
        self.open, self._weight = [], 1
        last = self.rows[-1] if self.rows else None
        if last and last.time == row.time:
            # What was known of this bucket before a restart.
            self.rows[-1] = merge(row.time, [last, row], self._most)
        else:
            self.rows.append(row.sharing(last.columns) if last else row)
        return row

    def _merged(self) -> Row:
        return merge(self._start, self.open, self._most, self._weight)

    def restore(self, rows: Iterable[Row]) -> None:
        """Put older rows before those that are here."""
        oldest = self.oldest
        # One of the open bucket's own time was its part before a restart.
        last = self._start if self.open and not self.rows else -inf
        known = {row.columns: row.columns for row in self.rows}
        older = [
            row.sharing(known.setdefault(row.columns, row.columns))
            for row in rows
            if row.time < oldest or row.time == last
        ]
        self.rows = deque([*older, *self.rows], maxlen=self.rows.maxlen)


class _Known(NamedTuple):
    """What is known of one family now."""

    entries: Mapping[str, Entry]
    fields: Mapping[str, tuple[str, ...]]
    """Those of each instance that have a history: what it has never told of has none."""
    columns: Columns
    values: "array[float]"


class History:
    """What every gauge did.

    The tiers go from fine to coarse, each step a multiple of the one before. Of more than `most` series the first are
    kept, in the order of families and instances.
    """

    def __init__(self, tiers: Sequence[Tier] = TIERS, most: int = 512) -> None:
        self.tiers = tuple(tiers)
        self._levels = [_Level(tier, most) for tier in tiers]
        self._most = most
        self._known: dict[str, _Known] = {}
        self._columns: Columns = ()
        self._values = array("f")
        self._dropped = 0

    @property
    def dropped_series(self) -> int:
        """How many series there are now beyond those that are kept."""
        return self._dropped

    def take(self, snapshot: Snapshot) -> None:
        """Take in what is known now, once a cycle."""
        self._observe(snapshot.entries)
        time = snapshot.instant.time
        if self._levels[0].is_over(time):
            self._close(time)
        self._levels[0].put(Row(time, self._columns, self._values, self._values, self._values))

    def close(self) -> None:
        """Make rows of what there is, though its time may not be over."""
        self._close(None)

    def _close(self, time: float | None) -> None:
        """Close the buckets that `time` is not in, or all; what ends a finer one goes into the coarser one first."""
        closed: Row | None = None
        for level in self._levels:
            if closed:
                level.put(closed)
            closed = level.close() if level.open and (time is None or level.is_over(time)) else None

    def _observe(self, entries: Mapping[str, Mapping[str, Entry]]) -> None:
        """Bring columns and values up to date; a family whose entries are the same object costs nothing."""
        changed = moved = False
        for name, found in entries.items():
            known = self._known.get(name)
            if known and known.entries is found:
                continue
            changed = True
            fields = _fields(found, known.fields if known else {})
            if known and fields == known.fields:
                columns = known.columns
            else:
                columns, moved = _columns(name, fields, known.columns if known else ()), True
            self._known[name] = _Known(found, fields, columns, _values(found, fields))
        if len(self._known) > len(entries):
            self._known = {name: known for name, known in self._known.items() if name in entries}
            changed = moved = True
        if moved:
            self._known = dict(sorted(self._known.items()))
            columns = tuple(chain.from_iterable(known.columns for known in self._known.values()))
            self._columns = columns[: self._most]
            dropped, self._dropped = self._dropped, len(columns) - len(self._columns)
            if self._dropped > dropped:
                _log.warning("%d series beyond the %d of history.series are not remembered", self._dropped, self._most)
        if changed:
            values = array("f")
            for known in self._known.values():
                values.extend(known.values)
            # A slice is no larger than it must be, unlike what has grown.
            self._values = values[: self._most]

    def restore(self, step: float, rows: Iterable[Row]) -> None:
        """Put older rows, oldest first, before those of the tier of that step, and of no other.

        Rows that are not older are left out; but one of the bucket that is open becomes a part of it. Raises KeyError
        where no tier has that step.
        """
        self._level(step).restore(rows)

    def rows(self, step: float) -> list[Row]:
        """Return the closed rows of the tier of that step, oldest first; KeyError where there is no such tier."""
        return list(self._level(step).rows)

    def _level(self, step: float) -> _Level:
        for level in self._levels:
            if level.step == step:
                return level
        raise KeyError(step)

    def addresses(self) -> set[str]:
        """Return every series that any row has."""
        different = {id(row.columns): row.columns for level in self._levels for row in (*level.rows, *level.open)}
        return set(chain.from_iterable(different.values()))

    def points(self, address: str, since: float, until: float) -> list[Point]:
        """Return what one series did from `since` to `until`, oldest first; what is unknown is left out.

        The points are of the finest tier that reaches back to `since`, or else of that which reaches back furthest.
        They have 7 significant digits. Raises KeyError for a series that no row has.
        """
        if address not in self.addresses():
            raise KeyError(address)
        chosen = self._reaching(since)
        step = self._levels[chosen].step
        points = points_of(address, self._rows_from(chosen), step)
        return [point for point in points if point.time <= until and point.time + step > since]

    def _reaching(self, since: float) -> int:
        chosen, oldest = 0, self._levels[0].oldest
        for index, level in enumerate(self._levels[1:], 1):
            if oldest <= since:
                break
            # A longer bucket that only began earlier knows no more, unless the finer tier had to let go of something.
            if level.oldest < oldest and (self._levels[chosen].is_full or level.oldest + level.step <= oldest):
                chosen, oldest = index, level.oldest
        return chosen

    def _rows_from(self, index: int) -> list[Row]:
        """Return the rows of a tier, followed by what finer ones know beyond them."""
        level = self._levels[index]
        if not index:
            return [*level.rows, *level.open]
        last = level.rows[-1].time if level.rows else -inf
        now = self._levels[0].open
        # The last row may be of before a restart, and its bucket not over.
        over = not now or bucket(now[-1].time, level.step) != last
        beyond = [
            row
            for row in self._rows_from(index - 1)
            if (start := bucket(row.time, level.step)) > last or (start == last and not over)
        ]
        lost = [row for row in level.open if not beyond or row.time < beyond[0].time]
        return [*level.rows, *lost, *beyond]


_known_gauges: dict[type[Reading], tuple[str, ...]] = {}


def _gauges(reading: type[Reading]) -> tuple[str, ...]:
    """Return the fields that have a history: plain numbers that go up and down."""
    gauges = _known_gauges.get(reading)
    if gauges is None:
        gauges = _known_gauges[reading] = tuple(
            metric.name for metric in reading.metrics if metric.kind is Kind.GAUGE and metric.type in (float, int)
        )
    return gauges


def _fields(entries: Mapping[str, Entry], before: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the fields of each instance that are known, or were since it is there."""
    found = {}
    for instance in sorted(entries):
        reading, known = entries[instance].reading, before.get(instance, ())
        gauges = _gauges(type(reading))
        if len(known) < len(gauges):
            known = tuple(field for field in gauges if field in known or getattr(reading, field) is not None)
        found[instance] = known
    return found


def _columns(name: str, fields: Mapping[str, tuple[str, ...]], before: Columns) -> Columns:
    # Rows keep their columns: where instances come and go all day, the names of those that stay are the same objects.
    kept = dict(zip(before, before, strict=True))
    columns = (
        f"{name}.{field}@{instance}" if instance else f"{name}.{field}"
        for instance, known in fields.items()
        for field in known
    )
    return tuple(kept.get(column, column) for column in columns)


# The largest number of 32 bits.
_MOST = (2 - 2**-23) * 2.0**127


def _values(entries: Mapping[str, Entry], fields: Mapping[str, tuple[str, ...]]) -> "array[float]":
    values: list[float] = []
    for instance, known in fields.items():
        reading, status = entries[instance]
        if not status.available:
            values.extend(repeat(nan, len(known)))
            continue
        for field in known:
            value = getattr(reading, field)
            values.append(value if value is not None and -_MOST <= value <= _MOST else nan)
    return array("f", values)
