"""The connection behind `client.py`: which bus is meant, and why it can't be had."""

import os
from typing import Any

from jeepney import DBusErrorResponse
from jeepney.auth import AuthenticationError
from jeepney.bus import get_connectable_addresses
from jeepney.io.blocking import DBusConnection, prep_socket

from healthctl.errors import Unavailable

TIMEOUT = 5.0
"""The longest wait for an answer, seconds."""

_SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"


class Connection(DBusConnection):  # type: ignore[misc]  # jeepney carries no types
    """A connection on which no answer is awaited for ever, the one to Hello included."""

    def __init__(self, path: str, patience: float) -> None:
        self._patience = patience
        super().__init__(prep_socket(path, timeout=patience))

    def send_and_get_reply(self, message: Any, *, timeout: float | None = None) -> Any:
        """Send a call and return its answer; raises TimeoutError where none comes in time."""
        return super().send_and_get_reply(message, timeout=self._patience if timeout is None else timeout)


def connect(bus: str, patience: float) -> Connection:
    """Connect to `system`, `session` or a D-Bus address, on which an answer may take so many seconds.

    Raises Unavailable.
    """
    address = _address(bus)
    reason = "it has no address of a kind that can be used"
    try:
        for path in get_connectable_addresses(address):
            try:
                return Connection(path, patience)
            except TimeoutError:
                reason = f"it has not answered for {patience:.0f} s"
            except DBusErrorResponse as error:
                raise Unavailable(f"the bus at {address} takes no more clients: {error.name}") from error
            except (PermissionError, AuthenticationError) as error:
                raise Unavailable(f"the bus at {address} refuses this user; try as another one") from error
            except OSError as error:
                reason = error.strerror or str(error)
    except (ValueError, RuntimeError):
        # jeepney's words for an address that it can't take apart.
        reason = "this is no D-Bus address that can be used"
    hint = "is dbus running?" if bus == "system" else "name another with --bus"
    raise Unavailable(f"there is no bus at {address} ({reason}); {hint}")


def _address(bus: str) -> str:
    """Return the address of the bus, as the environment names it.

    Raises Unavailable where there is no session.
    """
    if bus == "system":
        return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM_BUS
    if bus != "session":
        return bus
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS") or (f"unix:path={runtime}/bus" if runtime else "")
    if not address:
        raise Unavailable("there is no session bus here; name another with --bus system or --bus ADDRESS")
    return address
