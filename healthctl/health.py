"""How the machine is: what `status` asks and writes."""

import json
from typing import Any

from healthctl import terminal
from healthctl.client import TIMEOUT, Client
from healthctl.settings import Settings
from healthd import protocol

_CODES = {
    protocol.OK: protocol.EXIT_OK,
    protocol.NOTICE: protocol.EXIT_OK,
    protocol.WARNING: protocol.EXIT_WARNING,
    protocol.CRITICAL: protocol.EXIT_CRITICAL,
}
_GLANCE = 1.0
"""The longest that a prompt or a panel waits, seconds."""


def show(settings: Settings) -> int:
    """Write the whole screen, and return the exit code."""
    with Client(settings.bus) as client:
        described = client.describe()
    if settings.json:
        terminal.write([json.dumps(described)])
    else:
        # Only here: what a prompt or a script asks for does without.
        from healthctl.render.status import status  # noqa: PLC0415

        terminal.write(status(described, terminal.width(), terminal.style(settings.color)))
    return exit_code(described)


def glance(settings: Settings) -> int:
    """Write the verdict in a line, and return the exit code; healthd is not started for that, nor waited for."""
    from healthctl.render.brief import brief, panel  # noqa: PLC0415  # as above, the other way round

    patience = TIMEOUT if settings.hosts else _GLANCE
    with Client(settings.bus, patience=patience, start=False) as client:
        described = client.describe()
    style = terminal.style(settings.color)
    terminal.write([json.dumps(panel(described, style)) if settings.json else brief(described, style)])
    return exit_code(described)


def exit_code(described: dict[str, Any]) -> int:
    """Return the exit code that tells the severity; one that nobody knows is unknown."""
    health = described.get("health")
    severity = health.get("severity") if isinstance(health, dict) else None
    return _CODES.get(str(severity), protocol.EXIT_UNKNOWN)
