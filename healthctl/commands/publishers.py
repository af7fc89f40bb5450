"""`healthctl publishers`."""

import json
from typing import Any

import click

from healthctl import terminal
from healthctl.client import Client
from healthctl.options import Settings, shared
from healthctl.render.availability import availability
from healthctl.render.style import Style
from healthctl.render.table import table

_HEAD = ("PUBLISHER", "STATE", "LOST", "REASON")


_EXAMPLES = """\b
Examples:
  healthctl publishers
  healthctl publishers --json
"""


@click.command("publishers", short_help="How what is known gets outside.", epilog=_EXAMPLES)
@shared
@click.pass_context
def command(context: click.Context) -> None:
    """List the ways outside: bus, recorder, journal, console; what each lost since start, and what hinders it now."""
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        publishers = dict(sorted(client.publishers().items()))
    if settings.json:
        terminal.write([json.dumps(publishers)])
    else:
        terminal.write(draw(publishers, terminal.width(bounded=False), terminal.style(settings.color)))


def draw(publishers: dict[str, dict[str, Any]], width: int, style: Style) -> list[str]:
    """Draw a table of publishers."""
    rows = []
    for name, row in publishers.items():
        state, reason = availability(row, style)
        lost = (str(row.get("lost", "?")), "warning" if row.get("lost") else "")
        rows.append([(style.clean(name), "bold"), state, lost, reason])
    return table(_HEAD, rows, width, style)
