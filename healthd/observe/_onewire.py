"""Thermometers on 1-Wire (`/sys/bus/w1/devices`; kernel: w1/slaves/w1_therm)."""

import os
import re
from collections.abc import Iterator, Sequence

from healthd import protocol
from healthd.errors import Unobserved
from healthd.observe._channels import CELSIUS, Channel, Shown, number, value
from healthd.observe._files import File, Tree

PLACE = "w1"

# By the first byte of an address.
_DRIVERS = {"10": "ds18s20", "22": "ds1822", "28": "ds18b20", "3b": "ds1825", "42": "ds28ea00"}
_DEVICE = re.compile(r"([0-9a-f]{2})-[0-9a-f]{12}")

# What the chip says that was switched on and has not measured, m°C; where it was near that before it may be so.
_SWITCHED_ON, _NEAR = 85000.0, 80.0


class Turns:
    """Whose turn it is: to measure takes most of a second, so that one measures in each run.

    The others show what they showed last.
    """

    def __init__(self) -> None:
        self.current = ""

    def pass_on(self, paths: Sequence[str]) -> None:
        """Have the next one measure."""
        self.current = min([path for path in paths if path > self.current] or paths, default="")


class _Thermometer:
    def __init__(self, path: str, turns: Turns) -> None:
        self._path = path
        self._file = File(path)
        self._turns = turns
        self._shown = Shown()
        self._before: float | None = None
        """What it measured last."""
        self._doubted = False

    def read(self) -> float | None:
        if self._turns.current == self._path:
            self._shown.ask(self._measured)
        return self._shown.read()

    def _measured(self) -> float:
        found = written(self._file.read())
        if found == _SWITCHED_ON and not self._is_likely():
            raise Unobserved(protocol.FAILED, "has lost its power while it measured", "Check its wiring and supply.")
        self._before, self._doubted = value(found, CELSIUS), False
        return self._before

    def _is_likely(self) -> bool:
        """Tell whether it is as hot as a chip says that has lost its power: said twice, by one that has measured."""
        if self._before is None:
            return False
        again, self._doubted = self._doubted, True
        return again or self._before >= _NEAR


def written(content: bytes) -> float:
    """Return the m°C that a file tells: `23125`, or two lines of which the second ends in `t=23125`.

    Raises Unobserved where it tells none.
    """
    first, _, second = content.strip().partition(b"\n")
    if second:
        if not first.endswith(b"YES"):
            raise Unobserved(protocol.FAILED, "the checksum is wrong", "Check its wiring, and the pull-up resistor.")
        first = second.rpartition(b"t=")[2]
    return number(first)


def channels(sys: Tree, turns: Turns) -> Iterator[Channel]:
    """Find all thermometers."""
    for device in sys.names("bus/w1/devices"):
        match = _DEVICE.fullmatch(device)
        driver = _DRIVERS.get(match[1]) if match else None
        if driver:
            paths = [sys.path(f"bus/w1/devices/{device}/{file}") for file in ("temperature", "w1_slave")]
            path = paths[0] if os.path.exists(paths[0]) else paths[1]
            yield Channel(driver, PLACE, device, device, CELSIUS, path, _Thermometer(path, turns).read)
