"""The only door to the bus on this side: blocking calls, each with a deadline, and errors that a user can act on."""

import sys
from collections.abc import Iterator, Sequence
from time import monotonic, time
from typing import Any, Self

from healthctl._client_answers import Event, Sample, described, fault, known, news, points, source
from healthctl._client_arguments import EVENTS, condition_path, rule_of, until_usec, usec
from healthctl._client_connection import TIMEOUT, Connection, connect, dial
from healthctl._client_line import Line
from healthctl.errors import Busy, HealthctlError
from healthctl.place import place
from healthctl.series import Point
from healthd import protocol

__all__ = ["TIMEOUT", "Client", "Event", "Sample", "connect", "described", "dial", "fault", "source"]

_CHANGE, _DIALOG = 30.0, 300.0
"""The longest waits for a change, without and with a person whom polkit may ask, seconds."""
_ANOTHER_TIME = 3600.0
"""A sample that is further away is of another time, and neither old nor of a clock that is set otherwise, seconds."""

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
        self._serial = 0
        self._deadline = 0.0
        self.line = Line(bus, connection or connect(bus, patience, asks=asks), start=start)
        """The calls that these are made of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self.line.close()

    def describe(self) -> dict[str, Any]:
        """Return the object that `Describe` gives."""
        return described(self.line.call("Describe"))

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
        return {name: known(row) for name, row in self.line.call("ListMetrics").items()}

    def collectors(self) -> dict[str, dict[str, Any]]:
        """Return how each collector does, by family."""
        return {name: known(row) for name, row in self.line.call("ListCollectors").items()}

    def publishers(self) -> dict[str, dict[str, Any]]:
        """Return how each publisher does, by its name."""
        return {name: known(row) for name, row in self.line.call("ListPublishers").items()}

    def conditions(self) -> dict[str, dict[str, Any]]:
        """Return every condition by its name, `rule` or `rule@instance`, those that are ok too."""
        return {name: known(row) for name, row in self.line.call("ListConditions").items()}

    def explain(self, condition: str) -> dict[str, Any]:
        """Return one condition with its rule and its evidence.

        Raises UnknownCondition where there is none of that name.
        """
        return described(self.line.call("Explain", "s", (condition,)))

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
        return known(self.line.call("Read", "as", (list(metrics),)))

    def history(self, metric: str, since: float, until: float | None, most: int) -> list[Point]:
        """Return a metric's points, oldest first, at most so many; times are seconds since 1970, `None` the present.

        Raises UnknownMetric where it is no number that goes up and down, and Absent where nothing is known of it.
        """
        return points(self.line.call("GetHistory", "sttu", (metric, usec(since), until_usec(until), most)))

    def events(self, since: float, until: float | None, names: Sequence[str], most: int) -> list[str]:
        """Return the newest events as lines of JSON, oldest first, at most so many.

        A name may end in `.*`; without names, all that are no samples.
        """
        lines: list[str] = self.line.call("GetEvents", "ttasu", (usec(since), until_usec(until), list(names), most))
        return lines

    def subscribe(self) -> None:
        """Have the bus bring each event from now on; `happened` returns them."""
        self.line.subscribe(EVENTS)

    def subscribe_to_health(self) -> None:
        """Have the bus tell from now on when the verdict or a condition changes; `judged` knows of it."""
        verdict = rule_of(_PROPERTIES, "PropertiesChanged")
        verdict.add_arg_condition(0, protocol.MANAGER)
        self.line.subscribe(verdict, rule_of(protocol.MANAGER, "Transition"))

    def happened(self) -> Iterator[Event]:
        """Yield the events that have come.

        Those that come before the answer to `events` are among them. Raises Unavailable when healthd has gone.
        """
        return (told for told in self._told() if isinstance(told, Event))

    def judged(self) -> bool:
        """Tell whether the verdict or a condition has changed since the last call, or may have.

        Raises Unavailable when healthd has gone.
        """
        verdict = self.line.owner, _PROPERTIES, "PropertiesChanged", "sa{sv}as"
        condition = self.line.owner, protocol.MANAGER, "Transition", "sssa{sv}"
        # All that have come: one answer to `describe` is later than any of them.
        sources = [source(message) for message in self.line.come()]
        return verdict in sources or condition in sources

    def watch(self, metrics: Sequence[str], seconds: float | None) -> tuple[int, float]:
        """Watch metrics, and return the number of the watch and its interval, seconds; `None`: as they are sampled.

        `samples` returns what comes. Raises UnknownMetric where one of them is none of healthd's.
        """
        self.line.subscribe()
        options = {} if seconds is None else {"interval_usec": ("t", usec(seconds))}
        number, accepted = self.line.call("Watch", "asa{sv}", (list(metrics), options))
        return number, known(accepted)["interval_usec"] / 1e6

    def unwatch(self, number: int) -> None:
        """End a watch."""
        self.line.call("Unwatch", "u", (number,))

    def samples(self) -> Iterator[Sample]:
        """Yield the samples that have come. Raises Unavailable when healthd has gone, or has closed a watch."""
        return (told for told in self._told() if isinstance(told, Sample))

    def _told(self) -> Iterator[Sample | Event]:
        return (told for message in self.line.come() if (told := news(message, self.line.owner)))

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when an answer comes, or an event."""
        return self.line.fileno()

    def ask(self) -> None:
        """Call `Describe` without waiting; `answer` has what comes of it, from afar no later than from here."""
        self._deadline = monotonic() + TIMEOUT
        self._serial = self.line.question("Describe")

    def ask_history(self, metric: str, since: float, most: int) -> int:
        """Ask as `history` does without waiting, and return the number by which `answered_history` knows of it."""
        return self.line.question("GetHistory", "sttu", (metric, usec(since), until_usec(None), most))

    @property
    def patience(self) -> float:
        """How much longer the answer to `ask` may take, seconds."""
        return max(0.0, self._deadline - monotonic())

    @property
    def has_unread(self) -> bool:
        """Whether something has come that nobody has asked for yet."""
        return self.line.has_unread

    def answer(self) -> dict[str, Any] | None:
        """Return the answer to `ask` as far as it has come: `None` while it has not."""
        content = self.line.taken("Describe", self._serial)
        if content is None and not self.patience:
            with self.line.faults(TIMEOUT):
                raise TimeoutError
        return described(content[0]) if content else None

    def answered_history(self, number: int) -> list[Point] | None:
        """Return what came of `ask_history`, nothing where healthd has none; `None` while there is no answer.

        Raises Busy where it is to be asked again.
        """
        try:
            content = self.line.taken("GetHistory", number)
        except Busy:
            raise
        except HealthctlError:
            return []
        return points(content[0]) if content else None

    def _change(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> None:
        """Call what not everybody may; where there is somebody to ask, polkit may ask them."""
        asks = sys.stdin is not None and sys.stdin.isatty()
        self.line.change(method, signature, body, _DIALOG if asks else _CHANGE, asks=asks)
