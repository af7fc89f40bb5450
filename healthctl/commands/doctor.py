"""`healthctl doctor`."""

import json
import shlex
from collections.abc import Iterator

import click

from healthctl import diagnosis, observed, program, terminal
from healthctl.client import Client
from healthctl.diagnosis import FAIL, OK, WARN, Finding
from healthctl.errors import BadConfig, Unavailable, UsageError
from healthctl.installation import Installation, policy
from healthctl.options import Settings, shared
from healthctl.pager import page
from healthctl.place import by_hand, place
from healthctl.render.doctor import draw, draw_metrics
from healthd import protocol

_CODES = {OK: protocol.EXIT_OK, WARN: protocol.EXIT_WARNING, FAIL: protocol.EXIT_CRITICAL}

_EXAMPLES = """\b
Examples:
  healthctl doctor
  healthctl doctor --metrics
  healthctl doctor --json

Exit codes: 0 all is well, 1 something is degraded, 2 something is broken.
"""


@click.command("doctor", short_help="What does not work, and what to do.", epilog=_EXAMPLES)
@click.option("--metrics", "every", is_flag=True, help="List every metric too, and what it is read from.")
@click.option(
    "--config",
    metavar="PATH",
    type=click.Path(),
    help=f"Where the configuration is.  [default on the system bus: {protocol.CONFIGURATION}]",
)
@shared
@click.pass_context
def command(context: click.Context, config: str | None, *, every: bool) -> None:
    """Examine healthd: its installation, the bus, the service, what it records, and every family that it observes.

    What is not well is told with the command or the setting that mends it. Where healthd can't be reached, the rest is
    examined all the same. Nothing is changed, and nothing is started. Of another machine (-H), what its bus tells is
    examined, and none of its files.

    With --json it is one object: state (ok, warn or fail), checks, a list of check, state (absent, too), text and
    remedy, and metrics by name, with state (ok, unknown or unavailable), source, reason, instances and known: of how
    many of these it is known.
    """
    settings = context.ensure_object(Settings)
    told: list[observed.Told] = []
    if config and settings.hosts:
        raise UsageError(f"files can't be examined from here; try: {by_hand(settings.hosts[0])} healthctl doctor")
    findings = [*_files(settings.bus, config), *_bus(settings.bus, told)]
    metrics = observed.metrics(told[0]) if told else {}
    state = diagnosis.worst(findings)
    if settings.json:
        checks = [finding._asdict() for finding in findings]
        terminal.write([json.dumps({"state": state, "checks": checks, "metrics": metrics})])
    else:
        style, width = terminal.style(settings.color), terminal.width(bounded=False)
        listed = ["", *draw_metrics(metrics, style, width)] if every and metrics else []
        *lines, blank, verdict = draw(findings, style, width)
        page([*lines, *listed, blank, verdict], settings)
    context.exit(_CODES[state])


def _files(bus: str, config: str | None) -> Iterator[Finding]:
    """Examine what this machine has of healthd, where it is the one that is meant."""
    if not place(bus).host:
        yield from _program()
        yield from _configuration(bus, config)


def _program() -> Iterator[Finding]:
    """Examine the program that would be started."""
    try:
        yield from diagnosis.program(program.ask("--version", None))
    except Unavailable as error:
        yield Finding("program", FAIL, str(error), "apt install ./healthd_*.deb, or in a checkout: make install")


def _configuration(bus: str, config: str | None) -> Iterator[Finding]:
    """Examine the files; those of a healthd on a private bus are its own affair."""
    if bus != "system" and not config:
        return
    try:
        yield Finding("configuration", OK, program.ask("--check-config", config).strip())
    except BadConfig as error:
        again = "healthctl config check" + (f" --config {shlex.quote(config)}" if config else "")
        for fault in error.faults:
            yield Finding("configuration", FAIL, fault.removeprefix("healthd: "), f"correct it, then: {again}")
    except Unavailable:
        # What is wrong with the program is told already.
        return


def _bus(bus: str, told: list[observed.Told]) -> Iterator[Finding]:
    """Examine the bus, and what is on it; what healthd observes is added to `told`."""
    try:
        installation = Installation(bus)
    except Unavailable as error:
        yield Finding("bus", FAIL, str(error), _way(bus))
        if bus == "system":
            yield diagnosis.policy(policy(), None)
        return
    try:
        to = place(bus)
        yield Finding("bus", OK, f"{to.bus} answers{f' on {to.host}' if to.host else ''}")
        yield from _service(bus, installation, told)
    except Unavailable as error:
        yield Finding("bus", FAIL, str(error), "look for what holds it up: systemctl status dbus")
    finally:
        installation.close()


def _way(bus: str) -> str:
    """Return what to do about a bus that can't be reached."""
    if host := place(bus).host:
        return f"see what this says: {by_hand(host)} systemd-stdio-bridge --version"
    return "systemctl start dbus (apt install dbus)" if bus == "system" else "name the right bus with --bus"


def _service(bus: str, installation: Installation, told: list[observed.Told]) -> Iterator[Finding]:
    owner = installation.owner()
    if bus == "system":
        yield diagnosis.policy(policy(), owner)
    its_bus = place(bus).bus
    yield from diagnosis.name(owner, activatable=installation.is_activatable(), bus=its_bus)
    yield from diagnosis.service(installation.unit(), owner, bus=its_bus)
    if not owner:
        return
    try:
        manager = installation.manager()
        yield diagnosis.versions(manager)
        yield from diagnosis.in_force(manager)
        client = Client(bus, start=False, connection=installation.connection)
        yield from _publishers(client)
        told.append(observed.Told(client.describe(), client.collectors(), client.metrics()))
        yield from observed.findings(told[0])
    except Unavailable as error:
        yield Finding("answers", FAIL, str(error), "see why: systemctl status healthd; then: systemctl restart healthd")


def _publishers(client: Client) -> Iterator[Finding]:
    try:
        yield from diagnosis.publishers(client.publishers())
    except Unavailable as error:
        yield Finding("publishers", WARN, str(error), "systemctl restart healthd; update it if that is no help")
