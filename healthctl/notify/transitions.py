"""What there is to tell of conditions, over the ends and beginnings of healthd."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from healthctl.client import Client
from healthctl.errors import Unavailable
from healthctl.following import Following
from healthctl.naming import is_of
from healthctl.place import place
from healthctl.when import iso
from healthd import protocol

SEVERITIES = (protocol.NOTICE, protocol.UNKNOWN, protocol.WARNING, protocol.CRITICAL)
"""What a condition can be while it is not ok, the worst last."""

_FACTS = ("rule", "instance", "summary", "remedy", "metric", "value", "threshold")


class Transition(NamedTuple):
    """What became of a condition."""

    condition: str
    """Its name: `rule` or `rule@instance`."""
    severity: str
    data: dict[str, Any]
    """All of it, as JSON has it: the keys are described where `healthctl notify` is."""

    @property
    def is_over(self) -> bool:
        """Whether the condition is there no more."""
        return self.severity == protocol.OK

    @property
    def words(self) -> str:
        """It in a few words."""
        if not self.is_over:
            return f"{self.condition} is {self.severity}"
        return f"{self.condition} is ok again" if self.data["judged"] else f"{self.condition} is not judged any more"


class Transitions(Following):
    """What is not ok, once, then each transition; of all conditions, or those named by themselves or their rules.

    Told is what becomes at least as bad as `least`, and whatever becomes of it until it is over.
    """

    def __init__(self, bus: str, least: str, names: Sequence[str]) -> None:
        super().__init__(bus)
        self._least = _rank(least)
        self._names = names
        self._host = place(bus).host or os.uname().nodename
        self._seq = -1
        """The sample that what was described is of."""
        self._told: dict[str, Transition] = {}
        """The last transition of each condition that was told and is not over."""

    def advance(self) -> Iterator[Transition]:
        """Yield what there is to tell since the last call.

        Raises Unavailable where there is no daemon now; the next attempt is a second later.
        """
        with self._attempt():
            try:
                yield from self._news()
            except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
                hint = "update it, or healthctl"
                raise Unavailable(f"what this healthd tells of conditions can't be read; {hint}") from error

    def _news(self) -> Iterator[Transition]:
        if not self._client and (client := self._connect()):
            # First, so that nothing is lost between the answer and the first signal.
            client.subscribe()
            yield from self._present(client)
        if self._client:
            for name, line in self._client.happened():
                if name == protocol.HEALTH_TRANSITION:
                    yield from self._happened(line)

    def _present(self, client: Client) -> Iterator[Transition]:
        """Yield how what is described differs from what was told."""
        described = client.describe()
        conditions, now, self._seq = described["health"]["conditions"], described["time"], int(described["seq"])
        self._answered()
        for name, before in list(self._told.items()):
            if name not in conditions:
                yield from self._take(name, protocol.OK, {**before.data, "time": now, "from": before.severity})
        for name, row in conditions.items():
            known = self._told.get(name)
            # Somebody knows of it already.
            if known is None and row["acknowledged_by"]:
                continue
            if known is None or known.severity != row["severity"]:
                since = iso(row["since_usec"] / 1e6)
                yield from self._take(
                    name, row["severity"], {**row, "time": since, "from": known.severity if known else None}
                )

    def _happened(self, line: str) -> Iterator[Transition]:
        """Yield the transition that a line of JSON tells, unless it was in what was described."""
        event = json.loads(line)
        data = event["data"]
        rule, instance = data["condition"], data["instance"]
        if event["seq"] > self._seq:
            name = f"{rule}@{instance}" if instance else rule
            yield from self._take(name, data["to"], {**data, "rule": rule, "time": event["time"]})

    def _take(self, name: str, severity: str, facts: Mapping[str, Any]) -> Iterator[Transition]:
        """Yield a transition if it is one to tell."""
        known = self._told.pop(name, None)
        if self._names and not any(is_of(name, each) for each in self._names):
            return
        if known is None and _rank(severity) < self._least:
            return
        worst = max([severity, *(each.severity for each in self._told.values())], key=_rank)
        data = {
            "time": facts["time"],
            "host": self._host,
            "condition": name,
            "from": facts["from"],
            "to": severity,
            "judged": facts.get("judged") is not False,
            **{key: facts[key] for key in _FACTS},
            "worst": worst,
        }
        told = Transition(name, severity, data)
        if not told.is_over:
            self._told[name] = told
        yield told


def _rank(severity: str) -> int:
    """Return how bad a severity is; one that nobody knows is unknown."""
    if severity == protocol.OK:
        return -1
    return SEVERITIES.index(severity if severity in SEVERITIES else protocol.UNKNOWN)
