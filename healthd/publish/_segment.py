"""The segment that is written: opened, appended to, synced, and closed or cut."""

import os
from contextlib import suppress
from itertools import count
from math import floor

from healthd.publish._stock import sync_directory
from healthd.recording import CLOSED, PLAIN, stem


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
        self._unsynced = False
        self._listed = False
        """Whether its name is known to be on disk, as its content is."""

    @property
    def gone(self) -> bool:
        """Whether somebody removed it."""
        return not os.fstat(self._descriptor).st_nlink

    def append(self, data: bytes) -> None:
        """Write all of it; after an error only `cut` makes sense."""
        self._unsynced = True
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        """Wait until everything is on disk."""
        os.fdatasync(self._descriptor)
        self._unsynced = False
        if not self._listed:
            day = os.path.dirname(self.path)
            for directory in (day, os.path.dirname(day)):
                sync_directory(directory)
            self._listed = True

    def close(self) -> None:
        """Let go of it; what it holds is on disk then, or OSError is raised."""
        try:
            if self._unsynced:
                self.sync()
        finally:
            os.close(self._descriptor)

    def cut(self) -> None:
        """Take back what is no whole batch, as far as that can be, and let go; what got nothing is removed."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, self.size)
        with suppress(OSError):
            self.close()
        if not self.size:
            with suppress(OSError):
                os.unlink(self.path)
