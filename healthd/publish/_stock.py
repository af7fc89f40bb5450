"""The segments that lie in a directory: closed ones compressed, torn ones repaired, the oldest removed."""

import logging
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from errno import EINVAL
from math import inf
from typing import NamedTuple

from healthd.recording import CLOSED, PLAIN, Fault, days, lines, opened

_log = logging.getLogger(__name__)

AT_ONCE = 144
"""How many segments are removed at one go: a clock that jumps far ahead must not empty the directory."""

_HALF_MADE = ".tmp"
_PIECE = 1 << 16
_LEVEL = 6
_GZIP = 31


def leftovers(directory: str, open_one: str) -> list[str]:
    """Return the plain segments, oldest first, but the open one; compressed ones that are half made are removed."""
    found = []
    for day in days(directory):
        for entry in _regular(directory, day):
            if entry.name.endswith(CLOSED + _HALF_MADE):
                if opened(day, entry.name.removesuffix(_HALF_MADE)) is not None:
                    os.unlink(entry.path)
            elif entry.name.endswith(PLAIN) and opened(day, entry.name) is not None and entry.path != open_one:
                found.append(entry.path)
    return sorted(found)


def _regular(directory: str, day: str) -> "list[os.DirEntry[str]]":
    path = os.path.join(directory, day)
    if os.path.islink(path):
        return []
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if entry.is_file(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def settle(path: str, summary: Callable[[str], bytes]) -> int:
    """Close a plain segment for good, and return how many bytes that wrote.

    A torn last line is dropped; what is empty, or already compressed, is removed. Raises OSError: then nothing is lost.
    """
    if _whole(path.removesuffix(PLAIN) + CLOSED):
        os.unlink(path)
        return 0
    if dropped := repair(path):
        _log.warning("dropped %d bytes of a torn last line of %s", dropped, path)
    if not os.path.getsize(path):
        os.unlink(path)
        return 0
    return compress(path, summary)


def _whole(path: str) -> bool:
    """Tell whether a compressed segment is there, and can be read to its end."""
    faults: list[Fault] = []
    found = sum(1 for _ in lines(path, faults.append))
    return found > 0 and not faults


def repair(path: str) -> int:
    """Cut off what follows the last whole line, and return how many bytes that was."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        end = _end_of_lines(descriptor, size)
        if end < size:
            os.ftruncate(descriptor, end)
        return size - end
    finally:
        os.close(descriptor)


def _end_of_lines(descriptor: int, size: int) -> int:
    start = size
    while start:
        start = max(start - _PIECE, 0)
        found = os.pread(descriptor, _PIECE, start).rfind(b"\n", 0, size - start)
        if found >= 0:
            return start + found + 1
    return 0


def compress(path: str, summary: Callable[[str], bytes]) -> int:
    """Put the compressed form of a segment in its place, once it is on disk, and return its size.

    Raises OSError: then the plain one stays.
    """
    closed = path.removesuffix(PLAIN) + CLOSED
    half_made = closed + _HALF_MADE
    try:
        with open(path, "rb") as plain, open(half_made, "wb") as out:
            if head := _summary(path, summary):
                out.writelines(_member([head]))
            out.writelines(_member(iter(lambda: plain.read(_PIECE), b"")))
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
        os.rename(half_made, closed)
    except OSError:
        with suppress(OSError):
            os.unlink(half_made)
        raise
    sync_directory(os.path.dirname(path))
    os.unlink(path)
    return size


def _summary(path: str, summary: Callable[[str], bytes]) -> bytes:
    try:
        return summary(path)
    except Exception:  # noqa: BLE001  # what sums up may fail at anything that it reads; the lines must be kept
        _log.exception("%s can't be summed up", path)
        return b""


def _member(pieces: Iterable[bytes]) -> Iterator[bytes]:
    deflate = zlib.compressobj(_LEVEL, wbits=_GZIP)
    for piece in pieces:
        yield deflate.compress(piece)
    yield deflate.flush()


def sync_directory(path: str) -> None:
    """Wait until the names in a directory are on disk; where the file system can't tell, they are taken to be."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != EINVAL:
            raise
    finally:
        os.close(descriptor)


class _File(NamedTuple):
    opened: float
    path: str
    size: int


class _Day(NamedTuple):
    changed: int
    """When a name in it changed, ns."""
    first: float
    """When the first segment was opened."""
    size: int


class Stock:
    """What is there, and what is too old or too much of it. Other files and directories are never touched.

    `turn` is held while a directory goes: one that is made for a segment is empty until that is opened.
    """

    def __init__(self, directory: str, max_size: int, turn: "threading.Lock | None" = None) -> None:
        self._directory = directory
        self.max_size = max_size
        self._turn = turn or threading.Lock()
        self._days: dict[str, _Day] = {}

    def retain(self, since: float, open_one: str) -> bool:
        """Remove segments, oldest first but never the open one, that are of before `since` or more than is allowed.

        At most `AT_ONCE`; tells whether there is still more than is allowed. Raises OSError where one can't be removed,
        after the others are.
        """
        self._look()
        size = sum(day.size for day in self._days.values())
        failed: OSError | None = None
        removed: list[_File] = []
        for file in self._oldest(since):
            if (size <= self.max_size and file.opened >= since) or len(removed) == AT_ONCE:
                break
            if file.path == open_one:
                continue
            try:
                os.unlink(file.path)
            except OSError as error:
                failed = error
            else:
                removed.append(file)
                size -= file.size
        for day in {os.path.dirname(file.path) for file in removed}:
            # That its names changed may show no sooner than the clock of the file system ticks.
            self._days.pop(os.path.basename(day), None)
            with self._turn, suppress(OSError):  # it is not empty
                os.rmdir(day)
        if failed:
            raise failed
        return size > self.max_size and len(removed) == AT_ONCE

    def _look(self) -> None:
        """Bring sizes up to date: only what changed since the last time is listed."""
        known, self._days = self._days, {}
        for day in days(self._directory):
            path = os.path.join(self._directory, day)
            with suppress(FileNotFoundError):
                changed = os.stat(path, follow_symlinks=False).st_mtime_ns
                if day in known and known[day].changed == changed:
                    self._days[day] = known[day]
                    continue
                files = self._files(day)
                if files:
                    self._days[day] = _Day(changed, files[0].opened, sum(file.size for file in files))
                else:
                    with self._turn, suppress(OSError):  # other files are in it, or it is none
                        os.rmdir(path)

    def _files(self, day: str) -> list[_File]:
        found = []
        for entry in _regular(self._directory, day):
            at = opened(day, entry.name)
            if at is not None:
                found.append(_File(at, entry.path, entry.stat().st_size))
        return sorted(found)

    def _oldest(self, since: float) -> Iterator[_File]:
        """Yield segments, oldest first; a day is listed when it has its turn, and none where nothing is to be done."""
        size = sum(day.size for day in self._days.values())
        if size > self.max_size or min((day.first for day in self._days.values()), default=inf) < since:
            for day in sorted(self._days):
                yield from self._files(day)
