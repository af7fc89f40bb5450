"""The `sensor` family: what the machine's sensors measure."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import Reading, Unit, family, gauge, state
from healthd.observe import _hwmon, _iio, _onewire, _thermal
from healthd.observe._channels import GONE, Channel, valueless
from healthd.observe._files import Roots
from healthd.observe._roles import CPU, processors

_RESCAN = 60.0
_SOURCES = "/sys/class/hwmon, /sys/class/thermal, /sys/bus/iio/devices, /sys/bus/w1/devices"


@family("sensor", event="system.temperature.updated", instances="sensor", every=5.0, source=_SOURCES)
class Sensor(Reading):
    """What sensors measure (hwmon; thermal zones that hwmon has not; IIO; 1-Wire).

    An instance is named after driver, place on the bus and label, which stay when devices are renumbered. Each measures
    one thing: the other fields are unknown. What sleeps is not woken, and what falls asleep by itself (a second
    graphics chip) is asked once a minute. The temperature of the processor is that of the role `cpu`, the highest
    where there are several packages. Of `role` the first that there is of: coretemp's packages; k10temp's or zenpower's
    Tdie, Tctl; x86_pkg_temp; coretemp's cores; via_cputemp; the thermal zones of cpu, soc, package, imx, big cores,
    single CPUs; what the board calls CPU, CPU Temperature, PECI Agent 0, CPUTIN.
    """

    label: str | None = state("What the driver calls it.")
    driver: str | None = state("Driver, or kind of chip.")
    role: str | None = state("Of what it is the temperature, where that is known: `cpu` for that of the processor.")
    celsius: float | None = gauge(Unit.CELSIUS, "Temperature.")
    high_celsius: float | None = state("Temperature from which on it counts as high.", Unit.CELSIUS)
    critical_celsius: float | None = state("Temperature from which on it counts as critical.", Unit.CELSIUS)
    rpm: float | None = gauge(Unit.RPM, "Turns of a fan per minute.")
    low_rpm: float | None = state("Turns below which they count as too few.", Unit.RPM)
    volts: float | None = gauge(Unit.VOLTS, "Voltage.")
    low_volts: float | None = state("Voltage below which it counts as low.", Unit.VOLTS)
    high_volts: float | None = state("Voltage above which it counts as high.", Unit.VOLTS)
    amperes: float | None = gauge(Unit.AMPERES, "Current.")
    high_amperes: float | None = state("Current above which it counts as high.", Unit.AMPERES)
    watts: float | None = gauge(Unit.WATTS, "Power.")
    high_watts: float | None = state("Power above which it counts as high.", Unit.WATTS)
    humidity: float | None = gauge(Unit.PERCENT, "Relative humidity.")
    pascals: float | None = gauge(Unit.PASCALS, "Pressure of air, or of what else it is in.")


class Instrument:
    """One sensor, and what it showed last."""

    def __init__(self, channel: Channel, role: str | None) -> None:
        self.channel = channel
        self.role = role
        self._shown: float | None = None
        self._reading: Sensor | None = None

    def is_like(self, other: "Instrument") -> bool:
        """Tell whether another one is the same sensor."""
        mine, others = self.channel, other.channel
        return (mine.path, mine.id, self.role) == (others.path, others.id, other.role)

    def renew(self) -> None:
        """Have limits that could not be read looked for again."""
        if self._reading and None in self._limits.values():
            del self._limits
            self._reading = None

    def read(self) -> Sensor | None:
        """Return what it shows now; `None` where it has not measured yet.

        Raises OSError where the driver gives nothing, and Unobserved where that can't be true, or is not wanted.
        """
        shown = self.channel.read()
        if shown is None:
            return None
        # Most of a board's voltages, and all fans that stand, are as they were.
        if self._reading is None or shown != self._shown:
            self._reading = Sensor(**{**self._facts, **self._limits, self.channel.measure.field: shown})
            self._shown = shown
        return self._reading

    @cached_property
    def _facts(self) -> Mapping[str, Any]:
        of = {"label": self.channel.label, "driver": self.channel.driver, "role": self.role}
        return {**dict.fromkeys(Sensor.family.by_name), **of}

    @cached_property
    def _limits(self) -> Mapping[str, float | None]:
        return self.channel.limits()


def instruments(channels: Iterable[Channel]) -> dict[str, Instrument]:
    """Return all sensors by instance id."""
    found = list(channels)
    ids, of_cpu = Counter(channel.id for channel in found), processors(found)
    return {
        channel.id if ids[channel.id] == 1 else f"{channel.id}/{channel.name}": Instrument(
            channel, CPU if channel in of_cpu else None
        )
        for channel in found
    }


class SensorCollector:
    """Finds the sensors once a minute, and after one has vanished; reads each in a probe of its own."""

    reading = Sensor

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._hwmon = _hwmon.Devices(roots.sys, lambda: self._now)
        self._found: list[tuple[Any, ...]] = []
        """What describes the channels that there are."""
        self._instruments: Mapping[str, Instrument] = {}
        self._probes: Mapping[str, Callable[[], Sensor | None]] = {}
        self._slow: list[str] = []
        self._turns = _onewire.Turns()
        self._now = self._rescan_at = 0.0

    def probes(self, now: Instant) -> Mapping[str, Callable[[], Sensor | None]]:
        """Return what reads each sensor.

        Raises Unobserved where the machine has none.
        """
        self._now = now.since_boot
        if now.since_boot >= self._rescan_at or not self._probes:
            self._rescan_at = now.since_boot + _RESCAN
            self._scan()
        if not self._probes:
            raise Unobserved(protocol.UNSUPPORTED, "no sensor", self._remedy)
        self._turns.pass_on(self._slow)
        return self._probes

    def _scan(self) -> None:
        """Look what there is. Opens only names and labels, which cost no transfer on a bus."""
        known = self._instruments
        for instrument in known.values():
            instrument.renew()
        sys, channels = self._roots.sys, self._hwmon.channels()
        channels += _thermal.channels(sys, {channel.driver for channel in channels})
        channels += [*_iio.channels(sys), *_onewire.channels(sys, self._turns)]
        # What reads them is made anew for each.
        found = [channel[:-2] for channel in channels]
        if found == self._found:
            return
        self._found = found
        # What was there before goes on: its files are open, and its limits known.
        self._instruments = {
            name: known[name] if name in known and known[name].is_like(one) else one
            for name, one in instruments(channels).items()
        }
        self._probes = {name: partial(self._read, one) for name, one in self._instruments.items()}
        self._slow = [one.channel.path for one in self._instruments.values() if one.channel.place == _onewire.PLACE]

    def _read(self, sensor: Instrument) -> Sensor | None:
        try:
            return sensor.read()
        except OSError as error:
            if error.errno not in GONE:
                raise valueless(error) from error
        if os.path.exists(sensor.channel.path):
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
