"""What rules would have made of a recording: every transition, or where their alarms differ from those of other rules.

Nothing is taken over of what was judged, or taken note of, when it was recorded: the rules are tried from nothing.
"""

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from math import inf
from typing import NamedTuple

from healthd import protocol
from healthd.amount import amount, span
from healthd.errors import BadEvent
from healthd.health.judge import Judge
from healthd.health.rule import Rule
from healthd.model import Event, Sample, Snapshot
from healthd.replay import Replay
from healthd.state.store import Store

Say = Callable[[str], object]
"""Takes a line."""

_SEVERITIES = (protocol.OK, protocol.NOTICE, protocol.UNKNOWN, protocol.WARNING, protocol.CRITICAL)
"""From good to bad."""
_HEAD = ("value", "threshold", "meaning")
_NUMBERS = 10
"""How wide a column of values is."""


class Alarm(NamedTuple):
    """A stretch of time in which one condition was not ok."""

    condition: str
    begun: int
    """The number of the sample with which it began."""
    over: float
    """That of the sample with which it was over; infinite while it lasts."""
    at: float
    """When it began, seconds since 1970 UTC."""
    seconds: float
    """How long it lasted, as far as that was observed."""
    worst: Event
    """The transition to the worst that it came to."""

    @property
    def severity(self) -> str:
        """The worst that it came to."""
        return str(self.worst.data["to"])

    def same(self, other: "Alarm") -> bool:
        """Tell whether two sets of rules mean the same: the same condition, as bad, at about the same time."""
        mine, others = (self.condition, self.severity), (other.condition, other.severity)
        return mine == others and self.begun < other.over and other.begun < self.over


class Trial:
    """One set of rules, which judges a recording from nothing."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = {rule.name: rule for rule in rules}
        """By their names."""
        self.lasted: dict[str, float] = defaultdict(float)
        """By the host's severity: for how long, seconds that were observed."""
        self._judge = Judge(rules)
        self._severity = protocol.OK
        self._number = 0
        self._over: list[Alarm] = []
        self._open: dict[str, tuple[Alarm, float]] = {}
        """By condition: what lasts, and what the judge's clock was when it began."""

    def take(self, sample: Sample, snapshot: Snapshot) -> list[Event]:
        """Judge a sample, and return the transitions."""
        if sample.begins:
            # A new start of healthd goes on from what was judged before it.
            try:
                self._judge.resume(self._judge.states.data())
            except BadEvent:
                self._judge.resume(None)
        self._number += 1
        before = self._judge.states.clock
        judged, transitions = self._judge.take(snapshot)
        passed = self._judge.states.clock - before
        if passed and not sample.silent:
            self.lasted[self._severity] += passed
        self._severity = judged.health.severity
        for event in transitions:
            self._note(event, silent=sample.silent)
        return [] if sample.silent else transitions

    def conclude(self) -> list[Alarm]:
        """Return all alarms in the order of their beginnings."""
        lasting = [alarm._replace(seconds=self._judge.states.clock - since) for alarm, since in self._open.values()]
        return sorted([*self._over, *lasting], key=lambda alarm: alarm.begun)

    def _note(self, event: Event, *, silent: bool) -> None:
        name, clock = _name(event), self._judge.states.clock
        alarm, since = self._open.pop(name, (Alarm(name, self._number, inf, event.instant.time, 0.0, event), clock))
        if event.data["to"] != protocol.OK:
            worse = _SEVERITIES.index(event.data["to"]) > _SEVERITIES.index(alarm.severity)
            self._open[name] = (alarm._replace(worst=event) if worse else alarm), since
        elif not silent:
            self._over.append(alarm._replace(over=self._number, seconds=clock - since))


async def report(replay: Replay, rules: Sequence[Rule], say: Say) -> None:
    """Say every transition that the rules would have made, and for how long the host would have been what."""
    trial, transitions = Trial(rules), 0
    columns = max((len(rule.name) for rule in rules), default=0)
    say(_row("time".ljust(19), "condition".ljust(columns), "change".ljust(19), *_HEAD))
    async for sample, snapshot in _snapshots(replay):
        for event in trial.take(sample, snapshot):
            change = f"{event.data['from']} -> {event.data['to']}"
            name = _name(event).ljust(columns)
            say(_row(_local(event.instant.time), name, change.ljust(19), *_evidence(event, trial)))
            transitions += 1
    say(f"{_counted(transitions, 'transition')}; the host: {_shares(trial)}")


async def difference(replay: Replay, rules: Sequence[Rule], shipped: Sequence[Rule], say: Say) -> None:
    """Say what would newly alarm (`+`) or stay silent (`-`) with rules in place of the shipped, and count the same."""
    new, old = Trial(rules), Trial(shipped)
    async for sample, snapshot in _snapshots(replay):
        new.take(sample, snapshot)
        old.take(sample, snapshot)
    added, gone = new.conclude(), old.conclude()
    count = len(added)
    added, gone = _without_same(added, gone)
    columns = max((len(rule.name) for rule in (*rules, *shipped)), default=0)
    say(f"  {_row('time'.ljust(19), 'condition'.ljust(columns), 'severity', 'for'.ljust(12), *_HEAD)}")
    lines = [*_lines("+", added, new, columns), *_lines("-", gone, old, columns)]
    for _, line in sorted(lines):
        say(line)
    say(f"= {_counted(count - len(added), 'alarm')}")
    say(f"the host by these rules: {_shares(new)}")
    say(f"the host by the shipped: {_shares(old)}")


async def _snapshots(replay: Replay) -> AsyncIterator[tuple[Sample, Snapshot]]:
    store = Store()
    async for _ in replay.ticks():
        sample = await replay.sample()
        yield sample, store.accept(sample)


def _without_same(added: Iterable[Alarm], gone: Iterable[Alarm]) -> tuple[list[Alarm], list[Alarm]]:
    """Return what is left of two lists of alarms without those that are in both."""
    left = list(gone)
    unlike = []
    for alarm in added:
        same = next((other for other in left if alarm.same(other)), None)
        if same:
            left.remove(same)
        else:
            unlike.append(alarm)
    return unlike, left


def _lines(sign: str, alarms: Iterable[Alarm], trial: Trial, columns: int) -> Iterator[tuple[float, str]]:
    """Yield a line for each alarm, and the number of its first sample."""
    for alarm in alarms:
        cells = alarm.condition.ljust(columns), alarm.severity.ljust(8), span(alarm.seconds).ljust(12)
        yield alarm.begun, f"{sign} {_row(_local(alarm.at), *cells, *_evidence(alarm.worst, trial))}"


def _row(*cells: str) -> str:
    *first, value, threshold, meaning = cells
    return "  ".join([*first, value.ljust(_NUMBERS), threshold.ljust(_NUMBERS), meaning])


def _evidence(event: Event, trial: Trial) -> tuple[str, str, str]:
    """Return what decided, what it was compared with, and what that means."""
    data = event.data
    rule, metric = trial.rules[data["condition"]], data["metric"]
    unit = rule.unit("" if metric == rule.metric else metric.removeprefix(f"{rule.family.name}."))
    return amount(data["value"], unit), amount(data["threshold"], unit), data["summary"]


def _name(event: Event) -> str:
    """Return the condition of a transition: `rule` or `rule@instance`; a recording may hold any text."""
    rule, instance = event.data["condition"], event.data["instance"]
    shown = instance if instance.isprintable() else repr(instance)
    return f"{rule}@{shown}" if instance else str(rule)


def _local(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _shares(trial: Trial) -> str:
    lasted = [f"{name} {span(trial.lasted[name])}" for name in _SEVERITIES if name in trial.lasted]
    return ", ".join(lasted) or "nothing was observed"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
