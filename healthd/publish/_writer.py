"""What the recorder's thread does: it writes, syncs, closes and compresses segments, and puts in order what is left.

All of it can block. What fails is told as a `Problem` and tried again with the next batch.
"""

import errno
import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import NamedTuple

from healthd import protocol
from healthd.description import opening
from healthd.errors import RecordingTaken
from healthd.events import encode
from healthd.model import Cycle, Event, Problem
from healthd.publish._segment import OpenSegment
from healthd.publish._stock import Stock, leftovers, settle, sync_directory

_log = logging.getLogger(__name__)


class Keeping(NamedTuple):
    """How long, and how much. Times are seconds, sizes bytes."""

    batch: float = 900.0
    """How long samples may wait in memory."""
    segment: float = 2 * 3600.0
    """Time that one file holds."""
    max_age: float = 30 * 86400.0
    """What is older is deleted."""
    max_size: int = 500_000_000
    """Of all segments; beyond it the oldest go."""
    min_free: int = 100_000_000
    """Free space below which nothing is written."""


class Batch(NamedTuple):
    """Lines that are written together."""

    first: Cycle
    """The cycle that its first line is of: with what was known before that a segment can begin."""
    fresh: bool
    """Whether it begins a segment in any case."""
    lines: bytes
    events: tuple[Event, ...]
    given: float
    """When it was handed over, seconds on CLOCK_MONOTONIC."""


class Outcome(NamedTuple):
    """What became of a batch."""

    written: bool
    """Whether it is on disk, the disk says."""
    more: bool
    """Whether something is left to be put in order."""


class Writer:
    """Holds the directory, and takes batches; made on the loop, and from then on used by one thread.

    Another thread puts in order what is closed (`tidy`), so that no batch waits for that.

    `summary` gives the line that a closed segment begins with. Raises RecordingTaken; a directory that can't be had
    is no error but a problem.
    """

    def __init__(self, directory: str, keeping: Keeping, summary: Callable[[str], bytes]) -> None:
        self.directory = directory
        self.written = 0
        """Bytes that the file system took."""
        self.problem: Problem | None = None
        """Why nothing is written now."""
        self._keeping = keeping
        self._summary = summary
        self._lock: int | None = None
        self._turn = threading.Lock()
        """Held while a segment is opened or finished, and by the other thread while it looks what it may touch."""
        self._stock = Stock(directory, keeping.max_size, self._turn)
        self._segment: OpenSegment | None = None
        self._in_order = False
        """Whether what others left here was looked for."""
        self._plain: deque[str] = deque()
        """Segments to be compressed; and those that could not be, until the next is closed."""
        self._later: list[str] = []
        self._now = -inf
        self._due: float | None = None
        """For which time it is to be looked at what is too old or too much."""
        try:
            self._hold()
        except OSError as error:
            self._tell(self._problem(error))

    def keep(self, keeping: Keeping) -> None:
        """Record in this way from now on."""
        with self._turn:
            self._keeping = keeping
            self._stock.max_size = keeping.max_size
            self._due = self._now

    def write(self, batch: Batch) -> Outcome:
        """Write a batch, in a new segment where it can't follow what was written before."""
        self._now = batch.first.events[0].instant.time
        written = False
        try:
            self._hold()
            problem = self._short_of_space()
            if problem is None:
                self._put(batch)
                written = True
        except RecordingTaken as error:
            reason, _, remedy = str(error).rpartition(": ")
            problem = Problem(protocol.FAILED, reason, remedy)
        except OSError as error:
            problem = self._problem(error)
        finally:
            if not written:
                self._give_up()
        self._tell(problem)
        return Outcome(written, self._left())

    def _hold(self) -> None:
        """Have the directory, made where it is missing and locked; what was removed and made again is another one."""
        if self._lock is not None:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(self.directory), os.fstat(self._lock)):
                    return
            self._give_up()
            os.close(self._lock)
            self._lock = None
        if not os.path.isdir(self.directory):
            os.makedirs(self.directory, 0o755)
            with suppress(OSError):  # it may be somebody else's
                sync_directory(os.path.dirname(os.path.abspath(self.directory)))
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RecordingTaken(
                f"{self.directory} is recorded to by another healthd: stop it, or use another directory"
            ) from None
        except OSError as error:
            # Some network file systems lock no directories; that is no reason to record nothing.
            _log.info("%s can't be locked: %s", self.directory, error.strerror)
        self._lock = descriptor
        self._in_order = False
        self._stock = Stock(self.directory, self._keeping.max_size, self._turn)

    def _short_of_space(self) -> Problem | None:
        assert self._lock is not None
        found = os.fstatvfs(self._lock)
        if found.f_bavail * found.f_frsize >= self._keeping.min_free:
            return None
        least = _humane(self._keeping.min_free)
        return Problem(
            protocol.FAILED,
            f"the disk has less than {least} free: nothing is recorded until there is more",
            f"make space on the disk of {self.directory}, or choose a smaller record.min_free",
        )

    def _put(self, batch: Batch) -> None:
        if self._segment and self._segment.gone:
            self._give_up()
        if batch.fresh:
            self._close()
        data = batch.lines
        if self._segment is None:
            with self._turn:
                self._segment = OpenSegment(self.directory, self._now)
            data = encode(opening(batch.first)).encode() + b"\n" + data
        self._segment.append(data)
        with self._turn:
            self.written += len(data)

    def _close(self) -> None:
        """Close the segment; it is compressed by the other thread."""
        self._end(OpenSegment.close)

    def _give_up(self) -> None:
        """Close the segment without what was not written as a whole: nothing can follow in it."""
        self._end(OpenSegment.cut)

    def _end(self, how: Callable[[OpenSegment], None]) -> None:
        with self._turn:
            segment, self._segment = self._segment, None
            if segment:
                self._plain += [*self._later, segment.path]
                self._later.clear()
                self._due = self._now
                how(segment)

    def tidy(self) -> bool:
        """Do one small piece of what is left to be put in order, and tell whether there is more: none after `close`.

        For another thread than that of the batches.
        """
        if self._lock is None:
            return False
        try:
            if not self._in_order:
                self._in_order = True
                self._look()
            elif self._plain:
                self._settle(self._plain.popleft())
            elif self._due is not None:
                self._retain()
        except OSError as error:
            _log.warning("%s can't be put in order: %s", self.directory, error)
        return self._left()

    def _left(self) -> bool:
        return self._lock is not None and (not self._in_order or bool(self._plain) or self._due is not None)

    def _open_one(self) -> str:
        with self._turn:
            return self._segment.path if self._segment else ""

    def _look(self) -> None:
        found = leftovers(self.directory, self._open_one())
        with self._turn:
            self._plain += [path for path in found if path not in self._plain]
            self._due = self._now

    def _settle(self, path: str) -> None:
        if path == self._open_one():  # it was opened while it was looked what is there
            return
        try:
            size = settle(path, self._summary)
        except FileNotFoundError:
            return
        except OSError as error:
            # On a full disk the others would fare no better.
            with self._turn:
                self._later = [*self._plain, path]
                self._plain.clear()
            _log.warning("%s stays as it is until the next is closed: %s", path, error.strerror)
            return
        with self._turn:
            self.written += size

    def _retain(self) -> None:
        with self._turn:
            now, self._due = self._due, None
        if now is not None and self._stock.retain(now - self._keeping.max_age, self._open_one()):
            # What is too old had its turn.
            with self._turn:
                self._due = -inf

    def close(self) -> None:
        """Let go of the segment, which the next start closes, and of the directory. Raises OSError."""
        try:
            self._close()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _problem(self, error: OSError) -> Problem:
        code, remedy = _KNOWN.get(error.errno or 0, (protocol.FAILED, ""))
        return Problem(code, f"{self.directory} can't be written: {error.strerror}", remedy)

    def _tell(self, problem: Problem | None) -> None:
        """Remember what the matter is, and log it where it changes."""
        if problem == self.problem:
            return
        if problem is None:
            _log.info("%s is recorded to again", self.directory)
        else:
            _log.warning("%s", f"{problem.reason} ({problem.remedy})" if problem.remedy else problem.reason)
        self.problem = problem


_KERNEL_LOG = "look for errors of the disk in the kernel's log (dmesg)"
_KNOWN = {
    errno.EACCES: (protocol.PERMISSION, "make the user of healthd the owner of the directory"),
    errno.EPERM: (protocol.PERMISSION, "make the user of healthd the owner of the directory"),
    errno.EROFS: (protocol.FAILED, f"mount it writable; where it was, {_KERNEL_LOG}"),
    errno.EIO: (protocol.FAILED, _KERNEL_LOG),
    errno.ENOSPC: (protocol.FAILED, "make space on that disk"),
    errno.EDQUOT: (protocol.FAILED, "raise the quota of the user of healthd"),
}


def _humane(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
