"""`healthctl status`."""

import json
from typing import Any

import click

from healthctl import terminal
from healthctl.client import Client
from healthctl.options import Settings, shared
from healthctl.render.status import status
from healthd import protocol

_CODES = {
    protocol.OK: protocol.EXIT_OK,
    protocol.NOTICE: protocol.EXIT_OK,
    protocol.WARNING: protocol.EXIT_WARNING,
    protocol.CRITICAL: protocol.EXIT_CRITICAL,
}


@click.command(
    "status",
    short_help="How the machine is.",
    epilog="Exit codes: 0 ok or notice, 1 warning, 2 critical, 3 unknown.",
)
@shared
@click.pass_context
def command(context: click.Context) -> None:
    """Show how the machine is: the verdict, and what it rests on."""
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        described = client.describe()
    if settings.json:
        terminal.write([json.dumps(described)])
    else:
        terminal.write(status(described, terminal.width(), terminal.style(settings.color)))
    context.exit(exit_code(described))


def exit_code(described: dict[str, Any]) -> int:
    """Return the exit code that tells the severity; one that nobody knows is unknown."""
    health = described.get("health")
    severity = health.get("severity") if isinstance(health, dict) else None
    return _CODES.get(str(severity), protocol.EXIT_UNKNOWN)
