"""A limit of memory for one process: a cgroup, of version 1 or 2, whichever the machine has."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence

from private_bus import eventually

_MOUNTED = "/sys/fs/cgroup"


class Limit:
    """A cgroup, and what the kernel tells of it."""

    def __init__(self, directory: str, size: int) -> None:
        self.directory = directory
        self.first = os.path.exists(f"{directory}/memory.limit_in_bytes")
        """Whether it is of version 1."""
        self._write("memory.limit_in_bytes" if self.first else "memory.max", size)
        if not self.first:
            with contextlib.suppress(FileNotFoundError):  # a kernel without swap
                self._write("memory.swap.max", 0)

    def _write(self, name: str, value: int) -> None:
        with open(f"{self.directory}/{name}", "w") as file:
            file.write(str(value))

    def _read(self, name: str) -> str:
        with open(f"{self.directory}/{name}") as file:
            return file.read()

    def within(self, command: Sequence[str]) -> list[str]:
        """Return a command that is limited from its beginning."""
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', f"{self.directory}/cgroup.procs", *command]

    @property
    def most(self) -> int:
        """The most that it ever held, files' pages included, bytes."""
        return int(self._read("memory.max_usage_in_bytes" if self.first else "memory.peak"))

    @property
    def killed(self) -> int:
        """How many processes the kernel killed for it."""
        told = self._read("memory.oom_control" if self.first else "memory.events")
        return next(int(line.split()[1]) for line in told.splitlines() if line.startswith("oom_kill "))


@contextlib.contextmanager
def limited(size: int) -> Iterator[Limit | str]:
    """Give a limit in bytes, or why there can be none here."""
    first = os.path.isdir(f"{_MOUNTED}/memory")
    try:
        directory = tempfile.mkdtemp(prefix="healthd-test-", dir=f"{_MOUNTED}/memory" if first else _MOUNTED)
    except OSError as error:
        yield f"there can be no memory cgroup here: {error.strerror}"
        return
    try:
        yield _limit(directory, size)
    finally:
        eventually(lambda: _removed(directory))


def _limit(directory: str, size: int) -> Limit | str:
    try:
        return Limit(directory, size)
    except OSError as error:
        return f"memory can't be limited here: {error.strerror} ({error.filename})"


def _removed(directory: str) -> bool:
    """Remove a cgroup, which stays for a moment after its last process."""
    with contextlib.suppress(OSError):
        os.rmdir(directory)
    return not os.path.exists(directory)
