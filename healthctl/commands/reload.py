"""`healthctl reload`."""

import json

import click

from healthctl import terminal
from healthctl.client import Client
from healthctl.options import Settings, shared

_EXAMPLES = """\b
Examples:
  healthctl reload

Exit codes: 0 done, 69 healthd can't be reached, 77 this user may not,
78 the configuration has faults: all of them are said, and the one before stays.
"""


@click.command("reload", short_help="Have healthd read its configuration again.", epilog=_EXAMPLES)
@shared
@click.pass_context
def command(context: click.Context) -> None:
    """Have healthd read its configuration again, without losing history or conditions.

    record.directory, history and collectors.plugins are read at a start alone. `systemctl reload healthd` does the
    same. Only root may, and whom polkit allows it.
    """
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        client.reload()
    terminal.write([json.dumps({"reloaded": True}) if settings.json else "healthd has read its configuration."])
