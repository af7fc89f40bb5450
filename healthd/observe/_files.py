"""Files below `/proc` and `/sys`, or below a recorded tree of another machine."""

import os
import select
from contextlib import suppress
from typing import NamedTuple

# Larger buffers cost an mmap and a munmap at each read.
_CHUNK = 32 * 1024
_ATTRIBUTE = 4096


class File:
    """One file, opened at its first read and kept open."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1

    def read(self) -> bytes:
        """Return the whole content as it is now.

        Raises OSError; the next read opens the file anew, so that one which went and came back is read again.
        """
        try:
            chunk = content = os.pread(self._opened(), _CHUNK, 0)
            while chunk:
                chunk = os.pread(self._fd, _CHUNK, len(content))
                content += chunk
            return content
        except OSError as error:
            self._failed(error)
            raise

    def attribute(self) -> bytes:
        """Return what an attribute of sysfs holds, or another file that the kernel gives in one piece: no table.

        Of what is longer than 4096 bytes, the beginning. Raises as `read`.
        """
        try:
            return os.pread(self._opened(), _ATTRIBUTE, 0)
        except OSError as error:
            self._failed(error)
            raise

    def text(self) -> str:
        """Return the content as text without white space or NUL at its ends (device-tree strings end in NUL)."""
        return self.read().decode("utf-8", "replace").strip(" \t\r\n\0")

    def changed(self) -> bool:
        """Tell whether the kernel says that the content changed since it was read, which it does of some files only."""
        descriptor = self._fd
        if descriptor < 0:
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLPRI)
        return any(events & select.POLLPRI for _, events in poll.poll(0))

    def _opened(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        return self._fd

    def _failed(self, error: OSError) -> None:
        self.close()
        error.filename = error.filename or self.path

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


class Tree:
    """A directory that holds what `/proc` or `/sys` holds."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")

    def path(self, relative: str) -> str:
        """Return the path of `relative` in this tree."""
        return f"{self.root}/{relative}"

    def file(self, relative: str) -> File:
        """Return a file that is kept open between reads."""
        return File(self.path(relative))

    def text(self, relative: str, default: str | None = None) -> str:
        """Read a small file once.

        Raises OSError where it can't be read, unless there is a `default`.
        """
        file = self.file(relative)
        try:
            return file.text()
        except OSError:
            if default is None:
                raise
            return default
        finally:
            file.close()

    def number(self, relative: str) -> int | None:
        """Read a file that holds one decimal number; `None` where there is none to be had."""
        try:
            return int(self.text(relative))
        except (OSError, ValueError):
            return None

    def names(self, relative: str) -> list[str]:
        """Return the names in a directory in order; none where there is no such directory."""
        try:
            return sorted(os.listdir(self.path(relative)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, relative: str) -> bool:
        """Tell whether there is such a file or directory."""
        return os.path.exists(self.path(relative))

    def target(self, relative: str) -> str:
        """Return the last part of what a symbolic link points to; "" where there is none."""
        with suppress(OSError):
            return os.path.basename(os.path.realpath(self.path(relative), strict=True))
        return ""


class Roots(NamedTuple):
    """Where a collector reads."""

    proc: Tree
    sys: Tree
    etc: Tree
    host: Tree
    """The root under which mount points are looked up."""


def roots(proc: str = "/proc", sys: str = "/sys", etc: str = "/etc", host: str = "/") -> Roots:
    """Return the roots of this machine, or of a recorded tree."""
    return Roots(Tree(proc), Tree(sys), Tree(etc), Tree(host))


def printable(name: bytes) -> str:
    r"""Return a name as text; what is no UTF-8 or can't be printed becomes `\xNN`."""
    text = name.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
