"""Calls to healthd on a connection, their answers, and signals, behind `client.py`: each from healthd itself."""

import select
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    MessageFlag,
    MessageType,
    new_method_call,
    new_method_return,
)

from healthctl._client_answers import ABSENT, fault, refusal, source
from healthctl._client_connection import Connection
from healthctl._client_questions import Questions
from healthctl.errors import Unavailable, UsageError
from healthctl.place import systemctl
from healthd import protocol

_MANAGER = DBusAddress(protocol.ROOT, bus_name=protocol.BUS_NAME, interface=protocol.MANAGER)
_BUS = "org.freedesktop.DBus"
_DRIVER = DBusAddress("/org/freedesktop/DBus", bus_name=_BUS, interface=_BUS)

_ANSWERS = {
    "Describe": "s",
    "ListMetrics": "a{sa{sv}}",
    "ListCollectors": "a{sa{sv}}",
    "ListPublishers": "a{sa{sv}}",
    "ListConditions": "a{sa{sv}}",
    "Explain": "s",
    "Acknowledge": "",
    "Reload": "",
    "SetCollectorEnabled": "",
    "Read": "a{sv}",
    "GetHistory": "a(tddd)",
    "GetEvents": "as",
    "Watch": "ua{sv}",
    "Unwatch": "",
}


class Line:
    """A line to the healthd on `bus`; one that does not run is started by a call, where the bus can and `start` is.

    Every method raises Unavailable where healthd can't be reached or does not answer in time, and UsageError for text
    that the bus can't carry.
    """

    def __init__(self, bus: str, connection: Connection, *, start: bool) -> None:
        self._bus = bus
        self._connection = connection
        self._flags = MessageFlag(0) if start else MessageFlag.no_auto_start
        self._signals: deque[Any] = deque()
        self._questions = Questions(connection)
        self.owner = ""
        """Who has answered: what comes of others is nothing to us."""

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something comes."""
        return int(self._connection.sock.fileno())

    def call(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        """Call a method, and return its answer: a value, or several."""
        with self.faults():
            return self._content(method, self._connection.send_and_get_reply(self._to(method, signature, body)))

    def change(self, method: str, signature: str | None, body: tuple[Any, ...], patience: float, *, asks: bool) -> None:
        """Call what not everybody may, for so many seconds; polkit may ask who sits here, where it `asks`."""
        call = self._to(method, signature, body)
        call.header.flags |= MessageFlag.allow_interactive_authorization if asks else MessageFlag(0)
        with self.faults(patience):
            self._content(method, self._connection.send_and_get_reply(call, timeout=patience))

    def question(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> int:
        """Call a method without waiting, and return the number by which `taken` knows of it."""
        with self.faults():
            return self._questions.put(self._to(method, signature, body))

    def taken(self, method: str, number: int) -> tuple[Any, ...] | None:
        """Return the answer to a question as it came, once; `None` while there is none."""
        with self.faults():
            message = self._questions.take(number)
        if message is None:
            return None
        self._content(method, message)
        return tuple(message.body)

    def forget(self, number: int) -> None:
        """Give a question up."""
        self._questions.forget(number)

    @property
    def has_room(self) -> bool:
        """Whether the bus takes a question now: one that has stopped takes some, and then what sends would wait."""
        return self.fileno() >= 0 and bool(select.select([], [self], [], 0)[1])

    @property
    def has_unread(self) -> bool:
        """Whether something has come that nobody has asked for yet."""
        return self._questions.has_answers or bool(self._signals)

    def subscribe(self, *wanted: MatchRule) -> None:
        """Have the bus bring signals, and tell when healthd leaves; `come` returns them."""
        leaving = MatchRule(type="signal", sender=_BUS, interface=_BUS, member="NameOwnerChanged")
        leaving.add_arg_condition(0, protocol.BUS_NAME)
        self._connection.filter(MatchRule(type="signal"), queue=self._signals)
        # By that healthd sees whether we take what a watch is sent.
        self._connection.filter(MatchRule(type="method_call", member="Ping"), queue=self._signals)
        with self.faults():
            for match in (*wanted, leaving):
                call = new_method_call(_DRIVER, "AddMatch", "s", (match.serialise(),))
                self._checked("AddMatch", self._connection.send_and_get_reply(call))

    def come(self) -> Iterator[Any]:
        """Yield the signals that have come, whoever sent them: anyone may send us one.

        Raises Unavailable when the healthd that has answered is gone.
        """
        with self.faults():
            while True:
                while self._signals:
                    message = self._signals.popleft()
                    if message.header.message_type is MessageType.method_call:
                        self._connection.send(new_method_return(message))
                        continue
                    if self._left(message):
                        raise fault(self._bus, ABSENT[0], "")
                    yield message
                try:
                    self._connection.recv_messages(timeout=0)
                except TimeoutError:
                    return

    def _left(self, message: Any) -> bool:
        change = _BUS, _BUS, "NameOwnerChanged", "sss"
        left = (protocol.BUS_NAME, self.owner)
        return bool(self.owner) and source(message) == change and tuple(message.body[:2]) == left

    def _to(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        # The bus ends a connection on which one comes.
        if any(
            "\0" in text
            for part in body
            for text in (part if isinstance(part, list) else [part])
            if isinstance(text, str)
        ):
            raise UsageError("no name holds a NUL")
        call = new_method_call(_MANAGER, method, signature, body)
        call.header.flags |= self._flags
        return call

    def _content(self, method: str, message: Any) -> Any:
        fields = message.header.fields
        self._checked(method, message)
        if (fields.get(HeaderFields.signature) or "") != _ANSWERS[method]:
            raise Unavailable(f"what answers as healthd is none that this healthctl knows: {method} is not as it was")
        self.owner = str(fields.get(HeaderFields.sender, ""))
        # Who ended it since meant it.
        self._flags = MessageFlag.no_auto_start
        return message.body[0] if len(message.body) == 1 else message.body

    def _checked(self, method: str, message: Any) -> None:
        """Raise what an error reply means."""
        if message.header.message_type is MessageType.error:
            name = str(message.header.fields.get(HeaderFields.error_name, ""))
            raise refusal(self._bus, method, name, " ".join(str(part) for part in message.body))

    @contextmanager
    def faults(self, patience: float | None = None) -> Iterator[None]:
        """Raise what has become of the connection as what a user can act on."""
        try:
            yield
        except TimeoutError as error:
            hint = f"see: {systemctl(self._bus)} status healthd"
            waited = patience or self._connection.patience
            raise Unavailable(f"healthd has not answered for {waited:.0f} s; {hint}") from error
        except OSError as error:
            raise Unavailable(self._connection.loss(error)) from error
        except UnicodeEncodeError as error:
            raise UsageError(f"{error.object!r} is not in UTF-8") from error
