"""The `throttling` family: what a Raspberry Pi's firmware does about too little power and too much heat."""

import fcntl
import re
from collections.abc import Callable, Mapping
from functools import partial

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Reading, Unit, family, state
from healthd.observe._files import Roots
from healthd.observe._throttled import LOW, NOW, SINCE, WAS_LOW, Alarm, Flags, Source, ladder
from healthd.observe._vcio import Ioctl


@family("throttling", source="/dev/vcio_gencmd, /dev/vcio, hwmon rpi_volt or soc:firmware/get_throttled")
class Throttling(Reading):
    """What a Raspberry Pi's firmware does about too little power and too much heat.

    It is asked by `/dev/vcio_gencmd`, else by `/dev/vcio`, as vcgencmd does (Raspberry Pi documentation: vcgencmd
    get_throttled); else under-voltage alone is read from hwmon (`rpi_volt`), and where there is none, what was so since
    boot from `soc:firmware/get_throttled`. What is so now and what was so since boot are two facts. The kernel's log
    has no more: `rpi_volt` writes it.
    """

    under_voltage: bool | None = state("Whether the supply's voltage is too low, or was since the last look (bit 0).")
    frequency_capped: bool | None = state("Whether the processor's clock is limited (bit 1).")
    throttled: bool | None = state("Whether the processor is slowed down (bit 2).")
    soft_temperature_limit: bool | None = state("Whether it is so hot that the clock is lowered a little (bit 3).")
    under_voltage_since_boot: bool | None = state("Whether the voltage was too low since boot (bit 16).")
    frequency_capped_since_boot: bool | None = state("Whether the clock was limited since boot (bit 17).")
    throttled_since_boot: bool | None = state("Whether the processor was slowed down since boot (bit 18).")
    soft_temperature_limit_since_boot: bool | None = state(
        "Whether the soft temperature limit was reached since boot (bit 19)."
    )
    under_voltage_episodes: int | None = state("How often the voltage became too low since healthd runs.", Unit.COUNT)
    under_voltage_seconds: float | None = state(
        "How long the voltage was too low since healthd runs, as seen at each look.", Unit.SECONDS
    )
    source: str | None = state("What it is read from: vcio_gencmd, vcio, vcio_property, rpi_volt or get_throttled.")
    passed_over: str | None = state("Why the better sources are not read, and what to do about it.")


_FLAGS = tuple(metric.name for metric in Throttling.metrics if metric.type is bool)
_BITS = (0x1, 0x2, 0x4, 0x8, 0x10000, 0x20000, 0x40000, 0x80000)

_REMEDY = (
    "as a service, take the drop-in raspberry-pi.conf (/usr/share/doc/healthd/examples/drop-ins); "
    "else let the user into the group of the device (sudo usermod -aG video USER)"
)
# So many of the ladder are asked by a device.
_DEVICES = 3
_PARTIAL = ("vcio_property", "rpi_volt", "get_throttled")
# Boards without a sensor for the supply's voltage: its flags are always clear.
_BLIND = re.compile(r"Raspberry Pi (Zero|Compute Module (Rev|3)|Model [AB] Rev)")
# The kernel asks the firmware every 2 s, and may tell of what the firmware itself told before.
_SAME = 3.0
# Clocks are read one after the other: less than this is no suspend.
_SUSPENDED = 0.05


class Episodes:
    """Counts how often and how long there was under-voltage, as far as it was looked at."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self._last: Instant | None = None
        self._is_low = False
        self._low_at = float("-inf")

    def look(self, now: Instant, *, is_low: bool, passed: bool) -> bool:
        """Take in whether it is low now, and whether something `passed` since the last look; tell whether it was low.

        What begins right after the end of another is still the same.
        """
        has_passed = passed and is_low is self._is_low
        begins = is_low and not self._is_low
        if has_passed or (begins and now.since_boot - self._low_at > _SAME):
            self.count += 1
        if self._last and self._is_low and abs(now.asleep - self._last.asleep) <= _SUSPENDED:
            self.seconds = round(self.seconds + max(now.since_boot - self._last.since_boot, 0.0), 3)
        self._last, self._is_low = now, is_low
        if is_low or has_passed:
            self._low_at = now.since_boot
        return is_low or has_passed


class ThrottlingCollector:
    """Asks the best source that answers, and `rpi_volt`, which tells of what passed between looks."""

    reading = Throttling

    def __init__(self, roots: Roots, ioctl: Ioctl = fcntl.ioctl) -> None:
        self._roots = roots
        self._alarm = Alarm(roots.sys)
        self._ladder = ladder(roots, ioctl, self._alarm)
        self._episodes = Episodes()
        self._model: str | None = None
        self._was_low: bool | None = None
        """Whether it was low since boot, at the last look."""
        self._seen = 0
        """What was so since boot, as far as it was looked at."""

    def probes(self, now: Instant) -> Mapping[str, Callable[[], Throttling | None]]:
        """Return what reads it: the firmware takes its time."""
        return {SINGLE: partial(self._read, now)}

    def _read(self, now: Instant) -> Throttling:
        alarm = self._alarm.look(now.since_boot)
        for source in self._ladder:
            if found := alarm if source is self._alarm else source.look(now.since_boot):
                return self._reading(now, source, self._completed(found, alarm), has_alarm=alarm is not None)
        raise self._unobserved()

    def _completed(self, flags: Flags, alarm: Flags | None) -> Flags:
        """Return the flags with what the alarm and earlier looks tell; a board without the sensor knows no voltage."""
        if alarm:
            flags = flags.also(*alarm)
        self._seen |= flags.bits & SINCE | (flags.bits & NOW) << 16
        flags = flags.also(self._seen, self._seen & ~flags.known)
        return flags._replace(known=flags.known & ~(LOW | WAS_LOW)) if self._is_blind else flags

    def _reading(self, now: Instant, taken: Source, flags: Flags, *, has_alarm: bool) -> Throttling:
        values = dict(zip(_FLAGS, map(flags.flag, _BITS), strict=True))
        was_low, self._was_low = self._was_low, values["under_voltage_since_boot"]
        is_low = values["under_voltage"]
        if is_low is not None:
            passed = self._alarm.passed if has_alarm else was_low is False and self._was_low is True
            values["under_voltage"] = self._episodes.look(now, is_low=is_low, passed=passed)
        return Throttling(
            **values,
            under_voltage_episodes=None if is_low is None else self._episodes.count,
            under_voltage_seconds=None if is_low is None else self._episodes.seconds,
            source=taken.name,
            passed_over=self._passed_over(taken),
        )

    def _passed_over(self, taken: Source) -> str:
        if self._is_blind and taken.name not in _PARTIAL:
            # What is unknown is so for want of a sensor, and not of a better source.
            return ""
        better = self._ladder[: self._ladder.index(taken)]
        reasons = "; ".join(dict.fromkeys(each.problem.reason for each in better if each.problem))
        return f"{reasons}: {_REMEDY}" if taken.name in _PARTIAL else reasons

    @property
    def _is_blind(self) -> bool:
        """Whether the board has no sensor for the voltage, as far as it has not been seen to tell of it."""
        return _BLIND.match(self._board) is not None and not self._seen & WAS_LOW

    @property
    def _board(self) -> str:
        if self._model is None:
            path = "firmware/devicetree/base/model"
            self._model = self._roots.sys.text(path, "") or self._roots.proc.text("device-tree/model", "")
        return self._model

    def _unobserved(self) -> Unobserved:
        problems = [source.problem for source in self._ladder if source.problem]
        for source in self._ladder:
            if source.problem and not source.closed:
                return Unobserved(*source.problem)
        # Where the devices are not there, nobody is kept from them; other machines may close parts of /sys.
        is_absent = all(found.code == protocol.VANISHED for found in problems[:_DEVICES])
        if is_absent and not self._board.startswith("Raspberry Pi"):
            return Unobserved(protocol.UNSUPPORTED, "this is no Raspberry Pi")
        return Unobserved(protocol.PERMISSION, "; ".join(dict.fromkeys(found.reason for found in problems)), _REMEDY)


COLLECTOR = ThrottlingCollector
