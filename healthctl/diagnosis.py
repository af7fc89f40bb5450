"""What facts about healthd mean: each finding says how something is, and what to do where that is not well."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from healthctl.installation import Owner
from healthd import protocol

OK, WARN, FAIL, ABSENT = "ok", "warn", "fail", "absent"
"""All is well; it works in part, or will not for long; it does not work; there is none here, and none is needed."""

Rows = Mapping[str, Mapping[str, Any]]

_REINSTALL = "install healthd's package again"
_LOG = "see why: journalctl -u healthd -b"
_NEVER = 2**64 - 1
_EXITED = 1
# Why a healthd that ended was ended: what its exit codes say (healthd(8)), and what to do.
_ENDS = {
    protocol.EXIT_USAGE: ("an option can't be used, or the D-Bus library is missing", _LOG),
    protocol.EXIT_UNAVAILABLE: ("there was no bus", "systemctl start dbus; systemctl restart healthd"),
    protocol.EXIT_SOFTWARE: ("of an internal error", "report it, with the log: journalctl -u healthd -b"),
    protocol.EXIT_TAKEN: (
        "another healthd has its name on the bus, or its record directory",
        "end that one (pgrep -a healthd), or have this one record elsewhere: healthctl config set record.directory DIR",
    ),
    protocol.EXIT_NOT_ALLOWED: (
        "the bus's policy does not let it own its name",
        f"{_REINSTALL}: its policy {protocol.BUS_NAME}.conf lacks; then: systemctl reload dbus",
    ),
    protocol.EXIT_CONFIG: ("its configuration has faults", "healthctl config check"),
}


class Finding(NamedTuple):
    """How one thing is."""

    check: str
    """What was looked at: `bus`, `family memory`."""
    state: str
    text: str
    remedy: str = ""


def worst(findings: Iterable[Finding]) -> str:
    """Return the state of all together."""
    states = {finding.state for finding in findings}
    return FAIL if FAIL in states else WARN if WARN in states else OK


def program(said: str) -> Iterator[Finding]:
    """Tell of what `healthd --version` says."""
    version, _, library = (line.strip() for line in said.partition("\n"))
    number = version.partition(" ")[2]
    if number == protocol.VERSION:
        yield Finding("program", OK, version)
    else:
        remedy = "install healthd and healthctl of one version"
        yield Finding("program", WARN, f"{version} is beside healthctl {protocol.VERSION}", remedy)
    if not library:
        return
    found = library.partition(": ")[2]
    absent = found.startswith("none")
    remedy = "apt install python3-dbus-next, or: pip install dbus-next" if absent else ""
    yield Finding("library", FAIL if absent else OK, found.removeprefix("none: "), remedy)


def name(owner: Owner | None, *, activatable: bool, bus: str) -> Iterator[Finding]:
    """Tell of who owns healthd's name, and whether the bus starts it."""
    start = "systemctl enable --now healthd" if bus == "system" else f"healthd --bus '{bus}'"
    if owner:
        yield Finding("daemon", OK, f"process {owner.pid} of {owner.user} is {protocol.BUS_NAME}")
    elif activatable:
        text = "healthd does not run, though the bus starts it for who asks"
        yield Finding("daemon", FAIL, text, f"systemctl start healthd; if that fails, {_LOG}")
    else:
        yield Finding("daemon", FAIL, f"healthd does not run: nobody is {protocol.BUS_NAME}", start)
    if activatable:
        yield Finding("activation", OK, "the bus starts healthd for who asks")
    elif bus == "system":
        remedy = f"{_REINSTALL}: /usr/share/dbus-1/system-services/{protocol.BUS_NAME}.service lacks"
        yield Finding("activation", WARN, "the bus does not know how to start healthd", remedy)
    else:
        yield Finding("activation", ABSENT, "this bus does not start healthd")


def policy(path: str, owner: Owner | None) -> Finding:
    """Tell of the system bus's policy: the file that lets healthd own its name."""
    if path:
        return Finding("policy", OK, f"{path} lets healthd own its name")
    if owner:
        return Finding("policy", OK, "the bus has let healthd own its name")
    remedy = f"{_REINSTALL}: /usr/share/dbus-1/system.d/{protocol.BUS_NAME}.conf lacks; then: systemctl reload dbus"
    return Finding("policy", FAIL, "no policy lets healthd own its name on the system bus", remedy)


def service(unit: Mapping[str, Any] | None, owner: Owner | None, *, bus: str) -> Iterator[Finding]:
    """Tell of the unit, and of its watchdog."""
    if unit is None:
        yield Finding("service", ABSENT, "no systemd is on this bus: nobody starts healthd again")
        return
    if owner and bus != "system" and unit.get("LoadState") == "not-found":
        yield Finding("service", ABSENT, "no service of this bus's systemd is healthd: nobody starts it again")
        return
    state, text, remedy = _service(unit, owner)
    yield Finding("service", state, text, remedy)
    if unit.get("LoadState") == "loaded":
        yield _watchdog(unit)


def _service(unit: Mapping[str, Any], owner: Owner | None) -> tuple[str, str, str]:
    match unit.get("LoadState"):
        case "not-found":
            state = WARN if owner else FAIL
            return state, "healthd.service is not installed", f"{_REINSTALL}; then: systemctl enable --now healthd"
        case "masked":
            remedy = "systemctl unmask healthd; systemctl enable --now healthd"
            return WARN if owner else FAIL, "healthd.service is masked: nothing can start it", remedy
        case "loaded":
            return _loaded(unit, owner)
    text = f"systemd can't use healthd.service: {unit.get('LoadState')}"
    return FAIL, text, "systemd-analyze verify healthd.service"


def _loaded(unit: Mapping[str, Any], owner: Owner | None) -> tuple[str, str, str]:
    active = f"{unit.get('ActiveState')} ({unit.get('SubState')})"
    if unit.get("ActiveState") == "failed" or unit.get("SubState") == "auto-restart":
        why, remedy = _end(unit)
        return FAIL, f"healthd.service is {active}: {why}", remedy
    if unit.get("ActiveState") != "active":
        return WARN if owner else FAIL, f"healthd.service is {active}", "systemctl enable --now healthd"
    if owner and unit.get("MainPID") != owner.pid:
        text = f"healthd.service runs as process {unit.get('MainPID')}, and another one has its name"
        return WARN, text, f"end process {owner.pid}, then: systemctl restart healthd"
    if restarts := unit.get("NRestarts"):
        why = f" ({unit['Result']})" if unit.get("Result") not in (None, "success") else ""
        return WARN, f"systemd has had to start healthd again {restarts} times{why}", _LOG
    if unit.get("UnitFileState") == "disabled":
        return WARN, "healthd.service is not started at boot", "systemctl enable healthd"
    return OK, f"healthd.service is {active}", ""


def _end(unit: Mapping[str, Any]) -> tuple[str, str]:
    """Return why a healthd has ended, and what to do about it."""
    status = unit.get("ExecMainStatus")
    if unit.get("ExecMainCode") == _EXITED and status in _ENDS:
        return _ENDS[status]
    return f"{unit.get('Result')}, status {status}", _LOG


def _watchdog(unit: Mapping[str, Any]) -> Finding:
    usec = unit.get("WatchdogUSec")
    if usec and usec != _NEVER:
        return Finding("watchdog", OK, f"systemd ends a healthd that hangs for {usec / 1e6:g} s")
    remedy = "take WatchdogSec= out of its drop-ins: systemctl edit healthd"
    return Finding("watchdog", WARN, "systemd does not notice a healthd that hangs", remedy)


def versions(manager: Mapping[str, Any]) -> Finding:
    """Tell of the version of the healthd that runs, and of its API."""
    version, level = manager.get("Version"), manager.get("ApiLevel")
    text = f"healthd {version} with API level {level} runs"
    if version == protocol.VERSION and level == protocol.API_LEVEL:
        return Finding("version", OK, text)
    remedy = "systemctl restart healthd; if that is no help, install healthd and healthctl of one version"
    other = f"healthctl is {protocol.VERSION} with {protocol.API_LEVEL}"
    return Finding("version", FAIL if level != protocol.API_LEVEL else WARN, f"{text}, and {other}", remedy)


def in_force(manager: Mapping[str, Any]) -> Iterator[Finding]:
    """Tell of a configuration that was refused."""
    for fault in str(manager.get("ConfigurationProblem") or "").splitlines():
        remedy = "correct it, then: healthctl reload"
        yield Finding("configuration", FAIL, f"the one before is in force: {fault}", remedy)


def publishers(rows: Rows) -> Iterator[Finding]:
    """Tell of the ways outside."""
    for name, row in sorted(rows.items()):
        if row.get("available") is False:
            state = FAIL if name == "recorder" else WARN
            text = str(row.get("reason") or row.get("problem"))
            yield Finding(f"publisher {name}", state, text, str(row.get("remedy") or _LOG))
        elif row.get("lost"):
            yield Finding(f"publisher {name}", WARN, f"works, and has lost {row['lost']} since start", _LOG)
        else:
            yield Finding(f"publisher {name}", OK, "works, and has lost nothing")
    if "recorder" not in rows:
        yield Finding("publisher recorder", ABSENT, "nothing is recorded: record.directory is empty")
