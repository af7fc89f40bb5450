"""Transitions as signals of their own."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from healthd import protocol
from healthd.dbus import Variant
from healthd.model import Event
from healthd.publish.bus.values import wire


class Transition(NamedTuple):
    """A change of a condition, to be told by a signal of its own."""

    event: Event


def with_transitions(events: Iterable[Event]) -> Iterator[Transition | Event]:
    """Yield events, with its own signal before each that is a transition."""
    for event in events:
        if event.name == protocol.HEALTH_TRANSITION:
            yield Transition(event)
        yield event


def body(data: Mapping[str, Any]) -> list[Any]:
    """Return the body of the signal: condition, from, to, details."""
    name = f"{data['condition']}@{data['instance']}" if data["instance"] else data["condition"]
    details = {key: Variant("s", wire("s", data[key])) for key in ("instance", "summary", "metric", "remedy")}
    details |= {key: Variant("d", wire("d", data[key])) for key in ("value", "threshold")}
    return [wire("s", name), data["from"], data["to"], details]
