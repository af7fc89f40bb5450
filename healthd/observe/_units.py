"""Systemd's units in the cgroup tree (systemd: CGROUP_DELEGATION; cgroups(7), kernel: admin-guide/cgroup-v2)."""

import os
import re
import time
from collections import deque
from collections.abc import Iterator

_UNITS = (".service", ".scope", ".socket", ".mount", ".swap")
_MANAGER = re.compile(r"user@[^/]*\.service")
"""The service that runs a user's own units below its cgroup."""


def unit(path: str) -> tuple[str, str]:
    """Return the unit that a cgroup belongs to and the path of the unit's own cgroup; both "" where there is none.

    The units of a user's manager count for themselves, and `init.scope` there is the manager. What a unit has inside,
    such as a container's units, is the unit.
    """
    manager = below = ""
    for part in path.split("/")[1:]:
        below += f"/{part}"
        # systemd escapes names that could be the kernel's.
        name = part.removeprefix("_")
        if not manager and _MANAGER.fullmatch(name):
            manager = name
        elif name.endswith(_UNITS):
            return manager if manager and name == "init.scope" else name, below
    return (manager, below) if manager else ("", "")


def place(cgroups: bytes) -> str:
    """Return the path of a process's unit's cgroup from `/proc/PID/cgroup`; "" where it belongs to none.

    That is told of systemd's own hierarchy, or of cgroup v2 where there are others or not.
    """
    for line in cgroups.split(b"\n"):
        _, _, named = line.partition(b":")
        controllers, _, path = named.partition(b":")
        if controllers in (b"", b"name=systemd"):
            _, found = unit(os.fsdecode(path.removesuffix(b" (deleted)")))
            if found:
                return found
    return ""


def cgroups(top: str, until: float) -> Iterator[tuple[str, int]]:
    """Yield path and inode of each unit's cgroup below slices and users' managers, the highest first.

    Ends at `until` (CLOCK_MONOTONIC): a user may make as many as he likes.
    """
    places = deque([""])
    while places and time.monotonic() < until:
        above = places.popleft()
        for name, inode in _directories(top + above):
            if name.endswith(".slice") or _MANAGER.fullmatch(name):
                places.append(f"{above}/{name}")
            elif name.endswith(_UNITS):
                yield f"{above}/{name}", inode


def _directories(path: str) -> list[tuple[str, int]]:
    try:
        with os.scandir(path) as entries:
            return [(entry.name, entry.inode()) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
