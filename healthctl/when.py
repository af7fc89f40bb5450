"""Times as people write them, in the local time zone unless they say another."""

import re
from datetime import datetime, timedelta
from time import localtime, strftime, time
from typing import NamedTuple

import click

from healthctl.errors import UsageError

_EXAMPLES = "-2h, -1d12h, 03:00, yesterday, '2026-11-22 03:00', 2026-11-22T03:00Z or @1700000000"
_PART = re.compile(r"(\d+(?:\.\d+)?)(w|d|h|min|ms|m|s)")
_LENGTH = re.compile(rf"(?:{_PART.pattern} ?)+")
_BEFORE = re.compile(f"-{_LENGTH.pattern}")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1, "ms": 0.001}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # UTC, which is not written as isoformat would
_END = 253402214400
"""The last day of the year 9999: what comes later is no date of Python's."""
_LONGEST = 100 * 365 * 86400
"""What is longer is a slip of the pen, seconds."""


class Moment(NamedTuple):
    """A time as it was written."""

    text: str

    def at(self, now: float | None = None) -> float:
        """Return the time that is meant at `now`, by default the present, both in seconds since 1970."""
        return parse(self.text, time() if now is None else now)


def when(text: str) -> Moment:
    """Return the time that is meant on the command line.

    Raises BadParameter.
    """
    try:
        # What clocks can't show is none: with a time_t of 32 bits, what is later than 2038.
        local(parse(text, time()))
        return Moment(text)
    except (ValueError, OverflowError, OSError) as error:
        raise click.BadParameter(f"'{text}' is no time; write {_EXAMPLES}") from error


def duration(text: str) -> float:
    """Return the seconds that are meant on the command line.

    Raises BadParameter.
    """
    if not _LENGTH.fullmatch(text.strip()) or not _length(text) <= _LONGEST:
        raise click.BadParameter(f"'{text}' is no duration; write 90s, 5min, 1h30min or 1d")
    return _length(text)


def parse(text: str, now: float) -> float:
    """Return the time that is meant at `now`, both in seconds since 1970; what is earlier counts as 1970.

    Raises ValueError, OverflowError or OSError where it is none.
    """
    found = _parse(text.strip(), now)
    if not found < _END:
        raise ValueError("beyond the calendar")
    return max(found, 0.0)


def _parse(text: str, now: float) -> float:
    if text == "now":
        return now
    if text in ("today", "yesterday"):
        return _midnight(now, days_before=int(text == "yesterday"))
    if text.startswith("@"):
        return float(text[1:])
    if _BEFORE.fullmatch(text):
        return now - _length(text)
    if found := _CLOCK.fullmatch(text):
        hour, minute, second = (int(part or 0) for part in found.groups())
        return _latest(now, hour, minute, second)
    return _date(text)


def _length(text: str) -> float:
    return sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(text))


def _date(text: str) -> float:
    # Without a zone it is local time, which timestamp() takes it for.
    return datetime.fromisoformat(text).timestamp()


def _midnight(now: float, days_before: int) -> float:
    day = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)  # noqa: DTZ006  # local
    return (day - timedelta(days=days_before)).timestamp()


def _latest(now: float, hour: int, minute: int, second: int) -> float:
    """Return the latest moment that is not in the future at which clocks show this time."""
    today = datetime.fromtimestamp(now).replace(hour=hour, minute=minute, second=second, microsecond=0)  # noqa: DTZ006
    # Where summer time ends, clocks show a time twice: the second time comes first here.
    times = ((today - timedelta(days=days)).replace(fold=fold).timestamp() for days in (0, 1) for fold in (1, 0))
    return next(moment for moment in times if moment <= now)


def ordered(since: Moment, until: Moment | None) -> None:
    """Check that there is time from one to the other; `None` is the present.

    Raises UsageError.
    """
    if since.at() >= (time() if until is None else until.at()):
        raise UsageError(
            f"--since {local(since.at())} is not before {'now' if until is None else f'--until {local(until.at())}'}"
        )


def local(moment: float) -> str:
    """Write a time in the local time zone, in a form that `parse` reads: `2026-11-22 03:00:15`."""
    return strftime("%Y-%m-%d %H:%M:%S", localtime(moment))


def clock(moment: float) -> str:
    """Write the time of day in the local time zone: `03:00:15`."""
    return strftime("%H:%M:%S", localtime(moment))


def iso(moment: float) -> str:
    """Write a time as healthd does: `2026-11-22T03:00:15.000Z`."""
    return f"{(_EPOCH + timedelta(seconds=moment)).isoformat(timespec='milliseconds')}Z"
