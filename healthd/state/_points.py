"""Points: what one series did, as it is answered."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from math import isnan

from healthd.model import Point
from healthd.state._rows import Columns, Row, bucket


def points_of(address: str, rows: Iterable[Row], step: float) -> list[Point]:
    """Return what rows know of one series, in buckets of `step`, oldest first, with 7 significant digits."""
    found: dict[float, list[Point]] = {}
    for point in _known(address, rows):
        found.setdefault(bucket(point.time, step), []).append(point)
    return _merged(found)


def _known(address: str, rows: Iterable[Row]) -> Iterator[Point]:
    columns: Columns | None = None
    position = -1
    for row in rows:
        if row.columns is not columns:
            columns = row.columns
            position = columns.index(address) if address in columns else -1
        if position >= 0 and not isnan(row.mean[position]):
            yield Point(row.time, row.low[position], row.mean[position], row.high[position])


_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WIDTHS = (
    *(1, 2, 5, 10, 15, 30),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
)


def fold(points: Sequence[Point], since: float, until: float, most: int) -> list[Point]:
    """Return at most `most` (1 or more) points: as they are, or in buckets of one round width.

    A bucket starts at a multiple of its width. A point that begins outside of the range counts to the nearer end.
    """
    if len(points) <= most:
        return list(points)
    times = [max(0.0, min(max(point.time, since), until)) for point in points]
    widths = chain(_WIDTHS, (_DAY << doubled for doubled in count()))
    width = next(width for width in widths if len({time // width for time in times}) <= most)
    found: dict[float, list[Point]] = {}
    for time, point in zip(times, points, strict=True):
        found.setdefault(bucket(time, width), []).append(point)
    return _merged(found)


def _merged(found: dict[float, list[Point]]) -> list[Point]:
    """Make one point of those of each bucket."""
    return [_merge(start, points) for start, points in sorted(found.items())]


def _merge(time: float, points: list[Point]) -> Point:
    if len(points) == 1:
        _, low, mean, high = points[0]
    else:
        _, lows, means, highs = zip(*points, strict=True)
        low, mean, high = min(lows), sum(means) / len(means), max(highs)
    # The digits that 32 bits hold: 68.4, not 68.4000015.
    return Point(time, float(f"{low:.7g}"), float(f"{mean:.7g}"), float(f"{high:.7g}"))
