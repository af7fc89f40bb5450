"""Judging cycle by cycle: holds the rules and what they go on from."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf, isfinite
from typing import Any

from healthd import protocol
from healthd.clock import iso
from healthd.health._judging import Judging, decisive
from healthd.health._stepped import stepped
from healthd.health.condition import RANKS, Key, State, States, restored
from healthd.health.evaluator import Transition, acknowledged, address, adopted, step
from healthd.health.rule import Rule
from healthd.model import Condition, Event, HealthReport, Snapshot

SEEN_FOR = 300.0
"""How long who uses most of something stays true while conditions of it only build up, seconds."""


class Judge:
    """Gives each snapshot its verdict."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._adopt(tuple(rules))
        self._adopted = self.rules
        """The rules of the next snapshot."""
        self._states = States()
        self._snapshot: Snapshot | None = None
        self.wanted: frozenset[str] = frozenset()
        """Resources of which it should be seen now who uses most."""

    def _adopt(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self._by_name = {rule.name: rule for rule in rules}
        self._users = [rule for rule in rules if rule.who]
        self._conditions: dict[Key, tuple[State, Condition]] = {}

    def adopt(self, rules: Sequence[Rule]) -> None:
        """Judge by these rules from the next snapshot on; what is known of those that stay goes on."""
        self._adopted = tuple(rules)

    @property
    def states(self) -> States:
        """What is known of each condition, those among them that are ok."""
        return self._states

    def resume(self, states: Mapping[str, Any] | None) -> None:
        """Go on from what was recorded, or from nothing; raises BadEvent where it can't be understood."""
        self._states = restored(states, self.rules) if states else States()
        self._conditions = {}

    def take(self, snapshot: Snapshot, happened: Sequence[Event] = ()) -> tuple[Snapshot, list[Event]]:
        """Return a snapshot with its verdict, and the transitions as events.

        `happened`: what was recorded beside the sample; what people did, and what was seen, is taken in again.
        """
        time = snapshot.instant.time
        over: list[Transition] = []
        if self._adopted is not self.rules:
            self._adopt(self._adopted)
            self._states, over = adopted(self._states, self.rules, time)
        self._states = stepped(self._states, happened, snapshot)
        before = self._states.states
        self._snapshot = snapshot
        self._states, transitions = step(self.rules, self._states, snapshot)
        seen = {name for name, who in self._states.who.items() if 0.0 <= time - who["time"] < SEEN_FOR}
        self.wanted = frozenset(_wanted(self._users, before, self._states.states, seen))
        events = [
            Event(snapshot.instant, protocol.HEALTH_TRANSITION, _told(each), snapshot.boot_id, snapshot.seq)
            # By name, whoever observed them in which order.
            for each in sorted([*over, *transitions], key=_name_of)
        ]
        for event in happened:
            self._follow(event)
        return replace(snapshot, health=self._report()), events

    def _follow(self, event: Event) -> None:
        if event.name == protocol.HEALTH_WITNESSED:
            self.saw(event.instant.time, event.data)
        elif event.name == protocol.HEALTH_ACKNOWLEDGED:
            rule, instance, who, until = (event.data.get(key) for key in ("condition", "instance", "who", "until"))
            end = float(until) if isinstance(until, float | int) else inf
            # With other rules there may be no such condition.
            with suppress(KeyError):
                self.acknowledge(str(rule), str(instance), str(who), event.instant.time, end)

    def acknowledge(self, rule: str, instance: str, who: str, time: float, until: float) -> HealthReport:
        """Take in that somebody has taken note of a condition; raises KeyError where there is none."""
        self._states = acknowledged(self._states, (rule, instance), who, time, until)
        return self._report()

    def saw(self, time: float, data: Mapping[str, Any]) -> None:
        """Take in who used most of what ran short."""
        seen = {str(data.get("resource")): {**data, "time": time}}
        self._states = self._states._replace(who={**self._states.who, **seen})

    def listed(self) -> dict[str, dict[str, Any]]:
        """Return all conditions by their names (`model.Explaining`)."""
        states = {(state.rule, state.instance): state for state in self._states.all()}
        return {address(*key): self._listed(state) for key, state in sorted(states.items())}

    def _listed(self, state: State) -> dict[str, Any]:
        rule = self._by_name[state.rule]
        own: Any = None
        bounds: Mapping[str, tuple[str, float]] = {}
        if self._snapshot:
            judging = Judging(rule, self._snapshot, self._states.clock, {})
            own, bounds = judging.own(state)
            state = judging.seen(state)
        return {
            "rule": state.rule,
            "instance": state.instance,
            "severity": state.severity,
            "since": state.time,
            "summary": rule.summary,
            "metric": _metric(rule, state),
            "unit": rule.unit(state.field).value,
            "value": _number(state.value),
            "threshold": _number(state.threshold),
            "next": decisive(rule, state).severity,
            "headroom": _headroom(rule, state),
            "own_value": _number(own),
            "own_unit": rule.scale.unit.value,
            "bounds": bounds,
            "pending": state.is_pending,
            "inhibited_by": state.inhibited_by,
            "acknowledged_by": state.acknowledged.who if state.acknowledged else "",
        }

    def explain(self, name: str) -> dict[str, Any]:
        """Return one condition with its rule and its evidence; raises KeyError where there is none of that name."""
        rule_name, _, instance = name.partition("@")
        state, rule = self._states.states[rule_name][instance], self._by_name[rule_name]
        return {
            "condition": name,
            **self._listed(state),
            "rule": _rule(rule),
            "who": self._who(rule, state),
            "samples": [[iso(time), value] for time, value in state.samples],
            "due_seconds": round(state.due - self._states.clock, 3) if isfinite(state.due) else None,
            "returns": state.returns,
            "acknowledged": state.acknowledged.time if state.acknowledged else None,
            "acknowledged_until": _number(state.acknowledged.until) if state.acknowledged else None,
        }

    def _who(self, rule: Rule, state: State) -> Mapping[str, Any] | None:
        """Return who used most of what ran short, as far as that was seen since the condition built up."""
        seen = self._states.who.get(rule.who)
        # A flag has no samples.
        begun = next((time for time, _ in state.samples), state.time if state.severity != protocol.OK else inf)
        return seen if seen and seen["time"] >= begun else None

    def _report(self) -> HealthReport:
        self._conditions = dict(self._present())
        conditions = {address(*key): made for key, (_, made) in self._conditions.items()}
        return replace(self._states.report, conditions=conditions, remembered=self._states)

    def _present(self) -> Iterator[tuple[Key, tuple[State, Condition]]]:
        """Yield the conditions; one that did not change is the same object as before."""
        for key in sorted(self._states.present):
            state = self._states.states[key[0]][key[1]]
            known, before = self._conditions.get(key, (None, None))
            made = before if before and known is state else condition(self._by_name[state.rule], state)
            yield key, (state, before if before and before == made else made)


def _wanted(
    rules: Iterable[Rule],
    before: Mapping[str, Mapping[str, State]],
    now: Mapping[str, Mapping[str, State]],
    seen: Container[str],
) -> Iterator[str]:
    """Yield the resources of which a condition became worse, or begins to build up and it was not seen just now who."""
    for rule in rules:
        known, states = before.get(rule.name), now.get(rule.name)
        if states is not known and states:
            for instance, state in states.items():
                known_one = known.get(instance) if known else None
                if _is_worse(known_one, state) or (_builds_up(known_one, state) and rule.who not in seen):
                    yield rule.who


def _is_worse(before: State | None, state: State) -> bool:
    rank = RANKS.get(before.severity, 0) if before else 0
    return state.severity != protocol.UNKNOWN and RANKS.get(state.severity, 0) > rank


def _builds_up(before: State | None, state: State) -> bool:
    return before is not state and state.is_pending and not (before and before.is_pending)


def condition(rule: Rule, state: State) -> Condition:
    """Return a condition as others see it."""
    note = state.acknowledged
    until = round(note.until * 1e6) if note and note.until < _ENDLESS else None
    return Condition(
        rule=rule.name,
        instance=state.instance,
        severity=state.severity,
        since_usec=round(state.time * 1e6),
        summary=rule.summary,
        metric=_metric(rule, state),
        unit=rule.unit(state.field).value,
        value=_number(state.value),
        threshold=_number(state.threshold),
        remedy=rule.remedy,
        inhibited_by=state.inhibited_by,
        acknowledged_by=note.who if note else "",
        acknowledged_usec=round(note.time * 1e6) if note else None,
        acknowledged_until_usec=until,
    )


_ENDLESS = 2.0**53


def _headroom(rule: Rule, state: State) -> float | None:
    """Return how far the value is from the threshold, below zero beyond it; `None` where that can't be told."""
    value, threshold = _number(state.value), _number(state.threshold)
    bounds = decisive(rule, state).enter.bounds
    sign = next((bound.sign for bound in bounds if (bound.field.name if bound.field else "") == state.field), "")
    if value is None or threshold is None or sign[:1] not in (">", "<"):
        return None
    return threshold - value if sign[0] == ">" else value - threshold


def _metric(rule: Rule, state: State) -> str:
    """Return what was compared, with its family."""
    if not state.field:
        return rule.metric
    return state.field if "." in state.field else f"{rule.family.name}.{state.field}"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "summary": rule.summary,
        "why": rule.why,
        "remedy": rule.remedy,
        "metric": rule.metric,
        "per": " + ".join(
            field.name if "." in field.name else f"{rule.family.name}.{field.name}" for field in rule.per
        ),
        "operator": rule.operator.name if rule.operator else "",
        "window": rule.window,
        "unit": rule.scale.unit.value,
        "clear_after": rule.clear_after,
        "grace": rule.grace,
        "inhibits": rule.inhibits,
        "levels": [
            {
                "severity": level.severity,
                "enter": level.enter.text,
                "clear": level.clear.text,
                "hold": level.hold,
            }
            for level in rule.levels
        ],
    }


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and isfinite(value) else None


def _name_of(transition: Transition) -> tuple[str, str]:
    return transition.state.rule, transition.state.instance


def _told(transition: Transition) -> dict[str, Any]:
    """Return the data of the event."""
    rule, state = transition.rule, transition.state
    return {
        "condition": rule.name,
        "instance": state.instance,
        "from": transition.before,
        "to": state.severity,
        # The instance went, or the rule is not meant for it any more.
        "judged": bool(state.on),
        "summary": rule.summary,
        "metric": _metric(rule, state),
        "value": _number(state.value),
        "threshold": _number(state.threshold),
        "remedy": rule.remedy,
    }
