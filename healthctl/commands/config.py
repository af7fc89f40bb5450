"""`healthctl config`."""

import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

import click

from healthctl import candidates, program, terminal
from healthctl.dropin import DropIn, closed, files, found, put, take
from healthctl.errors import BadConfig, UsageError, plain
from healthctl.group import Group
from healthctl.options import Settings, local
from healthctl.pager import page
from healthctl.when import duration
from healthd import protocol

_PART = r"(?:[A-Za-z0-9_-]+|\"[^\"\\]*\"|'[^']*')"
_KEY = re.compile(rf"{_PART}(?:\.{_PART})*")
# What healthd takes at its start alone.
_AT_START = ("record.directory", "history", "collectors.plugins")
_WATCHDOG = 30
"""WatchdogSec= of healthd.service, of which healthd wants half, seconds."""

_EXAMPLES = """\b
Examples:
  healthctl config                       what is in force, and from where
  healthctl config set record.max_age 60d --reload
  healthctl config set collectors.disabled '["disk"]'
  healthctl config set rules.filesystem_space.warning.enter '>= 95%'
  healthctl config set rules.cpu_busy.enabled false
  healthctl config set rules.slow \\
    '{metric = "cpu.iowait", warning = {enter = "> 30%"}}'
  healthctl config unset record.max_age

Exit codes: 0 done, 64 a key or an option that can't be used, 69 there is no
healthd, 74 a file can't be written, 77 this user may not, 78 the configuration
has, or would have, faults: all of them are said.
"""

_place = click.option(
    "--config",
    metavar="DIR",
    type=click.Path(),
    help=f"Where the configuration is.  [default: {protocol.CONFIGURATION}]",
)
_reload = click.option("--reload", is_flag=True, help="Have healthd go by it at once.")


def _examples(*lines: str) -> str:
    return "\n".join(("\b", "Examples:", *(f"  healthctl config {line}" for line in lines)))


@click.group("config", cls=Group, short_help="Show, check and change the configuration.", epilog=_EXAMPLES,
             invoke_without_command=True)  # fmt: skip
@local
@click.pass_context
def command(context: click.Context) -> None:
    """Show, check and change the configuration of healthd; without a command, show it.

    It is read from healthd.toml and then from conf.d/*.toml, and described in healthd.toml(5). What is set here is
    written to a file of healthctl's own, conf.d/90-healthctl.toml; no other is touched.
    """
    if context.invoked_subcommand is None:
        context.invoke(show, config=None)


@command.command(
    "show", short_help="Every setting, and where it is from.", epilog=_examples("show", "show --config ./healthd.toml")
)
@_place
@local
@click.pass_context
def show(context: click.Context, config: str | None) -> None:
    """Write the configuration as TOML: every setting, and where it is from."""
    text = program.ask("--show-config", config)
    settings = context.ensure_object(Settings)
    if settings.json:
        terminal.write([json.dumps(tomllib.loads(text), default=str)])
    else:
        page(text.rstrip("\n").split("\n"), settings)


@command.command(
    "check",
    short_help="Whether it can be used; every fault.",
    epilog=_examples("check", "check --config ./healthd.toml"),
)
@_place
@local
@click.pass_context
def check(context: click.Context, config: str | None) -> None:
    """Say whether healthd can use the configuration, and every fault that hinders it."""
    as_json = context.ensure_object(Settings).json
    _warn(_closed(config))
    try:
        text = program.ask("--check-config", config)
    except BadConfig as error:
        if as_json:
            terminal.write([json.dumps({"faults": error.faults})])
        raise
    terminal.write([json.dumps({"faults": []}) if as_json else text.rstrip("\n")])


@command.command("path", short_help="The files it is read from.", epilog=_examples("path"))
@_place
@local
@click.pass_context
def path(context: click.Context, config: str | None) -> None:
    """Write the files that the configuration is read from, in the order of reading."""
    directory = config or protocol.CONFIGURATION
    there = files(directory) if os.path.isdir(directory) else [each for each in [directory] if os.path.exists(each)]
    if context.ensure_object(Settings).json:
        terminal.write([json.dumps({"directory": directory, "files": there})])
    elif there:
        terminal.write(there)
    elif config and not os.path.isdir(config):
        raise UsageError(f"there is no {config}; see: healthctl config path --help")
    else:
        click.echo(f"There is no file in {directory}: healthd goes by its defaults.", err=True)


@command.command(
    "set", short_help="Set one key.", epilog=_examples("set interval 10s --reload", "set rules.swap.enabled false")
)
@click.argument("key", shell_complete=candidates.keys)
@click.argument("value", shell_complete=candidates.values)
@_place
@_reload
@local
@click.pass_context
def set_(context: click.Context, key: str, value: str, config: str | None, *, reload: bool) -> None:
    """Set one key, like record.max_age, to a value.

    VALUE is taken as TOML where it is TOML (5, true, '["disk"]', '"x"'), and else as text: 60d. A change by which the
    configuration would have a fault is not made.
    """
    parts = _parts(key)
    drop_in = DropIn(config or protocol.CONFIGURATION)
    with drop_in.held() as table:
        put(table, parts, _value(value))
        _change(drop_in, table)
        winner = drop_in.overridden(parts)
    warnings = [f"It has no effect: {winner} is read later, and says something else."] if winner else []
    warnings += [*_too_slow(parts, value), *_closed(config)]
    _say(context, drop_in.path, f"{key} is set in {drop_in.path}.", [key], warnings, reload=reload)


@command.command(
    "unset",
    short_help="Take back what was set.",
    epilog=_examples("unset interval", "unset interval rules.swap.enabled --reload"),
)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True, shell_complete=candidates.keys_set)
@_place
@_reload
@local
@click.pass_context
def unset(context: click.Context, keys: tuple[str, ...], config: str | None, *, reload: bool) -> None:
    """Take back what was set; then the other files hold, or the default."""
    drop_in = DropIn(config or protocol.CONFIGURATION)
    with drop_in.held() as table:
        for key in keys:
            if found(table, parts := _parts(key)) is None:
                raise UsageError(f"{key} is not set in {drop_in.path}; see: healthctl config show")
            take(table, parts)
        _change(drop_in, table)
    words = f"{', '.join(keys)} {'is' if len(keys) == 1 else 'are'} not set in {drop_in.path} any more."
    _say(context, drop_in.path, words, list(keys), [], reload=reload)


def _parts(key: str) -> tuple[str, ...]:
    """Return the names that lead to a key, as TOML has dotted keys."""
    if not _KEY.fullmatch(key) or not key.isprintable():
        raise UsageError(f"'{key}' is no key like record.max_age")
    below: Any = tomllib.loads(f"{key} = 0")
    parts = []
    while isinstance(below, dict):
        ((name, below),) = below.items()
        parts.append(name)
    return tuple(parts)


def _value(text: str) -> Any:
    """Return what a text means: as TOML where it is, else as it stands."""
    try:
        text.encode()
        table = tomllib.loads(f"value = {text}")
    except UnicodeEncodeError as error:
        raise UsageError("the value is not in UTF-8") from error
    except (ValueError, RecursionError):
        return text
    return table["value"] if list(table) == ["value"] else text


def _change(drop_in: DropIn, table: dict[str, Any]) -> None:
    """Write the drop-in, where healthd can use what the configuration is with it; raises BadConfig."""
    with drop_in.tried(table) as copy:
        try:
            program.ask("--check-config", copy)
        except BadConfig as error:
            directory = os.path.dirname(os.path.dirname(drop_in.path))
            raise BadConfig(
                "nothing was changed", *(fault.replace(copy, directory) for fault in error.faults)
            ) from None
    drop_in.write(table)


def _is_at_start(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in _AT_START)


def _too_slow(key: tuple[str, ...], value: str) -> Iterator[str]:
    """Yield a warning for an interval with which the service would not start."""
    # What healthd has taken is a duration.
    if key == ("interval",) and duration(_value(value).replace(" ", "")) > _WATCHDOG / 2:
        yield (
            f"The service's watchdog (WatchdogSec={_WATCHDOG}) allows {_WATCHDOG / 2:g} s: "
            "raise it by systemctl edit healthd"
        )


def _closed(config: str | None) -> list[str]:
    """Return a warning for each file that root can read, and the service can't."""
    if os.geteuid():
        return []
    paths = closed(config or protocol.CONFIGURATION)
    return [f"The service's user can't read {path}: chmod o+rX {shlex.quote(path)}" for path in paths]


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        click.echo(plain(warning), err=True)


def _say(context: click.Context, file: str, words: str, keys: list[str], warnings: list[str], *, reload: bool) -> None:
    """Say what was changed, have healthd go by it or say what makes it; raises what `Client.reload` does."""
    settings = context.ensure_object(Settings)
    said = {"file": file, "keys": keys, "reloaded": False}
    if not settings.json:
        terminal.write([words])
    _warn(warnings)
    try:
        if reload:
            _reload_now(settings.bus)
            said["reloaded"] = True
    finally:
        if settings.json:
            terminal.write([json.dumps(said)])
    if settings.json:
        return
    if any(map(_is_at_start, keys)):
        then = "healthd goes by it from its next start on: systemctl restart healthd"
    elif reload:
        # It may go by another place than this, or by an option that wins.
        then = "healthd has read its configuration."
    else:
        how = "systemctl reload healthd" if settings.bus == "system" else "healthctl reload"
        then = f"To have healthd go by it: {how}"
    terminal.write([then])


def _reload_now(bus: str) -> None:
    # Only here: nobody else needs a bus.
    from healthctl.client import Client  # noqa: PLC0415

    with Client(bus) as client:
        client.reload()
