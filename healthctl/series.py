"""The history of a metric as points: what the bus gives and a chart shows."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple


class Point(NamedTuple):
    """A metric over a while: when that begins, seconds since 1970, and its least, mean and greatest value."""

    time: float
    low: float
    mean: float
    high: float


class Series(NamedTuple):
    """The points of one metric, oldest first."""

    address: str
    unit: str
    """As `ListMetrics` names it."""
    summary: str
    points: Sequence[Point]


def resolution(points: Sequence[Point]) -> float:
    """Return how long each point stands for, seconds; 0 where there are not two to tell.

    Gaps between points don't matter while most follow each other.
    """
    steps = sorted(later.time - point.time for point, later in pairwise(points))
    return max(0.0, steps[(len(steps) - 1) // 2]) if steps else 0.0


def as_data(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return points as JSON has them: `time` as healthd writes it, `min`, `mean`, `max`."""
    # Only here: what draws them does without.
    from healthctl.when import iso  # noqa: PLC0415

    return [{"time": iso(point.time), "min": point.low, "mean": point.mean, "max": point.high} for point in points]
