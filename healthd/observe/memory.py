"""The `memory` family: main memory and swap."""

import mmap
import re
from collections.abc import Mapping
from math import inf

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Reading, Unit, counter, family, gauge, state
from healthd.observe._files import File, Roots
from healthd.observe._limits import Held, MemoryLimit
from healthd.observe._rates import Rates
from healthd.observe._shares import percent


@family(
    "memory",
    event="system.memory.usage.updated",
    source="/proc/meminfo, /proc/vmstat, /proc/swaps, /proc/spl/kstat/zfs/arcstats, /sys/fs/cgroup",
)
class Memory(Reading):
    """Main memory and swap, from `/proc/meminfo` and `/proc/vmstat` (kernel: filesystems/proc).

    `used_bytes` is what can't be had without paging: total less available. psutil's `used` changed its meaning
    between versions, so this one is ours. In a container that may have less than there is, all but paging is the
    container's own (its cgroup). The cache of ZFS above its minimum counts as available.
    """

    total_bytes: int | None = state("Memory that the kernel manages (MemTotal), or the container may have.", Unit.BYTES)
    available_bytes: int | None = gauge(
        Unit.BYTES, "Memory that new work can have without paging (MemAvailable, and of ZFS).", of="total_bytes"
    )
    used_bytes: int | None = gauge(Unit.BYTES, "Total less available.", of="total_bytes")
    percent: float | None = gauge(Unit.PERCENT, "Used, as a share of the total.")
    free_bytes: int | None = gauge(Unit.BYTES, "Memory that holds nothing at all (MemFree).", of="total_bytes")
    buffers_bytes: int | None = gauge(Unit.BYTES, "Buffers of block devices (Buffers).", of="total_bytes")
    cached_bytes: int | None = gauge(
        Unit.BYTES, "Page cache and reclaimable slab (Cached, SReclaimable).", of="total_bytes"
    )
    arc_bytes: int | None = gauge(Unit.BYTES, "Cache of ZFS (size of arcstats).", of="total_bytes")
    shared_bytes: int | None = gauge(Unit.BYTES, "Shared memory and tmpfs (Shmem).", of="total_bytes")
    limit_bytes: int | None = state(
        "Most that this container may have (memory.max of its cgroup); unknown where nothing limits it.", Unit.BYTES
    )
    swap_total_bytes: int | None = state("Size of all swap (SwapTotal).", Unit.BYTES)
    swap_disk_bytes: int | None = state(
        "Size of the swap that is no compressed memory (zram; `/proc/swaps`).", Unit.BYTES
    )
    swap_used_bytes: int | None = gauge(Unit.BYTES, "Swap in use (SwapTotal less SwapFree).", of="swap_total_bytes")
    swap_percent: float | None = gauge(Unit.PERCENT, "Swap in use, as a share of its total; unknown without swap.")
    swap_in_bytes: int | None = counter(Unit.BYTES, "Read back from swap since boot (pswpin).")
    swap_out_bytes: int | None = counter(Unit.BYTES, "Written to swap since boot (pswpout).")
    oom_kills: int | None = state(
        "Processes that the kernel killed for want of memory since boot (oom_kill).", Unit.COUNT
    )
    swap_in_bytes_per_second: float | None = gauge(Unit.BYTES_PER_SECOND, "Read back from swap.")
    swap_out_bytes_per_second: float | None = gauge(Unit.BYTES_PER_SECOND, "Written to swap.")


_MEMINFO = {
    b"MemTotal": "total",
    b"MemFree": "free",
    b"MemAvailable": "available",
    b"Buffers": "buffers",
    b"Cached": "cached",
    b"SReclaimable": "reclaimable",
    b"Shmem": "shared",
    b"SwapTotal": "swap_total",
    b"SwapFree": "swap_free",
}
_LINES = re.compile(rb"^(%s): *(\d{1,19}) kB$" % b"|".join(_MEMINFO), re.MULTILINE)


def parse(meminfo: bytes) -> dict[str, int]:
    """Read the lines of `/proc/meminfo` that a reading needs, in bytes; lines that are absent or cut off are left out.

    Raises Unobserved where there is no total.
    """
    found = {_MEMINFO[name]: int(kib) * 1024 for name, kib in _LINES.findall(meminfo)}
    if not found.get("total"):
        raise Unobserved(protocol.MALFORMED, "/proc/meminfo has no MemTotal")
    return found


def contained(found: dict[str, int], held: Held) -> dict[str, int]:
    """Return what `/proc/meminfo` would say of a container alone, bytes; what it says where that is so already."""
    sane = found.get("available", inf) <= found["total"]
    if sane and held.limit >= found["total"]:
        return found
    total = min(held.limit, found["total"])
    free = max(total - held.used, 0)
    # The machine itself may have less to give.
    most = min(total, found["available"]) if sane else total
    swap_total = int(min(found.get("swap_total", 0), inf if held.swap_limit is None else held.swap_limit))
    told = {
        "total": total,
        "free": min(free, found.get("free", free)),
        "available": min(free + held.reclaimable, most),
        "cached": held.cached,
        "shared": held.shared,
        "swap_total": swap_total,
    }
    # Without accounting of swap (a v1 kernel's choice) nobody knows how much of it is this container's.
    if held.swap_used is not None or not swap_total:
        told["swap_free"] = max(swap_total - (held.swap_used or 0), 0)
    return told


def arc(arcstats: bytes) -> tuple[int, int] | None:
    """Read how large the cache of ZFS is, and how small it can become, bytes (OpenZFS: arcstats)."""
    rows = [line.split() for line in arcstats.splitlines()]
    found = {row[0]: int(row[2]) for row in rows if len(row) == 3 and row[0] in _ARC and _counts(row[2])}
    return (found[b"size"], found[b"c_min"]) if len(found) == len(_ARC) else None


def is_by_lxcfs(mountinfo: str) -> bool:
    """Tell whether what `/proc/meminfo` says comes from lxcfs, as in containers of LXC with any init."""
    mounts = [line.split(" ") for line in mountinfo.splitlines() if " - fuse.lxcfs " in line]
    return any(words[4:5] == ["/proc/meminfo"] for words in mounts)


_ARCSTATS = "spl/kstat/zfs/arcstats"
_ARC = (b"size", b"c_min")
_LOOK_EVERY = 60.0


def paged(vmstat: bytes) -> tuple[int, int] | None:
    """Read the pages swapped in and out since boot from `/proc/vmstat`; `None` where the kernel counts none."""
    start = vmstat.find(b"\npswpin ") + 1
    lines = [line.split() for line in vmstat[start : start + 80].split(b"\n", 2)[:2] if start]
    if [line[0] for line in lines if len(line) == 2 and _counts(line[1])] != [b"pswpin", b"pswpout"]:
        return None
    if vmstat.find(b"\n", vmstat.find(b"pswpout", start)) < 0:
        return None
    return int(lines[0][1]), int(lines[1][1])


def oom_kills(vmstat: bytes) -> int | None:
    """Read how many processes were killed for want of memory; `None` where the kernel (before 4.13) counts none."""
    start = vmstat.find(b"\noom_kill ") + 1
    end = vmstat.find(b"\n", start)
    words = vmstat[start:end].split() if start and end > 0 else []
    return int(words[1]) if len(words) == 2 and _counts(words[1]) else None


def on_disk(swaps: bytes) -> int | None:
    """Read how much of the swap in `/proc/swaps` is no zram, in bytes; `None` where it is no such table."""
    # Names have their white space escaped.
    head, *rows = [line.split() for line in swaps.splitlines()] or [[]]
    if head[:1] != [b"Filename"] or not all(len(row) == 5 and _counts(row[2]) for row in rows):
        return None
    return sum(int(row[2]) for row in rows if not row[0].startswith(b"/dev/zram")) * 1024


def _counts(word: bytes) -> bool:
    """Tell whether a word is a number that the kernel can have written."""
    return word.isdigit() and len(word) < 20


def _less(whole: int | None, part: int | None) -> int | None:
    """Return what is left of a whole; `None` where either is unknown or the part is absurd, as in some containers."""
    return whole - part if whole is not None and part is not None and part <= whole else None


class MemoryCollector:
    """Reads `/proc/meminfo` and `/proc/vmstat`, and `/proc/swaps` where the size of swap is another one."""

    reading = Memory

    def __init__(self, roots: Roots, page_size: int = mmap.PAGESIZE) -> None:
        self._meminfo = roots.proc.file("meminfo")
        self._vmstat = roots.proc.file("vmstat")
        self._swaps = roots.proc.file("swaps")
        self._roots = roots
        self._limit = MemoryLimit(roots.sys)
        self._arcstats: File | None = None
        self._look_for_arc = -inf
        self._page_size = page_size
        self._rates = Rates()
        self._swap_total: int | None = None
        self._swap_disk: int | None = None

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        """Return one reading."""
        found = parse(self._meminfo.read())
        held = self._limit.read(now)
        if held:
            found = contained(found, held)
        total, available = found["total"], found.get("available")
        cache = None if held else self._arc(now)
        # Its size is no part of what is available: where it does not fit, it is another machine's.
        if cache and available is not None and cache[0] <= total - available:
            available += max(cache[0] - cache[1], 0)
        else:
            cache = None
        used = _less(total, available)
        if used is None:
            available = None
        swap_total = found.get("swap_total")
        swap_used = _less(swap_total, found.get("swap_free"))
        cached = found.get("cached")
        if cached is not None:
            cached += found.get("reclaimable", 0)
        vmstat = self._events(swaps=bool(swap_total))
        swapped = self._swapped(vmstat) if swap_total else None
        rates = self._rates.per_second(SINGLE, now, swapped) if swapped else (None, None)
        reading = Memory(
            total_bytes=total,
            available_bytes=available,
            used_bytes=used,
            percent=percent(used, total),
            free_bytes=found.get("free"),
            buffers_bytes=found.get("buffers"),
            cached_bytes=cached,
            arc_bytes=cache[0] if cache else None,
            shared_bytes=found.get("shared"),
            limit_bytes=held.limit if held else None,
            swap_total_bytes=swap_total,
            swap_disk_bytes=self._on_disk(swap_total),
            swap_used_bytes=swap_used,
            swap_percent=percent(swap_used, swap_total),
            swap_in_bytes=swapped[0] if swapped else None,
            swap_out_bytes=swapped[1] if swapped else None,
            oom_kills=held.oom_kills if held else oom_kills(vmstat),
            swap_in_bytes_per_second=rates[0],
            swap_out_bytes_per_second=rates[1],
        )
        return {SINGLE: reading}

    def _arc(self, now: Instant) -> tuple[int, int] | None:
        """Return size and minimum of the cache of ZFS, where there is one and it is this machine's."""
        if self._arcstats is None and now.since_boot >= self._look_for_arc:
            self._look_for_arc = now.since_boot + _LOOK_EVERY
            if self._roots.proc.exists(_ARCSTATS) and not self._is_lxc():
                self._arcstats = self._roots.proc.file(_ARCSTATS)
        try:
            return arc(self._arcstats.read()) if self._arcstats else None
        except OSError:
            self._arcstats = None
            return None

    def _is_lxc(self) -> bool:
        if self._roots.host.text("run/systemd/container", "") == "lxc":
            return True
        return is_by_lxcfs(self._roots.proc.text("self/mountinfo", ""))

    def _on_disk(self, swap_total: int | None) -> int | None:
        """Return how much of the swap is no zram, looked up once for each size that there is of it."""
        if swap_total != self._swap_total or self._swap_disk is None:
            self._swap_total = swap_total
            self._swap_disk = self._listed(swap_total) if swap_total else swap_total
        return self._swap_disk

    def _listed(self, swap_total: int) -> int | None:
        try:
            found = on_disk(self._swaps.read())
        except OSError:
            return None
        finally:
            self._swaps.close()
        # A container may be shown the whole of what it may have a part of.
        return None if found is None else min(found, swap_total)

    def _events(self, *, swaps: bool) -> bytes:
        """Return `/proc/vmstat`; without swap it may be missing."""
        try:
            return self._vmstat.read()
        except OSError:
            if swaps:
                raise
            return b""

    def _swapped(self, vmstat: bytes) -> tuple[int, int] | None:
        pages = paged(vmstat)
        return (pages[0] * self._page_size, pages[1] * self._page_size) if pages else None


COLLECTOR = MemoryCollector
