"""What answers mean, behind `client.py`: values that stand for unknown, and errors as advice."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from healthctl.errors import (
    BadConfig,
    HealthctlError,
    NotAllowed,
    Unavailable,
    UnknownCondition,
    UnknownMetric,
    UsageError,
)
from healthd import protocol

STANDARD = "org.freedesktop.DBus.Error."
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
    protocol.NOT_AVAILABLE: Unavailable,
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
}
"""What polkit knows these by."""
_GUARDED = {
    "Acknowledge": "acknowledge a condition",
    "Reload": "have healthd reload",
    "SetCollectorEnabled": "switch a collector",
}


def refusal(bus: str, method: str, name: str, text: str) -> HealthctlError:
    """Return what an error reply to a method of healthd means for the user."""
    if method in _ADDED and name == STANDARD + "UnknownMethod":
        return Unavailable(f"this healthd has no {_ADDED[method]}; update it")
    if method in _GUARDED and name in _DENIED:
        what = _GUARDED[method]
        return NotAllowed(f"only root may {what}, and whom polkit allows {protocol.MANAGE}; try it with sudo")
    if name == protocol.RELOAD_FAILED:
        return BadConfig("healthd keeps the configuration that it has", *text.splitlines())
    return fault(bus, name, text)


def fault(bus: str, name: str, text: str) -> HealthctlError:
    """Return what an error reply on `bus` means for the user, by its D-Bus name and its text."""
    if name.startswith(ABSENT):
        how = "systemctl start healthd" if bus == "system" else f"healthd --bus '{bus}'"
        return Unavailable(f"healthd is not running; start it with: {how}")
    if name == STANDARD + "AccessDenied":
        return Unavailable(
            "the bus's policy refuses to talk to healthd; is its file org.healthd.Health1.conf in "
            "/usr/share/dbus-1/system.d?"
        )
    if name == STANDARD + "NoReply":
        return Unavailable("healthd ended before it answered; see: systemctl status healthd")
    if name in _MEANT:
        return _MEANT[name](text)
    return Unavailable(f"healthd refuses: {text or name}")


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
