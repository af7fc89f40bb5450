"""The present values of metrics: what `get` asks and writes."""

from collections.abc import Sequence
from typing import Any

from healthctl import terminal
from healthctl.client import Client
from healthctl.errors import Absent, Unavailable, UnknownMetric
from healthctl.render.style import Style
from healthctl.settings import Settings


def get(settings: Settings, metrics: Sequence[str], *, bare: bool) -> None:
    """Write the values of metrics; `bare`: nothing else.

    Raises UnknownMetric; Absent; and Unavailable where there are none, or a bare one is unknown.
    """
    with Client(settings.bus) as client:
        try:
            values = client.read(metrics)
        except (Absent, UnknownMetric) as error:
            # Only here: who spells well does without.
            from healthctl.address import explained  # noqa: PLC0415

            raise explained(error, metrics, client.metrics()) from error
        if not values:
            from healthctl.address import absent  # noqa: PLC0415  # as above

            raise absent(metrics, client.collectors())
    write(settings, values, metrics, bare=bare)
    if unknown := [address for address, value in values.items() if bare and value is None]:
        raise Unavailable(f"unknown now: {', '.join(unknown)}")


def write(settings: Settings, values: dict[str, Any], asked: Sequence[str], *, bare: bool) -> None:
    """Write values by address, as JSON where that was asked for."""
    if settings.json:
        # Only here: most scripts want a line.
        import json  # noqa: PLC0415

        terminal.write([json.dumps(values)])
    else:
        terminal.write(draw(values, asked, terminal.style(settings.color), bare=bare))


def draw(values: dict[str, Any], asked: Sequence[str], style: Style, *, bare: bool = False) -> list[str]:
    """Draw the value alone where one address was asked for, else `ADDRESS=VALUE` of each.

    `bare`: each alone in its line, which is empty where the value is unknown.
    """
    if bare:
        return ["" if value is None else style.clean(_plain(value)) for value in values.values()]
    if len(asked) == 1 and list(values) == list(asked):
        return [style.clean(_plain(values[asked[0]]))]
    return [style.clean(f"{address}={_plain(value)}") for address, value in values.items()]


def _plain(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(_plain, value))
    return str(value)
