"""`healthctl metrics`."""

import json
from fnmatch import fnmatchcase
from typing import Any

import click

from healthctl import terminal
from healthctl.client import Client
from healthctl.options import Settings, shared
from healthctl.render.style import Style
from healthctl.render.table import table


@click.command("metrics", short_help="What can be asked for.")
@click.argument("pattern", default="*")
@shared
@click.pass_context
def command(context: click.Context, pattern: str) -> None:
    """List the metrics of this machine, or those that match PATTERN.

    PATTERN is part of a name (swap) or stands for whole names (memory.*_bytes).
    """
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        known = client.metrics()
    metrics = {name: row for name, row in sorted(known.items()) if _matches(name, pattern)}
    if settings.json:
        terminal.write([json.dumps(metrics)])
    elif metrics:
        terminal.write(draw(metrics, terminal.width(bounded=False), terminal.style(settings.color)))
    else:
        click.echo(f"No metric matches '{pattern}'.", err=True)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) if any(char in pattern for char in "*?[") else pattern in name


def draw(metrics: dict[str, dict[str, Any]], width: int, style: Style) -> list[str]:
    """Draw a table of metrics."""
    rows = [
        [
            (style.clean(name), ""),
            (style.clean(str(row.get("kind") or "")), "dim"),
            (style.clean(str(row.get("unit") or "")), "dim"),
            (style.clean(str(row.get("summary") or "")), ""),
        ]
        for name, row in metrics.items()
    ]
    return table(("METRIC", "KIND", "UNIT", "SUMMARY"), rows, width, style)
