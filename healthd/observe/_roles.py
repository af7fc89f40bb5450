"""Which sensor tells the temperature of the processor."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from healthd.observe._channels import CELSIUS, Channel

CPU = "cpu"

# Driver (in small letters, with `_` for the `-` of zones) and label, best first: what the chip measures on its whole,
# what it measures in its parts, what the board or its firmware measures there. acpitz is none of these: it may be
# anything.
_ORDER = (
    ("coretemp", "Package id *"),
    ("k10temp", "Tdie"),
    ("zenpower", "Tdie"),
    ("k10temp", "Tctl"),
    ("zenpower", "Tctl"),
    ("k10temp", "*"),
    ("x86_pkg_temp", "*"),
    ("coretemp", "*"),
    ("via_cputemp", "*"),
    ("cpu_thermal*", "*"),
    ("soc_thermal*", "*"),
    ("package_thermal*", "*"),
    ("imx_thermal*", "*"),
    ("bigcore*_thermal", "*"),
    ("cpu*_therm*", "*"),
    ("*", "CPU"),
    ("*", "CPU Temperature"),
    ("*", "PECI Agent 0"),
    ("*", "CPUTIN"),
)


def processors(channels: Iterable[Channel]) -> frozenset[Channel]:
    """Return the temperature of the processor: all that are first in the order, which is one for each package."""
    named = {channel: (channel.driver, channel.label) for channel in channels if channel.measure is CELSIUS}
    first = _first(frozenset(named.values()))
    return frozenset([channel for channel, name in named.items() if name in first])


def recalled(readings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sensors of a recording from before there were roles, with those that they had today."""
    named = {
        instance: (reading.driver or "", reading.label or "")
        for instance, reading in readings.items()
        if reading.celsius is not None
    }
    first = _first(frozenset(named.values()))
    return {
        instance: replace(reading, role=CPU) if named.get(instance) in first else reading
        for instance, reading in readings.items()
    }


@lru_cache(maxsize=4)
def _first(named: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Return those of some thermometers, by driver and label, that are first in the order."""
    for driver, label in _ORDER:
        found = [
            name
            for name in named
            if fnmatchcase(name[0].replace("-", "_").lower(), driver) and fnmatchcase(name[1], label)
        ]
        if found:
            return frozenset(found)
    return frozenset()
