"""What sensors measure: the numbers that drivers write become values in their units, or the reason why not."""

import errno
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from healthd import protocol
from healthd.errors import Unobserved
from healthd.observe._files import File

_LONGEST = 24

GONE = (errno.ENOENT, errno.ENODEV)

# The driver is well and has no value: the device is switched off, busy, or has not measured yet.
_NO_VALUE = (errno.ENODATA, errno.EAGAIN, errno.EBUSY)


class Measure(NamedTuple):
    """What is measured, and how a driver writes it."""

    field: str
    """The field of a reading."""
    divisor: float
    """What a driver writes for one of the field's unit."""
    digits: int
    low: float
    high: float
    """Beyond these it can't be true: what a chip says that is absent, or of which only ones or zeros arrive."""
    symbol: str


CELSIUS = Measure("celsius", 1000, 1, -128.0, 255.0, "°C")
RPM = Measure("rpm", 1, 0, -1.0, 60_000.0, "rpm")
VOLTS = Measure("volts", 1000, 3, -1000.0, 1000.0, "V")
WATTS = Measure("watts", 1_000_000, 2, -1e5, 1e5, "W")
AMPERES = Measure("amperes", 1000, 3, -1e4, 1e4, "A")
HUMIDITY = Measure("humidity", 1000, 1, -0.1, 100.1, "%")
PASCALS = Measure("pascals", 0.001, 0, -1e8, 1e8, "Pa")


class Channel(NamedTuple):
    """One thing that one device measures."""

    driver: str
    place: str
    """Where the device is on its bus."""
    label: str
    """What its driver calls it."""
    name: str
    """Begin of its files' names: what tells labels apart that are the same."""
    measure: Measure
    path: str
    """The file that is there as long as the sensor is."""
    read: Callable[[], float | None]
    """Return what it shows now; `None` where it has not measured yet.

    Raises OSError where the driver gives nothing, and Unobserved where that can't be true, or is not wanted.
    """
    limits: Callable[[], Mapping[str, float | None]] = dict
    """Return its limits by the fields of a reading. To read one can take a transfer on a bus, as to measure does."""

    @property
    def id(self) -> str:
        """Name it by what stays when devices are renumbered."""
        return f"{self.driver}/{self.place}/{self.label}"


class Shown:
    """What a sensor that is not asked in each run showed last: a value, or why it had none."""

    def __init__(self) -> None:
        self._last: float | Unobserved | OSError | None = None

    def ask(self, measure: Callable[[], float]) -> None:
        """Ask it, and keep the answer.

        Raises OSError where it is gone, which is no answer.
        """
        try:
            self._last = measure()
        except OSError as error:
            if error.errno in GONE:
                raise
            self._last = error
        except Unobserved as error:
            self._last = error

    def read(self) -> float | None:
        """Return the last answer, `None` before the first.

        Raises OSError or Unobserved where that was the answer.
        """
        if isinstance(self._last, Exception):
            # Or each raise would add to where it was raised before.
            raise self._last.with_traceback(None)
        return self._last


def number(content: bytes) -> float:
    """Return the number that a file holds.

    Raises Unobserved where it holds none.
    """
    digits = content.strip()
    if len(digits) > _LONGEST or not digits.removeprefix(b"-").replace(b".", b"", 1).isdigit():
        raise Unobserved(protocol.MALFORMED, "reads no number")
    return float(digits)


def value(written: float, measure: Measure) -> float:
    """Return what a driver wrote in the unit of what is measured, rounded.

    Raises Unobserved where that can't be true.
    """
    found = round(written / measure.divisor, measure.digits) + 0.0  # no negative zero
    if not measure.low < found < measure.high:
        raise Unobserved(protocol.MALFORMED, f"reads {found:g} {measure.symbol}, which can't be true")
    return found


def limit(path: str, measure: Measure) -> float | None:
    """Return a limit; `None` where there is none, and for the 0 that firmware leaves where it sets none."""
    try:
        return value(number(File(path).read()), measure) or None
    except (OSError, Unobserved):
        return None


def names(directory: str) -> list[str]:
    """Return the names in a directory in order; none where it can't be read, or went."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def text(path: str) -> str:
    """Return what a small file says; "" where it can't be read."""
    try:
        return "".join(filter(str.isprintable, File(path).text()))
    except OSError:
        return ""


def valueless(error: OSError) -> Unobserved | OSError:
    """Return what an error of a read means: some tell of no fault."""
    if error.errno in _NO_VALUE:
        return Unobserved(protocol.UNSUPPORTED, "the driver has no value at present")
    return error
