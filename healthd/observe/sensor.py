"""The `sensor` family: temperatures that the kernel's hwmon drivers report."""

import errno
import functools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import Reading, Unit, family, gauge, state
from healthd.observe._files import File, Roots, Tree

_RESCAN = 60.0
_INPUT = re.compile(r"(temp\d+)_input")

# What a chip says that is absent, or of which only ones or zeros arrive; °C, and these two are no temperatures.
_LOWEST, _HIGHEST = -128.0, 255.0


@family("sensor", event="system.temperature.updated", instances="sensor", every=5.0)
class Sensor(Reading):
    """Temperatures of the machine's parts (`/sys/class/hwmon`; kernel: hwmon/sysfs-interface).

    An instance is named after driver, place on the bus and label, which stay when hwmon devices are renumbered.
    """

    label: str | None = state("What the driver calls it.")
    driver: str | None = state("Driver, or kind of chip.")
    celsius: float | None = gauge(Unit.CELSIUS, "Temperature.")
    high_celsius: float | None = state("Temperature from which on it counts as high.", Unit.CELSIUS)
    critical_celsius: float | None = state("Temperature from which on it counts as critical.", Unit.CELSIUS)


def parse(millidegrees: bytes) -> float:
    """Return what a `temp*` file holds in °C with one decimal.

    Raises Unobserved where that is no number, or no temperature that can be true.
    """
    digits = millidegrees.strip()
    if not (digits.removeprefix(b"-").isdigit() and len(digits) <= 16):
        raise Unobserved(protocol.MALFORMED, "reads no number")
    celsius = round(int(digits) / 1000, 1)
    if not _LOWEST < celsius < _HIGHEST:
        raise Unobserved(protocol.MALFORMED, f"reads {celsius:g} °C, which can't be true")
    return celsius


class Thermometer:
    """One `temp*` of one hwmon device; `power` tells whether the device sleeps, where it can."""

    def __init__(self, path: str, driver: str, device: str, power: File | None) -> None:
        fault = f"{path}_fault"
        self.path = f"{path}_input"
        self.temp = os.path.basename(path)
        self.driver = driver
        self.label = _text(f"{path}_label") or self.temp
        self.id = f"{driver}/{os.path.basename(device)}/{self.label}"
        self._input = File(self.path)
        self._fault = File(fault) if os.path.exists(fault) else None
        self._power = power
        # To read a limit can take a transfer on a bus, as to read the temperature does: not before the first read.
        self._limits = functools.cache(lambda: (_limit(f"{path}_max"), _limit(f"{path}_crit")))

    def read(self) -> Sensor:
        """Return what it shows now.

        Raises OSError where the driver gives nothing, and Unobserved where that is no temperature, or not wanted.
        """
        if self._power and self._power.read().strip() == b"suspended":
            raise Unobserved(protocol.UNSUPPORTED, "the device sleeps and is not woken for this")
        if self._fault and self._fault.read().strip() == b"1":
            raise Unobserved(protocol.FAILED, "the chip reports that the sensor is faulty", "Check its wiring.")
        celsius = parse(self._input.read())
        high, critical = self._limits()
        return Sensor(
            label=self.label, driver=self.driver, celsius=celsius, high_celsius=high, critical_celsius=critical
        )


def _limit(path: str) -> float | None:
    try:
        # Firmware that sets no limit leaves 0.
        return parse(File(path).read()) or None
    except (OSError, Unobserved):
        return None


def _text(path: str) -> str:
    try:
        return "".join(filter(str.isprintable, File(path).text()))
    except OSError:
        return ""


def _device(directory: str) -> str:
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


def _power(device: str) -> File | None:
    path = f"{device}/power/runtime_status"
    return File(path) if _text(path) not in ("", "unsupported") else None


def scan(sys: Tree) -> dict[str, Thermometer]:
    """Find all temperatures by instance id. Opens only names and labels, which cost no transfer on a bus."""
    found = list(_thermometers(sys))
    ids = Counter(one.id for one in found)
    return {one.id if ids[one.id] == 1 else f"{one.id}/{one.temp}": one for one in found}


def _thermometers(sys: Tree) -> Iterator[Thermometer]:
    for hwmon in sys.names("class/hwmon"):
        directory = os.path.realpath(sys.path(f"class/hwmon/{hwmon}"))
        temps = [match[1] for match in map(_INPUT.fullmatch, sys.names(f"class/hwmon/{hwmon}")) if match]
        temps.sort(key=len)  # temp2 before temp10
        if temps:
            driver, device = _text(f"{directory}/name") or "hwmon", _device(directory)
            power = _power(device)
            yield from (Thermometer(f"{directory}/{temp}", driver, device, power) for temp in temps)


class SensorCollector:
    """Finds the sensors once a minute, and after one has vanished; reads each in a probe of its own."""

    reading = Sensor

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._probes: dict[str, Callable[[], Sensor | None]] = {}
        self._rescan_at = 0.0

    def probes(self, now: Instant) -> Mapping[str, Callable[[], Sensor | None]]:
        """Return what reads each sensor.

        Raises Unobserved where the machine has none.
        """
        if now.since_boot >= self._rescan_at or not self._probes:
            self._rescan_at = now.since_boot + _RESCAN
            self._probes = {name: partial(self._read, sensor) for name, sensor in scan(self._roots.sys).items()}
        if not self._probes:
            raise Unobserved(protocol.UNSUPPORTED, "no temperature sensor", self._remedy)
        return self._probes

    def _read(self, sensor: Thermometer) -> Sensor | None:
        try:
            return sensor.read()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
        if os.path.exists(sensor.path):
            # The driver was loaded anew and got the same number: the files are opened anew.
            return sensor.read()
        self._rescan_at = 0.0
        return None

    @cached_property
    def _remedy(self) -> str:
        """What helps to find sensors: nothing where the hardware is that of another system."""
        contained = self._roots.host.exists("run/systemd/container") or self._roots.host.exists(".dockerenv")
        if contained or " hypervisor" in self._roots.proc.text("cpuinfo", ""):
            return ""
        return "Load the driver of the board's sensor chip: `sensors-detect` (lm-sensors) finds it."


COLLECTOR = SensorCollector
