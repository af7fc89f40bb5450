"""Rows of the history: every series' values over one span of time, and how they are folded and written down."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from math import floor, isfinite, isnan, nan
from operator import gt
from typing import Any, NoReturn, TypeAlias, TypeGuard

Columns: TypeAlias = tuple[str, ...]
"""The series of a row by position, as `family.field` or `family.field@instance`."""


@dataclass(frozen=True, slots=True)
class Row:
    """What each series did from `time` on, for one step; NaN is unknown.

    Rows of the same series share one `columns`; where there was one sample, `low`, `mean` and `high` are one object.
    """

    time: float
    """Start, seconds since 1970 UTC."""
    columns: Columns
    low: "array[float]"
    mean: "array[float]"
    high: "array[float]"

    def sharing(self, columns: Columns) -> "Row":
        """Return this row with that object for its columns, if they are equal."""
        if columns is self.columns or columns != self.columns:
            return self
        return Row(self.time, columns, self.low, self.mean, self.high)


def bucket(time: float, step: float) -> float:
    """Return the start of the step that `time` lies in; to the millisecond, as times and steps are."""
    width = round(step * 1000)
    return round(time * 1000) // width * width / 1000


def merge(time: float, rows: Sequence[Row], most: int | None = None, weight: int = 1) -> Row:
    """Fold rows (one or more) into one: least low, mean of the means, highest high; unknown only where all are.

    A series that only some rows have is in; of such a union the first `most` stay. In the means, the first row counts
    for `weight` rows.
    """
    first = rows[0]
    if len(rows) == 1:
        return Row(time, first.columns, first.low, first.mean, first.high)
    columns = first.columns
    if any(row.columns is not columns for row in rows):
        columns = tuple(dict.fromkeys(chain.from_iterable(row.columns for row in rows)))[:most]
        rows = [_spread(row, columns) for row in rows]
    lows, means, highs = array("f"), array("f"), array("f")
    for low, mean, high in zip(
        zip(*[row.low for row in rows], strict=True),
        zip(*[row.mean for row in rows], strict=True),
        zip(*[row.high for row in rows], strict=True),
        strict=True,
    ):
        total = sum(mean) + (weight - 1) * mean[0]
        if isnan(total):
            lows.append(min(_known(low), default=nan))
            means.append(_mean(mean, weight))
            highs.append(max(_known(high), default=nan))
        else:
            lows.append(min(low))
            means.append(total / (len(mean) + weight - 1))
            highs.append(max(high))
    # A slice is no larger than it must be, unlike what has grown.
    return Row(time, columns, lows[:], means[:], highs[:])


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not isnan(value)]


def _mean(values: Sequence[float], weight: int) -> float:
    """Return the mean of what is known, the first counting for `weight` values; NaN where nothing is."""
    known = _known([*values, *[values[0]] * (weight - 1)])
    return sum(known) / len(known) if known else nan


def _spread(row: Row, columns: Columns) -> Row:
    """Return a row as one of other columns; what it does not have is unknown."""
    if row.columns == columns:
        return row
    positions = dict(zip(row.columns, range(len(row.columns)), strict=True))
    # -1 is the NaN that is put at the end.
    places = [positions.get(address, -1) for address in columns]
    low, mean, high = (array("f", map([*values, nan].__getitem__, places)) for values in (row.low, row.mean, row.high))
    return Row(row.time, columns, low, mean, high)


def coarser(rows: Iterable[Row], step: float) -> list[Row]:
    """Fold rows that follow each other to a longer step."""
    return [merge(time, list(within)) for time, within in groupby(rows, lambda row: bucket(row.time, step))]


def rows_data(step: float, rows: Iterable[Row]) -> dict[str, Any]:
    """Return rows as JSON has them, with 6 significant digits; unknown is null.

    `{"step":60,"blocks":[{"columns":[…],"rows":[[time,[low…],[mean…],[high…]],…]},…]}`: a block is of rows that follow
    each other and have the same series; a row whose low, mean and high are the same is `[time,[mean…]]`.
    """
    blocks = [
        {"columns": list(columns), "rows": [_row_data(row) for row in block]}
        for columns, block in groupby(rows, lambda row: row.columns)
    ]
    return {"step": _number(step), "blocks": blocks}


def _row_data(row: Row) -> list[Any]:
    mean = _written(row.mean)
    if row.low is row.mean is row.high:
        return [_number(row.time), mean]
    low, high = _written(row.low), _written(row.high)
    if low == mean == high:
        return [_number(row.time), mean]
    return [_number(row.time), low, mean, high]


def _written(values: Iterable[float]) -> list[float | None]:
    return [None if isnan(value) else float(f"{value:.6g}") for value in values]


def _number(value: float) -> float:
    """Return a whole number as such: it is shorter."""
    return int(value) if value == floor(value) else value


def rows_from(data: object) -> list[Row]:
    """Return the rows of `rows_data`, however it was made; raise ValueError, with a short reason, where it is not that.

    Rows of equal columns share them.
    """
    if not isinstance(data, dict):
        _malformed("not an object")
    step, blocks = data.get("step"), data.get("blocks")
    if not _is_time(step) or step < _SHORTEST:
        _malformed("step is no time")
    if not isinstance(blocks, list):
        _malformed("blocks is no list")
    known: dict[Columns, Columns] = {}
    rows: list[Row] = []
    for block in blocks:
        if not isinstance(block, dict) or not isinstance(block.get("rows"), list):
            _malformed("a block has no rows")
        columns = _columns(block.get("columns"))
        columns = known.setdefault(columns, columns)
        rows += [_row(row, step, columns) for row in block["rows"]]
    return rows


def _malformed(reason: str) -> NoReturn:
    raise ValueError(f"malformed history: {reason}")


# The largest time: that of the year 10000.
_LATEST = 253_402_300_800
_SHORTEST = 0.001


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LATEST


def _columns(found: object) -> Columns:
    if not isinstance(found, list) or not all(isinstance(address, str) for address in found):
        _malformed("columns is no list of names")
    columns = tuple(found)
    if len(set(columns)) < len(columns):
        _malformed("a column stands twice")
    return columns


def _row(found: object, step: float, columns: Columns) -> Row:
    if not isinstance(found, list) or len(found) not in (2, 4):
        _malformed("a row is no list of a time and one or three lists")
    time, *lists = found
    if not _is_time(time) or bucket(time, step) != time:
        _malformed("a time is no multiple of the step")
    arrays = [_values(values, len(columns)) for values in lists]
    if len(arrays) == 1:
        return Row(float(time), columns, *arrays * 3)
    low, mean, high = arrays
    if any(map(gt, low, mean)) or any(map(gt, mean, high)):
        _malformed("low, mean and high are not in this order")
    if not list(map(isnan, low)) == list(map(isnan, mean)) == list(map(isnan, high)):
        _malformed("only a part of low, mean and high is known")
    return Row(float(time), columns, low, mean, high)


_NUMBER_OR_NULL = {float, int, type(None)}


def _values(found: object, count: int) -> "array[float]":
    if not isinstance(found, list) or len(found) != count:
        _malformed("a list is not as long as the columns")
    if not _NUMBER_OR_NULL.issuperset(map(type, found)):
        _malformed("a value is neither number nor null")
    try:
        known = array("f", [value for value in found if value is not None])
    except OverflowError:
        _malformed("a value is too large")
    if not isfinite(sum(known)):
        _malformed("a value is too large")
    if len(known) == count:
        return known
    return array("f", [nan if value is None else value for value in found])
