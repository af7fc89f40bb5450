"""The `healthd` command: options in, one-line errors and exit codes out."""

import argparse
import logging
import os
import sys
from typing import NoReturn

from healthd import protocol
from healthd.errors import BusError, HealthdError, NameTaken, NotAllowed, UsageError

_log = logging.getLogger(__name__)

SHORTEST, LONGEST = 0.25, 3600.0
"""Limits of the interval, seconds."""

_EXITS = {
    UsageError: protocol.EXIT_USAGE,
    NameTaken: protocol.EXIT_NAME_TAKEN,
    NotAllowed: protocol.EXIT_NOT_ALLOWED,
    BusError: protocol.EXIT_UNAVAILABLE,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see healthd --help")


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from {SHORTEST:g} to {LONGEST:g}")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="healthd",
        description="Sample this machine, keep its state, and publish it on D-Bus as org.healthd.Health1.",
        epilog="Exit codes: 0 ended by SIGTERM or SIGINT, 64 an option can't be used, 69 no bus, 70 an internal "
        "error, 75 the name is taken, 77 the bus does not allow it.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--bus",
        default=os.environ.get(protocol.BUS_VARIABLE) or "system",
        help=f"system (default), session, or an address like unix:path=/run/bus; ${protocol.BUS_VARIABLE} presets it",
    )
    parser.add_argument(
        "--interval", type=_interval, default=5.0, metavar="SECONDS", help="time from sample to sample (default: 5)"
    )
    parser.add_argument("--console", action="store_true", help="print events on standard output as JSON lines")
    parser.add_argument("--version", action="version", version=f"healthd {protocol.VERSION}")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon in the foreground and return its exit code."""
    _open_standard_descriptors()
    logging.basicConfig(format="healthd: %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        options = _parser().parse_args(arguments)
        _serve(options)
    except HealthdError as error:
        _log.error("%s", error)
        return next(code for kind, code in _EXITS.items() if isinstance(error, kind))
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


def _serve(options: argparse.Namespace) -> None:
    # asyncio needs TLS for nothing here, and goes without where it is absent: 4 MiB less in memory.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # None is how an import is made to fail
    import asyncio  # noqa: PLC0415  # after the line above

    from healthd.daemon import Daemon, Options  # noqa: PLC0415  # --help and --version need no D-Bus library

    async def run() -> None:
        await Daemon(Options(options.bus, options.interval, options.console)).run()

    asyncio.run(run())
