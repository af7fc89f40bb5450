"""The server: answers calls from the published tree, and signals what changes in it."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from healthd import protocol
from healthd.dbus import INVALID_ARGS, Answer, Call, Connection, Patient, Reply
from healthd.errors import CallError
from healthd.events import encode
from healthd.model import Account, Cycle, Event, Explaining, Family, Problem
from healthd.publish.bus import manager, standard
from healthd.publish.bus.answers import Answers, Later
from healthd.publish.bus.behind import Archive, Control
from healthd.publish.bus.interface import Interface, Method
from healthd.publish.bus.objects import ERROR, Objects
from healthd.publish.bus.transitions import Transition, body, with_transitions
from healthd.publish.bus.tree import Added, Changed, Removed, difference, tree
from healthd.publish.bus.values import variant

if TYPE_CHECKING:
    from healthd.publish.bus.changes import Changes
    from healthd.publish.bus.watches import Watches

_log = logging.getLogger(__name__)

BACKLOG = 256 * 1024
"""While this much is unsent nothing new is published; the next difference carries everything, bytes."""
KEPT = 1000
"""How many events are kept meanwhile."""

_SHARED = {"Describe", "Explain", "GetManagedObjects", "ListCollectors", "ListConditions", "ListMetrics"}
_WATCHING = {"Watch", "Unwatch"}

News = Added | Changed | Removed | Transition | Event


class BusServer:
    """Publishes on whatever connection it is attached to."""

    name: ClassVar[str] = "bus"

    def __init__(
        self,
        families: Sequence[Family],
        archive: Archive,
        accounts: Callable[[], Mapping[str, Account]],
        judging: Explaining,
        control: Control | None,
    ) -> None:
        self._answers = Answers(families, archive, accounts, judging)
        self._families = families
        self._control = control
        self._features = (protocol.WATCHES,) if control else ()
        self._changes: Changes | None = None
        self._watches: Watches | None = None
        self._samples = {family.event for family in families}
        self._connection: Connection | None = None
        self._objects = Objects(lambda: len(self._watches or ()))
        self._now = 0.0
        self._replies: dict[tuple[str, ...], Reply] = {}
        """The dear answers that are the same for everyone until something new is published, by method and argument."""
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._behind = False
        self._lost = 0
        self.skipped = 0
        """Cycles since the bus stopped keeping up, which were not published."""

    def attach(self, connection: Connection) -> None:
        """Serve on a connection; to be done before its name is owned, so that no client sees less than everything."""
        self._connection = connection
        self._changes = self._watches = None
        connection.on_call = self.answer

    def account(self) -> Account:
        """Tell how it goes; lost are cycles and events that the bus was too slow for."""
        problem = None
        if self._connection is None or self._connection.lost.done():
            problem = Problem(protocol.VANISHED, "there is no connection to the bus", "start the bus: it is looked for")
        elif self._connection.backlog > BACKLOG:
            problem = Problem(protocol.TIMEOUT, "the bus does not keep up")
        return Account(problem, self._lost)

    def publish(self, cycle: Cycle) -> None:
        """Signal what differs from what was published before, and what happened.

        Raises what the first signal failed by that could not be made, once the others are sent.
        """
        connection = self._connection
        events = [event for event in cycle.events if event.name not in self._samples]
        if connection is None or connection.lost.done() or not self._objects.tree:
            # Nobody listens: whoever comes next asks for everything first.
            self._kept.clear()
            self._behind = False
            self.skipped = 0
            self._advance(cycle)
        elif connection.backlog > BACKLOG:
            self._skip(cycle, events)
        else:
            begin = time.monotonic()
            self._catch_up()
            before = self._objects.tree
            self._advance(cycle)
            events = [*self._kept, *events]
            self._kept.clear()
            news: list[News] = [*difference(before, self._objects.tree), *with_transitions(events)]
            if self._watches and any(event.name == protocol.RUNTIME_STOPPED for event in events):
                self._watches.close(protocol.STOPPING)
            self._send(connection, news)
            spent = 1000 * (time.monotonic() - begin)
            _log.debug("sample %d: %d signals in %.1f ms", cycle.snapshot.seq, len(news), spent)

    def _skip(self, cycle: Cycle, events: list[Event]) -> None:
        if not self._behind:
            _log.warning("the bus does not keep up: nothing new is published until it does")
            self._behind = True
        new = cycle.snapshot is not cycle.before
        self.skipped += new
        self._lost += new + max(len(self._kept) + len(events) - KEPT, 0)
        self._kept.extend(events)

    def _catch_up(self) -> None:
        if self._behind:
            _log.info("the bus keeps up again: what was left out of %d cycles is published at once", self.skipped)
            self._behind = False
            self.skipped = 0

    def _advance(self, cycle: Cycle) -> None:
        self._now = max([cycle.snapshot.instant, *(event.instant for event in cycle.events[-1:])]).time
        if cycle.snapshot is not self._objects.snapshot:
            self._objects.take(cycle.snapshot, tree(cycle.snapshot, self._features))
            self._replies.clear()
        elif cycle.events:
            # Who used most may have been seen.
            self._replies = {asked: reply for asked, reply in self._replies.items() if asked[0] != "Explain"}

    def _send(self, connection: Connection, news: Iterable[News]) -> None:
        faults = []
        for each in news:
            try:
                connection.signal(*self._signal(each))
            except Exception as fault:  # noqa: BLE001  # isolation: it must not cost the others; raised below
                faults.append(fault)
        if faults:
            raise faults[0]

    def _signal(self, new: News) -> tuple[str, str, str, str, list[Any]]:
        """Return path, interface, member, signature and body of the signal that tells of it."""
        above = protocol.ROOT, standard.OBJECT_MANAGER.name
        if isinstance(new, Changed):
            values = {name: variant(metric, getattr(new.table, metric.name)) for name, metric in new.names.items()}
            changed = [new.table.interface, values, []]
            return new.path, standard.PROPERTIES.name, "PropertiesChanged", "sa{sv}as", changed
        if isinstance(new, Transition):
            return protocol.ROOT, protocol.MANAGER, "Transition", "sssa{sv}", body(new.event.data)
        if isinstance(new, Event):
            told = [new.name, round(new.instant.time * 1_000_000), encode(new)]
            return protocol.ROOT, protocol.MANAGER, "Event", "sts", told
        if isinstance(new, Added):
            return *above, "InterfacesAdded", "oa{sa{sv}}", [new.path, self._objects.interfaces(new.path, new.tables)]
        return *above, "InterfacesRemoved", "oas", [new.path, [table.interface for table in new.tables]]

    def answer(self, call: Call) -> Answer:
        """Answer a method call.

        Raises CallError with one of the specification's error names, or one of `protocol`.
        """
        interface, method = self._objects.find(call)
        if interface is not standard.PEER and interface is not standard.INTROSPECTABLE:
            self._objects.tables(call.path)
        if call.signature != method.signature:
            raise CallError(
                INVALID_ARGS, f"{method.name} takes {method.signature or 'nothing'!r}, not {call.signature!r}"
            )
        if method.name not in _SHARED:
            return self._reply(interface, method, call)
        asked = (method.name, *call.body)
        reply = self._replies.get(asked) or self._reply(interface, method, call)
        if isinstance(reply, Reply):
            self._replies[asked] = reply
        return reply

    def _reply(self, interface: Interface, method: Method, call: Call) -> Answer:
        signature = "".join(argument.signature for argument in method.gives)
        if method.guarded:
            return self._changing().make(call, self._objects.tree, self._now)
        if interface is not manager.INTERFACE:
            answer = self._standard(method.name, call)
            if isinstance(answer, Patient):
                return answer
            return Reply(signature, (answer,)) if signature else Reply()
        snapshot = self._objects.snapshot
        assert snapshot
        if method.name in _WATCHING:
            return self._watching().answer(call, snapshot.interval)
        answer = self._answers.by_name[method.name](snapshot, self._now, call.body)
        return _later(signature, answer) if callable(answer) else Reply(signature, (answer,))

    def _changing(self) -> "Changes":
        """Return what changes something, for this connection."""
        if self._changes is None:
            from healthd.publish.bus.changes import Changes  # noqa: PLC0415  # few ever change anything

            assert self._connection
            self._changes = Changes(self._connection, self._families, self._control)
        return self._changes

    def _watching(self) -> "Watches":
        """Return the watches of the clients on this connection."""
        if self._watches is None:
            from healthd.publish.bus.watches import Watches  # noqa: PLC0415  # as above

            assert self._connection
            self._watches = Watches(self._connection, self._answers.metric, self._control)
        return self._watches

    def _standard(self, member: str, call: Call) -> Any:
        answers: Mapping[str, Callable[..., Any]] = {
            "Ping": lambda: None,
            "GetMachineId": standard.machine_id,
            "Introspect": lambda: self._objects.introspect(call.path),
            "Get": lambda interface, name: self._objects.get(call.path, interface, name),
            "GetAll": lambda interface: self._objects.get_all(call.path, interface),
            "Set": lambda interface, name, value: self._set(call, interface, name, value),
            "GetManagedObjects": self._objects.managed,
        }
        return answers[member](*call.body)

    def _set(self, call: Call, interface: str, name: str, value: Any) -> Patient:
        if self._objects.is_writable(call.path, interface, name):
            return self._changing().set_log(call, name, value)
        raise CallError(ERROR + "PropertyReadOnly", f"{interface}.{name} can only be read")


async def _later(signature: str, ask: Later[Any]) -> Reply:
    return Reply(signature, (await ask(),))
