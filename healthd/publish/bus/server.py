"""The server: answers calls from the published tree, and signals what changes in it."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from healthd import protocol
from healthd.dbus import INVALID_ARGS, Answer, Call, Connection, Patient, Reply
from healthd.errors import CallError
from healthd.events import encode
from healthd.model import (
    Account,
    Cycle,
    Event,
    Explaining,
    Family,
    Problem,
    Reading,
    Snapshot,
    Status,
    Table,
)
from healthd.publish.bus import log_control, manager, standard
from healthd.publish.bus.answers import Answers, Later
from healthd.publish.bus.behind import Archive, Control
from healthd.publish.bus.interface import Interface, Method, node, of_table
from healthd.publish.bus.transitions import Transition, body, with_transitions
from healthd.publish.bus.tree import Added, Changed, Removed, Tree, difference, tree
from healthd.publish.bus.values import properties, variant

if TYPE_CHECKING:
    from healthd.publish.bus.changes import Changes
    from healthd.publish.bus.watches import Watches

_log = logging.getLogger(__name__)

BACKLOG = 256 * 1024
"""While this much is unsent nothing new is published; the next difference carries everything, bytes."""
KEPT = 1000
"""How many events are kept meanwhile."""

_ERROR = "org.freedesktop.DBus.Error."
_SHARED = {"Describe", "Explain", "GetManagedObjects", "ListCollectors", "ListConditions", "ListMetrics"}
_WATCHING = {"Watch", "Unwatch"}
_EVERYWHERE = (standard.PEER, standard.INTROSPECTABLE, standard.PROPERTIES)


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
        self._published: Snapshot | None = None
        self._now = 0.0
        self._tree: Tree = {}
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
        if connection is None or connection.lost.done() or not self._tree:
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
            before = self._tree
            self._advance(cycle)
            events = [*self._kept, *events]
            self._kept.clear()
            news: list[News] = [*difference(before, self._tree), *with_transitions(events)]
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
        if cycle.snapshot is not self._published:
            self._published = cycle.snapshot
            self._tree = tree(cycle.snapshot, self._features)
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
            return *above, "InterfacesAdded", "oa{sa{sv}}", [new.path, self._interfaces(new.path, new.tables)]
        return *above, "InterfacesRemoved", "oas", [new.path, [table.interface for table in new.tables]]

    def answer(self, call: Call) -> Answer:
        """Answer a method call.

        Raises CallError with one of the specification's error names, or one of `protocol`.
        """
        interface, method = self._find(call)
        if interface is not standard.PEER and interface is not standard.INTROSPECTABLE:
            self._tables(call.path)
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
            return self._changing().make(call, self._tree, self._now)
        if interface is not manager.INTERFACE:
            answer = self._standard(method.name, call)
            if isinstance(answer, Patient):
                return answer
            return Reply(signature, (answer,)) if signature else Reply()
        assert self._published
        if method.name in _WATCHING:
            return self._watching().answer(call, self._published.interval)
        answer = self._answers.by_name[method.name](self._published, self._now, call.body)
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

    def _offered(self, path: str) -> Iterator[Interface]:
        """Yield the interfaces that a path has, even one that only leads to objects."""
        yield from _EVERYWHERE
        if path == protocol.ROOT:
            yield standard.OBJECT_MANAGER
        for table in self._objects(path):
            yield _declared(type(table))

    def _find(self, call: Call) -> tuple[Interface, Method]:
        """Return the method that is meant; a call may leave its interface out."""
        for interface in self._offered(call.path):
            if call.interface in ("", interface.name):
                for method in interface.methods:
                    if method.name == call.member:
                        return interface, method
        self._tables(call.path)
        if call.interface and call.interface not in {interface.name for interface in self._offered(call.path)}:
            raise CallError(_ERROR + "UnknownInterface", f"{call.path} has no interface {call.interface!r}")
        raise CallError(_ERROR + "UnknownMethod", f"there is no method {call.member!r} at {call.path}")

    def _standard(self, member: str, call: Call) -> Any:
        answers: Mapping[str, Callable[..., Any]] = {
            "Ping": lambda: None,
            "GetMachineId": standard.machine_id,
            "Introspect": lambda: self._introspect(call.path),
            "Get": lambda interface, name: self._get(call.path, interface, name),
            "GetAll": lambda interface: self._get_all(call.path, interface),
            "Set": lambda interface, name, value: self._set(call, interface, name, value),
            "GetManagedObjects": self._managed,
        }
        return answers[member](*call.body)

    def _managed(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return what is below the object manager, which is no part of that itself (D-Bus specification)."""
        return {path: self._interfaces(path, tables) for path, tables in self._tree.items() if path != protocol.ROOT}

    def _objects(self, path: str) -> tuple[Table, ...]:
        """Return what is at a path; nothing where there is no object."""
        return log_control.tables() if path == log_control.PATH else self._tree.get(path, ())

    def _tables(self, path: str) -> tuple[Table, ...]:
        found = self._objects(path)
        if not found:
            raise CallError(_ERROR + "UnknownObject", f"there is no object {path}")
        return found

    def _table(self, path: str, interface: str) -> Table:
        for table in self._tables(path):
            if table.interface == interface:
                return table
        raise CallError(_ERROR + "UnknownInterface", f"{path} has no properties of {interface!r}")

    def _get(self, path: str, interface: str, name: str) -> Any:
        table = self._table(path, interface)
        metric = properties(type(table)).get(name)
        if metric is None:
            raise CallError(_ERROR + "UnknownProperty", f"{interface} has no property {name!r}")
        return variant(metric, getattr(self._live(table, path) if metric.live else table, metric.name))

    def _get_all(self, path: str, interface: str) -> dict[str, Any]:
        # An empty name means all interfaces (D-Bus specification); systemd's tools ask like that.
        tables = [table for table in self._tables(path) if interface in ("", table.interface)]
        if not tables and interface not in {offered.name for offered in self._offered(path)}:
            raise CallError(_ERROR + "UnknownInterface", f"{path} has no properties of {interface!r}")
        return {name: value for table in tables for name, value in self._values(table, path).items()}

    def _set(self, call: Call, interface: str, name: str, value: Any) -> Patient:
        self._get(call.path, interface, name)
        declared = _declared(type(self._table(call.path, interface))).properties
        if next(each for each in declared if each.name == name).writable:
            return self._changing().set_log(call, name, value)
        raise CallError(_ERROR + "PropertyReadOnly", f"{interface}.{name} can only be read")

    def _interfaces(self, path: str, tables: tuple[Table, ...]) -> dict[str, dict[str, Any]]:
        return {table.interface: self._values(table, path) for table in tables}

    def _values(self, table: Table, path: str) -> dict[str, Any]:
        live = self._live(table, path)
        return {
            name: variant(metric, getattr(live if metric.live else table, metric.name))
            for name, metric in properties(type(table)).items()
        }

    def _live(self, table: Table, path: str) -> Table:
        """Return where the live values of a published table are: in the latest observation of its family."""
        if isinstance(table, manager.Manager):
            return replace(table, watch_count=len(self._watches or ()))
        if self._published is None or not isinstance(table, (Reading, Status)):
            return table
        reading, status = self._tree[path]
        assert isinstance(reading, Reading)
        assert isinstance(status, Status)
        observation = self._published.latest[reading.family.name]
        if table is reading:
            return observation.readings.get(status.instance, table)
        if status.available:
            return replace(status, sampled_at_usec=round(observation.instant.time * 1_000_000))
        return status

    def _introspect(self, path: str) -> str:
        prefix = "/" if path == "/" else path + "/"
        known = (*self._tree, log_control.PATH)
        children = {each[len(prefix) :].split("/")[0] for each in known if each.startswith(prefix)}
        if path not in known and not children:
            raise CallError(_ERROR + "UnknownObject", f"there is no object {path}")
        return node(self._offered(path), sorted(children))


_interfaces: dict[type[Table], Interface] = {
    manager.Manager: manager.INTERFACE,
    log_control.LogControl: log_control.INTERFACE,
}


def _declared(table: type[Table]) -> Interface:
    known = _interfaces.get(table)
    if known is None:
        known = _interfaces[table] = of_table(table)
    return known


async def _later(signature: str, ask: Later[Any]) -> Reply:
    return Reply(signature, (await ask(),))
