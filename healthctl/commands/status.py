"""`healthctl status`."""

import json

import click

from healthctl import health, terminal
from healthctl.errors import UsageError
from healthctl.options import Settings, shared

_EXAMPLES = """\b
Examples:
  healthctl status
  healthctl status --json | jq .readings.memory
  healthctl status --short                one line: ok, or what is wrong
  healthctl status -H pi4,nas

Exit codes: 0 ok or notice, 1 warning, 2 critical, 3 unknown.
"""


@click.command("status", short_help="How the machine is.", epilog=_EXAMPLES)
@click.option("--short", is_flag=True, help="The verdict alone, in a line for prompts and panels.")
@shared
@click.pass_context
def command(context: click.Context, *, short: bool = False) -> None:
    """Show how the machine is: the verdict, and what it rests on.

    With --short, healthd is not started, and given up after a second; with --short --json it is the object that waybar
    takes: text, class (the verdict) and tooltip.

    Of several hosts, one line each, the worst first; the exit code is that of the worst, and 3 of one that can't be
    reached. With --json they are one object by their names; one that can't be reached has its reason as unreachable.
    """
    settings = context.ensure_object(Settings)
    if len(settings.hosts) > 1:
        if short:
            raise UsageError("--short is for one host at a time")
        context.exit(_several(settings))
    context.exit(health.glance(settings) if short else health.show(settings))


def _several(settings: Settings) -> int:
    """Show how several machines are, and return the exit code."""
    # Only here: they take a while, and most are content with one.
    from healthctl import hosts  # noqa: PLC0415
    from healthctl.render.hosts import UNREACHABLE, draw, worst_first  # noqa: PLC0415

    answers = hosts.ask(settings.buses, lambda client: client.describe())
    found = worst_first({host: {UNREACHABLE: problem} if problem else content for host, content, problem in answers})
    if settings.json:
        terminal.write([json.dumps(found)])
    else:
        terminal.write(draw(found, terminal.width(bounded=False), terminal.style(settings.color)))
    return health.exit_code(next(iter(found.values())))
