"""What can be seen of healthd from outside, whether it runs or not: its name, its unit, its files."""

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from jeepney import DBusAddress, HeaderFields, MessageFlag, MessageType, new_method_call

from healthctl.client import TIMEOUT, connect, fault
from healthctl.errors import Unavailable
from healthd import protocol

UNIT = "healthd.service"
POLICY = f"{protocol.BUS_NAME}.conf"
POLICIES = ("/etc/dbus-1/system.d", "/usr/share/dbus-1/system.d")
"""Where the system bus looks for policies (dbus-daemon(1))."""

_DRIVER = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
_SYSTEMD = "org.freedesktop.systemd1"
_MANAGER = DBusAddress("/org/freedesktop/systemd1", bus_name=_SYSTEMD, interface=f"{_SYSTEMD}.Manager")
_PROPERTIES = "org.freedesktop.DBus.Properties"


class Owner(NamedTuple):
    """The process that owns healthd's name."""

    pid: int
    user: str


class _Refused(Exception):
    """A call was answered by an error: its name, its text."""


class Installation:
    """What a bus tells of healthd; raises Unavailable where there is no bus, or it does not answer.

    Nobody is started by being asked.
    """

    def __init__(self, bus: str) -> None:
        self._bus = bus
        self.connection = connect(bus, TIMEOUT)

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    def owner(self) -> Owner | None:
        """Return who owns the name; `None` for nobody."""
        try:
            name = self._call(_DRIVER, "GetNameOwner", "s", protocol.BUS_NAME)
            uid = self._call(_DRIVER, "GetConnectionUnixUser", "s", name)
            return Owner(self._call(_DRIVER, "GetConnectionUnixProcessID", "s", name), _user(uid))
        except _Refused:
            # Nobody has it, or no longer.
            return None

    def is_activatable(self) -> bool:
        """Tell whether the bus starts healthd for those who ask for it."""
        try:
            return protocol.BUS_NAME in self._call(_DRIVER, "ListActivatableNames")
        except _Refused:
            return False

    def manager(self) -> dict[str, Any]:
        """Return the properties of the Manager; raises Unavailable where healthd does not give them."""
        try:
            return self._properties(protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER)
        except _Refused as refused:
            raise fault(self._bus, *refused.args) from refused

    def unit(self) -> dict[str, Any] | None:
        """Return the properties of healthd's unit and service as systemd has them; `None` where there is no systemd."""
        try:
            path = self._call(_MANAGER, "LoadUnit", "s", UNIT)
            told = self._properties(_SYSTEMD, path, f"{_SYSTEMD}.Unit")
            return told | self._properties(_SYSTEMD, path, f"{_SYSTEMD}.Service")
        except _Refused:
            return None

    def _properties(self, service: str, path: str, interface: str) -> dict[str, Any]:
        address = DBusAddress(path, bus_name=service, interface=_PROPERTIES)
        answer = self._call(address, "GetAll", "s", interface)
        return {name: value for name, (_, value) in answer.items()} if isinstance(answer, Mapping) else {}

    def _call(self, whom: DBusAddress, method: str, signature: str | None = None, *body: Any) -> Any:
        """Return the one value that a method answers."""
        call = new_method_call(whom, method, signature, body)
        call.header.flags |= MessageFlag.no_auto_start
        with self._faults(whom.bus_name):
            reply = self.connection.send_and_get_reply(call)
        if reply.header.message_type is MessageType.error:
            raise _Refused(str(reply.header.fields.get(HeaderFields.error_name, "")), " ".join(map(str, reply.body)))
        return reply.body[0] if reply.body else None

    @contextmanager
    def _faults(self, whom: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise Unavailable(f"{whom} has not answered for {self.connection.patience:.0f} s") from error
        except OSError as error:
            raise Unavailable(self.connection.loss(error)) from error


def policy(directories: tuple[str, ...] = POLICIES) -> str:
    """Return the file that lets healthd own its name on the system bus; "" where there is none."""
    for directory in directories:
        path = os.path.join(directory, POLICY)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                if f'own="{protocol.BUS_NAME}"' in file.read():
                    return path
        except OSError:
            continue
    return ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
