"""`healthctl why`."""

import json
from collections.abc import Container, Iterable, Iterator
from typing import Any

import click

from healthctl import candidates, terminal
from healthctl.client import Client
from healthctl.errors import Unavailable, UnknownCondition, UnknownMetric
from healthctl.naming import meant, unknown
from healthctl.options import Settings, shared
from healthctl.pager import page
from healthctl.render import condition
from healthctl.render.described import seconds
from healthctl.render.why import Explained, why
from healthctl.series import Series, as_data
from healthd import protocol

_AROUND = 300.0
"""How far from a change something else may lie to be told with it, seconds."""
_POINTS = 120
_EVENTS = 8
_REASONS = 3
_NAMES = (protocol.HEALTH_TRANSITION, "collector.*", "instance.*", "runtime.*")

_EXAMPLES = """\b
Examples:
  healthctl why                          what makes the machine what it is, the worst first
  healthctl why memory_available         one condition, whether it is there or not
  healthctl why filesystem_space@/home   that of one instance; without it, of all that are not ok
"""


@click.command("why", short_help="Why the machine is as it is.", epilog=_EXAMPLES)
@click.argument("name", metavar="[CONDITION]", default="", shell_complete=candidates.conditions)
@shared
@click.pass_context
def command(context: click.Context, name: str) -> None:
    """Explain a condition: its rule in words, the evidence, what else happened at that time, and what to do.

    Without CONDITION, the worst reasons of the verdict. The history is that of the last hour, or as far back as the
    condition goes, a day at most. With --json, one object by the names of the conditions.
    """
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        names, rest = _asked(client, name) if name else _reasons(client)
        found = list(_explained(client, names))
    if settings.json:
        terminal.write([json.dumps({each.name: _data(each) for each in found})])
        return
    style, width = terminal.style(settings.color), terminal.width()
    lines: list[str] = []
    for each in found:
        lines += ["", "", *why(each, width, style)] if lines else why(each, width, style)
    page([*lines, *([""] if lines and rest else []), *(style.clean(line) for line in rest)], settings)


def _asked(client: Client, name: str) -> tuple[list[str], list[str]]:
    """Return the conditions that are meant, and nothing to say besides.

    Raises UnknownCondition.
    """
    known = client.conditions()
    names = meant(name, known)
    present = [each for each in names if known[each].get("severity") != protocol.OK]
    return present or names, []


def _reasons(client: Client) -> tuple[list[str], list[str]]:
    """Return the worst reasons of the verdict, and what is to be said of the others."""
    health = client.describe().get("health")
    health = health if isinstance(health, dict) else {}
    conditions, reasons = health.get("conditions"), health.get("reasons")
    if not isinstance(conditions, dict) or not isinstance(reasons, list):
        raise Unavailable("this healthd has no conditions; update it")
    worst = [name for name in reasons if conditions.get(name, {}).get("severity") == health.get("severity")]
    shown = worst[:_REASONS]
    others = [name for name in reasons if name not in shown]
    if others:
        return shown, [f"Besides: {', '.join(others)}; see: healthctl why CONDITION"]
    return shown, [] if shown else [_calm(health, len(conditions))]


def _calm(health: dict[str, Any], ignored: int) -> str:
    """Say that there is no reason."""
    if health.get("severity") not in (protocol.OK, protocol.NOTICE):
        return "Nothing was judged yet."
    count = "one condition does" if ignored == 1 else f"{ignored} conditions do"
    return f"Nothing is wrong; {count} not count, see: healthctl conditions" if ignored else "Nothing is wrong."


def _explained(client: Client, names: Iterable[str]) -> Iterator[Explained]:
    """Ask for what is known of conditions and around them.

    Raises UnknownCondition for one that has gone meanwhile.
    """
    now, metrics = client.now(), client.metrics()
    for name in names:
        try:
            told = client.explain(name)
        except UnknownCondition as error:
            raise unknown(name, client.conditions()) from error
        since = condition.told_from(told, now)
        series = [_series(client, address, metrics, since) for address in condition.addresses(told)]
        yield Explained(name, told, now, series, _around(client, told, now))


def _series(client: Client, address: str, metrics: dict[str, dict[str, Any]], since: float) -> Series:
    row = metrics.get(address.partition("@")[0], {})
    try:
        points = client.history(address, since, None, _POINTS)
    except (UnknownMetric, Unavailable):
        # It is no number that goes up and down, or nothing is known of it: then there is no history to show.
        points = []
    return Series(address, str(row.get("unit") or ""), str(row.get("summary") or ""), points)


def _around(client: Client, told: dict[str, Any], now: float) -> list[str]:
    """Return what else happened when a condition became what it is: what lies nearest, oldest first."""
    begun = condition.since(told)
    if begun is None:
        return []
    until = begun + _AROUND
    lines = client.events(begun - _AROUND, None if until >= now else until, _NAMES, 1000)
    events = {line: _event(line) for line in lines}
    starts = {event.get("time") for event in events.values() if event.get("name") == protocol.RUNTIME_STARTED}
    apart = {
        line: abs(time - begun)
        for line, event in events.items()
        if (time := seconds(event.get("time"))) is not None and not _is_of(event, told) and not _found(event, starts)
    }
    near = sorted(apart, key=lambda line: apart[line])[:_EVENTS]
    return [line for line in lines if line in near]


def _is_of(event: dict[str, Any], told: dict[str, Any]) -> bool:
    """Tell whether an event is one of the condition itself."""
    data, rule = event.get("data"), told.get("rule")
    if not isinstance(data, dict) or not isinstance(rule, dict):
        return False
    return (data.get("condition"), data.get("instance")) == (rule.get("name"), told.get("instance"))


def _found(event: dict[str, Any], starts: Container[object]) -> bool:
    """Tell whether an event is of what healthd found when it started: that has not come then."""
    return event.get("time") in starts and str(event.get("name")).startswith(("collector.", "instance."))


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _data(explained: Explained) -> dict[str, Any]:
    """Return what is told as JSON has it: what healthd explains, with history and events beside it."""
    history = {series.address: as_data(series.points) for series in explained.series}
    return {**explained.told, "history": history, "events": [_event(line) for line in explained.events]}
