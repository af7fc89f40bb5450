"""`healthctl check`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from healthctl import candidates, terminal
from healthctl.client import Client
from healthctl.errors import HealthctlError
from healthctl.naming import is_of, unknown
from healthctl.options import Settings, shared
from healthctl.render import condition
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
    condition and what is but a notice does not count.
    """
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        conditions = chosen(client.conditions(), only)
    counting = sorted((name for name in conditions if condition.counts(conditions[name])), key=_order(conditions))
    severity = str(conditions[counting[0]]["severity"]) if counting else protocol.OK
    if not conditions:
        severity = protocol.UNKNOWN
    if settings.json:
        terminal.write([json.dumps({"severity": severity, "reasons": counting, "conditions": conditions})])
    else:
        terminal.write([draw(severity, counting, conditions, terminal.style("never"))])
    context.exit(_CODES.get(severity, protocol.EXIT_UNKNOWN))


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
    reasons = "; ".join(_reason(name, conditions[name], style) for name in counting)
    if not reasons:
        reasons = f"conditions judged: {len(conditions)}{_ignored(conditions)}"
    values = " ".join(_performance(name, row) for name, row in conditions.items() if row.get("value") is not None)
    line = f"HEALTH {severity.upper()} - {_plain(style.clean(reasons))}"
    return f"{line} | {_plain(style.clean(values))}" if values else line


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


def _order(conditions: Conditions) -> Any:
    return lambda name: (condition.rank(conditions[name]), name)


def _performance(name: str, row: dict[str, Any]) -> str:
    """Write `'name'=value[unit];warning;critical`, of which the thresholds are those that are known."""
    label = name.replace("'", "''").replace("=", "_")
    limit = _number(row["threshold"]) if row.get("threshold") is not None else ""
    limits = {protocol.WARNING: f";{limit};", protocol.CRITICAL: f";;{limit}"}.get(str(row.get("next")), ";;")
    return f"'{label}'={_number(row['value'])}{_UNITS.get(str(row.get('unit')), '')}{limits}"


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _plain(text: str) -> str:
    """Return text without the character that ends it before performance data."""
    return text.replace("|", "/")
