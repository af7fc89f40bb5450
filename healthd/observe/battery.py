"""The `battery` family: batteries, and the supplies that feed the machine."""

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import Band, Reading, Unit, family, gauge, state
from healthd.observe._files import File, Roots, printable
from healthd.observe._shares import percent

_ROUGHLY = Band(absolute=60.0, relative=0.05)


@family("battery", instances="power supply", every=10.0, source="/sys/class/power_supply/*/uevent")
class Battery(Reading):
    """Batteries and power supplies (`/sys/class/power_supply`; kernel: ABI/testing/sysfs-class-power).

    An instance is named as the firmware names it (`BAT0`, `AC`); those of mice and the like by serial number.
    """

    kind: str | None = state(
        "What it is: battery, ups, mains, usb, wireless, or device for the battery of a mouse or another device."
    )
    model: str | None = state("Maker and model as it names itself.")
    status: str | None = state("What a battery does: charging, discharging, not charging, full or unknown.")
    health: str | None = state("What a battery says of itself: good, overheat, dead, cold and others.")
    on_mains: bool | None = state("Whether power comes from it now; for what is no battery.")
    percent: float | None = gauge(Unit.PERCENT, "What is in the battery, as a share of what it holds when full.")
    together_percent: float | None = gauge(
        Unit.PERCENT,
        "What is in all batteries of this kind that feed the machine, as a share of what they hold when full: one may "
        "be emptied before the other.",
    )
    full_percent: float | None = gauge(
        Unit.PERCENT, "What it holds when full, as a share of what it was made for: it wears."
    )
    energy_watt_hours: float | None = gauge(Unit.WATT_HOURS, "What is in it.")
    energy_full_watt_hours: float | None = state("What it holds when full.", Unit.WATT_HOURS)
    power_watts: float | None = gauge(Unit.WATTS, "What it is charged or discharged with.")
    volts: float | None = gauge(Unit.VOLTS, "Voltage.")
    celsius: float | None = gauge(Unit.CELSIUS, "Temperature.")
    cycles: int | None = state("How often it was charged from empty to full, in all.", Unit.COUNT)
    empty_seconds: float | None = gauge(
        Unit.SECONDS, "Time until it is empty, while it discharges: its own estimate, or by the present power.",
        band=_ROUGHLY,
    )  # fmt: skip
    full_seconds: float | None = gauge(
        Unit.SECONDS, "Time until it is full, while it charges: its own estimate, or by the present power.",
        band=_ROUGHLY,
    )  # fmt: skip


_PREFIX = b"POWER_SUPPLY_"
_DIRECTORY = "class/power_supply"
_KINDS = {"battery": "battery", "ups": "ups", "mains": "mains", "usb": "usb", "wireless": "wireless"}
_OWN = ("battery", "ups")
_BATTERIES = (*_OWN, "device")
_HOUR = 3600.0
_LONGEST = 18
# Beyond that no supply is: firmware says 4294967295 for what it does not know.
_MOST = 1e6
# A year: what takes longer is no time, but a division by hardly anything.
_ENDLESS = 8760 * _HOUR


def parse(uevent: bytes) -> dict[str, str]:
    """Read what a supply tells, by the kernel's names without POWER_SUPPLY_."""
    pairs = (line.removeprefix(_PREFIX).partition(b"=") for line in uevent.splitlines() if line.startswith(_PREFIX))
    return {key.decode("ascii", "replace"): printable(value.strip()) for key, _, value in pairs}


class Supply:
    """What one supply tells, in units."""

    def __init__(self, told: Mapping[str, str]) -> None:
        self.told = told
        device = told.get("SCOPE") == "Device"
        self.kind = "device" if device else _KINDS.get(told.get("TYPE", "").lower())
        self.status = told.get("STATUS", "").lower() or None

    @property
    def is_there(self) -> bool:
        """Whether it is a supply, and no bay without a battery."""
        return self.kind is not None and self.told.get("PRESENT") != "0"

    @property
    def is_battery(self) -> bool:
        """Whether it stores energy."""
        return self.kind in _BATTERIES

    def micro(self, *names: str) -> float | None:
        """Return the first that is there of some values in millionths."""
        return _sane(next((found / 1e6 for name in names if (found := self.number(name)) is not None), None))

    def number(self, name: str) -> int | None:
        """Return a number; `None` where there is none."""
        digits = self.told.get(name, "")
        return int(digits) if digits.removeprefix("-").isdecimal() and len(digits) <= _LONGEST else None

    def energy(self, which: str) -> float | None:
        """Return energy (`NOW`, `FULL`, `FULL_DESIGN`) in Wh; of a charge it is that at the voltage by design."""
        energy, charge = self.micro(f"ENERGY_{which}"), self.micro(f"CHARGE_{which}")
        volts = self.micro("VOLTAGE_MIN_DESIGN", "VOLTAGE_MAX_DESIGN", "VOLTAGE_NOW")
        if energy is None and charge is not None and volts is not None:
            energy = charge * volts
        return None if energy is not None and energy < 0 else _sane(energy)

    @property
    def watts(self) -> float | None:
        """The power that goes in or out; drivers do not agree on its sign."""
        power, amperes, volts = self.micro("POWER_NOW"), self.micro("CURRENT_NOW"), self.micro("VOLTAGE_NOW")
        if power is None and amperes is not None and volts is not None:
            power = amperes * volts
        return None if power is None else _sane(abs(power))

    @property
    def percent(self) -> float | None:
        """What the kernel says, or else the share."""
        capacity = self.number("CAPACITY")
        found = percent(self.energy("NOW"), self.energy("FULL")) if capacity is None else float(capacity)
        return None if found is None else min(max(found, 0.0), 100.0)

    @property
    def empty_seconds(self) -> float | None:
        """How long it lasts."""
        if self.status != "discharging":
            return None
        return self._estimate("TIME_TO_EMPTY") or self._duration(self.energy("NOW"))

    @property
    def full_seconds(self) -> float | None:
        """How long it takes."""
        if self.status != "charging":
            return None
        now, full = self.energy("NOW"), self.energy("FULL")
        left = None if now is None or full is None else max(full - now, 0.0)
        return self._estimate("TIME_TO_FULL") or self._duration(left)

    def _estimate(self, which: str) -> float | None:
        told = (self.number(f"{which}_{how}") for how in ("NOW", "AVG"))
        return next((float(seconds) for seconds in told if seconds and 0 < seconds < _ENDLESS), None)

    def _duration(self, energy: float | None) -> float | None:
        seconds = energy / self.watts * _HOUR if energy is not None and self.watts else None
        return seconds if seconds is not None and seconds < _ENDLESS else None


def together(supplies: Iterable[Supply]) -> float | None:
    """Return what is in batteries as a share of what they hold: as if all held the same where one does not tell."""
    tell = [(share, supply.energy("FULL")) for supply in supplies if (share := supply.percent) is not None]
    holds = [full for _, full in tell if full is not None]
    if len(holds) < len(tell) or not sum(holds):
        holds = [1.0] * len(tell)
    held = sum(share * full for (share, _), full in zip(tell, holds, strict=True))
    return round(held / sum(holds), 1) if tell else None


def observed(told: Mapping[str, str], percent_together: float | None = None) -> Battery | None:
    """Return the reading of what a supply tells; `None` for a bay without a battery, and what is no supply."""
    supply = Supply(told)
    if not supply.is_there:
        return None
    online = supply.number("ONLINE")
    tenths = supply.number("TEMP")
    health = told.get("HEALTH", "").lower()
    wear = percent(supply.energy("FULL"), supply.energy("FULL_DESIGN"))
    names = (told.get(name, "") for name in ("MANUFACTURER", "MODEL_NAME"))
    return Battery(
        kind=supply.kind,
        model=" ".join(filter(None, names)) or None,
        status=supply.status if supply.is_battery else None,
        health=health or None,
        on_mains=None if supply.is_battery or online is None else online > 0,
        percent=supply.percent if supply.is_battery else None,
        together_percent=percent_together,
        full_percent=None if wear is None else min(wear, 100.0),
        energy_watt_hours=_rounded(supply.energy("NOW"), 2),
        energy_full_watt_hours=_rounded(supply.energy("FULL"), 2),
        power_watts=_rounded(supply.watts, 2),
        volts=_rounded(supply.micro("VOLTAGE_NOW"), 3),
        celsius=None if tenths is None or not -1000 < tenths < 2000 else tenths / 10,
        # Firmware that does not count says 0.
        cycles=max(supply.number("CYCLE_COUNT") or 0, 0) or None,
        empty_seconds=_rounded(supply.empty_seconds, 0),
        full_seconds=_rounded(supply.full_seconds, 0),
    )


def _sane(value: float | None) -> float | None:
    return value if value is not None and abs(value) < _MOST else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


class Look:
    """One look at all supplies: each is read once, when somebody asks for it."""

    def __init__(self, files: Mapping[str, File], feeding: Sequence[str]) -> None:
        self._files = files
        self._feeding = feeding
        """Those that feed the machine."""
        self._read: dict[str, Supply] = {}

    def reading(self, name: str) -> Battery | None:
        """Return the reading of a supply, `None` where there is none; raises OSError."""
        supply = self._supply(name)
        is_own = supply.is_there and supply.kind in _OWN and name in self._feeding
        return observed(supply.told, self._together(supply.kind) if is_own else None)

    def _together(self, kind: str | None) -> float | None:
        """Return what is in those of a kind together: unknown where one of them can't be read."""
        try:
            supplies = [self._supply(name) for name in self._feeding]
        except OSError:
            return None
        return together([each for each in supplies if each.kind == kind and each.is_there])

    def _supply(self, name: str) -> Supply:
        if name not in self._read:
            self._read[name] = Supply(parse(_told(self._files[name])))
        return self._read[name]


class BatteryCollector:
    """Reads what each supply tells in one go; firmware may take its time for it."""

    reading = Battery

    def __init__(self, roots: Roots) -> None:
        self._sys = roots.sys
        self._names: list[str] = []
        self._files: dict[str, File] = {}
        self._feeding: list[str] = []

    def probes(self, now: Instant) -> Mapping[str, Callable[[], Battery | None]]:  # noqa: ARG002  # a collector's form
        """Return what reads each supply.

        Raises Unobserved where the machine has none.
        """
        names = self._sys.names(_DIRECTORY)
        if not names:
            raise Unobserved(protocol.UNSUPPORTED, "no battery, and no power supply that tells of itself")
        if self._names != names:
            self._names = names
            self._files = {self._id(name): self._sys.file(f"{_DIRECTORY}/{name}/uevent") for name in names}
            self._feeding = [name for name in names if self._scope(name) != "Device"]
        look = Look(self._files, self._feeding)
        return {name: partial(look.reading, name) for name in self._files}

    def _id(self, name: str) -> str:
        """Return what a supply is called at the next start, too: devices are only counted."""
        serial = self._sys.text(f"{_DIRECTORY}/{name}/serial_number", "")
        return printable(serial.encode()) if self._scope(name) == "Device" and serial else name

    def _scope(self, name: str) -> str:
        return self._sys.text(f"{_DIRECTORY}/{name}/scope", "")


def _told(file: File) -> bytes:
    """Return what a supply tells, nothing where it is gone."""
    # The second time the file is opened anew: another battery may be in the same place.
    for _ in range(2):
        try:
            return file.read()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
    return b""


COLLECTOR = BatteryCollector
