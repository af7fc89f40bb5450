"""`healthctl wait`."""

import json
import select
from collections.abc import Iterable
from contextlib import closing
from time import monotonic
from typing import Any

import click

from healthctl import candidates, terminal
from healthctl.address import similar
from healthctl.errors import Loss, Unavailable, Unmet
from healthctl.naming import is_of
from healthctl.options import Settings, shared
from healthctl.render.units import span
from healthctl.verdicts import Verdicts
from healthctl.when import duration
from healthd import protocol

_ENOUGH = {
    protocol.OK: (protocol.OK, protocol.NOTICE),
    protocol.WARNING: (protocol.WARNING, protocol.CRITICAL),
    protocol.CRITICAL: (protocol.CRITICAL,),
}

_EXAMPLES = f"""\b
Examples:
  healthctl wait --until ok --timeout 10min && reboot
  healthctl wait --until filesystem_space@/var
  healthctl wait --until warning --json

Exit codes: 0 it is so, {protocol.EXIT_TAKEN} it is not within the timeout,
{protocol.EXIT_UNAVAILABLE} healthd can't be reached at the beginning.
"""


@click.command("wait", short_help="Wait until the machine is well, or is not.", epilog=_EXAMPLES)
@click.option(
    "--until",
    required=True,
    metavar="ok|warning|critical|CONDITION",
    shell_complete=candidates.ends,
    help="What to wait for: a verdict (warning: or worse), or that a condition, or any of a rule, is there.",
)
@click.option(
    "--timeout",
    type=duration,
    metavar="DURATION",
    help=f"Give up after so long, like 90s or 5min, with exit code {protocol.EXIT_TAKEN}.  [default: never]",
)
@shared
@click.pass_context
def command(context: click.Context, until: str, timeout: float | None) -> None:
    """Wait until the machine is well, until it is not, or until a condition is there; at once where it is so.

    healthd tells of each change: nothing is asked for meanwhile. One that ends is waited for too. With --json, the
    health that it ended with is written.
    """
    settings = context.ensure_object(Settings)
    with closing(Verdicts(settings.bus)) as verdicts:
        health = _wait(verdicts, until, timeout)
    if settings.json:
        terminal.write([json.dumps(health)])


def _note(known: Iterable[str], until: str) -> None:
    """Say where nothing of that name is known: it may come with what it is about, or be a slip of the pen."""
    if not any(is_of(name, until) for name in known):
        meant = similar(until, [*_ENOUGH, *known])
        hint = f"did you mean {' or '.join(meant)}? " if meant else ""
        text = f"No condition '{until}' is known yet; {hint}those that are: healthctl conditions --all"
        click.echo(terminal.style("never").clean(text), err=True)


def met(until: str, health: dict[str, Any]) -> bool:
    """Tell whether health is what was waited for."""
    if until in _ENOUGH:
        return health.get("severity") in _ENOUGH[until]
    return any(is_of(name, until) for name in health["conditions"])


def _wait(verdicts: Verdicts, until: str, timeout: float | None) -> dict[str, Any]:
    """Return the health that is what was waited for.

    Raises Unmet, and Unavailable where there is no healthd at the beginning.
    """
    end = None if timeout is None else monotonic() + timeout
    last: dict[str, Any] | None = None
    loss = Loss()
    while True:
        try:
            while (health := verdicts.advance()) is not None:
                if last is None and until not in _ENOUGH:
                    _note(verdicts.known(), until)
                last = health
                loss.over()
                if met(until, health):
                    return health
        except Unavailable as error:
            if last is None:
                raise
            loss.say(error)
        left = None if end is None else end - monotonic()
        if timeout is not None and left is not None and left <= 0:
            now = loss.reason or f"the host is {last.get('severity') if last else protocol.UNKNOWN}"
            raise Unmet(f"{until} did not come within {span(timeout)}: {now}")
        waits = [seconds for seconds in (left, verdicts.wait) if seconds is not None]
        sources = [verdicts.fileno()] if verdicts.fileno() >= 0 else []
        select.select(sources, [], [], min(waits, default=None))
