"""`healthctl conditions`."""

import json
from typing import Any

import click

from healthctl import terminal
from healthctl.client import Client
from healthctl.options import Settings, shared
from healthctl.pager import page
from healthctl.render import condition
from healthctl.render.line import Span
from healthctl.render.style import Style
from healthctl.render.table import table
from healthctl.render.units import age
from healthd import protocol

_HEAD = ("CONDITION", "SEVERITY", "SINCE", "VALUE", "THRESHOLD")


_EXAMPLES = """\b
Examples:
  healthctl conditions
  healthctl conditions --all      how far each is from being wrong
  healthctl conditions --json
"""


@click.command("conditions", short_help="What is judged, and how it is.", epilog=_EXAMPLES)
@click.option("--all", "every", is_flag=True, help="Also those that are ok, and how far each is from its threshold.")
@shared
@click.pass_context
def command(context: click.Context, *, every: bool) -> None:
    """List the conditions that are not ok, the worst first: since when, and what was measured.

    One that was acknowledged, or is caused by another one, does not count for the host, and says so.
    """
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        known = client.conditions()
        now = client.now()
    ordered = condition.ordered(known)
    conditions = {name: row for name, row in ordered if every or row.get("severity") != protocol.OK}
    if settings.json:
        terminal.write([json.dumps(conditions)])
    elif conditions:
        style = terminal.style(settings.color)
        page(draw(conditions, now, terminal.width(bounded=False), style, headroom=every), settings)
    else:
        click.echo("Nothing is wrong; what is judged: healthctl conditions --all", err=True)


def draw(conditions: dict[str, dict[str, Any]], now: float, width: int, style: Style, *, headroom: bool) -> list[str]:
    """Draw a table of conditions as they are at `now`, seconds since 1970."""
    rows = []
    for name, row in conditions.items():
        begun = condition.since(row)
        role = "" if condition.counts(row) else "dim"
        cells = [
            (style.clean(name), "bold" if condition.counts(row) else ""),
            _severity(row, style),
            (f"{age(now - begun)} ago" if begun is not None else condition.NOTHING, ""),
            (condition.value(row, style), ""),
            (condition.threshold(row, style), ""),
        ]
        if headroom:
            is_ok = row.get("severity") == protocol.OK
            cells.append((condition.headroom(row, style) if is_ok else condition.NOTHING, ""))
        rows.append([*cells, (style.clean(condition.summary(row)), role)])
    return table((*_HEAD, *(["HEADROOM"] if headroom else []), "MEANING"), rows, width, style)


def _severity(row: dict[str, Any], style: Style) -> Span:
    severity = str(row.get("severity") or protocol.UNKNOWN)
    if condition.pending(row):
        return style.clean(f"{severity}, {row.get('next')} pending"), protocol.NOTICE
    return style.clean(severity), severity if condition.counts(row) or severity == protocol.OK else "dim"
