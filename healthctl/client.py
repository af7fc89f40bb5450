"""The only door to the bus on this side: blocking calls, each with a deadline, and errors that a user can act on."""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, time
from typing import Any, Self

from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    MessageFlag,
    MessageType,
    new_method_call,
    new_method_return,
)

from healthctl._client_answers import ABSENT, Sample, described, fault, known, points, refusal, sample, source
from healthctl._client_arguments import condition_path, rule_of, until_usec, usec
from healthctl._client_connection import TIMEOUT, Connection, connect, dial
from healthctl._client_questions import Questions
from healthctl.errors import Busy, HealthctlError, Unavailable, UsageError
from healthctl.place import place, systemctl
from healthctl.series import Point
from healthd import protocol

__all__ = ["TIMEOUT", "Client", "Sample", "connect", "dial", "fault"]

_CHANGE, _DIALOG = 30.0, 300.0
"""The longest waits for a change, without and with a person whom polkit may ask, seconds."""
_ANOTHER_TIME = 3600.0
"""A sample that is further away is of another time, and neither old nor of a clock that is set otherwise, seconds."""

_MANAGER = DBusAddress(protocol.ROOT, bus_name=protocol.BUS_NAME, interface=protocol.MANAGER)

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
_BUS = "org.freedesktop.DBus"
_DRIVER = DBusAddress("/org/freedesktop/DBus", bus_name=_BUS, interface=_BUS)
_PROPERTIES = "org.freedesktop.DBus.Properties"


class Client:
    """A connection to healthd on `bus`, of this machine or another one (`place.py`).

    An answer may take `patience` seconds; a healthd that does not run is started where the bus can, but for `start`;
    one that has answered is not started again: who ended it meant it. On the way to another machine ssh may ask who
    sits here, but for `asks`; `connection` is one that there is already.
    Every method raises Unavailable where healthd can't be reached or does not answer in time, and UsageError for text
    that the bus can't carry.
    """

    def __init__(
        self, bus: str, *, patience: float = TIMEOUT, start: bool = True, asks: bool = True,
        connection: Connection | None = None,
    ) -> None:  # fmt: skip
        self._bus = bus
        self._flags = MessageFlag(0) if start else MessageFlag.no_auto_start
        self._serial = 0
        self._deadline = 0.0
        self._owner = ""
        self._signals: deque[Any] = deque()
        self._connection = connection or connect(bus, patience, asks=asks)
        self._questions = Questions(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def describe(self) -> dict[str, Any]:
        """Return the object that `Describe` gives."""
        return described(self._call("Describe"))

    def now(self) -> float:
        """Return the time there, seconds since 1970.

        It is ours, unless what is served was recorded at another one, or the clock is that of another machine.
        """
        # Only here: what shows the present does without.
        from datetime import datetime  # noqa: PLC0415

        present = time()
        try:
            told = datetime.fromisoformat(self.describe()["time"]).timestamp()
        except (KeyError, TypeError, ValueError):
            return present
        return told if place(self._bus).host or abs(told - present) > _ANOTHER_TIME else present

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Return what each metric is, by `family.field`."""
        return {name: known(row) for name, row in self._call("ListMetrics").items()}

    def collectors(self) -> dict[str, dict[str, Any]]:
        """Return how each collector does, by family."""
        return {name: known(row) for name, row in self._call("ListCollectors").items()}

    def publishers(self) -> dict[str, dict[str, Any]]:
        """Return how each publisher does, by its name."""
        return {name: known(row) for name, row in self._call("ListPublishers").items()}

    def conditions(self) -> dict[str, dict[str, Any]]:
        """Return every condition by its name, `rule` or `rule@instance`, those that are ok too."""
        return {name: known(row) for name, row in self._call("ListConditions").items()}

    def explain(self, condition: str) -> dict[str, Any]:
        """Return one condition with its rule and its evidence.

        Raises UnknownCondition where there is none of that name.
        """
        return described(self._call("Explain", "s", (condition,)))

    def acknowledge(self, rule: str, instance: str, until: float | None) -> None:
        """Take note of a condition until a time, seconds since 1970; `None`: until it is over or becomes worse.

        Raises NotAllowed where this user may not, and UnknownCondition where there is none that is not ok.
        """
        options = {} if until is None else {"until_usec": ("t", usec(until))}
        self._change("Acknowledge", "oa{sv}", (condition_path(rule, instance), options))

    def reload(self) -> None:
        """Have healthd read its configuration again.

        Raises NotAllowed where this user may not, and BadConfig where it has faults.
        """
        self._change("Reload")

    def set_collector_enabled(self, family: str, *, enabled: bool) -> None:
        """Have a family observed, or left out, until the next reload or start.

        Raises NotAllowed where this user may not, and UsageError where there is no such family.
        """
        self._change("SetCollectorEnabled", "sb", (family, enabled))

    def read(self, metrics: Sequence[str]) -> dict[str, Any]:
        """Return values by address, unknown as `None`.

        Raises UnknownMetric where one of them is none of healthd's, and Absent where it has no such instance.
        """
        return known(self._call("Read", "as", (list(metrics),)))

    def history(self, metric: str, since: float, until: float | None, most: int) -> list[Point]:
        """Return a metric's points, oldest first, at most so many; times are seconds since 1970, `None` the present.

        Raises UnknownMetric where it is no number that goes up and down, and Absent where nothing is known of it.
        """
        return points(self._call("GetHistory", "sttu", (metric, usec(since), until_usec(until), most)))

    def events(self, since: float, until: float | None, names: Sequence[str], most: int) -> list[str]:
        """Return the newest events as lines of JSON, oldest first, at most so many.

        A name may end in `.*`; without names, all that are no samples.
        """
        lines: list[str] = self._call("GetEvents", "ttasu", (usec(since), until_usec(until), list(names), most))
        return lines

    def subscribe(self) -> None:
        """Have the bus bring each event from now on; `happened` returns them."""
        self._subscribe(rule_of(protocol.MANAGER, "Event"))

    def subscribe_to_health(self) -> None:
        """Have the bus tell from now on when the verdict or a condition changes; `judged` knows of it."""
        verdict = rule_of(_PROPERTIES, "PropertiesChanged")
        verdict.add_arg_condition(0, protocol.MANAGER)
        self._subscribe(verdict, rule_of(protocol.MANAGER, "Transition"))

    def _subscribe(self, *wanted: MatchRule) -> None:
        leaving = MatchRule(type="signal", sender=_BUS, interface=_BUS, member="NameOwnerChanged")
        leaving.add_arg_condition(0, protocol.BUS_NAME)
        self._connection.filter(MatchRule(type="signal"), queue=self._signals)
        with self._faults():
            for match in (*wanted, leaving):
                call = new_method_call(_DRIVER, "AddMatch", "s", (match.serialise(),))
                self._checked("AddMatch", self._connection.send_and_get_reply(call))

    def happened(self) -> Iterator[tuple[str, str]]:
        """Yield the events that have come: the name and the line of JSON of each.

        Those that come before the answer to `events` are among them. Raises Unavailable when healthd has gone.
        """
        for message in self._come():
            if source(message) == (self._owner, protocol.MANAGER, "Event", "sts"):
                name, _, line = message.body
                yield name, line

    def judged(self) -> bool:
        """Tell whether the verdict or a condition has changed since the last call, or may have.

        Raises Unavailable when healthd has gone.
        """
        verdict = self._owner, _PROPERTIES, "PropertiesChanged", "sa{sv}as"
        condition = self._owner, protocol.MANAGER, "Transition", "sssa{sv}"
        # All that have come: one answer to `describe` is later than any of them.
        sources = [source(message) for message in self._come()]
        return verdict in sources or condition in sources

    def watch(self, metrics: Sequence[str], seconds: float | None) -> tuple[int, float]:
        """Watch metrics, and return the number of the watch and its interval, seconds; `None`: as they are sampled.

        `samples` returns what comes. Raises UnknownMetric where one of them is none of healthd's.
        """
        # By that it sees whether we take what it sends.
        self._connection.filter(MatchRule(type="method_call", member="Ping"), queue=self._signals)
        self._subscribe()
        options = {} if seconds is None else {"interval_usec": ("t", usec(seconds))}
        number, accepted = self._call("Watch", "asa{sv}", (list(metrics), options))
        return number, known(accepted)["interval_usec"] / 1e6

    def unwatch(self, number: int) -> None:
        """End a watch."""
        self._call("Unwatch", "u", (number,))

    def samples(self) -> Iterator[Sample]:
        """Yield the samples that have come. Raises Unavailable when healthd has gone, or has closed a watch."""
        for message in self._come():
            found = source(message)
            if message.header.message_type is MessageType.method_call:
                self._connection.send(new_method_return(message))
            elif found == (self._owner, protocol.MANAGER, "Sample", "utta{sv}"):
                yield sample(message.body)
            elif found == (self._owner, protocol.MANAGER, "WatchClosed", "us"):
                raise Unavailable(f"healthd has closed the watch: {message.body[1]}")

    def _come(self) -> Iterator[Any]:
        """Yield the signals that have come, whoever sent them: anyone may send us one."""
        with self._faults():
            while True:
                while self._signals:
                    message = self._signals.popleft()
                    if self._left(message):
                        raise fault(self._bus, ABSENT[0], "")
                    yield message
                try:
                    self._connection.recv_messages(timeout=0)
                except TimeoutError:
                    return

    def _left(self, message: Any) -> bool:
        """Tell whether a signal says that the healthd that has answered is gone."""
        change = _BUS, _BUS, "NameOwnerChanged", "sss"
        return source(message) == change and tuple(message.body[:2]) == (protocol.BUS_NAME, self._owner)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when an answer comes, or an event."""
        return int(self._connection.sock.fileno())

    def ask(self) -> None:
        """Call `Describe` without waiting; `answer` has what comes of it, from afar no later than from here."""
        self._deadline = monotonic() + TIMEOUT
        with self._faults():
            self._serial = self._questions.put(self._to("Describe"))

    def ask_history(self, metric: str, since: float, most: int) -> int:
        """Ask as `history` does without waiting, and return the number by which `answered_history` knows of it."""
        with self._faults():
            return self._questions.put(self._to("GetHistory", "sttu", (metric, usec(since), until_usec(None), most)))

    @property
    def patience(self) -> float:
        """How much longer the answer to `ask` may take, seconds."""
        return max(0.0, self._deadline - monotonic())

    @property
    def has_unread(self) -> bool:
        """Whether something has come that nobody has asked for yet."""
        return self._questions.has_answers or bool(self._signals)

    def answer(self) -> dict[str, Any] | None:
        """Return the answer to `ask` as far as it has come: `None` while it has not."""
        with self._faults(TIMEOUT):
            message = self._questions.take(self._serial)
            if message is None and not self.patience:
                raise TimeoutError
        return None if message is None else described(self._content("Describe", message))

    def answered_history(self, number: int) -> list[Point] | None:
        """Return what came of `ask_history`, nothing where healthd has none; `None` while there is no answer.

        Raises Busy where it is to be asked again.
        """
        with self._faults():
            message = self._questions.take(number)
        try:
            return None if message is None else points(self._content("GetHistory", message))
        except Busy:
            raise
        except HealthctlError:
            return []

    def _to(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        call = new_method_call(_MANAGER, method, signature, body)
        call.header.flags |= self._flags
        return call

    def _call(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        with self._faults():
            return self._content(method, self._connection.send_and_get_reply(self._to(method, signature, body)))

    def _change(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> None:
        """Call what not everybody may; where there is somebody to ask, polkit may ask them."""
        asks = sys.stdin is not None and sys.stdin.isatty()
        call = new_method_call(_MANAGER, method, signature, body)
        call.header.flags |= MessageFlag.allow_interactive_authorization if asks else MessageFlag(0)
        patience = _DIALOG if asks else _CHANGE
        with self._faults(patience):
            self._content(method, self._connection.send_and_get_reply(call, timeout=patience))

    def _content(self, method: str, message: Any) -> Any:
        fields = message.header.fields
        self._checked(method, message)
        if (fields.get(HeaderFields.signature) or "") != _ANSWERS[method]:
            raise Unavailable(f"what answers as healthd is none that this healthctl knows: {method} is not as it was")
        self._owner = str(fields.get(HeaderFields.sender, ""))
        self._flags = MessageFlag.no_auto_start
        return message.body[0] if len(message.body) == 1 else message.body

    def _checked(self, method: str, message: Any) -> None:
        """Raise what an error reply means."""
        if message.header.message_type is MessageType.error:
            name = str(message.header.fields.get(HeaderFields.error_name, ""))
            raise refusal(self._bus, method, name, " ".join(str(part) for part in message.body))

    @contextmanager
    def _faults(self, patience: float | None = None) -> Iterator[None]:
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
