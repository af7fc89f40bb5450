"""The segment that is written: opened, appended to, and closed or cut."""

import ctypes
import os
from contextlib import suppress
from itertools import count
from math import floor

from healthd.publish._stock import sync_directory
from healthd.recording import CLOSED, PLAIN, stem

RESERVED = 1 << 20
"""How much space is taken at a time, bytes; on a disk where that is not much."""
_NOT_MUCH = 0.01
_KEEP_SIZE = 1


def _reserve(descriptor: int, start: int) -> None:
    """Take space for what will be appended, where the file system can: then each sync has less to write.

    Python's own `posix_fallocate` makes the file longer (fallocate(2), FALLOC_FL_KEEP_SIZE).
    """
    disk = os.fstatvfs(descriptor)
    if disk.f_bavail * disk.f_frsize * _NOT_MUCH < RESERVED:
        return
    libc = ctypes.CDLL(None)
    fallocate = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if fallocate:
        fallocate(descriptor, _KEEP_SIZE, ctypes.c_int64(start), ctypes.c_int64(RESERVED))


class OpenSegment:
    """The file that is written. `at` names it; where that name is taken, a second later. Raises OSError."""

    def __init__(self, directory: str, at: float) -> None:
        self.size = 0
        """Bytes of whole batches."""
        for second in count(floor(at)):
            name = os.path.join(directory, stem(second))
            self.path = name + PLAIN
            with suppress(FileExistsError):
                os.mkdir(os.path.dirname(name), 0o755)
            with suppress(FileExistsError):
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                # Only now: the name may just have been given up for that one.
                if not os.path.lexists(name + CLOSED):
                    break
                os.close(self._descriptor)
                os.unlink(self.path)
        self._reserved = 0
        self._listed = False
        """Whether its name is known to be on disk, as its content is."""

    @property
    def gone(self) -> bool:
        """Whether somebody removed it."""
        return not os.fstat(self._descriptor).st_nlink

    def append(self, data: bytes) -> None:
        """Write all of it, and wait until it is on disk; after an error only `cut` makes sense."""
        if self.size + len(data) > self._reserved:
            _reserve(self._descriptor, self.size)
            self._reserved = self.size + RESERVED
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        os.fdatasync(self._descriptor)
        if not self._listed:
            day = os.path.dirname(self.path)
            for directory in (day, os.path.dirname(day)):
                sync_directory(directory)
            self._listed = True
        self.size += len(data)

    def close(self) -> None:
        """Let go of it, and of what was reserved and not used."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, self.size)
        os.close(self._descriptor)

    def cut(self) -> None:
        """Take back what is no whole batch, as far as that can be, and let go; what got nothing is removed."""
        with suppress(OSError):
            self.close()
        if not self.size:
            with suppress(OSError):
                os.unlink(self.path)
