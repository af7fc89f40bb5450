"""The largest movers: which gauges were unusual while something built up, against how each was before."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import ceil, isnan, nan
from typing import Any, NamedTuple

from healthd.model import Family, Metric
from healthd.state._rows import Columns, Row
from healthd.state.history import History

LENGTH = 900.0
"""How much of the time before is looked at, seconds."""
APART = 60.0
"""How far that lies before the beginning, seconds: what builds up began earlier than it showed."""
LEAST = 60.0
"""How much of the time before must be known, seconds."""
SHOWN = 5
"""How many are told at most."""

_ROWS = 60
"""How many rows of each time are looked at, evenly: enough to tell what is usual, and never too much work."""
_FEWEST = 4
_UNUSUAL = 3.0
"""So many times its usual variation is a move."""
_BANDS, _SHARE = 4, 0.05
"""A variation by less than so many deadbands, or that share of the value, is none that a person would notice."""


def movers(
    history: History, families: Iterable[Family], begun: float, until: float, *, lag: float, but: str
) -> list[dict[str, Any]] | None:
    """Return what moved most from before `begun` to the time from then `until`, the most unusual first.

    Times are seconds since 1970 UTC; what builds up looks back by `lag` seconds. Each has `metric` (`family.field` or
    `family.field@instance`), `unit`, and what was usual `before` and `after`. Of one reading there is one, and none of
    the reading that the metric `but` is of: it is known already. `None` where the history does not reach back so far.
    """
    start = begun - max(lag, APART)
    step, rows = _reaching(history, start - LENGTH)
    length = max(LENGTH, _FEWEST * step)
    before = [row for row in rows if start - length <= row.time and row.time + step <= start]
    after = [row for row in rows if row.time + step > begun and row.time <= max(until, begun + APART)]
    if not before or not after or before[-1].time + step - before[0].time < LEAST:
        return None
    moves = _moves(_thinned(before), _thinned(after), {family.name: family for family in families})
    moved = sorted((move for move in moves if move.unusual >= _UNUSUAL), key=_most_first)
    return [move.data() for move in sorted(_different(moved, _reading(but))[:SHOWN], key=_most_first)]


class _Move(NamedTuple):
    """How one gauge moved."""

    address: str
    metric: Metric
    unusual: float
    """How far it went, by its own variation."""
    before: float
    after: float

    def data(self) -> dict[str, Any]:
        before, after = (round(value, self.metric.digits) for value in (self.before, self.after))
        return {"metric": self.address, "unit": self.metric.unit.value, "before": before, "after": after}


def _reaching(history: History, since: float) -> tuple[float, list[Row]]:
    """Return step and rows of the finest tier that reaches back to a time, or of that which reaches back furthest."""
    step, found = history.tiers[0].step, history.rows(history.tiers[0].step)
    for tier in history.tiers[1:]:
        if found and found[0].time <= since:
            break
        rows = history.rows(tier.step)
        # A longer one that only began earlier knows no more.
        if rows and (not found or rows[0].time + tier.step <= found[0].time):
            step, found = tier.step, rows
    return step, found


def _thinned(rows: Sequence[Row]) -> Sequence[Row]:
    return rows[:: ceil(len(rows) / _ROWS)]


def _moves(before: Sequence[Row], after: Sequence[Row], families: Mapping[str, Family]) -> Iterator[_Move]:
    """Yield every gauge that is known at both times."""
    columns = after[-1].columns
    then = (_sorted(before, columns, values) for values in (_lows, _means, _highs))
    for address, lows, means, highs, now in zip(columns, *then, _sorted(after, columns, _means), strict=True):
        metric = _metric(address, families)
        # Bytes of a whole are told as a share of it by another field of the same reading.
        if metric and now and 2 * len(means) >= len(before) and not (metric.band and metric.band.of):
            usual, value = means[len(means) // 2], now[len(now) // 2]
            ends = len(means) // 10
            varies = max(highs[-1 - ends] - lows[ends], _noticed(metric, usual, value))
            yield _Move(address, metric, abs(value - usual) / varies if varies else 0.0, usual, value)


def _lows(row: Row) -> Sequence[float]:
    return row.low


def _means(row: Row) -> Sequence[float]:
    return row.mean


def _highs(row: Row) -> Sequence[float]:
    return row.high


def _sorted(rows: Sequence[Row], columns: Columns, values: Callable[[Row], Sequence[float]]) -> Iterator[list[float]]:
    """Yield for each column the values that rows know of it, the least first."""
    places: dict[Columns, list[int] | None] = {columns: None}
    table: list[Iterable[float]] = []
    for row in rows:
        if row.columns not in places:
            positions = {address: position for position, address in enumerate(row.columns)}
            # What a row does not have is the NaN that is put at its end.
            places[row.columns] = [positions.get(address, -1) for address in columns]
        found = places[row.columns]
        table.append(values(row) if found is None else map([*values(row), nan].__getitem__, found))
    for each in zip(*table, strict=True):
        yield sorted([value for value in each if not isnan(value)])


def _noticed(metric: Metric, before: float, after: float) -> float:
    """Return the least variation that a person would notice."""
    absolute = metric.band.absolute if metric.band else 0.0
    return max(_BANDS * absolute, _SHARE * max(abs(before), abs(after)))


def _metric(address: str, families: Mapping[str, Family]) -> Metric | None:
    """Return what is declared of a series; a recording may hold others."""
    family, _, field = address.partition("@")[0].partition(".")
    return families[family].by_name.get(field) if family in families else None


def _most_first(move: _Move) -> tuple[float, str]:
    return -move.unusual, move.address


def _different(moves: Iterable[_Move], known: tuple[str, str]) -> list[_Move]:
    """Return one of each reading that is not known, the first ones of all families before the second ones."""
    readings = {known}
    firsts: list[_Move] = []
    others: list[_Move] = []
    for move in moves:
        family, instance = _reading(move.address)
        if (family, instance) not in readings:
            is_first = all(_reading(other.address)[0] != family for other in firsts)
            (firsts if is_first else others).append(move)
            readings.add((family, instance))
    return firsts + others


def _reading(address: str) -> tuple[str, str]:
    """Return the family and instance of a metric."""
    name, _, instance = address.partition("@")
    return name.partition(".")[0], instance
