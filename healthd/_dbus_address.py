"""Where a bus listens: `system`, `session` or a D-Bus address (D-Bus specification, "Server Addresses")."""

import os

from healthd import _dbus_library as library
from healthd.errors import UsageError


def sockets(bus: str) -> list[str]:
    """Return the sockets behind `system`, `session` or a D-Bus address: paths, or names after a NUL.

    Raises UsageError where there is none.
    """
    address = bus
    if bus == "system":
        address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/dbus/system_bus_socket")
    elif bus == "session":
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        address = os.environ.get("DBUS_SESSION_BUS_ADDRESS", f"unix:path={runtime}/bus" if runtime else "")
        if not address:
            raise UsageError("there is no session bus here: DBUS_SESSION_BUS_ADDRESS is not set; use --bus ADDRESS")
    try:
        transports = library.parse_address(address)
    except library.InvalidAddressError as error:
        raise UsageError(f"{bus!r} is no bus: use system, session or an address like unix:path=/run/bus") from error
    found = [
        options.get("path") or "\0" + options.get("abstract", "") for kind, options in transports if kind == "unix"
    ]
    found = [name for name in found if name != "\0"]
    if not found:
        raise UsageError(f"{bus!r} is no address of a local bus: use unix:path=… or unix:abstract=…")
    return found
