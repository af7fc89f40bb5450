"""The `disk` family: transfers of each block device."""

import re
from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Reading, Unit, counter, family, gauge, state
from healthd.observe._files import Roots, Tree
from healthd.observe._rates import Rates

_SECTOR = 512
_FACTS_EVERY = 60.0

_LIFE = {f"0x{tenth:02x}": 10.0 * (tenth - 1) for tenth in range(1, 12)}
_PRE_EOL = {"0x01": "normal", "0x02": "warning", "0x03": "urgent"}

# In memory, images, drives that are empty most of the time, and an eMMC's areas for boot code and keys.
_LEFT_OUT = re.compile(r"(loop|z?ram|fd|sr)\d|mmcblk\d+(boot\d|rpmb)")


@family("disk", event="system.disk.io.updated", instances="block device", source="/proc/diskstats, /sys/block")
class Disk(Reading):
    """Transfers and wear of each whole block device (`/proc/diskstats`; kernel: admin-guide/iostats).

    Partitions are part of their device; RAID and device-mapper devices are listed beside those that they are made of.
    """

    model: str | None = state("Model as the device names itself.")
    size_bytes: int | None = state("Size of the device, or of the card in it.", Unit.BYTES)
    rotational: bool | None = state("Whether it has turning platters.")
    life_used: float | None = state(
        "Share of its expected life that is used up at least, as eMMC tells it in steps of 10.", Unit.PERCENT
    )
    pre_eol: str | None = state("How far the spare blocks of an eMMC are used up: normal, warning or urgent.")
    read_bytes: int | None = counter(Unit.BYTES, "Read since boot.")
    write_bytes: int | None = counter(Unit.BYTES, "Written since boot.")
    reads: int | None = counter(Unit.COUNT, "Reads completed since boot.")
    writes: int | None = counter(Unit.COUNT, "Writes completed since boot.")
    read_bytes_per_second: float | None = gauge(Unit.BYTES_PER_SECOND, "Read.")
    write_bytes_per_second: float | None = gauge(Unit.BYTES_PER_SECOND, "Written.")
    reads_per_second: float | None = gauge(Unit.PER_SECOND, "Reads completed.")
    writes_per_second: float | None = gauge(Unit.PER_SECOND, "Writes completed.")
    busy: float | None = gauge(Unit.PERCENT, "Share of the time in which the device had something to do.")


class Facts(NamedTuple):
    """What does not change while a device is there."""

    model: str | None
    size_bytes: int | None
    rotational: bool | None
    life_used: float | None
    pre_eol: str | None


class Totals(NamedTuple):
    """What one line of `/proc/diskstats` counts since boot."""

    reads: int
    sectors_read: int
    writes: int
    sectors_written: int
    busy_milliseconds: int


def name(line: bytes) -> str:
    """Return which device a line of `/proc/diskstats` is about.

    Raises Unobserved where it is no such line.
    """
    words = line.split(None, 3)
    if len(words) < 4 or not (words[0].isdigit() and words[1].isdigit() and words[2].isascii()):
        raise Unobserved(protocol.MALFORMED, "/proc/diskstats has a line that is no device")
    return words[2].decode()


def parse(line: bytes) -> Totals:
    """Read the columns that a reading needs.

    Raises Unobserved where one is missing or no count; 16 digits are more than any disk lives to see.
    """
    words = line.split()
    columns = (words[3], words[5], words[7], words[9], words[12]) if len(words) >= 14 else (b"",)
    if not b"".join(columns).isdigit() or max(map(len, columns)) > 16:
        raise Unobserved(protocol.MALFORMED, "/proc/diskstats has a line without counts")
    return Totals(*map(int, columns))


def facts(sys: Tree, device: str) -> Facts | None:
    """Read what `/sys/block` says of a device; `None` where it says nothing, or the device is of no interest."""
    directory = _below("block", device)
    if _LEFT_OUT.match(device) or not sys.exists(directory):
        return None
    model = sys.text(f"{directory}/device/model", "") or sys.text(f"{directory}/device/name", "")
    is_card = device.startswith("mmcblk")
    size, rotational = sys.number(f"{directory}/size"), sys.number(f"{directory}/queue/rotational")
    return Facts(
        "".join(filter(str.isprintable, model)) or None,
        size * _SECTOR if size is not None and 0 <= size < 2**54 else None,
        bool(rotational) if rotational in (0, 1) else None,
        life_used(sys.text(f"{directory}/device/life_time", "")) if is_card else None,
        _PRE_EOL.get(sys.text(f"{directory}/device/pre_eol_info", "")) if is_card else None,
    )


def is_left_out(sys: Tree, device: str) -> bool:
    """Tell whether a device is none of interest for good: by its name, or as a partition."""
    return bool(_LEFT_OUT.match(device)) or sys.exists(f"{_below('class/block', device)}/partition")


def _below(directory: str, device: str) -> str:
    return f"{directory}/{device.replace('/', '!')}"


def life_used(life_time: str) -> float | None:
    """Return which share of its life an eMMC has used up at least, in percent; `None` where it tells nothing.

    It tells it of two kinds of memory (`0x02 0x01`; kernel: driver-api/mmc/mmc-dev-attrs): 0x01 is the first tenth of
    its life, 0x0b past its end, and 0x00 nothing. The worse one counts.
    """
    return max([_LIFE[word] for word in life_time.lower().split() if word in _LIFE], default=None)


class _Line(NamedTuple):
    """What one line of `/proc/diskstats` came to; it comes to the same while it does not change."""

    device: str
    facts: Facts | None
    """`None` for a partition, a device that is left out, or one of which `/sys/block` says nothing yet."""
    totals: Totals | None
    left_out: bool
    idle: Disk | None = None
    """The reading with all rates at zero, once that was made."""


class DiskCollector:
    """Reads `/proc/diskstats`, and looks only at lines that changed: most disks idle most of the time."""

    reading = Disk

    def __init__(self, roots: Roots) -> None:
        self._diskstats = roots.proc.file("diskstats")
        self._sys = roots.sys
        # All disks are read at once: one entry keeps the time for them all.
        self._rates = Rates()
        self._facts_due = -inf
        self._lines: dict[bytes, _Line] = {}

    def collect(self, now: Instant) -> Mapping[str, Reading]:
        """Return one reading for each whole device; none where there are no disks."""
        content = self._read()
        known = {line.device: line for line in self._lines.values()}
        before, facts_of = self._lines, known
        if now.since_boot >= self._facts_due:
            # A card may have been changed, a volume grown, a disk be known by now; a partition stays one.
            self._facts_due = now.since_boot + _FACTS_EVERY
            before = {raw: line for raw, line in self._lines.items() if line.left_out}
            facts_of = {line.device: line for line in before.values()}
        lines = {raw: before.get(raw) or self._look(raw, facts_of) for raw in content.splitlines()}
        step = self._rates.deltas(SINGLE, now, ())
        readings: dict[str, Reading] = {}
        for raw, line in lines.items():
            if line.facts is None or line.totals is None:
                continue
            if step and line.idle:
                readings[line.device] = line.idle
                continue
            last = known.get(line.device)
            totals = last.totals if last and step else None
            readings[line.device] = reading = _reading(line.facts, line.totals, totals, step[0] if step else 0.0)
            if totals == line.totals:
                lines[raw] = line._replace(idle=reading)
        self._lines = lines
        return readings

    def _read(self) -> bytes:
        try:
            content = self._diskstats.read()
        except FileNotFoundError:
            raise Unobserved(protocol.UNSUPPORTED, "/proc/diskstats does not exist here") from None
        if content and not content.endswith(b"\n"):
            raise Unobserved(protocol.MALFORMED, "/proc/diskstats is cut off")
        return content

    def _look(self, raw: bytes, known: Mapping[str, _Line]) -> _Line:
        device = name(raw)
        last = known.get(device)
        there = last.facts if last else facts(self._sys, device)
        left_out = last.left_out if last else there is None and is_left_out(self._sys, device)
        return _Line(device, there, parse(raw) if there else None, left_out)


def _reading(there: Facts, totals: Totals, before: Totals | None, seconds: float) -> Disk:
    read, write, reads, writes, busy = rates(totals, before, seconds)
    return Disk(
        model=there.model,
        size_bytes=there.size_bytes,
        rotational=there.rotational,
        life_used=there.life_used,
        pre_eol=there.pre_eol,
        read_bytes=totals.sectors_read * _SECTOR,
        write_bytes=totals.sectors_written * _SECTOR,
        reads=totals.reads,
        writes=totals.writes,
        read_bytes_per_second=read,
        write_bytes_per_second=write,
        reads_per_second=reads,
        writes_per_second=writes,
        busy=busy,
    )


def rates(totals: Totals, before: Totals | None, seconds: float) -> Sequence[float | None]:
    """Return bytes read and written, reads and writes per second, and the share of time busy in percent.

    All are `None` without the totals of `seconds` before, and where one went backwards: a reset or a wrap.
    """
    deltas = [new - old for new, old in zip(totals, before, strict=True)] if before else [-1]
    if min(deltas) < 0:
        return [None] * 5
    reads, sectors_read, writes, sectors_written, busy = (delta / seconds for delta in deltas)
    return (
        round(sectors_read * _SECTOR, 0),
        round(sectors_written * _SECTOR, 0),
        round(reads, 1),
        round(writes, 1),
        # Milliseconds of each second. The kernel counts in ticks: they can come to a little more than the time.
        min(round(busy / 10, 1), 100.0),
    )


COLLECTOR = DiskCollector
