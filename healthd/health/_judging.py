"""Judging one rule at one time: its states before, and what is known, give its states now."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from healthd import protocol
from healthd.health.condition import RANKS, SAMPLES, State
from healthd.health.operand import COVERAGE
from healthd.health.rule import Rule
from healthd.health.threshold import Level
from healthd.model import Acknowledgement, Entry, Snapshot

RETURNS_WITHIN = 1800.0
"""A condition that is back so soon after it was over clears slower, seconds."""
SLOWER = 1.5
LONGEST = 3600.0
"""The longest time that a condition has to be clear, seconds."""
_SLOWEST = 30
"""So many returns make the shortest time the longest."""
_MISSES = 2
"""How many cadences may pass without a value before nothing is known."""


def decisive(rule: Rule, state: State) -> Level:
    """Return the level that a person wants to hear of: the worst that holds, else the worst that would come."""
    holding = [level for level, on in zip(rule.levels, state.on, strict=True) if on]
    coming = [level for level, since in zip(rule.levels, state.since, strict=True) if since is not None]
    return (holding or coming or rule.levels[:1])[-1]


class _Levels(NamedTuple):
    """How a state's levels are, as in `State`."""

    on: tuple[bool, ...]
    since: tuple[float | None, ...]
    blind: tuple[float, ...]


class Judging:
    """Judges one rule at one time; `silenced` are causes by instance, `*` for all."""

    def __init__(self, rule: Rule, snapshot: Snapshot, clock: float, silenced: Mapping[str, str]) -> None:
        self._rule = rule
        self._snapshot = snapshot
        self._clock = clock
        self._silenced = silenced
        self._grace_left = max(rule.grace - snapshot.instant.since_boot, 0.0)

    def all(self, known: Mapping[str, State], seen: Mapping[str, Entry], *, anew: bool) -> Mapping[str, State]:
        """Return the states by instance: of what changed since it was `seen`, of what is due, and `anew` of all.

        Where none of them is another one these are those that were `known`, as the same object.
        """
        if self._grace_left:
            return {}
        found, is_other = {}, False
        for instance, entry in self._snapshot.entries.get(self._rule.family.name, {}).items():
            before = state = known.get(instance)
            last = seen.get(instance)
            is_due = anew or (before and before.due <= self._clock)
            if is_due or (entry is not last and self._is_other(entry, last)):
                state = self._judged(before, instance, entry)
                is_other = is_other or state is not before
            if state:
                found[instance] = state
        return found if is_other or len(found) != len(known) else known

    def _is_other(self, entry: Entry, seen: Entry | None) -> bool:
        """Tell whether anything changed that the rule looks at."""
        if seen is None or (entry.status is not seen.status and entry.status != seen.status):
            return True
        looks_at = self._rule.looks_at
        return bool(looks_at(entry.reading) != looks_at(seen.reading))

    def due(self, states: Mapping[str, State]) -> float:
        """Return when there is something to do though nothing changes."""
        if self._grace_left:
            return self._clock + self._grace_left
        return min([state.due for state in states.values()], default=inf)

    def _judged(self, state: State | None, instance: str, entry: Entry) -> State | None:
        rule = self._rule
        is_there = entry.status.available or rule.judges_problems
        raw = rule.raw(self._snapshot, entry) if is_there else None
        if not self._is_expected(state, entry, is_there=is_there, is_known=raw is not None):
            return None
        if state is None:
            levels = len(rule.levels)
            state = State(rule.name, instance, on=(False,) * levels, since=(None,) * levels, blind=(0.0,) * levels)
        memory, value, due = state.memory, raw, inf
        if rule.operator:
            memory, value, due = rule.operator.look(memory, raw, self._clock, rule.window)
        turns = self._turns(state, entry, value)
        is_known = raw is not None and (value is None or None not in turns)
        if is_known and state.is_calm and True not in turns:
            # As it is with most of them most of the time: what is worth a look is worked out when somebody looks.
            return state if memory == state.memory and due == state.due else state._replace(memory=memory, due=due)
        state = state._replace(memory=memory)
        if not is_known:
            return self._blind(state, due)
        return self._settled(state, self._levels(state, turns), entry, value, due)

    def _is_expected(self, state: State | None, entry: Entry, *, is_there: bool, is_known: bool) -> bool:
        """Tell whether the rule is meant for an instance, and whether there should be a value."""
        if is_there:
            return (is_known or state is not None) and self._rule.is_for(self._snapshot, entry)
        if entry.status.problem in protocol.NO_FAULTS:
            return False
        # Nobody knows whether a rule is meant for what was never seen, where there are several.
        return state is not None or (self._rule.family.single and self._rule.is_for(self._snapshot, entry))

    def seen(self, state: State) -> State:
        """Return a state with the value that there is now; of one that is not calm it is that which decided."""
        entry = self._available(state)
        if not state.is_calm or entry is None:
            return state
        return state._replace(**self._evidence(state, entry, self._value(state, entry)))

    def own(self, state: State) -> tuple[Any, dict[str, tuple[str, float]]]:
        """Return the rule's own value now, whatever decided, and the bound that each severity has on it, with its sign.

        `None` where it is unknown, and no bound of what is no number.
        """
        entry = self._available(state)
        if entry is None:
            return None, {}
        bounds = {
            level.severity: (bound.sign, float(bound.against(self._snapshot, entry)))
            for level in self._rule.levels
            for bound in level.enter.bounds
            if bound.field is None and bound.sign[0] in "<>"
        }
        return self._value(state, entry), bounds

    def _available(self, state: State) -> Entry | None:
        """Return what is known of an instance that can be judged."""
        entry = self._snapshot.entries.get(self._rule.family.name, {}).get(state.instance)
        return entry if entry and (entry.status.available or self._rule.judges_problems) else None

    def _value(self, state: State, entry: Entry) -> Any:
        value = self._rule.raw(self._snapshot, entry)
        if self._rule.operator:
            value = self._rule.operator.look(state.memory, value, self._clock, self._rule.window).value
        return value

    def _evidence(self, state: State, entry: Entry, value: Any) -> dict[str, Any]:
        """Return what is compared, and with what."""
        bound = decisive(self._rule, state).enter.deciding(self._snapshot, entry, value)
        return {
            "value": bound.value(self._snapshot, entry, value),
            "threshold": bound.against(self._snapshot, entry),
            "field": bound.field.name if bound.field else "",
        }

    def _turns(self, state: State, entry: Entry, value: Any) -> list[bool | None]:
        """Return for each level whether it would come, or go if it holds; `None` where that is unknown."""
        return [
            (level.clear if on else level.enter).holds(self._snapshot, entry, value)
            for level, on in zip(self._rule.levels, state.on, strict=True)
        ]

    def _cause(self, instance: str) -> str:
        return self._silenced.get(instance) or self._silenced.get("*", "")

    def _blind(self, state: State, due: float) -> State:
        """Go on without a value: after a while nothing is known any more, unless what caused that is known."""
        since = self._clock if state.blind_since is None else state.blind_since
        end = round(since + _MISSES * max(self._rule.family.every, self._snapshot.interval), 3)
        cause = self._cause(state.instance)
        is_over = self._clock >= end
        return state._replace(
            blind_since=since,
            inhibited_by=cause if state.severity != protocol.OK else "",
            due=due if is_over else min(due, end),
            **self._severe(state, protocol.UNKNOWN if is_over and not cause else state.severity),
        )

    def _levels(self, state: State, turns: Sequence[bool | None]) -> _Levels:
        """Let levels come and go whose time has come."""
        passed = 0.0 if state.blind_since is None else self._clock - state.blind_since
        on, since, blind = list(state.on), list(state.since), [each + passed for each in state.blind]
        silenced = bool(self._cause(state.instance))
        for index, turn in enumerate(turns):
            begun = since[index]
            if not turn:
                since[index], blind[index] = None, 0.0
                continue
            if begun is None:
                begun, blind[index] = self._clock, 0.0
            since[index] = begun
            is_due = self._clock >= self._end(state, index, begun, blind[index])
            if is_due and (on[index] or not silenced):
                on[index], since[index], blind[index] = not on[index], None, 0.0
        return _Levels(tuple(on), tuple(since), tuple(blind))

    def _end(self, state: State, index: int, since: float, blind: float) -> float:
        """Return when a level comes that would since then, or goes if it holds.

        It comes only where most of the time was seen, and goes after it was seen to be clear for long enough.
        """
        if not state.on[index]:
            return round(since + max(self._rule.levels[index].hold, blind / (1 - COVERAGE)), 3)
        slower = self._rule.clear_after * SLOWER ** min(state.returns, _SLOWEST)
        return round(since + blind + min(slower, max(LONGEST, self._rule.clear_after)), 3)

    def _settled(self, state: State, levels: _Levels, entry: Entry, value: Any, due: float) -> State:
        """Complete a state by what follows from its levels."""
        rule, clock = self._rule, self._clock
        holding = [level.severity for level, on in zip(rule.levels, levels.on, strict=True) if on]
        severity = holding[-1] if holding else protocol.OK
        if holding and value is None:
            severity = protocol.UNKNOWN
        returns, over = self._flaps(state, is_on=bool(holding))
        now = state._replace(on=levels.on, since=levels.since, blind=levels.blind, returns=returns, over=over)
        for index, (level, on, since) in enumerate(zip(rule.levels, *levels[:2], strict=True)):
            if since is not None and (end := self._end(now, index, since, levels.blind[index])) > clock:
                held = end if on else round(since + level.hold, 3)
                due = min(due, held if held > clock else end)
                if severity == protocol.OK and held <= clock:
                    severity = protocol.UNKNOWN
        evidence = self._evidence(now, entry, value)
        is_calm = severity == protocol.OK and not now.is_pending
        return now._replace(
            blind_since=None,
            **evidence,
            samples=() if is_calm else self._sampled(state.samples, evidence["value"]),
            inhibited_by=self._cause(state.instance) if severity != protocol.OK else "",
            due=due,
            **self._severe(state, severity),
        )

    def _flaps(self, state: State, *, is_on: bool) -> tuple[int, float | None]:
        """Return how often it came back, and when it was over."""
        if any(state.on) == is_on:
            return state.returns, state.over
        if not is_on:
            return state.returns, self._clock
        soon = state.over is not None and self._clock - state.over < RETURNS_WITHIN
        return state.returns + 1 if soon else 0, state.over

    def _sampled(self, samples: tuple[tuple[float, float], ...], value: Any) -> tuple[tuple[float, float], ...]:
        if type(value) not in (int, float) or abs(value) == inf or (samples and samples[-1][1] == value):
            return samples
        # The first and the last are always among them.
        kept = samples if len(samples) < SAMPLES else samples[:1] + samples[2::2]
        return (*kept, (self._snapshot.instant.time, float(value)))

    def _severe(self, state: State, severity: str) -> dict[str, Any]:
        """Return the fields of a state that follow from a change of its severity."""
        if severity == state.severity:
            return {}
        noted: Acknowledgement | None = state.acknowledged
        if severity == protocol.OK or (noted and RANKS.get(severity, 0) > RANKS.get(noted.severity, 0)):
            noted = None
        return {"severity": severity, "time": self._snapshot.instant.time, "acknowledged": noted}
