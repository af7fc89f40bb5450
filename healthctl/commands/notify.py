"""`healthctl notify`."""

import re
import select
from contextlib import closing
from typing import NoReturn

import click

from healthctl import candidates
from healthctl.errors import Loss, Unavailable, UsageError
from healthctl.notify.desktop import Desktop
from healthctl.notify.errands import Errands, Rate
from healthctl.notify.transitions import SEVERITIES, Transition, Transitions
from healthctl.options import Settings, shared
from healthctl.place import place
from healthctl.when import duration
from healthd import protocol

_TIMEOUT, _AT_MOST = 30.0, Rate(10, 60.0)

_EPILOG = """\b
Variables of CMD, and their keys in JSON:
  HEALTHD_TIME       time       when, in UTC
  HEALTHD_HOST       host       where
  HEALTHD_CONDITION  condition  RULE or RULE@INSTANCE
  HEALTHD_RULE       rule       the one part of that
  HEALTHD_INSTANCE   instance   the other, like /home or eth0
  HEALTHD_FROM       from       severity; unknown: so it began
  HEALTHD_TO         to         severity; ok: it is over
  HEALTHD_JUDGED     judged     0: over as its object is gone
  HEALTHD_SUMMARY    summary    what is the matter
  HEALTHD_REMEDY     remedy     what to do about it
  HEALTHD_METRIC     metric     what it is about
  HEALTHD_VALUE      value      what that was then
  HEALTHD_THRESHOLD  threshold  what it was compared with
  HEALTHD_WORST      worst      the worst severity not yet over
  HEALTHD_LEFT_OUT   left_out   how many were left out before;
                                in JSON these, oldest first

\b
Examples:
  healthctl notify                               bubbles on this desktop
  systemctl --user enable --now healthd-notify   the same, at each login
  healthctl -H pi4 notify --min-severity warning
  healthctl notify --exec 'logger "$HEALTHD_CONDITION is $HEALTHD_TO"'
  healthctl notify --rule filesystem_space --exec ./mail_health.py
"""


def _rate(text: str) -> Rate:
    found = re.fullmatch(r"(\d{1,6})/(.+)", text)
    if not found or not int(found[1]):
        raise click.BadParameter(f"'{text}' is no rate; write 10/min, 20/h or 1/15min")
    seconds = duration(found[2] if found[2][0].isdecimal() else f"1{found[2]}")
    return Rate(int(found[1]), seconds)


@click.command("notify", short_help="Tell the desktop, or a command of yours, what becomes wrong.", epilog=_EPILOG)
@click.option(
    "--exec",
    "command_line",
    metavar="CMD",
    help="Run this line of shell for each transition in place of the desktop: one at a time.",
)
@click.option("--timeout", type=duration, metavar="DURATION", help="End CMD after so long.  [default: 30s]")
@click.option(
    "--at-most",
    type=_rate,
    metavar="N/DURATION",
    help="Run CMD so often; what is left out is told in the next one.  [default: 10/min]",
)
@click.option(
    "--min-severity",
    "least",
    type=click.Choice(SEVERITIES),
    default=protocol.UNKNOWN,
    show_default=True,
    help="Tell what becomes at least so bad; and what becomes of it, until it is ok.",
)
@click.option(
    "--rule",
    "names",
    multiple=True,
    metavar="RULE",
    shell_complete=candidates.conditions,
    help="Only this rule, or this condition; may be repeated.  [default: all]",
)
@shared
@click.pass_context
def command(
    context: click.Context, command_line: str | None, names: tuple[str, ...], *, timeout: float | None,
    at_most: Rate | None, least: str,
) -> None:  # fmt: skip
    """Tell what becomes wrong and right again: on the desktop, one bubble for each condition, or by a command.

    What is not ok already is told at the beginning, unless somebody has acknowledged it. An end of healthd, of the
    connection to it, or of the notification server, is waited out.

    CMD has what happened in its environment, and as an object of JSON on standard input; what is unknown is empty
    there, and null here.
    """
    settings = context.ensure_object(Settings)
    if settings.json:
        raise UsageError("notify writes nothing; the command of --exec is given JSON")
    bus = settings.bus
    teller: Desktop | Errands
    if command_line is not None:
        if not command_line.strip():
            raise UsageError("--exec names no command")
        teller = Errands(command_line, _TIMEOUT if timeout is None else timeout, at_most or _AT_MOST)
    elif timeout is not None or at_most:
        raise UsageError("--timeout and --at-most go with --exec")
    else:
        teller = Desktop(names_host=bool(place(bus).host))
    with closing(teller), closing(Transitions(bus, least, names)) as transitions:
        _follow(transitions, teller)


def _follow(transitions: Transitions, teller: Desktop | Errands) -> NoReturn:
    """Tell transitions until a signal ends it.

    Raises Unavailable where there is no healthd at the beginning, or no desktop any more.
    """
    loss = Loss()
    while True:
        news: list[Transition] = []
        try:
            for transition in transitions.advance():
                news.append(transition)  # noqa: PERF402  # those before a loss count too
        except Unavailable as error:
            if not transitions.has_answered:
                raise
            loss.say(error)
        if transitions.is_connected:
            loss.over()
        for transition in news:
            teller.tell(transition)
        teller.advance()
        _pause(transitions, teller)


def _pause(*sources: Transitions | Desktop | Errands) -> None:
    """Wait until there is something to do."""
    poll = select.poll()
    for source in sources:
        if source.fileno() >= 0:
            poll.register(source.fileno(), select.POLLIN)
    waits = [source.wait for source in sources if source.wait is not None]
    poll.poll(min(waits) * 1000 if waits else None)
