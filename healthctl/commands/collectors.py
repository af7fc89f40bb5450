"""`healthctl collectors`."""

import json
from time import time
from typing import Any

import click

from healthctl import terminal
from healthctl.client import Client
from healthctl.options import Settings, shared
from healthctl.render.availability import availability
from healthctl.render.style import Style
from healthctl.render.table import table

_HEAD = ("FAMILY", "STATE", "EVERY", "LAST RUN", "TOOK", "FAILURES", "INSTANCES", "REASON")


@click.command("collectors", short_help="How the observing goes.")
@shared
@click.pass_context
def command(context: click.Context) -> None:
    """List the collectors: what each observes, how often, what it costs, and what is unavailable why."""
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        collectors = dict(sorted(client.collectors().items()))
    if settings.json:
        terminal.write([json.dumps(collectors)])
    else:
        terminal.write(draw(collectors, time(), terminal.width(bounded=False), terminal.style(settings.color)))


def draw(collectors: dict[str, dict[str, Any]], now: float, width: int, style: Style) -> list[str]:
    """Draw a table of collectors as they are at `now`, seconds since 1970."""
    rows = []
    for family, row in collectors.items():
        state, reason = availability(row, style)
        rows.append(
            [
                (style.clean(family), "bold"),
                state,
                (_natural(row.get("every_usec")), ""),
                (_ago(row.get("sampled_at_usec"), now), ""),
                (_milliseconds(row.get("duration_usec")), ""),
                (str(row.get("failures", "?")), "" if not row.get("failures") else "warning"),
                (str(row.get("instances", "?")), ""),
                reason,
            ]
        )
    return table(_HEAD, rows, width, style)


def _natural(usec: int | None) -> str:
    if usec is None:
        return "?"
    # Only here: it takes longer to import than `status` to run.
    from humanize import naturaldelta  # noqa: PLC0415

    return str(naturaldelta(usec / 1e6, minimum_unit="milliseconds"))


def _ago(usec: int | None, now: float) -> str:
    if not usec:
        return "never"
    seconds = int(now - usec / 1e6)
    return f"{_natural(seconds * 1_000_000)} ago" if seconds > 0 else "just now"


def _milliseconds(usec: int | None) -> str:
    return "?" if usec is None else f"{usec / 1000:.2f} ms"
