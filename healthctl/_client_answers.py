"""What answers mean, behind `client.py`: values that stand for unknown, and errors as advice."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, NamedTuple

from jeepney import HeaderFields

from healthctl.errors import (
    Absent,
    BadConfig,
    Busy,
    HealthctlError,
    NotAllowed,
    Unavailable,
    UnknownCondition,
    UnknownMetric,
    UsageError,
)
from healthctl.place import place, systemctl
from healthctl.series import Point
from healthd import protocol

STANDARD = "org.freedesktop.DBus.Error."
_DEEPEST = 50  # levels of an answer in JSON; what healthd tells has less than ten
# The bus knows of no owner of the name, or could not have it started.
ABSENT = (
    STANDARD + "ServiceUnknown",
    STANDARD + "NameHasNoOwner",
    STANDARD + "Spawn.",
    "org.freedesktop.systemd1.",
)
_MEANT = {
    protocol.UNKNOWN_METRIC: UnknownMetric,
    protocol.UNKNOWN_CONDITION: UnknownCondition,
    protocol.UNKNOWN_COLLECTOR: UsageError,
    protocol.NOT_AVAILABLE: Absent,
}
# The answers of polkit and of healthd; the second where polkit would ask, and may not.
_DENIED = (STANDARD + "AccessDenied", STANDARD + "InteractiveAuthorizationRequired")
_UINT64_MAX = 2**64 - 1

# What a healthd of before these were added does not offer.
_ADDED = {
    "GetHistory": "history",
    "GetEvents": "events",
    "ListConditions": "conditions",
    "Explain": "conditions",
    "Acknowledge": "conditions",
    "Reload": "reload but by SIGHUP",
    "SetCollectorEnabled": "switch for collectors",
    "Watch": "watches",
}
# What polkit may refuse, in words.
_GUARDED = {
    "Acknowledge": "acknowledge a condition",
    "Reload": "have healthd reload",
    "SetCollectorEnabled": "switch a collector",
}


class Sample(NamedTuple):
    """What is watched, at one time."""

    watch: int
    since_boot: float
    """Seconds, suspended time included."""
    time: float
    """Seconds since 1970."""
    values: dict[str, Any]
    """By address; unknown is `None`, and what can't be observed is left out."""
    lost: int
    """How many samples of this watch did not come."""


def sample(body: tuple[Any, ...]) -> Sample:
    """Return what the signal Sample tells."""
    watch, boot_usec, time_usec, variants = body
    values = known(variants)
    return Sample(watch, boot_usec / 1e6, time_usec / 1e6, values, values.pop("lost", None) or 0)


class Event(NamedTuple):
    """What happened."""

    name: str
    line: str
    """The event as a line of JSON."""


def news(message: Any, owner: str) -> Sample | Event | None:
    """Return what a signal of healthd tells; `None` where it tells neither, or another one has sent it.

    Raises Unavailable where it ends a watch.
    """
    match source(message), message.body:
        case (sender, protocol.MANAGER, "Sample", "utta{sv}"), body if sender == owner:
            return sample(body)
        case (sender, protocol.MANAGER, "Event", "sts"), (name, _, line) if sender == owner:
            return Event(name, line)
        case (sender, protocol.MANAGER, "WatchClosed", "us"), (_, reason) if sender == owner:
            raise Unavailable(f"healthd has closed the watch: {reason}")
    return None


def described(text: Any) -> dict[str, Any]:
    """Return the object that is in a text; raises Unavailable."""
    # Only here: a value is none.
    import json  # noqa: PLC0415

    try:
        content = json.loads(text, parse_constant=lambda _: None)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unavailable(f"healthd's description can't be read: {error}") from error
    if not isinstance(content, dict):
        raise Unavailable("healthd's description can't be read: it is no object")
    if _is_deep(content):
        raise Unavailable("healthd's description can't be read: too much lies in each other")
    return content


def _is_deep(content: Any) -> bool:
    """Tell whether objects and lists lie in each other as no healthd has them: who walks through them might not end."""
    level = [content]
    for _ in range(_DEEPEST):
        parts = (part for each in level for part in (each.values() if isinstance(each, dict) else each))
        if not (level := [part for part in parts if isinstance(part, dict | list)]):
            return False
    return True


def source(message: Any) -> tuple[Any, ...]:
    """Return whose signal a message is, and which: sender, interface, name and signature."""
    fields = (HeaderFields.sender, HeaderFields.interface, HeaderFields.member, HeaderFields.signature)
    return tuple(message.header.fields.get(field) for field in fields)


def points(rows: Iterable[tuple[int, float, float, float]]) -> list[Point]:
    """Return the points that `GetHistory` gives, but those of which something is unknown."""
    found = (Point(usec / 1e6, low, mean, high) for usec, low, mean, high in rows)
    return [point for point in found if all(map(isfinite, point))]


def refusal(bus: str, method: str, name: str, text: str) -> HealthctlError:
    """Return what an error reply to a method of healthd means for the user."""
    if method in _ADDED and name == STANDARD + "UnknownMethod":
        return Unavailable(f"this healthd has no {_ADDED[method]}; update it")
    if method in _GUARDED and name in _DENIED:
        what = _GUARDED[method]
        name = place(bus).host.rpartition("@")[2]
        how = f"as root: -H root@{name}" if name else "with sudo"
        return NotAllowed(f"only root may {what}, and whom polkit allows {protocol.MANAGE}; try it {how}")
    if name == protocol.RELOAD_FAILED:
        return BadConfig("healthd keeps the configuration that it has", *text.splitlines())
    return fault(bus, name, text)


def fault(bus: str, name: str, text: str) -> HealthctlError:
    """Return what an error reply on `bus` means for the user, by its D-Bus name and its text."""
    if name.startswith(ABSENT):
        to = place(bus)
        there = f" on {to.host}" if to.host else ""
        how = f"{systemctl(bus)} start healthd" if to.bus == "system" else f"healthd --bus '{to.bus}'"
        return Unavailable(f"healthd is not running{there}; start it with: {how}")
    if name == STANDARD + "AccessDenied":
        return Unavailable(
            "the bus's policy refuses to talk to healthd; is its file org.healthd.Health1.conf in "
            "/usr/share/dbus-1/system.d?"
        )
    if name == STANDARD + "NoReply":
        return Unavailable(f"healthd ended before it answered; see: {systemctl(bus)} status healthd")
    if name in _MEANT:
        return _MEANT[name](text)
    kind = Busy if name == STANDARD + "LimitsExceeded" else Unavailable
    return kind(f"healthd refuses: {text or name}")


def known(variants: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """Return the values of variants, each that stands for unknown as `None`, and so what is infinite."""
    return {name: _known(signature, value) for name, (signature, value) in variants.items()}


def _known(signature: str, value: Any) -> Any:
    match signature:
        case "d":
            return value if isfinite(value) else None
        case "t":
            return None if value == _UINT64_MAX else value
        case "s":
            return value or None
        case "i":  # a flag
            return None if value == -1 else bool(value)
        case "ad":
            return [_known("d", part) for part in value]
    return value
