"""A recording as it lies on disk: segments `DIR/YYYY-MM-DD/HH-MM-SS.jsonl`, closed ones with `.gz` behind.

Reading changes nothing, and goes as far as it can: what can't be read is reported, with its line, and passed over.
"""

import calendar
import errno
import os
import re
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from healthd.errors import BadEvent
from healthd.events import decode
from healthd.model import Event

PLAIN, CLOSED = ".jsonl", ".jsonl.gz"
LONGEST = 1 << 22
"""The longest line that is looked at, bytes."""

_PIECE = 1 << 16
# A thousand times as much may come of it.
_COMPRESSED_PIECE = 1 << 12
_STEM = "%Y-%m-%d/%H-%M-%S"
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_SEGMENT = re.compile(r"(\d\d-\d\d-\d\d)\.jsonl(\.gz)?")


class Segment(NamedTuple):
    """One file of a recording."""

    opened: float
    """When, by its name; seconds since 1970 UTC."""
    path: str

    @property
    def closed(self) -> bool:
        """Whether it is complete and compressed."""
        return self.path.endswith(CLOSED)


class Fault(NamedTuple):
    """What can't be read of a file, and where; line 0 is the file as a whole."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        """Return it as one line."""
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.reason}"


def stem(opened: float) -> str:
    """Return a segment's path below the directory, without its ending."""
    return time.strftime(_STEM, time.gmtime(opened))


def segments(directory: str) -> list[Segment]:
    """Return the segments in the order of their names; other files are none of ours.

    Raises OSError where the directory can't be read.
    """
    found = []
    for day in days(directory):
        names = set(_names(os.path.join(directory, day)))
        # Between compressing and removing both are there, and the compressed one is whole.
        found += [
            Segment(at, os.path.join(directory, day, name))
            for name in names
            if (at := opened(day, name)) is not None and f"{name}.gz" not in names
        ]
    return sorted(found)


def days(directory: str) -> list[str]:
    """Return the names of the directories that can hold segments, oldest first.

    Raises OSError where the directory can't be read.
    """
    return sorted(filter(_DAY.fullmatch, os.listdir(directory)))


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:  # removed meanwhile, or no directory
        return []


def opened(day: str, name: str) -> float | None:
    """Return when the segment of that name, in the directory of that day, was opened; `None` where it is no segment."""
    match = _SEGMENT.fullmatch(name)
    if match is None:
        return None
    try:
        return float(calendar.timegm(time.strptime(f"{day}/{match[1]}", _STEM)))
    except ValueError:
        return None


def lines(path: str, report: Callable[[Fault], None]) -> Iterator[tuple[int, bytes]]:
    """Yield the whole lines of a segment with their numbers; a torn last one is reported as such."""
    number, rest, skipping = 0, b"", False
    try:
        for piece in _pieces(path):
            *whole, rest = (rest + piece).split(b"\n") if not skipping else _skipped(piece)
            for line in whole:
                number += 1
                if skipping:
                    skipping = False
                elif len(line) > LONGEST:
                    report(Fault(path, number, f"a line of over {LONGEST} bytes"))
                elif line:
                    yield number, line
            if len(rest) > LONGEST and not skipping:
                report(Fault(path, number + 1, f"a line of over {LONGEST} bytes"))
                rest, skipping = b"", True
    except OSError as error:
        report(Fault(path, 0, error.strerror or str(error)))
    except zlib.error as error:
        report(Fault(path, number + 1, f"the compressed data end or are damaged here ({error})"))
    if rest.strip(b"\0") and not skipping:
        report(Fault(path, number + 1, "the last line is torn"))


def _skipped(piece: bytes) -> list[bytes]:
    """Return what is left of a piece of a line that is passed over, as its lines."""
    return piece.split(b"\n") if b"\n" in piece else [b""]


def _pieces(path: str) -> Iterator[bytes]:
    """Yield the content, decompressed where it is compressed, meanwhile perhaps."""
    if path.endswith(PLAIN) and not os.path.exists(path) and os.path.exists(f"{path}.gz"):
        path += ".gz"
    with open(path, "rb", opener=_regular) as file:
        if not path.endswith(".gz"):
            while data := file.read(_PIECE):
                yield data
            return
        inflate, begun = zlib.decompressobj(wbits=31), False
        while data := file.read(_COMPRESSED_PIECE):
            while data:
                yield inflate.decompress(data)
                data, begun = inflate.unused_data, not inflate.eof
                if inflate.eof:
                    inflate = zlib.decompressobj(wbits=31)
        if begun:
            raise zlib.error("there is no end")


def _regular(path: str, flags: int) -> int:
    """Open a file; raises OSError for what is none, like a pipe that nobody writes to."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "this is no regular file", path)
    return descriptor


def events(path: str, report: Callable[[Fault], None]) -> Iterator[tuple[int, Event]]:
    """Yield the events of a segment with the numbers of their lines; what is none is reported and passed over."""
    after = None
    for number, line in lines(path, report):
        try:
            after = decode(line, after)
        except BadEvent as error:
            report(Fault(path, number, str(error)))
        else:
            yield number, after
