"""The one step of judging: rules, states and a snapshot in, states and transitions out.

It is pure, and does no work for what did not change where no time can have run out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from healthd import protocol
from healthd.health._judging import Judging
from healthd.health.condition import RANKS, Key, State, States
from healthd.health.rule import Rule
from healthd.model import Acknowledgement, Entry, HealthReport, Snapshot

_GAP = 1.5
"""How many intervals between two samples are still observed."""
_RESOLUTION = 20
"""Parts of an interval in which time is counted.

A replay knows of a sample that brought nothing only when it was due: what it was late by must not decide anything.
"""
_NOTHING: Mapping[str, State] = {}
_NOBODY: Mapping[str, str] = {}
_NO_ENTRIES: Mapping[str, Entry] = {}


class Transition(NamedTuple):
    """One change of a condition's severity."""

    rule: Rule
    before: str
    state: State


def adopted(states: States, rules: Sequence[Rule], time: float) -> tuple[States, list[Transition]]:
    """Return what goes on under other rules, and the conditions that are over as their rules are gone, or others."""
    forms = {rule.name: rule.form for rule in rules}
    kept = {
        rule.name: states.states[rule.name]
        for rule in states.rules
        if rule.name in states.states and forms.get(rule.name) == rule.form
    }
    over = [
        each
        for rule in states.rules
        for each in _transitions(rule, states.states.get(rule.name, _NOTHING), kept.get(rule.name, _NOTHING), time)
    ]
    present = tuple([key for key in states.present if key[0] in kept])
    report = HealthReport()
    if rules:
        report = _report(states.report, [kept[rule][instance] for rule, instance in present], time)
    return states._replace(states=kept, present=present, report=report, entries={}, due={}, rules=rules), over


def step(rules: Sequence[Rule], states: States, snapshot: Snapshot) -> tuple[States, list[Transition]]:
    """Return what the conditions are now, and what changed.

    Time that nobody observed does not count: neither for a hold nor towards its end.
    """
    clock = round(states.clock + _passed(states, snapshot), 3)
    changed = {name for name, entries in snapshot.entries.items() if states.entries.get(name) is not entries}
    changed |= states.entries.keys() - snapshot.entries.keys()
    known, due = dict(states.states), dict(states.due)
    transitions: list[Transition] = []
    touched: set[str] = set()
    """Rules that another one silences now, or no longer."""
    is_other = not states.entries
    """Whether the verdict may be another one."""
    for rule in rules:
        name, family = rule.name, rule.family.name
        if family not in snapshot.entries and family not in states.entries:
            # It was not observed yet: what was known of it before a restart stays.
            continue
        anew = name in touched or not rule.others.isdisjoint(changed) or _was_graced(rule, states, snapshot)
        if not (anew or family in changed or due.get(name, -inf) <= clock):
            continue
        before = known.get(name, _NOTHING)
        judging = Judging(rule, snapshot, clock, _silencing(rule, known) if rule.causes else _NOBODY)
        after = judging.all(before, states.entries.get(family, _NO_ENTRIES), anew=anew)
        if after is not before or due.get(name, -inf) <= clock:
            due[name] = judging.due(after)
        if after is before and name in known:
            continue
        known[name] = after
        for told in _transitions(rule, before, after, snapshot.instant.time):
            transitions.append(told)
            touched.update(rule.inhibits)
        is_other = is_other or _counts_other(before, after)
    is_other |= _expire(known, states.present, snapshot.instant.time)
    present, report = states.present, states.report
    if is_other and rules:
        present = tuple(
            [
                (state.rule, state.instance)
                for by_instance in known.values()
                for state in by_instance.values()
                if state.severity != protocol.OK
            ]
        )
        report = _report(report, [known[rule][instance] for rule, instance in present], snapshot.instant.time)
    judged = states._replace(
        clock=clock,
        since_boot=snapshot.instant.since_boot,
        boot_id=snapshot.boot_id,
        states=known,
        present=present,
        report=report,
        entries=snapshot.entries,
        due=due,
        rules=rules,
    )
    return judged, transitions


def _passed(states: States, snapshot: Snapshot) -> float:
    """Return how much time was observed since the step before."""
    if states.since_boot is None or states.boot_id != snapshot.boot_id:
        return 0.0
    passed = snapshot.instant.since_boot - states.since_boot
    if not 0.0 <= passed <= _GAP * snapshot.interval:
        return snapshot.interval * (passed > 0.0)
    part = snapshot.interval / _RESOLUTION
    return round(passed / part) * part


def _was_graced(rule: Rule, states: States, snapshot: Snapshot) -> bool:
    """Tell whether a rule was not judged with the snapshot before."""
    if not rule.grace or states.since_boot is None:
        return False
    return states.since_boot < rule.grace or states.boot_id != snapshot.boot_id


def _silencing(rule: Rule, known: Mapping[str, Mapping[str, State]]) -> dict[str, str]:
    """Return the cause by the instances that it silences; `*` for all."""
    return {
        instance if is_alike else "*": name
        for name, is_alike in rule.causes
        for instance, state in known.get(name, _NOTHING).items()
        if state.severity in (protocol.WARNING, protocol.CRITICAL)
    }


def _transitions(
    rule: Rule, before: Mapping[str, State], after: Mapping[str, State], time: float
) -> Iterator[Transition]:
    for instance, state in after.items():
        known = before.get(instance)
        severity = known.severity if known else protocol.OK
        if state.severity != severity:
            yield Transition(rule, severity, state)
    for instance, state in before.items():
        if instance not in after and state.severity != protocol.OK:
            yield Transition(rule, state.severity, state._replace(severity=protocol.OK, time=time, value=None, on=()))


def _counts_other(before: Mapping[str, State], after: Mapping[str, State]) -> bool:
    """Tell whether the host may be another one by these states."""
    if before.keys() != after.keys():
        return True
    return any(
        state is not before[instance]
        and (state.severity, state.inhibited_by, state.acknowledged)
        != (before[instance].severity, before[instance].inhibited_by, before[instance].acknowledged)
        for instance, state in after.items()
    )


def _expire(known: dict[str, Mapping[str, State]], present: Iterable[Key], time: float) -> bool:
    """Take back acknowledgements whose time has come, and tell whether there was one."""
    over = [
        state
        for rule, instance in present
        if (state := known.get(rule, _NOTHING).get(instance))
        and state.acknowledged
        and state.acknowledged.until <= time
    ]
    for state in over:
        known[state.rule] = {**known[state.rule], state.instance: state._replace(acknowledged=None)}
    return bool(over)


def _report(before: HealthReport, states: Iterable[State], time: float) -> HealthReport:
    """Return the verdict: that of the worst condition that counts, and all that count as its reasons."""
    counting = sorted(
        [(-RANKS[state.severity], address(state.rule, state.instance)) for state in states if state.counts]
    )
    rank = -counting[0][0] if counting else 0
    severity = next((severity for severity, its in RANKS.items() if its == rank), protocol.OK)
    reasons = tuple([name for _, name in counting])
    if severity == before.severity and reasons == before.reasons:
        return before
    return HealthReport(severity, reasons, before.since if severity == before.severity else time)


def address(rule: str, instance: str) -> str:
    """Return the name of a condition: `rule`, or `rule@instance`."""
    return f"{rule}@{instance}" if instance else rule


def acknowledged(states: States, key: Key, who: str, time: float, until: float) -> States:
    """Return the states after somebody has taken note of a condition; raises KeyError where there is none."""
    rule, instance = key
    state = states.states[rule][instance]
    if state.severity == protocol.OK:
        raise KeyError(key)
    noted = state._replace(acknowledged=Acknowledgement(who, time, until, state.severity))
    known = {**states.states, rule: {**states.states[rule], instance: noted}}
    report = _report(states.report, [known[rule][instance] for rule, instance in states.present], time)
    return states._replace(states=known, report=report)
