"""What every command understands: which machine and bus, JSON or text, colour or not."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click

from healthctl import place
from healthctl.errors import UsageError
from healthctl.settings import Settings
from healthd import protocol

__all__ = ["Settings", "interval", "local", "shared"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        setattr(context.ensure_object(Settings), str(parameter.name), value)


def _keep_bus(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    try:
        _keep(context, parameter, value and place.bus(value))
    except UsageError as error:
        raise click.BadParameter(str(error)) from error


def _keep_hosts(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    try:
        _keep(context, parameter, None if value is None else place.hosts(value))
    except UsageError as error:
        raise click.BadParameter(str(error)) from error


_OPTIONS = (
    click.option(
        "--bus",
        "named_bus",
        metavar="system|session|ADDRESS",
        callback=_keep_bus,
        expose_value=False,
        help=f"Where healthd is, with -H there; {protocol.BUS_VARIABLE} names it too.  [default: system]",
    ),
    click.option(
        "-H",
        "--host",
        "hosts",
        metavar="[USER@]HOST[:PORT][,...]",
        callback=_keep_hosts,
        expose_value=False,
        help="Another machine, over ssh; several for status and check.",
    ),
    click.option("--json", is_flag=True, callback=_keep, expose_value=False, help="Write JSON, unknown as null."),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        callback=_keep,
        expose_value=False,
        help="Colour the text; auto: on a terminal, and where NO_COLOR is not set.",
    ),
    click.option(
        "--no-pager", is_flag=True, callback=_keep, expose_value=False, help="Write to the terminal, however long."
    ),
)


def interval(words: str) -> Callable[[_F], _F]:
    """Give a command the option of how often to look, `seconds`, as healthd allows it."""
    return click.option(
        "-n",
        "--interval",
        "seconds",
        type=click.FloatRange(min=protocol.MIN_WATCH_INTERVAL, max=3600),
        metavar="SECONDS",
        help=f"{words}  [default: as often as healthd samples]",
    )


def shared(function: _F) -> _F:
    """Give a command the options that all have; what they say is in `Settings`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def local(function: _F) -> _F:
    """Give a command the options that all have, and refuse another machine: it works on the files of this one."""

    @wraps(function)
    def refuse(*arguments: Any, **options: Any) -> Any:
        context = click.get_current_context()
        settings = context.ensure_object(Settings)
        if settings.hosts:
            there = f"{place.by_hand(settings.hosts[0])} {context.command_path}"
            raise UsageError(f"this works with the files of the machine that it runs on; try: {there}")
        # A bus that is none is refused before anything is written.
        _ = settings.bus
        return function(*arguments, **options)

    return shared(cast(_F, refuse))
