"""What is at each path of the bus: interfaces, methods, and the values of what was published last."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from healthd import protocol
from healthd.dbus import Call
from healthd.errors import CallError
from healthd.model import Metric, Reading, Snapshot, Status, Table
from healthd.publish.bus import log_control, manager, standard
from healthd.publish.bus.interface import Interface, Method, node, of_table
from healthd.publish.bus.tree import Tree
from healthd.publish.bus.values import properties, variant

ERROR = "org.freedesktop.DBus.Error."

_EVERYWHERE = (standard.PEER, standard.INTROSPECTABLE, standard.PROPERTIES)

_interfaces: dict[type[Table], Interface] = {
    manager.Manager: manager.INTERFACE,
    log_control.LogControl: log_control.INTERFACE,
}


class Objects:
    """The published tree, and the log control, which is none of it.

    Raises CallError where there is no object, interface, method or property of a name.
    """

    def __init__(self, watch_count: Callable[[], int]) -> None:
        self.snapshot: Snapshot | None = None
        """What the tree was made of."""
        self.tree: Tree = {}
        self._watch_count = watch_count

    def take(self, snapshot: Snapshot, tree: Tree) -> None:
        """Put this in the place of what was published before."""
        self.snapshot, self.tree = snapshot, tree

    def find(self, call: Call) -> tuple[Interface, Method]:
        """Return the method that is meant; a call may leave its interface out."""
        for interface in self._offered(call.path):
            if call.interface in ("", interface.name):
                for method in interface.methods:
                    if method.name == call.member:
                        return interface, method
        self.tables(call.path)
        if call.interface and call.interface not in {interface.name for interface in self._offered(call.path)}:
            raise CallError(ERROR + "UnknownInterface", f"{call.path} has no interface {call.interface!r}")
        raise CallError(ERROR + "UnknownMethod", f"there is no method {call.member!r} at {call.path}")

    def tables(self, path: str) -> tuple[Table, ...]:
        """Return what is at a path."""
        found = self._tables(path)
        if not found:
            raise CallError(ERROR + "UnknownObject", f"there is no object {path}")
        return found

    def get(self, path: str, interface: str, name: str) -> Any:
        """Return the value of a property."""
        table, metric = self._property(path, interface, name)
        return variant(metric, getattr(self._live(table, path) if metric.live else table, metric.name))

    def get_all(self, path: str, interface: str) -> dict[str, Any]:
        """Return the properties of an interface."""
        # An empty name means all interfaces (D-Bus specification); systemd's tools ask like that.
        tables = [table for table in self.tables(path) if interface in ("", table.interface)]
        if not tables and interface not in {offered.name for offered in self._offered(path)}:
            raise CallError(ERROR + "UnknownInterface", f"{path} has no properties of {interface!r}")
        return {name: value for table in tables for name, value in self._values(table, path).items()}

    def is_writable(self, path: str, interface: str, name: str) -> bool:
        """Tell whether a property can be set."""
        table, _ = self._property(path, interface, name)
        return next(each.writable for each in _declared(type(table)).properties if each.name == name)

    def interfaces(self, path: str, tables: tuple[Table, ...]) -> dict[str, dict[str, Any]]:
        """Return the properties of tables that are at a path, by their interfaces."""
        return {table.interface: self._values(table, path) for table in tables}

    def managed(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return what is below the object manager, which is no part of that itself (D-Bus specification)."""
        return {path: self.interfaces(path, tables) for path, tables in self.tree.items() if path != protocol.ROOT}

    def introspect(self, path: str) -> str:
        """Return the description of a path in XML."""
        prefix = "/" if path == "/" else path + "/"
        known = (*self.tree, log_control.PATH)
        children = {each[len(prefix) :].split("/")[0] for each in known if each.startswith(prefix)}
        if path not in known and not children:
            raise CallError(ERROR + "UnknownObject", f"there is no object {path}")
        return node(self._offered(path), sorted(children))

    def _offered(self, path: str) -> Iterator[Interface]:
        """Yield the interfaces that a path has, even one that only leads to objects."""
        yield from _EVERYWHERE
        if path == protocol.ROOT:
            yield standard.OBJECT_MANAGER
        for table in self._tables(path):
            yield _declared(type(table))

    def _tables(self, path: str) -> tuple[Table, ...]:
        """Return what is at a path; nothing where there is no object."""
        return log_control.tables() if path == log_control.PATH else self.tree.get(path, ())

    def _property(self, path: str, interface: str, name: str) -> tuple[Table, Metric]:
        table = next((each for each in self.tables(path) if each.interface == interface), None)
        if table is None:
            raise CallError(ERROR + "UnknownInterface", f"{path} has no properties of {interface!r}")
        metric = properties(type(table)).get(name)
        if metric is None:
            raise CallError(ERROR + "UnknownProperty", f"{interface} has no property {name!r}")
        return table, metric

    def _values(self, table: Table, path: str) -> dict[str, Any]:
        live = self._live(table, path)
        return {
            name: variant(metric, getattr(live if metric.live else table, metric.name))
            for name, metric in properties(type(table)).items()
        }

    def _live(self, table: Table, path: str) -> Table:
        """Return where the live values of a published table are: in the latest observation of its family."""
        if isinstance(table, manager.Manager):
            return replace(table, watch_count=self._watch_count())
        if self.snapshot is None or not isinstance(table, (Reading, Status)):
            return table
        reading, status = self.tree[path]
        assert isinstance(reading, Reading)
        assert isinstance(status, Status)
        observation = self.snapshot.latest[reading.family.name]
        if table is reading:
            return observation.readings.get(status.instance, table)
        if status.available:
            return replace(status, sampled_at_usec=round(observation.instant.time * 1_000_000))
        return status


def _declared(table: type[Table]) -> Interface:
    known = _interfaces.get(table)
    if known is None:
        known = _interfaces[table] = of_table(table)
    return known
