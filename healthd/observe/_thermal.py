"""Temperatures of thermal zones (`/sys/class/thermal`; kernel: driver-api/thermal/sysfs-api) that hwmon has not."""

import functools
from collections.abc import Collection, Iterator

from healthd.observe._channels import CELSIUS, Channel, limit, number, text, value
from healthd.observe._files import File, Tree

# By the type of a zone: the hwmon driver that shows the same sensor.
_SAME = {"x86_pkg_temp": "coretemp"}
# Zones that exist to be told of, and always say 20 °C.
_NONE = ("INT3400 Thermal",)
_LIMITS = {"hot": "high_celsius", "critical": "critical_celsius"}


def channels(sys: Tree, hwmon: Collection[str]) -> Iterator[Channel]:
    """Find the zones that none of the hwmon drivers shows; those are given by their names."""
    for zone in sys.names("class/thermal"):
        path = sys.path(f"class/thermal/{zone}")
        kind = text(f"{path}/type")
        # The kernel's own bridge to hwmon shows zones of one type as one device, of that name.
        shown = kind.replace("-", "_") in hwmon or _SAME.get(kind) in hwmon
        if zone.startswith("thermal_zone") and kind and kind not in _NONE and not shown:
            source = f"{path}/temp"
            read, limits = functools.partial(_read, File(source)), functools.partial(_limits, sys, zone)
            yield Channel(kind, "thermal", "temp", zone, CELSIUS, source, read, limits)


def _read(file: File) -> float:
    return value(number(file.read()), CELSIUS)


def _limits(sys: Tree, zone: str) -> dict[str, float | None]:
    directory = f"class/thermal/{zone}"
    trips = [name.removesuffix("_type") for name in sys.names(directory) if name.endswith("_type")]
    found: dict[str, float | None] = {}
    for trip in trips:
        field = _LIMITS.get(sys.text(f"{directory}/{trip}_type", ""))
        if field:
            found[field] = limit(sys.path(f"{directory}/{trip}_temp"), CELSIUS)
    return found
