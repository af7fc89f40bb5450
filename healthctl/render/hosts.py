"""Several machines in one table: how each is, the worst first."""

from collections.abc import Mapping
from typing import Any

from healthctl.render.condition import place
from healthctl.render.described import Described
from healthctl.render.line import Span
from healthctl.render.style import Style
from healthctl.render.table import table
from healthctl.render.units import age
from healthd import protocol

UNREACHABLE = "unreachable"
"""Where another machine has its severity; the reason, where it has its readings."""


def severity(described: Mapping[str, Any]) -> str:
    """Return how a host is, of which `Describe` gave this, or which is unreachable."""
    if UNREACHABLE in described:
        return UNREACHABLE
    health = described.get("health")
    return str(health.get("severity") or protocol.UNKNOWN) if isinstance(health, dict) else protocol.UNKNOWN


def worst_first(hosts: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the hosts in the order in which somebody would look at them."""
    return dict(sorted(hosts.items(), key=lambda host: _rank(severity(host[1]))))


def _rank(found: str) -> tuple[int, bool]:
    """Return where a host belongs: one that is unreachable before those that are unknown otherwise."""
    return place(protocol.UNKNOWN if found == UNREACHABLE else found), found != UNREACHABLE


def draw(hosts: Mapping[str, dict[str, Any]], width: int, style: Style) -> list[str]:
    """Draw a line for each host."""
    rows = [[(style.clean(name), "bold"), *_row(described, style)] for name, described in hosts.items()]
    return table(("HOST", "HEALTH", "FOR", "REASONS"), rows, width, style)


def _row(content: dict[str, Any], style: Style) -> list[Span]:
    if UNREACHABLE in content:
        return [(UNREACHABLE, protocol.UNKNOWN), ("", ""), (style.clean(str(content[UNREACHABLE])), "")]
    described = Described(content, style)
    now, since = described.time, described.since
    lasts = "" if now is None or since is None else age(now - since)
    return [(described.severity, described.severity), (lasts, ""), (", ".join(described.reasons), "")]
