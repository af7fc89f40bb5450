"""The machine live, on the whole screen or line after line, until somebody has seen enough."""

import os
import sys
from collections.abc import Iterable
from contextlib import closing
from select import POLLIN, poll
from signal import SIGINT

from healthctl import terminal
from healthctl.errors import Unavailable
from healthctl.feed import Feed
from healthctl.options import Settings
from healthctl.render.dashboard_series import FAST
from healthctl.screen import Signals, obey
from healthctl.views import JsonRoll, Live, PlainRoll, TextRoll, View


def show(settings: Settings, seconds: float | None, *, plain: bool) -> None:
    """Show how the machine is every so many seconds, `None`: as often as healthd samples; `plain`: in words.

    Raises Unavailable where there is no healthd at the beginning.
    """
    view = _view(settings, plain=plain)
    # The other views are of what is described.
    watched = FAST if isinstance(view, Live | PlainRoll) else ()
    # First to be entered and last to be left: a signal meets the terminal taken or given back, never in between.
    with Signals(*view.signals) as signals, closing(view), closing(Feed(settings.bus, seconds, watched)) as feed:
        number = _watch(signals, view, feed)
    if number not in (0, SIGINT):
        obey(number)


def _view(settings: Settings, *, plain: bool) -> View:
    if settings.json:
        return JsonRoll()
    style = terminal.style(settings.color)
    is_screen = sys.stdout.isatty()
    # A terminal that has no cursor, like that of Emacs, has no screen.
    if plain or (is_screen and os.environ.get("TERM", "dumb") == "dumb"):
        return PlainRoll(style)
    return Live(style) if is_screen else TextRoll(style)


def _watch(signals: Signals, view: View, feed: Feed) -> int:
    """Show what comes until a signal ends it, which is returned, or a key: then 0."""
    begun = False
    while True:
        try:
            for news in feed.news():
                begun = True
                view.take(news, feed.step)
        except Unavailable as error:
            if not begun:
                # An ssh on its way heeds Ctrl-C too.
                if SIGINT in signals.take():
                    return SIGINT
                raise
            view.lost(str(error))
        view.refresh(feed)
        ready = _ready((signals.fileno(), feed.fileno(), view.keyboard()), feed.wait)
        for number in signals.take():
            if not view.heed(number):
                return number
        if view.keyboard() in ready and not view.typed():
            return 0
        if sys.stdout.fileno() in ready:
            # Who reads is gone, and the next sample may be long in coming.
            raise BrokenPipeError


def _ready(sources: Iterable[int], seconds: float | None) -> set[int]:
    """Wait, so many seconds at most, and return the descriptors (-1: none) that are readable; the output if broken."""
    waiting = poll()
    waiting.register(sys.stdout, 0)
    for source in sources:
        if source >= 0:
            waiting.register(source, POLLIN)
    # Not a moment too early, or it would be to wait for nothing.
    return {source for source, _ in waiting.poll(None if seconds is None else int(seconds * 1000) + 1)}
