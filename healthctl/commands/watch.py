"""`healthctl watch`."""

import sys
from contextlib import closing
from select import select
from signal import SIGINT

import click

from healthctl import terminal
from healthctl.errors import Unavailable
from healthctl.options import Settings, shared
from healthctl.poll import Poll
from healthctl.screen import Signals, obey
from healthctl.views import JsonRoll, Live, TextRoll, View


@click.command("watch", short_help="The same, live.")
@click.option(
    "-n",
    "seconds",
    type=click.FloatRange(min=0.1, max=86400),
    metavar="SECONDS",
    help="How often to look.  [default: as often as healthd samples]",
)
@shared
@click.pass_context
def command(context: click.Context, seconds: float | None) -> None:
    """Show how the machine is, and go on with each new sample; q or Ctrl-C ends it."""
    settings = context.ensure_object(Settings)
    view = _view(settings)
    # First to be entered and last to be left: a signal meets the terminal taken or given back, never in between.
    with Signals(*view.signals) as signals, closing(view), closing(Poll(settings.bus, seconds)) as poll:
        number = _watch(signals, view, poll)
    if number not in (0, SIGINT):
        obey(number)


def _view(settings: Settings) -> View:
    if settings.json:
        return JsonRoll()
    style = terminal.style(settings.color)
    return Live(style) if sys.stdout.isatty() else TextRoll(style)


def _watch(signals: Signals, view: View, poll: Poll) -> int:
    """Show samples until a signal ends it, which is returned, or a key: then 0."""
    begun = False
    while True:
        try:
            described = poll.advance()
        except Unavailable as error:
            if not begun:
                raise
            view.lost(str(error))
        else:
            if described:
                begun = True
                view.show(described)
        sources = [number for number in (signals.fileno(), poll.fileno(), view.keyboard()) if number >= 0]
        ready, _, _ = select(sources, [], [], poll.wait)
        for number in signals.take():
            if not view.heed(number):
                return number
        if view.keyboard() in ready and not view.typed():
            return 0
