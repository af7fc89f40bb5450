"""The snapshot as a tree of objects, and what to signal when one tree follows another. All of it is pure."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from healthd import protocol
from healthd.model import SINGLE, Metric, Snapshot, Table
from healthd.publish.bus.manager import root
from healthd.publish.bus.values import properties

Tree = Mapping[str, tuple[Table, ...]]
"""The interfaces of each object, by path."""


@lru_cache(maxsize=4096)
def object_path(family: str, instance: str) -> str:
    """Return the path of a reading's object, the instance in systemd's escaping: `/home` is `_2fhome`."""
    if instance == SINGLE:
        return f"{protocol.ROOT}/{family}"
    return f"{protocol.ROOT}/{family}/{_escape(instance)}"


def condition_path(rule: str, instance: str) -> str:
    """Return the path of a condition's object."""
    return object_path(f"condition/{rule}", instance)


def _escape(label: str) -> str:
    """Escape what an object path can't hold, and a leading digit (sd_bus_path_encode(3))."""
    escaped = ""
    for position, byte in enumerate(label.encode("utf-8", "replace")):
        letter = chr(byte)
        plain = letter.isascii() and (letter.isalpha() or (letter.isdigit() and position))
        escaped += letter if plain else f"_{byte:02x}"
    return escaped or "_"


def tree(snapshot: Snapshot, features: tuple[str, ...] = ()) -> Tree:
    """Return all objects, the root with what it offers among them."""
    objects: dict[str, tuple[Table, ...]] = {protocol.ROOT: root(snapshot, features)}
    for family, entries in snapshot.entries.items():
        for instance, entry in entries.items():
            objects[object_path(family, instance)] = entry
    for condition in snapshot.health.conditions.values():
        objects[condition_path(condition.rule, condition.instance)] = (condition,)
    return objects


class Added(NamedTuple):
    """An object came."""

    path: str
    tables: tuple[Table, ...]


class Changed(NamedTuple):
    """Properties of one interface of an object changed."""

    path: str
    table: Table
    names: Mapping[str, Metric]


class Removed(NamedTuple):
    """An object went."""

    path: str
    tables: tuple[Table, ...]


def difference(old: Tree, new: Tree) -> Iterator[Added | Changed | Removed]:
    """Yield what turns `old` into `new`, in the order in which it is signalled: added, changed, removed."""
    for path, tables in new.items():
        if path not in old:
            yield Added(path, tables)
    for path, tables in new.items():
        before = old.get(path)
        if before is not None and before is not tables:
            for was, now in zip(before, tables, strict=True):
                if was is not now and (names := _changed(was, now)):
                    yield Changed(path, now, names)
    for path, tables in old.items():
        if path not in new:
            yield Removed(path, tables)


def _changed(was: Table, now: Table) -> dict[str, Metric]:
    """Return what is signalled of a table that follows another one; counters and the like never are."""
    return {
        name: metric
        for name, metric in properties(type(now)).items()
        if not metric.live and _differ(getattr(was, metric.name), getattr(now, metric.name))
    }


def _differ(was: Any, now: Any) -> bool:
    return was is not now and was != now
