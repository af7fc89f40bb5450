"""The only door to the bus on this side: blocking calls, each with a deadline, and errors that a user can act on."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, Self

from jeepney import DBusAddress, DBusErrorResponse, HeaderFields, MessageType, new_method_call
from jeepney.auth import AuthenticationError
from jeepney.bus import get_connectable_addresses
from jeepney.io.blocking import DBusConnection, prep_socket

from healthctl.errors import HealthctlError, Unavailable, UnknownMetric
from healthd import protocol

TIMEOUT = 5.0
"""The longest wait for an answer, seconds."""

_MANAGER = DBusAddress(protocol.ROOT, bus_name=protocol.BUS_NAME, interface=protocol.MANAGER)
_SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"

_ANSWERS = {"Describe": "s", "ListMetrics": "a{sa{sv}}", "ListCollectors": "a{sa{sv}}", "Read": "a{sv}"}
_UINT64_MAX = 2**64 - 1
_STANDARD = "org.freedesktop.DBus.Error."
# The bus knows of no owner of the name, or could not have it started.
_ABSENT = (
    _STANDARD + "ServiceUnknown",
    _STANDARD + "NameHasNoOwner",
    _STANDARD + "Spawn.",
    "org.freedesktop.systemd1.",
)


class _Connection(DBusConnection):  # type: ignore[misc]  # jeepney carries no types
    """A connection on which no answer is awaited for ever, the one to Hello included."""

    def send_and_get_reply(self, message: Any, *, timeout: float | None = None) -> Any:
        return super().send_and_get_reply(message, timeout=TIMEOUT if timeout is None else timeout)


class Client:
    """A connection to healthd on `bus`: `system`, `session` or a D-Bus address.

    Every method raises Unavailable where healthd can't be reached or does not answer in time.
    """

    def __init__(self, bus: str) -> None:
        self._bus = bus
        self._serial = 0
        self._deadline = 0.0
        self._connection = _connect(_address(bus), bus)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def describe(self) -> dict[str, Any]:
        """Return the object that `Describe` gives."""
        return self._described(self._call("Describe"))

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Return what each metric is, by `family.field`."""
        return {name: known(row) for name, row in self._call("ListMetrics").items()}

    def collectors(self) -> dict[str, dict[str, Any]]:
        """Return how each collector does, by family."""
        return {name: known(row) for name, row in self._call("ListCollectors").items()}

    def read(self, metrics: Sequence[str]) -> dict[str, Any]:
        """Return values by address, unknown as `None`.

        Raises UnknownMetric where one of them is none of healthd's.
        """
        return known(self._call("Read", "as", (list(metrics),)))

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when an answer comes."""
        return int(self._connection.sock.fileno())

    def ask(self) -> None:
        """Call `Describe` without waiting; `answer` has what comes of it."""
        self._serial = next(self._connection.outgoing_serial)
        self._deadline = monotonic() + TIMEOUT
        with self._faults():
            self._connection.send(new_method_call(_MANAGER, "Describe"), serial=self._serial)

    @property
    def patience(self) -> float:
        """How much longer the answer to `ask` may take, seconds."""
        return max(0.0, self._deadline - monotonic())

    def answer(self) -> dict[str, Any] | None:
        """Return the answer to `ask` as far as it has come: `None` while it has not."""
        with self._faults():
            try:
                while True:
                    message = self._connection.receive(timeout=0)
                    if message.header.fields.get(HeaderFields.reply_serial) == self._serial:
                        return self._described(self._content("Describe", message))
            except TimeoutError:
                if not self.patience:
                    raise
                return None

    def _call(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        call = new_method_call(_MANAGER, method, signature, body)
        with self._faults():
            return self._content(method, self._connection.send_and_get_reply(call))

    def _content(self, method: str, message: Any) -> Any:
        fields = message.header.fields
        if message.header.message_type is not MessageType.error:
            if fields.get(HeaderFields.signature) != _ANSWERS[method]:
                raise Unavailable(
                    f"what answers as healthd is none that this healthctl knows: {method} is not as it was"
                )
            return message.body[0]
        name = str(fields.get(HeaderFields.error_name, ""))
        raise fault(self._bus, name, " ".join(str(part) for part in message.body))

    def _described(self, text: Any) -> dict[str, Any]:
        try:
            described = json.loads(text, parse_constant=lambda _: None)
        except (TypeError, ValueError) as error:
            raise Unavailable(f"healthd's description can't be read: {error}") from error
        if not isinstance(described, dict):
            raise Unavailable("healthd's description can't be read: it is no object")
        return described

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise Unavailable(f"healthd has not answered for {TIMEOUT:.0f} s; see: systemctl status healthd") from error
        except OSError as error:
            raise Unavailable(f"the connection to the bus is lost: {error.strerror or error}") from error


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


def _connect(address: str, bus: str) -> _Connection:
    reason = "it has no address of a kind that can be used"
    try:
        for path in get_connectable_addresses(address):
            try:
                return _Connection(prep_socket(path, timeout=TIMEOUT))
            except TimeoutError:
                reason = f"it has not answered for {TIMEOUT:.0f} s"
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


def fault(bus: str, name: str, text: str) -> HealthctlError:
    """Return what an error reply on `bus` means for the user, by its D-Bus name and its text."""
    if name.startswith(_ABSENT):
        how = "systemctl start healthd" if bus == "system" else f"healthd --bus '{bus}'"
        return Unavailable(f"healthd is not running; start it with: {how}")
    if name == _STANDARD + "AccessDenied":
        return Unavailable(
            "the bus's policy refuses to talk to healthd; is its file org.healthd.Health1.conf in "
            "/usr/share/dbus-1/system.d?"
        )
    if name == _STANDARD + "NoReply":
        return Unavailable("healthd ended before it answered; see: systemctl status healthd")
    if name == protocol.UNKNOWN_METRIC:
        return UnknownMetric(text)
    if name == protocol.NOT_AVAILABLE:
        return Unavailable(text)
    return Unavailable(f"healthd refuses: {text or name}")


def known(variants: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """Return the values of variants, each that stands for unknown as `None`."""
    return {name: _known(signature, value) for name, (signature, value) in variants.items()}


def _known(signature: str, value: Any) -> Any:
    match signature:
        case "d":
            return value if value == value else None  # noqa: PLR0124  # NaN alone differs from itself
        case "t":
            return None if value == _UINT64_MAX else value
        case "s":
            return value or None
        case "i":  # a flag
            return None if value == -1 else bool(value)
        case "ad":
            return [_known("d", part) for part in value]
    return value
