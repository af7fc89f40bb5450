"""`healthctl get`."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import click

from healthctl import candidates, values
from healthctl.errors import UnknownMetric, UsageError
from healthctl.options import Settings, interval, shared

_EXAMPLES = """\b
Examples:
  healthctl get memory.percent                   one number, as scripts like it
  healthctl get -q load.load1 cpu.busy           nothing but the numbers
  healthctl get filesystem.percent               of every file system
  healthctl get -f -n 0.25 network.rx_bytes_per_second@eth0
"""


@click.command("get", short_help="The present values of some metrics.", epilog=_EXAMPLES)
@click.argument("metrics", metavar="METRIC...", nargs=-1, required=True, shell_complete=candidates.metrics)
@click.option("-q", "--quiet", is_flag=True, help="The values alone, each in a line; 69 where one is unknown.")
@click.option("-f", "--follow", is_flag=True, help="Go on with each new sample; Ctrl-C ends it.")
@interval("With --follow: how often.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="With --follow: end after so many samples.")
@shared
@click.pass_context
def command(
    context: click.Context, metrics: tuple[str, ...], *, quiet: bool, follow: bool, seconds: float | None,
    count: int | None,
) -> None:  # fmt: skip
    """Write the present values of metrics, in the unit that `healthctl metrics` tells.

    METRIC is an address: memory.available_bytes, filesystem.percent@/home, or filesystem.percent for all of them.
    One value is written alone, several as ADDRESS=VALUE. With --follow they are as observed, and METRIC may be yet to
    come; with --json a sample is a line.
    """
    settings = context.ensure_object(Settings)
    if quiet and settings.json:
        raise UsageError("--quiet and --json exclude each other")
    if follow:
        _follow(settings, metrics, seconds, count, bare=quiet)
        return
    if seconds or count:
        raise UsageError("--interval and --count go with --follow")
    values.get(settings, metrics, bare=quiet)


def _follow(
    settings: Settings, metrics: tuple[str, ...], seconds: float | None, count: int | None, *, bare: bool
) -> None:
    # Only here: who asks once does not wait for them.
    from healthctl.address import explained  # noqa: PLC0415
    from healthctl.client import Sample  # noqa: PLC0415
    from healthctl.live import Watch, follow  # noqa: PLC0415

    def show(sample: Sample) -> None:
        values.write(settings, _with_absent(sample.values, metrics), metrics, bare=bare)

    with closing(Watch(settings.bus, metrics, seconds)) as watch:
        try:
            follow(watch, show, count)
        except UnknownMetric as error:
            raise explained(error, metrics, watch.known()) from error


def _with_absent(known: Mapping[str, Any], asked: Sequence[str]) -> dict[str, Any]:
    """Return values with what was asked for, and is not there, as unknown."""
    names = {address.partition("@")[0] for address in known}
    return {**known, **{address: None for address in asked if address not in known and address not in names}}
