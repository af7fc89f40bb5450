"""Temperature, pressure and humidity of Industrial I/O (`/sys/bus/iio/devices`; kernel: ABI/testing/sysfs-bus-iio)."""

import functools
import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from healthd.observe._channels import CELSIUS, HUMIDITY, PASCALS, Channel, Measure, names, number, text, value
from healthd.observe._files import File, Tree

_INPUT = re.compile(r"in_((temp|pressure|humidityrelative)(?:\d+|(?:_[a-z]+)+?)?)_(input|raw)")
_MEASURES: Mapping[str, Measure] = {"temp": CELSIUS, "pressure": PASCALS, "humidityrelative": HUMIDITY}


class _Source(NamedTuple):
    """A file, and how its number becomes the unit of the interface: plus `offset`, times `scale`."""

    file: File
    scale: File | None
    offset: File | None
    measure: Measure

    def read(self) -> float:
        written = number(self.file.read())
        if self.offset:
            written += number(self.offset.read())
        if self.scale:
            written *= number(self.scale.read())
        return value(written, self.measure)


def channels(sys: Tree) -> Iterator[Channel]:
    """Find all channels."""
    for device in sys.names("bus/iio/devices"):
        if device.startswith("iio:device"):
            yield from _device_channels(os.path.realpath(sys.path(f"bus/iio/devices/{device}")))


def _device_channels(directory: str) -> Iterator[Channel]:
    driver = text(f"{directory}/name") or "iio"
    place = os.path.basename(os.path.dirname(directory))
    found = [match for match in map(_INPUT.fullmatch, reversed(names(directory))) if match]
    # Of a channel that has both the last one holds: what the driver has worked out itself.
    for name, match in sorted({match[1]: match for match in found}.items()):
        path, measure = f"{directory}/{match[0]}", _MEASURES[match[2]]
        part = functools.partial(_part, directory, name, match[2]) if match[3] == "raw" else lambda _: None
        source = _Source(File(path), part("scale"), part("offset"), measure)
        label = text(f"{directory}/in_{name}_label") or name
        yield Channel(driver, place, label, name, measure, path, source.read)


def _part(directory: str, name: str, kind: str, part: str) -> File | None:
    """Return the file of a channel's scale or offset: its own, or that of all of its kind."""
    for of in (name, kind):
        path = f"{directory}/in_{of}_{part}"
        if os.path.exists(path):
            return File(path)
    return None
