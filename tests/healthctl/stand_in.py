"""Services of the bus that a test plays: systemd, or a healthd of another time."""

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

from jeepney import (
    HeaderFields,
    MessageFlag,
    MessageType,
    message_bus,
    new_error,
    new_method_return,
)
from jeepney.io.blocking import open_dbus_connection

SYSTEMD = "org.freedesktop.systemd1"
ALLOWED = f'<policy context="default"><allow own="{SYSTEMD}"/><allow send_destination="{SYSTEMD}"/></policy>'
Properties = Mapping[str, tuple[str, Any]]


class Answering(threading.Thread):
    """Owns a name, and answers each call by the message that a function returns for it; `None` is no answer."""

    def __init__(self, address: str, name: str, answer: Callable[[Any], Any]) -> None:
        super().__init__(daemon=True)
        self.calls: list[tuple[str, tuple[Any, ...], MessageFlag]] = []
        """Which came: method, arguments, flags."""
        self._answer = answer
        self._connection = open_dbus_connection(address)
        owned = self._connection.send_and_get_reply(message_bus.RequestName(name))
        assert owned.body == (1,), owned.body
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self) -> None:
        with suppress(OSError, EOFError):
            while True:
                message = self._connection.receive()
                if message.header.message_type is MessageType.method_call:
                    self.calls.append((member(message), message.body, message.header.flags))
                    if answer := self._answer(message):
                        self._connection.send(answer)

    def close(self) -> None:
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self._connection.close()


def member(call: Any) -> str:
    """Return the method that is called."""
    return str(call.header.fields[HeaderFields.member])


class StandIn(Answering):
    """Gives properties by their interface; whatever else is asked for is unknown."""

    def __init__(self, address: str, name: str, interfaces: Mapping[str, Properties],
                 paths: Callable[[str], str] | None = None) -> None:  # fmt: skip
        self._interfaces, self._paths = interfaces, paths
        super().__init__(address, name, self._told)

    def _told(self, call: Any) -> Any:
        if member(call) == "GetAll" and call.body[0] in self._interfaces:
            return new_method_return(call, "a{sv}", (dict(self._interfaces[call.body[0]]),))
        if member(call) == "LoadUnit" and self._paths:
            return new_method_return(call, "o", (self._paths(call.body[0]),))
        return new_error(call, "org.freedesktop.DBus.Error.UnknownMethod", "s", ("nobody knows that",))


def systemd(address: str, **changes: Any) -> StandIn:
    """Stand in for systemd with a unit of healthd that is well, but for what is changed."""
    told: dict[str, tuple[str, Any]] = {
        "LoadState": ("s", "loaded"), "ActiveState": ("s", "active"), "SubState": ("s", "running"),
        "UnitFileState": ("s", "enabled"), "Result": ("s", "success"), "MainPID": ("u", 0), "NRestarts": ("u", 0),
        "ExecMainCode": ("i", 0), "ExecMainStatus": ("i", 0), "WatchdogUSec": ("t", 30_000_000),
    }  # fmt: skip
    told |= {name: (told[name][0], value) for name, value in changes.items()}
    names = ("LoadState", "ActiveState", "SubState", "UnitFileState")
    unit = {name: value for name, value in told.items() if name in names}
    service = {name: value for name, value in told.items() if name not in names}
    interfaces = {f"{SYSTEMD}.Unit": unit, f"{SYSTEMD}.Service": service}
    return StandIn(address, SYSTEMD, interfaces, lambda _: "/org/freedesktop/systemd1/unit/healthd_2eservice")
