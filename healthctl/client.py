"""The only door to the bus on this side: blocking calls, each with a deadline, and errors that a user can act on."""

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from time import monotonic, time
from typing import Any, Self

from jeepney import DBusAddress, DBusErrorResponse, HeaderFields, MatchRule, MessageType, new_method_call
from jeepney.auth import AuthenticationError
from jeepney.bus import get_connectable_addresses
from jeepney.io.blocking import DBusConnection, prep_socket

from healthctl.errors import HealthctlError, Unavailable, UnknownMetric
from healthctl.series import Point
from healthd import protocol

TIMEOUT = 5.0
"""The longest wait for an answer, seconds."""
_ANOTHER_TIME = 3600.0
"""A sample that is further away is of another time, and neither old nor of a clock that is set otherwise, seconds."""

_MANAGER = DBusAddress(protocol.ROOT, bus_name=protocol.BUS_NAME, interface=protocol.MANAGER)
_SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"

_ANSWERS = {
    "Describe": "s",
    "ListMetrics": "a{sa{sv}}",
    "ListCollectors": "a{sa{sv}}",
    "ListPublishers": "a{sa{sv}}",
    "Read": "a{sv}",
    "GetHistory": "a(tddd)",
    "GetEvents": "as",
}
# What a healthd of before these were added does not offer.
_ADDED = {"GetHistory": "history", "GetEvents": "events"}
_UINT64_MAX = 2**64 - 1
_BUS = "org.freedesktop.DBus"
_DRIVER = DBusAddress("/org/freedesktop/DBus", bus_name=_BUS, interface=_BUS)
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
        self._owner = ""
        self._signals: deque[Any] = deque()
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

    def now(self) -> float:
        """Return the time there, seconds since 1970: ours, unless what is served was recorded at another one."""
        # Only here: what shows the present does without.
        from datetime import datetime  # noqa: PLC0415

        present = time()
        try:
            told = datetime.fromisoformat(self.describe()["time"]).timestamp()
        except (KeyError, TypeError, ValueError):
            return present
        return told if abs(told - present) > _ANOTHER_TIME else present

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Return what each metric is, by `family.field`."""
        return {name: known(row) for name, row in self._call("ListMetrics").items()}

    def collectors(self) -> dict[str, dict[str, Any]]:
        """Return how each collector does, by family."""
        return {name: known(row) for name, row in self._call("ListCollectors").items()}

    def publishers(self) -> dict[str, dict[str, Any]]:
        """Return how each publisher does, by its name."""
        return {name: known(row) for name, row in self._call("ListPublishers").items()}

    def read(self, metrics: Sequence[str]) -> dict[str, Any]:
        """Return values by address, unknown as `None`.

        Raises UnknownMetric where one of them is none of healthd's.
        """
        return known(self._call("Read", "as", (list(metrics),)))

    def history(self, metric: str, since: float, until: float | None, most: int) -> list[Point]:
        """Return a metric's points, oldest first, at most so many; times are seconds since 1970, `None` the present.

        Raises UnknownMetric where it is no number that goes up and down.
        """
        rows = self._call("GetHistory", "sttu", (metric, _usec(since), _until(until), most))
        points = (Point(usec / 1e6, low, mean, high) for usec, low, mean, high in rows)
        return [point for point in points if all(map(isfinite, point))]

    def events(self, since: float, until: float | None, names: Sequence[str], most: int) -> list[str]:
        """Return the newest events as lines of JSON, oldest first, at most so many.

        A name may end in `.*`; without names, all that are no samples.
        """
        lines: list[str] = self._call("GetEvents", "ttasu", (_usec(since), _until(until), list(names), most))
        return lines

    def subscribe(self) -> None:
        """Have the bus bring each event from now on; `happened` returns them."""
        rule = MatchRule(
            type="signal",
            sender=protocol.BUS_NAME,
            path=protocol.ROOT,
            interface=protocol.MANAGER,
            member="Event",
        )
        leaving = MatchRule(type="signal", sender=_BUS, interface=_BUS, member="NameOwnerChanged")
        leaving.add_arg_condition(0, protocol.BUS_NAME)
        self._connection.filter(MatchRule(type="signal"), queue=self._signals)
        with self._faults():
            for match in (rule, leaving):
                call = new_method_call(_DRIVER, "AddMatch", "s", (match.serialise(),))
                self._checked(self._connection.send_and_get_reply(call))

    def happened(self) -> Iterator[tuple[str, str]]:
        """Yield the events that have come: the name and the line of JSON of each.

        Those that come before the answer to `events` are among them. Raises Unavailable when healthd has gone.
        """
        with self._faults():
            while True:
                while self._signals:
                    message = self._signals.popleft()
                    if self._left(message):
                        raise fault(self._bus, _ABSENT[0], "")
                    if self._told(message):
                        name, _, line = message.body
                        yield name, line
                try:
                    self._connection.recv_messages(timeout=0)
                except TimeoutError:
                    return

    def _told(self, message: Any) -> bool:
        """Tell whether a signal is an event of the healthd that has answered; anyone may send us one."""
        event = self._owner, protocol.MANAGER, "Event", "sts"
        return _source(message) == event

    def _left(self, message: Any) -> bool:
        """Tell whether a signal says that the healthd that has answered is gone."""
        change = _BUS, _BUS, "NameOwnerChanged", "sss"
        return _source(message) == change and tuple(message.body[:2]) == (protocol.BUS_NAME, self._owner)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when an answer comes, or an event."""
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
        if method in _ADDED and fields.get(HeaderFields.error_name) == _STANDARD + "UnknownMethod":
            raise Unavailable(f"this healthd has no {_ADDED[method]}; update it")
        self._checked(message)
        if fields.get(HeaderFields.signature) != _ANSWERS[method]:
            raise Unavailable(f"what answers as healthd is none that this healthctl knows: {method} is not as it was")
        self._owner = str(fields.get(HeaderFields.sender, ""))
        return message.body[0]

    def _checked(self, message: Any) -> None:
        """Raise what an error reply means."""
        if message.header.message_type is MessageType.error:
            name = str(message.header.fields.get(HeaderFields.error_name, ""))
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


def _source(message: Any) -> tuple[Any, ...]:
    """Return whose signal it is, and which."""
    fields = (HeaderFields.sender, HeaderFields.interface, HeaderFields.member, HeaderFields.signature)
    return tuple(message.header.fields.get(field) for field in fields)


def _usec(seconds: float) -> int:
    return max(0, round(seconds * 1_000_000))


def _until(seconds: float | None) -> int:
    """Return what the bus takes for the end of a time: 0 is the present, and nothing else."""
    return 0 if seconds is None else max(1, _usec(seconds))


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
