"""`healthctl log`."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import NoReturn

import click

from healthctl import terminal
from healthctl.client import Client
from healthctl.errors import Loss, Unavailable, UsageError
from healthctl.options import Settings, shared
from healthctl.pager import page
from healthctl.stream import Stream
from healthctl.when import Moment, ordered, when

_EXAMPLES = """\b
Examples:
  healthctl log                                  what happened, as far as it is known
  healthctl log --since yesterday --until today
  healthctl log --name collector.failed --name 'runtime.*'
  healthctl log -n 20 -f                         the last 20, and what happens from now on
  healthctl log --name 'system.*' --since -5min  what was measured
  healthctl log --json -f
"""


@click.command("log", short_help="What happened.", epilog=_EXAMPLES)
@click.option("--since", type=when, default="@0", metavar="TIME", help="From when on.  [default: all that is known]")
@click.option("--until", type=when, metavar="TIME", help="Up to when.  [default: now]")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only events of this name, or of all that begin so: 'runtime.*'; may be repeated.  "
    "[default: all but what was measured]",
)
@click.option(
    "-n",
    "most",
    type=click.IntRange(0, 10_000),
    default=1000,
    metavar="LINES",
    help="The newest so many.  [default: 1000]",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on; Ctrl-C ends it.")
@shared
@click.pass_context
def command(
    context: click.Context, since: Moment, until: Moment | None, names: tuple[str, ...], most: int, *, follow: bool
) -> None:
    """Write what happened, oldest first: what became wrong or right again, failures and gaps, what came and went.

    TIME is -2h, -1d12h, 03:00 (the latest), today, yesterday, '2026-11-22 03:00', 2026-11-22T03:00Z or @1700000000;
    without a zone it is local. With --json an event is a line of JSON.
    """
    settings = context.ensure_object(Settings)
    ordered(since, until)
    if follow and until is not None:
        raise UsageError("--follow goes on, and --until ends: choose one of them")
    if follow and any(map(_measured, names)):
        raise UsageError("what is measured can't be followed by log; see: healthctl watch")
    if follow:
        with closing(Stream(settings.bus, since.at(), names, most)) as stream:
            _follow(stream, _form(settings, {}))
    with Client(settings.bus) as client:
        now = client.now()
        units = _units(client) if any(map(_measured, names)) and not settings.json else {}
        # None at all is a thousand on the bus.
        lines = client.events(since.at(now), until.at(now) if until else None, names, max(most, 1))[:most]
    if lines and settings.json:
        terminal.write(map(_plain, lines))
    elif lines:
        page(map(_form(settings, units), lines), settings)
    else:
        hint = "; what was measured is where healthd records" if any(map(_measured, names)) else ""
        click.echo(f"No event of that time and name is known{hint}.", err=True)


def _measured(name: str) -> bool:
    return name.startswith("system.")


def _units(client: Client) -> dict[str, str]:
    """Return the units of fields: one word is one idea, so that a field has the same in every family."""
    return {name.partition(".")[2]: str(row.get("unit") or "") for name, row in client.metrics().items()}


def _form(settings: Settings, units: Mapping[str, str]) -> Callable[[str], str]:
    """Return what makes a line of JSON one of the output."""
    if settings.json:
        return _plain
    # Only for text.
    from healthctl.render.event import event  # noqa: PLC0415

    style = terminal.style(settings.color)
    return lambda text: event(text, units, style)


def _plain(text: str) -> str:
    """Return the same JSON in characters that every terminal shows, and none obeys."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isascii() and char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _follow(stream: Stream, form: Callable[[str], str]) -> NoReturn:
    """Write events until a signal ends it, or nobody reads any more."""
    loss = Loss()
    while True:
        try:
            for line in stream.advance():
                terminal.write([form(line)])
        except Unavailable as error:
            if not stream.has_answered:
                raise
            loss.say(error)
        if stream.is_connected:
            loss.over()
        terminal.pause(stream.fileno(), stream.wait)
