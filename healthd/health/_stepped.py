"""Times of day that were wrong: once the clock was set, what began since the boot is told by the clock as it is now.

A board without a hardware clock begins each boot with a time of long ago. What it has judged until its clock is set
began seconds before, and not decades.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from healthd import protocol
from healthd.health.condition import State, States
from healthd.model import Acknowledgement, Event, Snapshot

_SLACK = 1.0
"""What clocks that are read one after the other differ by, seconds."""
_Shift = Callable[[float], float]


def stepped(states: States, happened: Iterable[Event], snapshot: Snapshot) -> States:
    """Return states whose times of day are right, where `happened` says that the clock was set before this snapshot."""
    seconds = sum(_step(event) for event in happened)
    if not seconds or states.boot_id != snapshot.boot_id:
        return states
    last = snapshot.instant.time - seconds
    first = last - snapshot.instant.since_boot

    def shift(time: float) -> float:
        """Move a time that the wrong clock told; what is from before the boot was told by another."""
        return round(time + seconds, 3) if time and first - _SLACK <= time <= last + _SLACK else time

    return states._replace(
        states={
            rule: {instance: _state(state, shift) for instance, state in by_instance.items()}
            for rule, by_instance in states.states.items()
        },
        report=replace(states.report, since=shift(states.report.since)),
        who={resource: _seen(who, shift) for resource, who in states.who.items()},
    )


def _step(event: Event) -> float:
    """Return how far an event says that the clock was set, seconds; 0 where it says something else."""
    match event.name, event.data:
        case protocol.RUNTIME_GAP, {"reason": protocol.CLOCK, "seconds": int() | float() as seconds}:
            return seconds
    return 0.0


def _state(state: State, shift: _Shift) -> State:
    """Return a state with its times; one that told none stays the same object."""
    moved = state._replace(
        time=shift(state.time),
        samples=tuple([(shift(time), value) for time, value in state.samples]),
        acknowledged=_acknowledged(state.acknowledged, shift),
    )
    return state if moved == state else moved


def _acknowledged(note: Acknowledgement | None, shift: _Shift) -> Acknowledgement | None:
    """Return an acknowledgement that lasts as long as it was meant to."""
    if note is None:
        return None
    time = shift(note.time)
    return note._replace(time=time, until=note.until + (time - note.time))


def _seen(who: Mapping[str, Any], shift: _Shift) -> Mapping[str, Any]:
    return {**who, "time": shift(who["time"])}
