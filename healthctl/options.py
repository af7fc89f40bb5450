"""What every command understands: which bus, JSON or text, colour or not."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from healthd import protocol

_F = TypeVar("_F", bound=Callable[..., Any])


class Settings:
    """What the options before and after the subcommand say together: the later one wins."""

    def __init__(self) -> None:
        self.bus = os.environ.get(protocol.BUS_VARIABLE) or "system"
        self.color = "auto"
        self.json = False


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        setattr(context.ensure_object(Settings), str(parameter.name), value)


def _keep_bus(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value and value not in ("system", "session") and ":" not in value:
        raise click.BadParameter(f"'{value}' is none of system, session or a D-Bus address (unix:path=/…)")
    _keep(context, parameter, value)


_OPTIONS = (
    click.option(
        "--bus",
        metavar="system|session|ADDRESS",
        callback=_keep_bus,
        expose_value=False,
        help=f"Where healthd is; {protocol.BUS_VARIABLE} names it too.  [default: system]",
    ),
    click.option("--json", is_flag=True, callback=_keep, expose_value=False, help="Write JSON, unknown as null."),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        callback=_keep,
        expose_value=False,
        help="Colour the text; auto: on a terminal, and where NO_COLOR is not set.",
    ),
)


def shared(function: _F) -> _F:
    """Give a command the options that all have; what they say is in `Settings`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
