"""`healthctl check`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from healthctl import candidates, terminal
from healthctl.client import Client
from healthctl.errors import HealthctlError, UnknownCondition
from healthctl.naming import is_of, unknown
from healthctl.options import Settings, shared
from healthctl.render import condition
from healthctl.render.described import number, text
from healthctl.render.style import Style
from healthd import protocol

Conditions = Mapping[str, dict[str, Any]]

_CODES = {
    protocol.OK: protocol.EXIT_OK,
    protocol.WARNING: protocol.EXIT_WARNING,
    protocol.CRITICAL: protocol.EXIT_CRITICAL,
    protocol.UNKNOWN: protocol.EXIT_UNKNOWN,
}
# Units of performance data (Monitoring Plugins Development Guidelines); what has none of these is a plain number.
_UNITS = {"percent": "%", "bytes": "B", "seconds": "s", "usec": "us"}

_EXAMPLES = """\b
Examples:
  healthctl check
  healthctl check --only filesystem_space --only memory_available
  healthctl check --only filesystem_space@/home

Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, also where healthd can't be reached.
"""


class Plugin(click.Command):
    """A command whose faults are answers too: who runs it reads standard output and the exit code alone."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise _unknown(error.format_message()) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except HealthctlError as error:
            raise _unknown(str(error)) from error


def _unknown(reason: str) -> click.exceptions.Exit:
    terminal.write([f"HEALTH UNKNOWN - {_plain(terminal.style('never').clean(reason))}"])
    return click.exceptions.Exit(protocol.EXIT_UNKNOWN)


@click.command("check", cls=Plugin, short_help="The verdict as a monitoring plug-in.", epilog=_EXAMPLES)
@click.option(
    "--only",
    multiple=True,
    metavar="RULE",
    shell_complete=candidates.conditions,
    help="Only conditions of this rule; may be repeated.",
)
@shared
@click.pass_context
def command(context: click.Context, only: tuple[str, ...]) -> None:
    """Write the verdict in one line, with performance data, and exit by it: for Nagios, Icinga, Zabbix or cron.

    With --only, the verdict is that of these conditions alone. What was acknowledged, what is caused by another
    condition and what is but a notice does not count. Of several hosts, the verdict is the worst; a line for each
    follows, and no performance data. One that can't be reached is unknown.
    """
    settings = context.ensure_object(Settings)
    if len(settings.hosts) > 1:
        context.exit(_several(settings, only))
    with Client(settings.bus) as client:
        conditions = chosen(client.conditions(), only)
    severity, counting = _verdict(conditions)
    if settings.json:
        terminal.write([json.dumps({"severity": severity, "reasons": counting, "conditions": conditions}, default=str)])
    else:
        terminal.write([draw(severity, counting, conditions, terminal.style("never"))])
    context.exit(_CODES.get(severity, protocol.EXIT_UNKNOWN))


def _verdict(conditions: Conditions) -> tuple[str, list[str]]:
    """Return the severity of conditions, and those that make it so, the worst first."""
    counting = [name for name, row in condition.ordered(conditions) if condition.counts(row)]
    if counting:
        return text(conditions[counting[0]], "severity") or protocol.UNKNOWN, counting
    return protocol.OK if conditions else protocol.UNKNOWN, []


def _several(settings: Settings, only: tuple[str, ...]) -> int:
    """Write the verdict on several machines, and return the exit code."""
    # Only here: it takes a while, and most are content with one.
    from healthctl import hosts  # noqa: PLC0415

    verdicts: dict[str, dict[str, Any]] = {}
    for host, verdict, problem in hosts.ask(settings.buses, lambda client: _judged(client, only)):
        verdicts[host] = {"severity": protocol.UNKNOWN, "unreachable": problem} if problem else verdict
    verdicts = dict(sorted(verdicts.items(), key=lambda each: condition.place(each[1]["severity"])))
    worst = str(next(iter(verdicts.values()))["severity"])
    if settings.json:
        terminal.write([json.dumps({"severity": worst, "hosts": verdicts}, default=str)])
    else:
        terminal.write(draw_hosts(worst, verdicts, terminal.style("never")))
    return _CODES.get(worst, protocol.EXIT_UNKNOWN)


def _judged(client: Client, only: tuple[str, ...]) -> dict[str, Any]:
    """Return the verdict on one of several machines."""
    try:
        found = chosen(client.conditions(), only)
    except UnknownCondition as error:
        return {"severity": protocol.UNKNOWN, "problem": str(error)}
    severity, counting = _verdict(found)
    return {"severity": severity, "reasons": counting, "conditions": found}


def draw_hosts(severity: str, verdicts: Mapping[str, Mapping[str, Any]], style: Style) -> list[str]:
    """Write the worst verdict with the hosts of each, and below it a line for every host."""
    of: dict[str, list[str]] = {}
    for host, verdict in verdicts.items():
        of.setdefault(str(verdict["severity"]), []).append(host)
    every = "; ".join(f"{each}: {', '.join(names)}" for each, names in of.items())
    lines = [f"HEALTH {severity.upper()} - {every}"]
    for host, verdict in verdicts.items():
        problem = verdict.get("unreachable") or verdict.get("problem")
        words = problem or _reasons(verdict["reasons"], verdict["conditions"], style)
        lines.append(f"{host}: {str(verdict['severity']).upper()} - {words}")
    return [_plain(style.clean(line)) for line in lines]


def chosen(conditions: Conditions, only: Iterable[str]) -> Conditions:
    """Return the conditions of these rules, or all.

    Raises UnknownCondition for a rule that has none.
    """
    wanted = list(only)
    for name in wanted:
        if not any(is_of(each, name) for each in conditions):
            raise unknown(name, conditions)
    return {each: row for each, row in conditions.items() if not wanted or any(is_of(each, name) for name in wanted)}


def draw(severity: str, counting: Iterable[str], conditions: Conditions, style: Style) -> str:
    """Write the line: the verdict, its reasons, and the values of all conditions."""
    reasons = _reasons(counting, conditions, style)
    values = " ".join(
        _performance(name, row) for name, row in conditions.items() if number(row, "own_value") is not None
    )
    line = f"HEALTH {severity.upper()} - {_plain(style.clean(reasons))}"
    return f"{line} | {_plain(style.clean(values))}" if values else line


def _reasons(counting: Iterable[str], conditions: Conditions, style: Style) -> str:
    reasons = "; ".join(_reason(name, conditions[name], style) for name in counting)
    return reasons or f"conditions judged: {len(conditions)}{_ignored(conditions)}"


def _reason(name: str, row: dict[str, Any], style: Style) -> str:
    words = f"{name} is {row.get('severity')}"
    if row.get("severity") == protocol.UNKNOWN:
        return words
    words += f": {str(row.get('summary') or '').rstrip('.')}"
    measured = [condition.value(row, style)] if row.get("value") is not None else []
    measured += [f"threshold {condition.threshold(row, style)}"] if row.get("threshold") is not None else []
    return f"{words} ({', '.join(measured)})" if measured else words


def _ignored(conditions: Conditions) -> str:
    others = [name for name, row in conditions.items() if row.get("severity") != protocol.OK]
    return f", of which do not count: {', '.join(others)}" if others else ""


def _performance(name: str, row: dict[str, Any]) -> str:
    """Write `'name'=value[unit];warning;critical` of what the rule looks at: always the same, whatever decided."""
    label = name.replace("'", "''").replace("=", "_")
    bounds = row.get("bounds")
    known = bounds if isinstance(bounds, dict) else {}
    limits = ";".join(_range(known.get(severity)) for severity in (protocol.WARNING, protocol.CRITICAL))
    return f"'{label}'={_number(row['own_value'])}{_UNITS.get(str(row.get('own_unit')), '')};{limits}"


def _range(bound: Any) -> str:
    """Write from where on it is a problem as such a range: `90` for what is above, `90:` for what is below."""
    if bound is None:
        return ""
    sign, threshold = bound
    return f"{_number(threshold)}:" if sign.startswith("<") else _number(threshold)


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _plain(text: str) -> str:
    """Return text without the character that ends it before performance data."""
    return text.replace("|", "/")
