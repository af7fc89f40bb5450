"""The `healthd` command: options in, one-line errors and exit codes out."""

import argparse
import logging
import math
import os
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from healthd import log, protocol
from healthd.errors import (
    BadRecording,
    BusError,
    ConfigError,
    HealthdError,
    NameTaken,
    NoRecording,
    NotAllowed,
    RecordingTaken,
    UsageError,
)

if TYPE_CHECKING:
    from healthd.options import Options
    from healthd.settings import Settings

_log = logging.getLogger(__name__)

SHORTEST, LONGEST = 0.25, 3600.0
"""Limits of the interval, seconds."""

_EXITS: dict[type[HealthdError], int] = {
    UsageError: protocol.EXIT_USAGE,
    ConfigError: protocol.EXIT_CONFIG,
    NoRecording: protocol.EXIT_NO_INPUT,
    BadRecording: protocol.EXIT_DATA,
    RecordingTaken: protocol.EXIT_TAKEN,
    NameTaken: protocol.EXIT_TAKEN,
    NotAllowed: protocol.EXIT_NOT_ALLOWED,
    BusError: protocol.EXIT_UNAVAILABLE,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see healthd --help")


class _Version(argparse.Action):
    """Print the version, and the D-Bus library that there is: both are asked for when something is wrong."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        try:
            from healthd.dbus import LIBRARY as library  # noqa: PLC0415, N811  # to be absent is worth a line here
        except UsageError as error:
            library = f"none: {error}"
        sys.stdout.write(f"healthd {protocol.VERSION}\nD-Bus library: {library}\n")
        parser.exit()


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from {SHORTEST:g} to {LONGEST:g}")
    return seconds


def _speed(text: str) -> float:
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither max nor a number above 0")
    return speed


def _moment(text: str) -> float:
    from datetime import datetime  # noqa: PLC0415  # only a replay needs it

    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time like 2026-01-31T03:00 (of this time zone) or 2026-01-31T03:00:00Z"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="healthd",
        description="Sample this machine, keep its state, and publish it on D-Bus as org.healthd.Health1.",
        epilog="Exit codes: 0 ended by SIGTERM or SIGINT, or a replay is over, 64 an option can't be used, 65 parts of "
        "a recording could not be replayed, 66 there is no recording, 69 no bus, 70 an internal error, 75 the name or "
        "the directory is taken by another healthd, 77 the bus does not allow it, 78 a fault in the configuration.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--bus",
        help=f"system (default), session, or an address like unix:path=/run/bus; ${protocol.BUS_VARIABLE} presets it; "
        "a replay has none unless this option names it",
    )
    parser.add_argument("--interval", type=_interval, metavar="SECONDS", help="time from sample to sample (default: 5)")
    parser.add_argument(
        "--config",
        metavar="PATH",
        help="read a configuration: a file, or a directory with healthd.toml and conf.d/*.toml; what is said here wins "
        f"over it (default on the system bus: {protocol.CONFIGURATION})",
    )
    parser.add_argument("--check-config", action="store_true", help="say whether the configuration can be used")
    parser.add_argument("--show-config", action="store_true", help="print the configuration with all defaults as TOML")
    parser.add_argument("--record", metavar="DIR", help="record what is accepted to DIR/YYYY-MM-DD/HH-MM-SS.jsonl")
    parser.add_argument("--no-record", action="store_true", help="record nothing, whatever the configuration says")
    parser.add_argument("--console", action="store_true", help="print events on standard output as JSON lines")
    parser.add_argument("--replay", metavar="DIR", help="in place of this machine, observe the one recorded in DIR")
    parser.add_argument(
        "--speed", type=_speed, metavar="N|max", help="replay N times as fast as it was, or at once (default: 1)"
    )
    parser.add_argument("--from", dest="since", type=_moment, metavar="TIME", help="where the replay begins")
    parser.add_argument("--to", dest="until", type=_moment, metavar="TIME", help="where the replay ends")
    parser.add_argument("--report", action="store_true", help="print what rules would have made of a recording")
    parser.add_argument(
        "--diff", action="store_true", help="print what would newly alarm (+) or stay silent (-) by other rules"
    )
    parser.add_argument(
        "--rules", metavar="FILE", help="the rules of a report: those of healthd, as this configuration overrides them"
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, and that of the D-Bus library")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon in the foreground and return its exit code."""
    _open_standard_descriptors()
    log.configure()
    try:
        given = _checked(_parser().parse_args(arguments))
        if given.check_config or given.show_config:
            _print_config(given)
        elif given.report or given.diff:
            _report(given)
        else:
            _serve(given)
    except HealthdError as error:
        for fault in error.faults if isinstance(error, ConfigError) else [error]:
            _log.error("%s", fault)
        return next((code for kind, code in _EXITS.items() if isinstance(error, kind)), protocol.EXIT_SOFTWARE)
    except KeyboardInterrupt:
        # Before the loop has its own handler.
        return protocol.EXIT_OK
    except Exception as error:  # noqa: BLE001  # the edge: a fault of ours, whole in a log, short for a person
        _log.critical("internal error: %r; report it, with the log", error, exc_info=not sys.stderr.isatty())
        return protocol.EXIT_SOFTWARE
    return protocol.EXIT_OK


def _open_standard_descriptors() -> None:
    """Open what the caller closed: else a socket would become the standard output."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _checked(given: argparse.Namespace) -> argparse.Namespace:
    """Return the options, with what the environment adds; raises UsageError for those that exclude each other."""
    _check(given)
    if given.replay is None:
        given.bus = given.bus or os.environ.get(protocol.BUS_VARIABLE) or "system"
    if given.bus == "system" or given.check_config or given.show_config:
        # Another bus is a private affair.
        given.config = given.config or protocol.CONFIGURATION
    given.config = given.config or given.rules
    return given


def _check(given: argparse.Namespace) -> None:
    for option in ("bus", "config", "record", "replay", "rules"):
        if getattr(given, option) == "":
            raise UsageError(f"--{option} is empty: is a variable of the shell not set?")
    if given.record and given.no_record:
        raise UsageError("--record and --no-record exclude each other; leave one of them out")
    if given.report or given.diff:
        _check_report(given)
    elif given.rules:
        raise UsageError("--rules is for --report and --diff; healthd itself takes its rules from --config")
    _check_alone(given)
    if given.replay:
        _check_replay(given)


def _check_alone(given: argparse.Namespace) -> None:
    """Check options that say nothing beside others, or without them."""
    if (given.check_config or given.show_config) and (given.replay or (given.check_config and given.show_config)):
        raise UsageError("--check-config and --show-config stand alone, with --config; leave the other options out")
    for option, value in (("--speed", given.speed), ("--from", given.since), ("--to", given.until)):
        if value is not None and not given.replay:
            raise UsageError(f"{option} is for a replay: add --replay DIR")


def _check_replay(given: argparse.Namespace) -> None:
    if not (given.bus or given.console or given.record or given.report or given.diff):
        raise UsageError(
            "a replay shows itself on a bus, on the console or as a recording: add --bus, --console or --record; "
            "or --report"
        )
    if given.interval is not None:
        raise UsageError("a replay has the interval of its recording: leave --interval out, or use --speed")
    if given.since is not None and given.until is not None and given.since > given.until:
        raise UsageError("--from is after --to; exchange them")
    if given.record and os.path.realpath(given.record) == os.path.realpath(given.replay):
        raise UsageError("a replay can't be recorded to where it comes from; name another directory")


def _check_report(given: argparse.Namespace) -> None:
    if not given.replay:
        raise UsageError("--report and --diff judge a recording: add --replay DIR")
    if given.bus or given.console or given.record or given.speed:
        raise UsageError("a report goes to standard output alone: leave --bus, --console, --record and --speed out")
    if given.rules and given.config:
        raise UsageError("--rules and --config exclude each other in a report; leave one of them out")
    if given.diff and not (given.rules or given.config):
        raise UsageError("--diff needs rules to compare with those of healthd: add --rules FILE")


def _range(given: argparse.Namespace) -> tuple[float, float]:
    """Return where a replay begins and ends, seconds since 1970 UTC."""
    since = -math.inf if given.since is None else given.since
    return since, math.inf if given.until is None else given.until


def _settings(given: argparse.Namespace, *, starting: bool = False) -> "Settings":
    from healthd.settings import load  # noqa: PLC0415  # --help needs none of it

    return load(given.config, starting=starting)


def _print_config(given: argparse.Namespace) -> None:
    from healthd.settings import show  # noqa: PLC0415  # --help needs none of it

    settings = _settings(given)
    text = f"{', '.join(settings.files) or given.config}: fine" if given.check_config else show(settings)
    with suppress(BrokenPipeError), open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as output:
        print(text, file=output)


def _report(given: argparse.Namespace) -> None:
    """Print what rules would have made of a recording, until there is no more of it or nobody reads it."""
    import asyncio  # noqa: PLC0415  # --help needs none of it

    from healthd import backtest, observe  # noqa: PLC0415
    from healthd.replay import Replay  # noqa: PLC0415
    from healthd.settings import load  # noqa: PLC0415

    settings = _settings(given)
    replay = Replay(given.replay, observe.families(settings.collectors), *_range(given), math.inf)
    with suppress(BrokenPipeError), open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as output:
        say = partial(print, file=output, flush=True)
        if given.diff:
            asyncio.run(backtest.difference(replay, settings.rules, load(None).rules, say))
        else:
            asyncio.run(backtest.report(replay, settings.rules, say))
    replay.check()


def _options(given: argparse.Namespace) -> "Options":
    """Return what the command line chooses, and for the rest the configuration as it is now; raises ConfigError."""
    from healthd.options import Options, Replaying  # noqa: PLC0415  # --help needs none of it
    from healthd.publish.jsonl import Keeping  # noqa: PLC0415
    from healthd.state.history import Tier  # noqa: PLC0415

    settings = _settings(given, starting=True)
    config, kept = settings.config, settings.config.record
    record = given.record or ""
    if not (given.record or given.replay or given.no_record):
        record = kept.directory if "record.directory" in settings.origins else _state_directory()
    return Options(
        bus=given.bus or "",
        interval=given.interval or config.interval,
        console=given.console,
        record=record,
        keeping=Keeping(kept.batch, kept.segment, kept.max_age, kept.max_size, kept.min_free),
        tiers=tuple([Tier(tier.step, tier.keep) for tier in config.history.tiers]),
        series=config.history.series,
        disabled=frozenset(config.collectors.disabled),
        collectors=settings.collectors,
        plugins=config.collectors.plugins,
        rules=settings.rules,
        digest=settings.digest,
        files=settings.files,
        replay=Replaying(given.replay, *_range(given), given.speed or 1.0) if given.replay else None,
    )


def _state_directory() -> str:
    """Return where a service records that is not told otherwise, "" outside a service (systemd.exec(5))."""
    directory = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return os.path.join(directory, "record") if directory else ""


def _serve(given: argparse.Namespace) -> None:
    # asyncio needs TLS for nothing here, and goes without where it is absent: 4 MiB less in memory.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # None is how an import is made to fail
    import asyncio  # noqa: PLC0415  # after the line above

    # --help needs no D-Bus library.
    from healthd.daemon import Daemon  # noqa: PLC0415

    options = _options(given)

    async def run() -> None:
        await Daemon(options, partial(_options, given)).run()

    asyncio.run(run())
