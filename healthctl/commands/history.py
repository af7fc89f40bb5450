"""`healthctl history`."""

import json

import click

from healthctl import candidates, terminal
from healthctl.address import Metrics, absent, explained, resolve, unknown
from healthctl.client import Client
from healthctl.errors import Absent, Unavailable, UnknownMetric, UsageError
from healthctl.options import Settings, shared
from healthctl.pager import page
from healthctl.render import chart
from healthctl.render.axis import Window
from healthctl.series import Point, Series, as_data
from healthctl.when import Moment, iso, local, ordered, when

_POINTS = 1000
"""Of what is written as data; a chart has as many as it can show."""

_EXAMPLES = """\b
Examples:
  healthctl history cpu.busy                            the last hour
  healthctl history memory.percent --since -1d          the last day
  healthctl history filesystem.percent --since yesterday --until today
  healthctl history cpu.busy load.load1 --csv --points 60
  healthctl history cpu.busy --json --since 2026-11-22T03:00Z

Where there are no data of any of the metrics, it says so and exits with 69, as `get` does.
"""


@click.command("history", short_help="How metrics went.", epilog=_EXAMPLES)
@click.argument("metrics", metavar="METRIC...", nargs=-1, required=True, shell_complete=candidates.gauges)
@click.option("--since", type=when, default="-1h", metavar="TIME", help="When it begins.  [default: -1h]")
@click.option("--until", type=when, metavar="TIME", help="When it ends.  [default: now]")
@click.option(
    "--points",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help=f"At most so many points.  [default: what the chart can show, {_POINTS} with --csv and --json]",
)
@click.option("--csv", "comma", is_flag=True, help="Write CSV: time (UTC), metric, min, mean, max.")
@shared
@click.pass_context
def command(
    context: click.Context,
    metrics: tuple[str, ...],
    since: Moment,
    until: Moment | None,
    points: int | None,
    *,
    comma: bool,
) -> None:
    """Draw how metrics went: the mean of each moment, in the band from its least to its greatest value.

    METRIC is an address: cpu.busy, filesystem.percent@/home, or filesystem.percent for all of them. TIME is -2h,
    -1d12h, 03:00 (the latest), today, yesterday, '2026-11-22 03:00', 2026-11-22T03:00Z or @1700000000; without a
    zone it is local.
    """
    settings = context.ensure_object(Settings)
    ordered(since, until)
    if comma and settings.json:
        raise UsageError("--csv and --json exclude each other")
    width = terminal.width()
    with Client(settings.bus) as client:
        now = client.now()
        window = Window(since.at(now), now if until is None else until.at(now), now)
        known = client.metrics()
        meant = _meant(client, metrics, known)
        rows = [known[address.partition("@")[0]] for address in meant]
        units = [str(row.get("unit") or "") for row in rows]
        most = points or (_POINTS if comma or settings.json else chart.most(units, width))
        found = [
            Series(address, unit, str(row.get("summary") or ""), _points(client, address, window, most, known))
            for address, unit, row in zip(meant, units, rows, strict=True)
        ]
        if not any(series.points for series in found):
            raise _nothing(client, meant, window)
    if settings.json:
        terminal.write([_json(found, window)])
    elif comma:
        terminal.write(_csv(found))
    else:
        page(chart.charts(found, window, width, terminal.style(settings.color)), settings)


def _meant(client: Client, asked: tuple[str, ...], known: Metrics) -> list[str]:
    """Return the addresses that are meant; one with an instance may be of one that is gone.

    Raises UnknownMetric, and Unavailable where there are no instances.
    """
    for address in asked:
        if address.partition("@")[0] not in known:
            raise unknown(address, known)
    present = client.read([address for address in asked if "@" not in address])
    meant = resolve(asked, present)
    if not meant:
        raise absent(asked, client.collectors())
    return meant


def _points(client: Client, address: str, window: Window, most: int, known: Metrics) -> list[Point]:
    try:
        return client.history(address, window.since, None if window.until == window.now else window.until, most)
    except UnknownMetric as error:
        raise UnknownMetric(f"{address} has no history: it is no number that goes up and down") from error
    except Absent as error:
        raise explained(error, [address], known) from error


def _nothing(client: Client, addresses: list[str], window: Window) -> Unavailable:
    """Say that there is nothing to show, and of when there is something."""
    since, until = local(window.since), local(window.until)
    range_ = f"since {since}" if window.until == window.now else f"from {since} to {until}"
    known = client.history(addresses[0], 0, None, 0)
    hint = f"; there is from {local(known[0].time)} to {local(known[-1].time)}" if known else ""
    return Unavailable(f"there is no history of {', '.join(addresses)} {range_}{hint}")


def _json(found: list[Series], window: Window) -> str:
    metrics = {series.address: {"unit": series.unit, "points": as_data(series.points)} for series in found}
    return json.dumps({"since": iso(window.since), "until": iso(window.until), "metrics": metrics})


def _csv(found: list[Series]) -> list[str]:
    """Return the lines of the table; what needs it is quoted."""
    # Only here: nobody else needs them.
    from csv import writer  # noqa: PLC0415
    from io import StringIO  # noqa: PLC0415

    text = StringIO()
    table = writer(text, lineterminator="\n")
    table.writerow(("time", "metric", "min", "mean", "max"))
    for series in found:
        table.writerows((iso(time), series.address, *values) for time, *values in series.points)
    return text.getvalue().removesuffix("\n").split("\n")
