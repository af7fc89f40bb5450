"""`healthctl acknowledge`."""

import json

import click

from healthctl import candidates, terminal
from healthctl.client import Client
from healthctl.errors import UnknownCondition
from healthctl.naming import meant
from healthctl.options import Settings, shared
from healthctl.when import duration, iso, local
from healthd import protocol

_EXAMPLES = """\b
Examples:
  healthctl acknowledge filesystem_space@/srv           until it is over, or becomes worse
  healthctl acknowledge filesystem_space@/srv --for 1d  for a day at most

Exit codes: 0 done, 64 there is no such condition, or it is ok, 77 this user may not.
"""


@click.command("acknowledge", short_help="Take note of a condition.", epilog=_EXAMPLES)
@click.argument("name", metavar="CONDITION", shell_complete=candidates.wrongs)
@click.option(
    "--for",
    "length",
    type=duration,
    metavar="DURATION",
    help="For so long at most, like 90min or 1d.  [default: no end]",
)
@shared
@click.pass_context
def command(context: click.Context, name: str, length: float | None) -> None:
    """Take note of a condition: it does not count for the host until it is over or becomes worse.

    CONDITION is a name that `healthctl conditions` lists, or a rule: then all of it that is not ok. Only root
    may, and whom polkit allows it.
    """
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        known = client.conditions()
        names = [each for each in meant(name, known) if known[each].get("severity") != protocol.OK]
        if not names:
            raise UnknownCondition(f"{name} is ok: there is nothing to acknowledge; see: healthctl conditions")
        until = None if length is None else client.now() + length
        for each in names:
            client.acknowledge(str(known[each]["rule"]), str(known[each]["instance"] or ""), until)
    if settings.json:
        terminal.write([json.dumps({each: {"until": None if until is None else iso(until)} for each in names})])
        return
    end = "until it is over or becomes worse" if until is None else f"until {local(until)} at most"
    style = terminal.style(settings.color)
    terminal.write(style.clean(f"{each} is acknowledged {end}") for each in names)
