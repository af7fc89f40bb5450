"""The state of one rule for one instance, and of all of them: immutable, and writable as JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf, isfinite
from typing import Any, NamedTuple

from healthd import protocol
from healthd.errors import BadEvent
from healthd.health._scale import LARGEST
from healthd.health.operand import Memory
from healthd.health.rule import Rule
from healthd.model import Acknowledgement, Entry, HealthReport

Key = tuple[str, str]
"""Rule and instance."""

SAMPLES = 16
"""How many of the values that decided are kept."""


class State(NamedTuple):
    """What is known of one rule for one instance; times without a word are observed seconds (`States.clock`)."""

    rule: str
    instance: str
    severity: str = protocol.OK
    time: float = 0.0
    """Since when it has this severity, seconds since 1970 UTC."""
    on: tuple[bool, ...] = ()
    """Which levels of the rule hold."""
    since: tuple[float | None, ...] = ()
    """Since when each level would come, or go if it holds; `None` where it would not."""
    blind: tuple[float, ...] = ()
    """For how long nothing was known since then, by level, seconds."""
    blind_since: float | None = None
    """Since when nothing is known."""
    value: Any = None
    """What decided; while it is calm that of the time before (`Judging.seen` tells that of now)."""
    threshold: Any = None
    """What the value was compared with."""
    field: str = ""
    """What was compared, where it is not the rule's own value."""
    samples: tuple[tuple[float, float], ...] = ()
    """Times (seconds since 1970 UTC) and values since it began to build up."""
    returns: int = 0
    """How often it came back soon after it was over."""
    over: float | None = None
    """When it was over."""
    inhibited_by: str = ""
    """The rule that has caused it."""
    acknowledged: Acknowledgement | None = None
    memory: Memory = None
    """What the rule's operator remembers."""
    due: float = inf
    """When it can change though what it looks at does not."""

    @property
    def is_pending(self) -> bool:
        """Whether a level would come."""
        return any(since is not None and not on for since, on in zip(self.since, self.on, strict=True))

    @property
    def is_calm(self) -> bool:
        """Whether all is well: nothing holds, nothing would come, and something is known."""
        return self.severity == protocol.OK and self.blind_since is None and self.since.count(None) == len(self.since)

    @property
    def counts(self) -> bool:
        """Whether it makes the host what it is."""
        return self.severity in RANKS and not self.inhibited_by and self.acknowledged is None


RANKS = {protocol.UNKNOWN: 1, protocol.WARNING: 2, protocol.CRITICAL: 3}
"""What counts for the host; the larger, the worse."""


class States(NamedTuple):
    """What judging goes on from."""

    clock: float = 0.0
    """Seconds that were observed: it stands still while the machine sleeps or healthd does not run."""
    since_boot: float | None = None
    """When that was, CLOCK_BOOTTIME."""
    boot_id: str = ""
    states: Mapping[str, Mapping[str, State]] = {}
    """By rule and instance."""
    present: tuple[Key, ...] = ()
    """Those that are not ok."""
    report: HealthReport = HealthReport()
    entries: Mapping[str, Mapping[str, Entry]] = {}
    """What was looked at."""
    due: Mapping[str, float] = {}
    """By rule: when one of its states is due."""
    rules: Sequence[Rule] = ()
    """What the states are of."""
    who: Mapping[str, Mapping[str, Any]] = {}
    """By resource: who used most of it when it was last seen, and the `time` of that."""

    def all(self) -> Iterator[State]:
        """Yield every state."""
        for by_instance in self.states.values():
            yield from by_instance.values()

    def data(self) -> dict[str, Any]:
        """Return what is to be known to go on later, as JSON has it."""
        return {
            "clock": self.clock,
            "since_boot": self.since_boot,
            "boot_id": self.boot_id,
            "severity": self.report.severity,
            "since": self.report.since,
            "forms": {rule.name: rule.form for rule in self.rules if self.states.get(rule.name)},
            "states": [_data(state) for state in sorted(self.all(), key=_name_of)],
            "who": self.who,
        }


def _name_of(state: State) -> Key:
    return state.rule, state.instance


_DEFAULTS = State("", "")
# What is worked out anew with the next sample, of which `restored` makes that each is looked at.
_LEFT_OUT = ("due", "acknowledged")


def _data(state: State) -> dict[str, Any]:
    """Return the fields that say more than that it is ok: a machine with a thousand disks has thousands of states."""
    plain = _DEFAULTS._replace(**_levels(len(state.on)))
    finite = {name: _finite(value) for name, value in state._asdict().items() if name not in _LEFT_OUT}
    fields = {
        name: value for name, value in finite.items() if name in ("rule", "instance") or value != getattr(plain, name)
    }
    if state.acknowledged:
        fields["acknowledged"] = {name: _finite(value) for name, value in state.acknowledged._asdict().items()}
    return fields


def _levels(number: int) -> dict[str, Any]:
    """Return what a state says of its levels while none holds or would come."""
    return {"on": (False,) * number, "since": (None,) * number, "blind": (0.0,) * number}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def restored(content: Any, rules: Iterable[Rule]) -> States:
    """Return what `States.data` told, as far as these rules have it; raises BadEvent where it is something else.

    What is of a rule that has another form now says nothing.
    """
    try:
        forms = {rule.name: rule for rule in rules if content["forms"].get(rule.name) == rule.form}
        states: dict[str, dict[str, State]] = {}
        for each in content["states"]:
            if each["rule"] in forms:
                state = _state(each, forms[each["rule"]])
                states.setdefault(state.rule, {})[state.instance] = state
        report = HealthReport(_one_of(SEVERITIES, content["severity"]), since=_number(content["since"]))
        since_boot = content["since_boot"]
        return States(
            clock=_number(content["clock"]),
            since_boot=None if since_boot is None else _number(since_boot),
            boot_id=_text(content["boot_id"]),
            states=states,
            present=tuple(
                [
                    (name, instance)
                    for name, found in states.items()
                    for instance, state in found.items()
                    if state.severity != protocol.OK
                ]
            ),
            report=report,
            rules=tuple(forms.values()),
            who={resource: {**seen, "time": _number(seen["time"])} for resource, seen in content["who"].items()},
        )
    except (TypeError, KeyError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise BadEvent(f"these are no states of conditions: {error!r:.60}") from None


SEVERITIES = (protocol.OK, protocol.NOTICE, *RANKS)


def _state(content: Mapping[str, Any], rule: Rule) -> State:
    fields = {
        name: _tuples(value) for name, value in content.items() if name in State._fields and name not in _LEFT_OUT
    }
    fields = {**_levels(len(rule.levels)), **fields, "acknowledged": _acknowledgement(content.get("acknowledged"))}
    state = State(**fields)
    for times in (state.on, state.since, state.blind):
        if not isinstance(times, tuple) or len(times) != len(rule.levels):
            raise ValueError(f"{rule.name} has {len(rule.levels)} levels")
    numbers = [
        state.time,
        state.returns,
        *state.blind,
        *[each for time, value in state.samples for each in (time, value)],
    ]
    numbers += [time for time in (*state.since, state.blind_since, state.over) if time is not None]
    for number in numbers:
        _number(number)
    for text in (state.instance, state.field, state.inhibited_by):
        _text(text)
    _one_of(SEVERITIES, state.severity)
    if rule.operator and not rule.operator.remembers(state.memory):
        raise ValueError(f"{rule.name} can't have remembered {state.memory!r:.20}")
    return state


def _acknowledgement(content: Any) -> Acknowledgement | None:
    if content is None:
        return None
    until = content["until"]
    return Acknowledgement(
        _text(content["who"]),
        _number(content["time"]),
        inf if until is None else _number(until),
        _one_of(SEVERITIES, content["severity"]),
    )


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not -LARGEST < value < LARGEST:
        raise ValueError(f"{value!r:.20} is no number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.20} is no text")
    return value


def _one_of(words: Iterable[str], value: Any) -> str:
    if value not in words:
        raise ValueError(f"{value!r:.20} is none of {words}")
    return str(value)


def _tuples(value: Any) -> Any:
    return tuple([_tuples(item) for item in value]) if isinstance(value, list) else value
