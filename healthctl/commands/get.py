"""`healthctl get`."""

import json
from typing import Any

import click

from healthctl import terminal
from healthctl.client import Client
from healthctl.errors import Unavailable, UnknownMetric
from healthctl.options import Settings, shared
from healthctl.render.style import Style


@click.command("get", short_help="The present values of some metrics.")
@click.argument("metrics", metavar="METRIC...", nargs=-1, required=True)
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
            raise _explained(error, metrics, client.metrics()) from error
        if not values:
            raise _absent(metrics, client.collectors())
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


def _absent(asked: tuple[str, ...], collectors: dict[str, dict[str, Any]]) -> Unavailable:
    """Tell why there is nothing to write: the families have no instances."""
    families = dict.fromkeys(address.partition(".")[0] for address in asked)
    reasons = [f"there is no {name} now: {collectors[name].get('reason') or 'none was found'}" for name in families]
    return Unavailable("; ".join(reasons))


def _explained(error: UnknownMetric, asked: tuple[str, ...], known: dict[str, dict[str, Any]]) -> UnknownMetric:
    """Tell which of them it is, and what may have been meant."""
    for address in asked:
        name, _, instance = address.partition("@")
        instances = known[name].get("instances") or [] if name in known else []
        if name in known and (not instance or instance in instances):
            continue
        meant = similar(address, [f"{name}@{other}" for other in instances] if instances else list(known))
        hint = f"did you mean {' or '.join(meant)}?" if meant else "see: healthctl metrics"
        return UnknownMetric(f"there is no metric '{address}'; {hint}")
    return error


def similar(address: str, names: list[str]) -> list[str]:
    """Return up to three names that someone who wrote `address` may have meant, the likeliest first."""
    # Only here: nobody waits for it who spells well.
    from difflib import get_close_matches  # noqa: PLC0415

    close = get_close_matches(address, names, cutoff=0.7)
    return close or [name for name in names if address and address in name][:3]
