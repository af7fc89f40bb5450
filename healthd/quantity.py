"""Durations and sizes as people write them: `5min`, `1.5GiB`."""

import re
from typing import Any

from healthd.errors import HealthdError

_LONGEST_SHOWN = 60
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,9})?)"
# As they stand in a combination: large units first.
_MILLISECONDS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000, "ms": 1}
_BYTES = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}
_BYTES |= {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_DURATION = re.compile("(?=[0-9])" + " ?".join(f"(?:{_NUMBER} ?{unit})?" for unit in _MILLISECONDS))
_SIZE = re.compile(f"{_NUMBER} ?({'|'.join(_BYTES)})")
TIMES, SIZES = f" ({', '.join(_MILLISECONDS)})", f" ({', '.join(_BYTES)})"


class NoQuantity(HealthdError):
    """A text is no duration or no size."""


def duration(text: str) -> float:
    """Return a duration (`"250ms"`, `"5s"`, `"1h30min"`: large units first) in seconds, or raise NoQuantity."""
    amounts = _match(_DURATION, text, f'duration like "5s" or "1h30min"{TIMES}').groups("0")
    # Whole milliseconds first: "283ms" is the same float as 0.283.
    return sum(float(n) * unit for n, unit in zip(amounts, _MILLISECONDS.values(), strict=True)) / 1000


def size(text: str) -> int:
    """Return a size (`"500MB"`, `"1.5GiB"`) in bytes, or raise NoQuantity."""
    match = _match(_SIZE, text, f'size like "500MB" or "1.5GiB"{SIZES}')
    return round(float(match[1]) * _BYTES[match[2]])


def _match(pattern: re.Pattern[str], text: str, kind: str) -> re.Match[str]:
    if match := pattern.fullmatch(text):
        return match
    raise NoQuantity(f"expected a {kind}, found {found(text)}")


def found(value: Any) -> str:
    """Return a value as a fault shows it: short, and on one line."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else f"a list of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of more than 64 bits"
    return short(repr(value) if isinstance(value, str) else str(value).lower())


def short(text: str) -> str:
    """Return a text, cut where it is long."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
