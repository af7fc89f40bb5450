"""The server: answers calls from the published tree, and signals what changes in it."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from healthd import protocol
from healthd.dbus import FAILED, INVALID_ARGS, Call, Connection, Reply
from healthd.errors import CallError
from healthd.model import Cycle, Family, Reading, Snapshot, Status, Table
from healthd.publish.bus import manager, standard
from healthd.publish.bus.interface import Interface, Method, node, of_table
from healthd.publish.bus.tree import Added, Changed, Tree, difference, tree
from healthd.publish.bus.values import properties, variant

_log = logging.getLogger(__name__)

BACKLOG = 256 * 1024
"""While this much is unsent nothing new is published; the next difference carries everything, bytes."""

_ERROR = "org.freedesktop.DBus.Error."
_SHARED = {"Describe", "GetManagedObjects", "ListCollectors", "ListMetrics"}
_MACHINE_ID = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_EVERYWHERE = (standard.PEER, standard.INTROSPECTABLE, standard.PROPERTIES)


class BusServer:
    """Publishes on whatever connection it is attached to."""

    def __init__(self, families: Iterable[Family], interval: float) -> None:
        self._manager = manager.manager(interval)
        self._answers = manager.Answers(families, interval)
        self._connection: Connection | None = None
        self._published: Snapshot | None = None
        self._tree: Tree = {}
        self._replies: dict[str, Reply] = {}
        """The dear answers that are the same for everyone until something new is published, by method."""
        self.skipped = 0
        """Cycles since the bus stopped keeping up, which were not published."""

    def attach(self, connection: Connection) -> None:
        """Serve on a connection; to be done before its name is owned, so that no client sees less than everything."""
        self._connection = connection
        connection.on_call = self.answer

    def publish(self, cycle: Cycle) -> None:
        """Signal what differs from what was published before."""
        connection = self._connection
        if connection is None or connection.lost.done():
            # Nobody listens: whoever comes next asks for everything first.
            self._advance(cycle.snapshot)
            return
        if connection.backlog > BACKLOG:
            if not self.skipped:
                _log.warning("the bus does not keep up: nothing new is published until it does")
            self.skipped += 1
            return
        if self.skipped:
            _log.info("the bus keeps up again: %d samples are published as one", self.skipped + 1)
            self.skipped = 0
        before = self._tree
        self._advance(cycle.snapshot)
        for change in difference(before, self._tree):
            if isinstance(change, Added):
                body = [change.path, self._interfaces(change.path, change.tables)]
                connection.signal(protocol.ROOT, standard.OBJECT_MANAGER.name, "InterfacesAdded", "oa{sa{sv}}", body)
            elif isinstance(change, Changed):
                values = {
                    name: variant(metric, getattr(change.table, metric.name)) for name, metric in change.names.items()
                }
                connection.signal(
                    change.path,
                    standard.PROPERTIES.name,
                    "PropertiesChanged",
                    "sa{sv}as",
                    [change.table.interface, values, []],
                )
            else:
                body = [change.path, [table.interface for table in change.tables]]
                connection.signal(protocol.ROOT, standard.OBJECT_MANAGER.name, "InterfacesRemoved", "oas", body)

    def _advance(self, snapshot: Snapshot) -> None:
        self._published = snapshot
        self._tree = tree(snapshot)
        self._replies.clear()

    def answer(self, call: Call) -> Reply:
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
        if method.name in _SHARED:
            if method.name not in self._replies:
                self._replies[method.name] = self._reply(interface, method, call)
            return self._replies[method.name]
        return self._reply(interface, method, call)

    def _reply(self, interface: Interface, method: Method, call: Call) -> Reply:
        if interface is manager.INTERFACE:
            answer = self._answers.by_name[method.name](self._snapshot(), call.body)
        else:
            answer = self._standard(method.name, call)
        if not method.gives:
            return Reply()
        return Reply("".join(argument.signature for argument in method.gives), (answer,))

    def _offered(self, path: str) -> list[Interface]:
        """Return the interfaces without readings that a path has."""
        return [*_EVERYWHERE, standard.OBJECT_MANAGER, manager.INTERFACE] if path == protocol.ROOT else [*_EVERYWHERE]

    def _find(self, call: Call) -> tuple[Interface, Method]:
        """Return the method that is meant; a call may leave its interface out."""
        offered = self._offered(call.path)
        for interface in offered:
            if call.interface in ("", interface.name):
                for method in interface.methods:
                    if method.name == call.member:
                        return interface, method
        known = {interface.name for interface in offered} | {table.interface for table in self._tables(call.path)}
        if call.interface and call.interface not in known:
            raise CallError(_ERROR + "UnknownInterface", f"{call.path} has no interface {call.interface!r}")
        raise CallError(_ERROR + "UnknownMethod", f"there is no method {call.member!r} at {call.path}")

    def _standard(self, member: str, call: Call) -> Any:
        answers: Mapping[str, Callable[..., Any]] = {
            "Ping": lambda: None,
            "GetMachineId": _machine_id,
            "Introspect": lambda: self._introspect(call.path),
            "Get": lambda interface, name: self._get(call.path, interface, name),
            "GetAll": lambda interface: self._get_all(call.path, interface),
            "Set": lambda interface, name, _: self._set(call.path, interface, name),
            "GetManagedObjects": lambda: {path: self._interfaces(path, tables) for path, tables in self._tree.items()},
        }
        return answers[member](*call.body)

    def _snapshot(self) -> Snapshot:
        if self._published is None:
            raise CallError(FAILED, "nothing has been observed yet")
        return self._published

    def _tables(self, path: str) -> tuple[Table, ...]:
        if path == protocol.ROOT:
            return (self._manager,)
        if path not in self._tree:
            raise CallError(_ERROR + "UnknownObject", f"there is no object {path}")
        return self._tree[path]

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

    def _set(self, path: str, interface: str, name: str) -> None:
        self._get(path, interface, name)
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
        if self._published is None or path not in self._tree:
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
        paths = [protocol.ROOT, *self._tree]
        children = {known[len(prefix) :].split("/")[0] for known in paths if known.startswith(prefix)}
        tables = self._tables(path) if path in paths else ()
        if not tables and not children:
            raise CallError(_ERROR + "UnknownObject", f"there is no object {path}")
        interfaces = self._offered(path)
        if path != protocol.ROOT:
            interfaces += [of_table(type(table)) for table in tables]
        return node(interfaces, sorted(children))


def _machine_id() -> str:
    for path in _MACHINE_ID:
        try:
            with open(path, encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            continue
    raise CallError(FAILED, "this machine has no machine id")
