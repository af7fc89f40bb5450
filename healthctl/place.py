"""Where healthd is: on a bus of this machine, or of another one that ssh reaches.

Everywhere else this is one text: `system`, `session` or a D-Bus address, and for another machine
`ssh://[USER@]HOST[:PORT]/BUS`, in which BUS is any of these.
"""

import re
from typing import NamedTuple

from healthctl.errors import UsageError

SCHEME = "ssh://"

# Nothing that a shell heeds, and no name that begins as an option does: ssh hands them to a shell where the user's
# configuration has a ProxyCommand.
_HOST = r"(?:(?P<user>(?!-)[\w+.@\\-]+)@)?(?:(?P<name>(?!-)[\w.-]+)|\[(?P<ip>[\w.:%]+)\])(?::(?P<port>[0-9]{1,5}))?"

_LAST_PORT = 65535


class Place(NamedTuple):
    """A bus, and the machine that has it."""

    bus: str
    """`system`, `session` or a D-Bus address."""
    host: str = ""
    """As the user has named it; "" is this machine."""


def bus(text: str) -> str:
    """Return what a user has named as a bus, of whichever machine; raises UsageError where it can be none."""
    if text not in ("system", "session") and (":" not in text or text.startswith(SCHEME)):
        raise UsageError(f"'{text}' is none of system, session or a D-Bus address (unix:path=/…)")
    return text


def hosts(text: str) -> tuple[str, ...]:
    """Return the hosts of a list like `pi@pi4,nas:2222`, each once; raises UsageError."""
    found = tuple(dict.fromkeys(text.split(",")))
    for host in found:
        parts(host)
    return found


def parts(host: str) -> tuple[str, str]:
    """Return what ssh takes for a host, `[USER@]HOST`, and the port, "" where none is named; raises UsageError."""
    found = re.fullmatch(_HOST, host)
    if not found:
        raise UsageError(f"'{host}' is no [USER@]HOST[:PORT]; an IPv6 address stands in brackets")
    name, port = found["name"] or found["ip"], found["port"] or ""
    if port and not 1 <= int(port) <= _LAST_PORT:
        raise UsageError(f"'{host}' is no [USER@]HOST[:PORT]; a port is a number from 1 to {_LAST_PORT}")
    return f"{found['user']}@{name}" if found["user"] else name, port


def by_hand(host: str) -> str:
    """Return how to call ssh for a host."""
    name, port = parts(host)
    return f"ssh -p {port} {name}" if port else f"ssh {name}"


def address(place: Place) -> str:
    """Return a place as one text."""
    return f"{SCHEME}{place.host}/{place.bus}" if place.host else place.bus


def place(address: str) -> Place:
    """Return the place of which `address` is the text."""
    if not address.startswith(SCHEME):
        return Place(address)
    host, _, bus = address.removeprefix(SCHEME).partition("/")
    return Place(bus, host)


def systemctl(address: str) -> str:
    """Return how to call systemctl for the machine of a place."""
    host = place(address).host
    return f"systemctl -H {host}" if host else "systemctl"
