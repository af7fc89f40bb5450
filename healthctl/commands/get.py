"""`healthctl get`."""

import json
from typing import Any

import click

from healthctl import candidates, terminal
from healthctl.address import absent, explained
from healthctl.client import Client
from healthctl.errors import UnknownMetric
from healthctl.options import Settings, shared
from healthctl.render.style import Style


@click.command("get", short_help="The present values of some metrics.")
@click.argument("metrics", metavar="METRIC...", nargs=-1, required=True, shell_complete=candidates.metrics)
@shared
@click.pass_context
def command(context: click.Context, metrics: tuple[str, ...]) -> None:
    """Write the present values of metrics, in the unit that `healthctl metrics` tells.

    METRIC is an address: memory.available_bytes, filesystem.percent@/home, or filesystem.percent for all of them.
    One value is written alone, several as ADDRESS=VALUE.
    """
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        try:
            values = client.read(metrics)
        except UnknownMetric as error:
            raise explained(error, metrics, client.metrics()) from error
        if not values:
            raise absent(metrics, client.collectors())
    if settings.json:
        terminal.write([json.dumps(values)])
    else:
        terminal.write(draw(values, metrics, terminal.style(settings.color)))


def draw(values: dict[str, Any], asked: tuple[str, ...], style: Style) -> list[str]:
    """Draw the value alone where one address was asked for, else `ADDRESS=VALUE` of each."""
    if tuple(values) == asked[:1] and len(asked) == 1:
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
