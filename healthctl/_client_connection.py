"""The connection behind `client.py`: which bus is meant, and why it can't be had."""

import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from jeepney import DBusErrorResponse, HeaderFields
from jeepney.auth import AuthenticationError
from jeepney.bus import get_connectable_addresses
from jeepney.io.blocking import DBusConnection, prep_socket

from healthctl.errors import Unavailable
from healthctl.place import place

if TYPE_CHECKING:
    from healthctl.tunnel import Tunnel

TIMEOUT = 5.0
"""The longest wait for an answer, seconds."""
_DISTANT = 3
"""How many times as long another machine may take, whose answers come over any kind of line."""
_DIALOG = 300.0
"""The longest wait for another machine while ssh may ask a person, seconds."""

_LARGEST = 128 * 2**20
"""What D-Bus allows a message, bytes."""

_SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"


class _Garbled(OSError):
    """What came is no message of D-Bus."""

    def __init__(self) -> None:
        super().__init__("what came is no D-Bus message")


class Connection(DBusConnection):  # type: ignore[misc]  # jeepney carries no types
    """A connection on which no answer is awaited for ever, the one to Hello included.

    Every method that waits raises OSError where the connection is lost, or something else than D-Bus comes.
    """

    def __init__(self, sock: socket.socket, patience: float, tunnel: "Tunnel | None" = None) -> None:
        self.patience = patience
        """The longest wait for an answer, seconds."""
        self._tunnel = tunnel
        try:
            super().__init__(sock)
        except IndexError as error:
            # Hello was answered by nothing.
            raise _Garbled from error

    def receive(self, *, timeout: float | None = None) -> Any:
        """Return the next message; raises TimeoutError where none comes in time."""
        try:
            message = super().receive(timeout=timeout)
        except OSError:
            raise
        except Exception:  # noqa: BLE001  # jeepney believes what it reads, and stumbles in many ways
            message = None
        if message is None or not isinstance(message.header.fields.get(HeaderFields.reply_serial, 0), int):
            raise _Garbled
        return message

    def _read_some_data(self, timeout: float | None = None) -> Any:
        # The next message is what it waits for, however large that says it is.
        if (self.parser.next_msg_size or 0) > _LARGEST:
            raise _Garbled
        return super()._read_some_data(timeout)

    def send_and_get_reply(self, message: Any, *, timeout: float | None = None) -> Any:
        """Send a call and return its answer; raises TimeoutError where none comes in time."""
        return super().send_and_get_reply(message, timeout=self.patience if timeout is None else timeout)

    def loss(self, error: OSError) -> str:
        """Say what has become of the connection, of which `error` came."""
        return _loss(error, self._tunnel)

    def close(self) -> None:
        """End the connection, and what leads to it."""
        super().close()
        tunnel, self._tunnel = self._tunnel, None
        if tunnel:
            tunnel.close()


def dial(bus: str, patience: float, *, asks: bool) -> "Tunnel | None":
    """Set out for the bus of another machine; `None` for one of this machine, which takes no time to reach.

    Where there is somebody and `asks`, ssh may ask them. Raises Unavailable.
    """
    to = place(bus)
    if not to.host:
        return None
    # Only here: it takes a while, and most are content with this machine.
    from healthctl.tunnel import Tunnel  # noqa: PLC0415

    is_asking = asks and sys.stdin is not None and sys.stdin.isatty()
    return Tunnel(to, _DIALOG if is_asking else _DISTANT * patience, asks=is_asking)


def connect(bus: str, patience: float, *, asks: bool = True, tunnel: "Tunnel | None" = None) -> Connection:
    """Connect to a bus (`place.py`); an answer may take so many seconds, and from afar `_DISTANT` times as many.

    `tunnel` is what `dial` has begun. Raises Unavailable.
    """
    tunnel = tunnel or dial(bus, patience, asks=asks)
    return _through(tunnel, _DISTANT * patience) if tunnel else _directly(bus, patience)


def _through(tunnel: "Tunnel", patience: float) -> Connection:
    try:
        tunnel.authenticate()
        return Connection(tunnel.socket, patience, tunnel)
    except DBusErrorResponse as error:
        reason = tunnel.named(f"the bus there takes no more clients: {error.name}")
    except TimeoutError:
        reason = tunnel.named(f"the bus there has not answered for {patience:.0f} s")
    except OSError as error:
        reason = _loss(error, tunnel)
    except Unavailable as error:
        reason = str(error)
    tunnel.close()
    raise Unavailable(reason)


def _loss(error: OSError, tunnel: "Tunnel | None") -> str:
    """Say what has become of a connection, of which `error` came."""
    if tunnel:
        return tunnel.named(str(error)) if isinstance(error, _Garbled) else tunnel.reason()
    return f"the connection to the bus is lost: {error.strerror or error}"


def _directly(bus: str, patience: float) -> Connection:
    address = _address(bus)
    reason = "it has no address of a kind that can be used"
    try:
        for path in get_connectable_addresses(address):
            try:
                return Connection(prep_socket(path, timeout=patience), patience)
            except TimeoutError:
                reason = f"it has not answered for {patience:.0f} s"
            except DBusErrorResponse as error:
                raise Unavailable(f"the bus at {address} takes no more clients: {error.name}") from error
            except (PermissionError, AuthenticationError) as error:
                raise Unavailable(f"the bus at {address} refuses this user; try as another one") from error
            except (ConnectionResetError, BrokenPipeError) as error:
                # It hangs up without a word on whom it does not let in, and where it is about to end.
                raise Unavailable(
                    f"the bus at {address} hung up; it may refuse this user: try as another one"
                ) from error
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
