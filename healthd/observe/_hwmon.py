"""What the kernel's hwmon drivers measure (`/sys/class/hwmon`; kernel: hwmon/sysfs-interface)."""

import functools
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping

from healthd import protocol
from healthd.errors import Unobserved
from healthd.observe._channels import (
    AMPERES,
    CELSIUS,
    HUMIDITY,
    RPM,
    VOLTS,
    WATTS,
    Channel,
    Measure,
    Shown,
    limit,
    names,
    number,
    text,
    value,
)
from healthd.observe._files import File, Tree

_INPUT = re.compile(r"((temp|fan|in|power|curr|humidity)(\d+))_(input|average)")
_MEASURES: Mapping[str, Measure] = {
    "temp": CELSIUS,
    "fan": RPM,
    "in": VOLTS,
    "power": WATTS,
    "curr": AMPERES,
    "humidity": HUMIDITY,
}
_LIMITS: Mapping[str, Mapping[str, str]] = {
    "temp": {"high_celsius": "max", "critical_celsius": "crit"},
    "fan": {"low_rpm": "min"},
    "in": {"low_volts": "min", "high_volts": "max"},
    "power": {"high_watts": "max"},
    "curr": {"high_amperes": "max"},
    "humidity": {},
}
_ASLEEP = (b"suspended", b"suspending")

# Names that count what was found or plugged in before: thermal zones, HID devices, and what is between a disk and its
# controller (kernel: drivers/hid/hid-core.c, drivers/scsi).
_COUNTED = re.compile(
    r"thermal_zone\d+|[\dA-F]{4}:[\dA-F]{4}:[\dA-F]{4}\.[\dA-F]{4}|\d+:\d+:\d+:\d+|"
    r"(host|target|port-|expander-|end_device-|rport-|session)\d[\d:-]*"
)
_UNIT = re.compile(r"\d+:(\d+:\d+:\d+)")

SELDOM = 60.0
"""How long a device that falls asleep by itself is left alone at least, seconds."""

CALM = 300.0
"""How long a disk may have done nothing until it is left alone, seconds: less than its own time to fall asleep is."""


Awake = Callable[[], bool]
"""Tells whether what must not be woken is awake anyway."""


class Power:
    """What the kernel's power management says of a device (kernel: power/runtime_pm)."""

    def __init__(self, device: str) -> None:
        self._status = File(f"{device}/power/runtime_status")

    def __call__(self) -> bool:
        """Tell whether the device is awake."""
        return self._status.read().strip() not in _ASLEEP


class Drive:
    """A turning disk, which puts itself to sleep, and of which nobody can tell without asking it.

    To ask for its temperature can wake it, or keep it awake (kernel: hwmon/drivetemp); so it is asked only while others
    use it.
    """

    def __init__(self, stat: str, power: Awake | None, clock: Callable[[], float]) -> None:
        self._stat = File(stat)
        self._power = power
        self._clock = clock
        self._last = b""
        self._used = float("-inf")

    def __call__(self) -> bool:
        """Tell whether somebody has used it lately."""
        stat = self._stat.read()
        if stat != self._last:
            if self._last:
                self._used = self._clock()
            self._last = stat
        return self._clock() - self._used < CALM and (self._power is None or self._power())


class Rest:
    """How long a device is left alone that falls asleep when nobody has used it for a while.

    To read a sensor can count as use (amdgpu: that of the whole chip); asked in each run it would never sleep.
    """

    def __init__(self, device: str, delay: float, clock: Callable[[], float]) -> None:
        self._control = File(f"{device}/power/control")
        self._seconds = max(SELDOM, 3 * delay)
        self._clock = clock

    def turn(self) -> float:
        """Return a number that is another one once the device may be asked again."""
        now = self._clock()
        return now // self._seconds if self._control.read().strip() == b"auto" else now


class _Input:
    """One input of a device."""

    def __init__(self, file: str, fault: str, measure: Measure, awake: Awake | None, rest: Rest | None) -> None:
        self._measure = measure
        self._input = File(file)
        self._fault = File(fault) if fault else None
        self._awake = awake
        self._rest = rest
        self._turn: float | None = None
        self._shown = Shown()

    def read(self) -> float | None:
        if self._awake and not self._awake():
            raise Unobserved(protocol.UNSUPPORTED, "the device sleeps and is not woken for this")
        if self._rest is None:
            return self._measured()
        turn = self._rest.turn()
        if turn != self._turn:
            self._shown.ask(self._measured)
            self._turn = turn
        return self._shown.read()

    def _measured(self) -> float:
        if self._fault and self._fault.read().strip() == b"1":
            raise Unobserved(protocol.FAILED, "the chip reports that the sensor is faulty", "Check its wiring.")
        return value(number(self._input.read()), self._measure)


class Devices:
    """All hwmon devices. One that is the same, with the same files, still has the channels that it had."""

    def __init__(self, sys: Tree, clock: Callable[[], float]) -> None:
        self._sys = sys
        self._clock = clock
        self._known: dict[tuple[str, ...], list[Channel]] = {}

    def channels(self) -> list[Channel]:
        """Find all channels. Opens only names and labels, which cost no transfer on a bus.

        What power supplies have is left out: it is the family `battery`'s.
        """
        before, self._known = self._known, {}
        for hwmon in self._sys.names("class/hwmon"):
            path = self._sys.path(f"class/hwmon/{hwmon}")
            device = (_link(path), text(f"{path}/name"), *names(path))
            self._known[device] = before.get(device) or self._found(os.path.realpath(path))
        return [channel for channels in self._known.values() for channel in channels]

    def _found(self, directory: str) -> list[Channel]:
        return [] if "/power_supply/" in directory else list(_device_channels(directory, self._clock))


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return path


def _device_channels(directory: str, clock: Callable[[], float]) -> Iterator[Channel]:
    files, there = directory, frozenset(names(directory))
    found = _inputs(there)
    if not found:
        # Drivers of the old kind keep their files with the device.
        files = f"{directory}/device"
        there = frozenset(names(files))
        found = _inputs(there)
    if not found:
        return
    driver, device = text(f"{directory}/name") or text(f"{files}/name") or "hwmon", place(directory)
    awake, at = _awake(driver, device, clock), address(device)
    rest = _rest(device, clock) if awake else None
    for name, match in found.items():
        path, measure = f"{files}/{name}", _MEASURES[match[2]]
        source, fault = f"{files}/{match[0]}", f"{path}_fault" if f"{name}_fault" in there else ""
        label = text(f"{path}_label") if f"{name}_label" in there else ""
        limits = {field: f"{path}_{end}" for field, end in _LIMITS[match[2]].items() if f"{name}_{end}" in there}
        yield Channel(
            driver,
            at,
            label or name,
            name,
            measure,
            source,
            _Input(source, fault, measure, awake, rest).read,
            functools.partial(_limits, limits, measure),
        )


def _inputs(files: Collection[str]) -> dict[str, re.Match[str]]:
    """Return the inputs by name, temp2 before temp10; what is measured now goes before what was on average."""
    found = [match for match in map(_INPUT.fullmatch, files) if match]
    found.sort(key=lambda match: (list(_MEASURES).index(match[2]), int(match[3]), match[4] == "input"))
    return {match[1]: match for match in found}


def _limits(files: Mapping[str, str], measure: Measure) -> dict[str, float | None]:
    return {field: limit(path, measure) for field, path in files.items()}


def place(directory: str) -> str:
    """Return the directory of what a hwmon device sits on: the end of its `device` links, each to an ancestor.

    nvme's hwmon links to `nvme0`, which is a mere number, and that to the PCI device, which is a place. Where there is
    no link, it is the parent of the hwmon device itself.
    """
    device = directory
    while device.startswith(ancestor := os.path.realpath(f"{device}/device") + "/"):
        device = ancestor.rstrip("/")
    if device != directory:
        return device
    parent = os.path.dirname(directory)
    return os.path.dirname(parent) if os.path.basename(parent) == "hwmon" else parent


def address(device: str) -> str:
    """Name the place of a device by what stays when others are found, or it is plugged in again.

    A disk is named by its controller's port and its own unit there, `1-5:1.0/0:0:0`.
    """
    owner, name = os.path.split(device)
    unit = _UNIT.fullmatch(name)
    while _COUNTED.fullmatch(name):
        owner, name = os.path.split(owner)
    if unit is None:
        return name
    # Ports of ATA are counted over all controllers (kernel: ABI/testing/sysfs-ata).
    port = text(f"{owner}/{name}/ata_port/{name}/port_no")
    return f"{os.path.basename(owner)}/ata-{port}/{unit[1]}" if port else f"{name}/{unit[1]}"


def _rest(device: str, clock: Callable[[], float]) -> Rest | None:
    """Return how long a device is left alone; `None` for one that does not fall asleep by itself."""
    delay = text(f"{device}/power/autosuspend_delay_ms")
    return Rest(device, int(delay) / 1000, clock) if delay.isdecimal() else None


def _awake(driver: str, device: str, clock: Callable[[], float]) -> Awake | None:
    """Return what tells whether a device may be read; `None` for one that never sleeps."""
    power = Power(device) if text(f"{device}/power/runtime_status") not in ("", "unsupported") else None
    if driver == "drivetemp":
        for disk in Tree(device).names("block"):
            if text(f"{device}/block/{disk}/queue/rotational") == "1":
                return Drive(f"{device}/block/{disk}/stat", power, clock)
    return power
