"""The `services` family: whether the units of systemd do what they are there for."""

from collections.abc import Mapping
from typing import Any

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Ask, Reading, Unit, family, state
from healthd.observe._files import Roots


@family("services", every=30.0, source="org.freedesktop.systemd1 on the system bus")
class Services(Reading):
    """Which units of systemd failed, as it tells on the system bus (org.freedesktop.systemd1(5))."""

    failed_units: int | None = state("Units that failed (NFailedUnits).", Unit.COUNT)
    failed: str | None = state("Names of those, the first eight in order, with spaces between.")
    system_state: str | None = state(
        "How the system is: running, degraded (some unit failed), starting, maintenance, … (SystemState)."
    )


_SYSTEMD = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
_MANAGER = "org.freedesktop.systemd1.Manager"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_MOST = 8


class ServicesCollector:
    """Asks systemd; for names only where there are some."""

    reading = Services

    def __init__(self, roots: Roots) -> None:
        """Take the roots that every collector is given; nothing of this stands in a file."""

    async def inquire(self, now: Instant, ask: Ask) -> Mapping[str, Reading]:  # noqa: ARG002 - nothing here is a rate
        """Return one reading."""
        count = await _property(ask, "NFailedUnits", int)
        system_state = await _property(ask, "SystemState", str)
        failed = await _failed(ask) if count else ""
        return {SINGLE: Services(failed_units=count, failed=failed, system_state=system_state)}


async def _property(ask: Ask, name: str, kind: type) -> Any:
    match await ask(*_SYSTEMD, _PROPERTIES, "Get", "ss", _MANAGER, name):
        case [value] if type(value) is kind:
            return value
    raise _malformed(name)


async def _failed(ask: Ask) -> str | None:
    """Return the names of failed units; `None` where they are too many for one answer."""
    match await ask(*_SYSTEMD, _MANAGER, "ListUnitsFiltered", "as", ["failed"]):
        case []:
            return None
        case [list(units)] if all(map(_is_named, units)):
            return " ".join(sorted(unit[0] for unit in units)[:_MOST])
    raise _malformed("ListUnitsFiltered")


def _is_named(unit: Any) -> bool:
    """Tell whether a row begins with a name; rows are lists or tuples, as the library has it."""
    return isinstance(unit, list | tuple) and bool(unit) and isinstance(unit[0], str) and unit[0].isprintable()


def _malformed(member: str) -> Unobserved:
    return Unobserved(protocol.MALFORMED, f"systemd's answer to {member} is no such thing")


COLLECTOR = ServicesCollector
