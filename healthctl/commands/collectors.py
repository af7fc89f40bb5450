"""`healthctl collectors`."""

import json
from collections.abc import Mapping
from time import time
from typing import Any

import click

from healthctl import candidates, terminal
from healthctl.client import Client
from healthctl.errors import UsageError
from healthctl.options import Settings, shared
from healthctl.pager import page
from healthctl.render.availability import availability
from healthctl.render.style import Style
from healthctl.render.table import table
from healthctl.render.units import span

Collectors = Mapping[str, dict[str, Any]]

_HEAD = ("FAMILY", "STATE", "EVERY", "LAST RUN", "TOOK", "FAILURES", "INSTANCES", "REASON")


_EXAMPLES = """\b
Examples:
  healthctl collectors
  healthctl collectors --disable disk
  healthctl config set collectors.disabled '["disk"]' --reload    for good
"""


@click.command("collectors", short_help="How the observing goes.", epilog=_EXAMPLES)
@click.option(
    "--enable",
    multiple=True,
    metavar="FAMILY",
    shell_complete=candidates.families,
    help="Observe this family; may be repeated.",
)
@click.option(
    "--disable",
    multiple=True,
    metavar="FAMILY",
    shell_complete=candidates.families,
    help="Leave this family out; may be repeated.",
)
@shared
@click.pass_context
def command(context: click.Context, enable: tuple[str, ...], disable: tuple[str, ...]) -> None:
    """List the collectors: what each observes, how often, what it costs, and what is unavailable why.

    With --enable or --disable, switch some of them until the next reload or start of healthd. Only root
    may, and whom polkit allows it.
    """
    settings = context.ensure_object(Settings)
    with Client(settings.bus) as client:
        # The clock of another machine may be set otherwise.
        now = client.now() if settings.hosts else time()
        collectors = dict(sorted(client.collectors().items()))
        if enable or disable:
            wanted = dict.fromkeys(enable, True) | dict.fromkeys(disable, False)
            _check(wanted, enable, collectors)
            for family, enabled in wanted.items():
                client.set_collector_enabled(family, enabled=enabled)
            if settings.json:
                terminal.write([json.dumps({family: {"enabled": enabled} for family, enabled in wanted.items()})])
            else:
                terminal.write(_switched(family, enabled=enabled) for family, enabled in wanted.items())
            return
    if settings.json:
        terminal.write([json.dumps(collectors)])
    else:
        page(draw(collectors, now, terminal.width(bounded=False), terminal.style(settings.color)), settings)


def _check(wanted: dict[str, bool], enable: tuple[str, ...], known: Collectors) -> None:
    """Find what can't be switched; raises UsageError."""
    for family, enabled in wanted.items():
        if family not in known:
            raise UsageError(f"there is no collector '{family}'; those that are: {', '.join(known)}")
        if family in enable and not enabled:
            raise UsageError(f"{family} can't be enabled and disabled at once; leave one of them out")


def _switched(family: str, *, enabled: bool) -> str:
    state = "observed" if enabled else "not observed"
    return f"{family} is {state}; the next reload or start goes by collectors.disabled of the configuration again"


def draw(collectors: Collectors, now: float, width: int, style: Style) -> list[str]:
    """Draw a table of collectors as they are at `now`, seconds since 1970."""
    rows = []
    for family, row in collectors.items():
        state, reason = availability(row, style)
        rows.append(
            [
                (style.clean(family), "bold"),
                state,
                ("?" if row.get("every_usec") is None else span(row["every_usec"] / 1e6), ""),
                (_ago(row.get("sampled_at_usec"), now), ""),
                (_milliseconds(row.get("duration_usec")), ""),
                (str(row.get("failures", "?")), "" if not row.get("failures") else "warning"),
                (str(row.get("instances", "?")), ""),
                reason,
            ]
        )
    return table(_HEAD, rows, width, style)


def _ago(usec: int | None, now: float) -> str:
    if not usec:
        return "never"
    seconds = int(now - usec / 1e6)
    if seconds < 1:
        return "just now"
    # Only here: it takes longer to import than `status` to run.
    from humanize import naturaldelta  # noqa: PLC0415

    return f"{naturaldelta(seconds)} ago"


def _milliseconds(usec: int | None) -> str:
    return "?" if usec is None else f"{usec / 1000:.2f} ms"
