"""Who used most of what runs short: processes and systemd units, looked at once when asked.

This is no family: it is recorded as the evidence of a condition, and costs nothing while nobody asks.

Sources: proc(5) for `/proc/PID/stat`, `status` and `io`; cgroups(7) for `/proc/PID/cgroup`, and systemd's names in it;
kernel: admin-guide/cgroup-v2 for `cpu.stat`, `memory.*` and `io.stat` of the units.
"""

import os
import re
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from heapq import nlargest
from itertools import takewhile
from typing import Any, NamedTuple, TypeVar

from healthd.observe._files import Roots, Tree, printable
from healthd.observe._units import cgroups, place, unit

_LONGEST = 1.0
"""How far two looks may lie apart, seconds."""
_PATIENCE = 0.5
"""How long one look may take, seconds: any user may start processes and, below his own manager, units."""
# The kernel gives each of these files in one piece. Larger buffers cost an mmap and a munmap at each read.
_CHUNK = 32 * 1024
_TICK_USEC = 1_000_000 // os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError)
_UNREADABLE = (OSError, ValueError, IndexError)

_DEVICE = re.compile(rb"^(\d+:\d+) rbytes=(\d+) wbytes=(\d+)", re.MULTILINE)

_T = TypeVar("_T")
_Key = TypeVar("_Key", bound=Hashable)

Used = tuple[int, ...]
"""What somebody used up to now, one number for each figure of a resource: µs or bytes."""


class Process(NamedTuple):
    """One process."""

    start: int
    """When it was started, in ticks since boot: a later process of that PID has another. 0 where one look is all."""
    name: bytes
    threads: int
    used: Used
    at: float = 0.0
    """When it was looked at, CLOCK_MONOTONIC, seconds: on a busy machine a look takes as long as lies between two."""


class Resource(NamedTuple):
    """Something that can run short, and where the kernel tells who uses it."""

    figures: tuple[str, ...]
    of_process: Callable[[str], Process]
    """Reads a directory `/proc/PID`; raises OSError, and ValueError or IndexError where a file is malformed."""
    of_unit: Callable[[str, Tree], Used]
    """Reads the directory of a unit's cgroup (and `/sys`); raises like `of_process`."""
    per_second: float = 0.0
    """What a figure is when one more is used each second; 0 where use is no counter, and one look is all."""
    digits: int = 0
    why_unread: str = "not permitted, malformed, or no time left"

    def shown(self, used: Used, seconds: float) -> dict[str, float]:
        """Return the figures by their names."""
        if not self.per_second:
            return dict(zip(self.figures, used, strict=True))
        rates = (round(number * self.per_second / seconds, self.digits) for number in used)
        return dict(zip(self.figures, rates, strict=True))


class Look(NamedTuple):
    """What was seen at one time."""

    time: float
    """CLOCK_MONOTONIC, seconds."""
    processes: Mapping[tuple[int, int], Process]
    """By PID and start."""
    unread: frozenset[int]
    """PIDs of the processes that could not be read."""
    units: Mapping[tuple[str, int], Used]
    """By path and inode of the cgroup: a unit that is started anew has another inode."""
    all_units: bool
    """Whether there was time for all of them."""


_NOTHING = Look(0.0, {}, frozenset(), {}, all_units=True)


def who(roots: Roots, resource: str, seconds: float = 1.0, most: int = 5) -> dict[str, Any]:
    """Return the processes and units that use most of "cpu", "memory" or "io", as JSON has it.

    The worst come first; several figures are weighed together, as the kernel does that must kill for want of memory.
    What is counted is looked at twice, `seconds` apart (1 at most), memory once. Blocks for that time, and at most
    some 0.5 s more for each look. The keys:

    - `resource`; `seconds`: what passed between the looks, 0 where there was one.
    - `processes`: `pid`, `name`, `unit` ("" where there is none) and the figures of the resource. `cpu`: percent of
      one CPU. `memory_bytes`: what can't be had back without swap (anonymous and shared), and `swap_bytes`.
      `read_bytes_per_second` and `write_bytes_per_second`: from and to devices.
    - `units`: `unit` and the same figures, for all its processes, those that are gone too; `memory_bytes` with its
      page cache as far as that is in use. Where the kernel keeps no account of a unit: the sum of its processes.
    - `hidden`: how many processes could not be read; `reason`: which and why, "" where none is hidden.

    Raises KeyError for other resources, and OSError where `/proc` can't be listed.
    """
    kind = RESOURCES[resource]
    before = _NOTHING
    if kind.per_second:
        before = look(roots, kind)
        time.sleep(min(seconds, _LONGEST))
    after = look(roots, kind)
    return {"resource": resource, **compared(roots, kind, before, after, most)}


def look(roots: Roots, kind: Resource) -> Look:
    """Look at all units and processes."""
    now = time.monotonic()
    units = dict(_units(roots.sys, kind, now + _PATIENCE / 2))
    all_units = time.monotonic() < now + _PATIENCE / 2
    pids = sorted(int(name) for name in roots.proc.names("") if name.isdecimal())
    processes, unread = {}, set(pids)
    for pid in _in_time(pids, now + _PATIENCE):
        try:
            process = kind.of_process(roots.proc.path(str(pid)))
        except _GONE:
            pass
        except _UNREADABLE:
            continue
        else:
            processes[pid, process.start] = process._replace(at=time.monotonic())
        unread.remove(pid)
    return Look(now, processes, frozenset(unread), units, all_units)


def compared(roots: Roots, kind: Resource, before: Look, after: Look, most: int) -> dict[str, Any]:
    """Return what was used from one look to the next; after `_NOTHING` what is used now."""
    seconds = after.time - before.time if before.time else 0.0
    # What could not be looked at before has not come since.
    unread = after.unread.union(pid for pid, _ in after.processes if pid in before.unread)
    processes = {key: process for key, process in after.processes.items() if key[0] not in unread}
    units = {key: used for key, used in after.units.items() if before.all_units or key in before.units}

    known = {key: process.used for key, process in before.processes.items()}
    spent = _spent({key: process.used for key, process in processes.items()}, known)
    paths = {key: _place(roots.proc, key[0]) for key, used in spent.items() if any(used)}
    of_units = _summed((path, spent[key]) for key, path in paths.items() if path)
    of_units.update((path, used) for (path, _), used in _spent(units, before.units).items())

    def lasted(key: tuple[int, int]) -> float:
        then = before.processes.get(key)
        return processes[key].at - then.at if then else seconds

    process_rows = (
        {"pid": key[0], "name": printable(processes[key].name), "unit": _unit_name(path)}
        | kind.shown(spent[key], lasted(key))
        for key, path in paths.items()
    )
    unit_rows = ({"unit": _unit_name(path)} | kind.shown(used, seconds) for path, used in of_units.items())
    unlisted = _unlisted(roots.proc, after)
    return {
        "seconds": round(seconds, 3),
        "processes": _worst(kind, most, process_rows),
        "units": _worst(kind, most, unit_rows),
        "hidden": len(unread) + unlisted,
        "reason": _reason(kind, roots.proc, len(processes), len(unread), unlisted),
    }


def _in_time(items: Iterable[_T], until: float) -> Iterator[_T]:
    return takewhile(lambda _: time.monotonic() < until, items)


def _spent(now: Mapping[_Key, Used], then: Mapping[_Key, Used]) -> dict[_Key, Used]:
    """Return what was used since then; those that came used all of theirs, and what went backwards gives nothing."""
    return {
        key: tuple(max(new - old, 0) for new, old in zip(used, then.get(key, (0,) * len(used)), strict=True))
        for key, used in now.items()
    }


def _summed(shares: Iterable[tuple[str, Used]]) -> dict[str, Used]:
    sums: dict[str, Used] = {}
    for path, used in shares:
        sums[path] = tuple(map(sum, zip(used, sums.get(path, (0,) * len(used)), strict=True)))
    return sums


def _worst(kind: Resource, most: int, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with most of all figures together; those that used nothing are left out."""

    def weight(row: dict[str, Any]) -> float:
        return float(sum(row[figure] for figure in kind.figures))

    return nlargest(most, filter(weight, rows), key=weight)


def _unlisted(proc: Tree, seen: Look) -> int:
    """Return how many threads `/proc` does not show us: some where it does not even list process 1 (hidepid=2).

    Nothing tells the number of all processes; that of all threads is in `/proc/loadavg`.
    """
    pids = seen.unread.union(pid for pid, _ in seen.processes)
    if 1 in pids or not pids:
        return 0
    total = re.search(r"/(\d+) ", proc.text("loadavg", ""))
    return max(1, int(total[1]) - sum(process.threads for process in seen.processes.values())) if total else 1


def _reason(kind: Resource, proc: Tree, read: int, unread: int, unlisted: int) -> str:
    reasons = []
    if unread:
        reasons.append(f"{unread} of {read + unread} processes could not be read: {kind.why_unread}")
    if unlisted:
        reasons.append(f"{proc.root} does not list the processes of others (hidepid), which have {unlisted} threads")
    if not (read or unread):
        reasons.append(f"no process is to be seen in {proc.root}")
    return "; ".join(reasons)


def _units(sys: Tree, kind: Resource, until: float) -> Iterator[tuple[tuple[str, int], Used]]:
    """Yield what the kernel accounts for each unit; nothing where there is no cgroup v2."""
    top = sys.path("fs/cgroup")
    for path, inode in _in_time(cgroups(top, until), until):
        try:
            used = kind.of_unit(top + path, sys)
        except _UNREADABLE:
            continue
        yield (path, inode), used


def _unit_name(path: str) -> str:
    return printable(os.fsencode(unit(path)[0]))


def _place(proc: Tree, pid: int) -> str:
    try:
        return place(_read(proc.path(f"{pid}/cgroup")))
    except OSError:
        return ""


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _CHUNK)
    finally:
        os.close(fd)


def _number(content: bytes, key: bytes) -> int | None:
    """Return the number behind a key at the start of a line; `None` where there is none."""
    _, found, rest = (b"\n" + content).partition(b"\n" + key)
    return int(rest.split(maxsplit=1)[0]) if found else None


def _numbers(content: bytes, *keys: bytes) -> Used:
    numbers = [number for number in (_number(content, key) for key in keys) if number is not None]
    if len(numbers) < len(keys):
        raise ValueError(content)
    return tuple(numbers)


def _process_cpu(directory: str) -> Process:
    # The name stands in brackets and may hold any byte, these too.
    head, _, tail = _read(f"{directory}/stat").rpartition(b")")
    words = tail.split()
    usec = (int(words[11]) + int(words[12])) * _TICK_USEC
    return Process(int(words[19]), head.partition(b"(")[2], int(words[17]), (usec,))


def _process_memory(directory: str) -> Process:
    status = _read(f"{directory}/status")
    name = status.partition(b"\n")[0].removeprefix(b"Name:\t").replace(b"\\\\", b"\\")
    # Kernel threads have no memory of their own. The parts of what is resident are told since Linux 4.5.
    parts = [_number(status, key) for key in (b"RssAnon:", b"RssShmem:")]
    resident = sum(part or 0 for part in ([_number(status, b"VmRSS:")] if None in parts else parts))
    used = (resident * 1024, (_number(status, b"VmSwap:") or 0) * 1024)
    return Process(0, name, _numbers(status, b"Threads:")[0], used)


def _process_io(directory: str) -> Process:
    process = _process_cpu(directory)
    return process._replace(used=_numbers(_read(f"{directory}/io"), b"read_bytes:", b"write_bytes:"))


def _unit_cpu(cgroup: str, _sys: Tree) -> Used:
    return _numbers(_read(f"{cgroup}/cpu.stat"), b"usage_usec")


def _unit_memory(cgroup: str, _sys: Tree) -> Used:
    current = int(_read(f"{cgroup}/memory.current"))
    unused = _number(_read(f"{cgroup}/memory.stat"), b"inactive_file") or 0
    try:
        swap = int(_read(f"{cgroup}/memory.swap.current"))
    except FileNotFoundError:
        swap = 0
    return max(current - unused, 0), swap


def _unit_io(cgroup: str, sys: Tree) -> Used:
    disks, stacked = (0, 0), (0, 0)
    for number, *transfers in _DEVICE.findall(_read(f"{cgroup}/io.stat")):
        read, written = map(int, transfers)
        if sys.names(f"dev/block/{number.decode()}/slaves"):
            stacked = max(stacked[0], read), max(stacked[1], written)
        else:
            disks = disks[0] + read, disks[1] + written
    # What goes through device-mapper or RAID is told again of the disks below, unless encryption lost whose it was.
    return max(disks[0], stacked[0]), max(disks[1], stacked[1])


RESOURCES = {
    "cpu": Resource(("cpu",), _process_cpu, _unit_cpu, per_second=100 / 1e6, digits=1),
    "memory": Resource(("memory_bytes", "swap_bytes"), _process_memory, _unit_memory),
    "io": Resource(
        ("read_bytes_per_second", "write_bytes_per_second"),
        _process_io,
        _unit_io,
        per_second=1.0,
        why_unread="only their user and root may read /proc/PID/io, while units with IOAccounting=yes are seen whole",
    ),
}
"""What can run short, by name."""
