"""The journal: what a person wants to find there, as a sentence with its data as fields; never samples.

Where standard error is the journal, entries go there by journald's own protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL),
and what journald does not take at once is lost and counted. Elsewhere the sentences go to standard error.
"""

import errno
import fcntl
import logging
import os
import re
import socket
from array import array
from collections.abc import Callable, Mapping
from math import nan
from typing import Any, ClassVar, NamedTuple

from healthd import log, protocol
from healthd.amount import span
from healthd.model import SINGLE, Account, Cycle, Event, Problem, Snapshot

_log = logging.getLogger(__name__)

SOCKET = "/run/systemd/journal/socket"

Data = Mapping[str, Any]

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
# With what stands before it a field's name has at most 64 characters.
_KEY = re.compile("[A-Za-z0-9_]{1,56}")
_REMEDY = "systemctl status systemd-journald"


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class Journal:
    """Publishes in the journal, or on standard error.

    `path`: journald's socket.
    """

    name: ClassVar[str] = "journal"

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        if log.is_journal():
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._problem: Problem | None = None
        self._lost = 0
        self._told = 0
        """Lost entries of which the journal knows."""

    def publish(self, cycle: Cycle) -> None:
        """Tell what happened."""
        self._go_on()
        for event in cycle.events:
            message = MESSAGES.get(event.name)
            if message and _said(event, cycle.snapshot):
                level, sentence = message.tell(event.data)
                if self._socket:
                    self._send(encode(_fields(event, message, level, sentence)))
                else:
                    # A name may be part of it, and none moves a cursor or begins a line.
                    _log.log(level, "%s", _printable(sentence))

    def account(self) -> Account:
        """Tell how it goes; what is lost are entries."""
        return Account(self._problem, self._lost)

    def close(self) -> None:
        """Let go of the socket; nothing is published after it."""
        if self._socket:
            self._socket.close()

    def _send(self, entry: bytes) -> None:
        if self._problem or not self._taken(entry):
            self._lost += 1

    def _go_on(self) -> None:
        """After a loss, try whether entries are taken again by saying in the journal how many are missing."""
        if self._problem:
            lost = self._lost - self._told
            fields = {
                "MESSAGE": f"entries of healthd that are missing before this one: {lost}",
                "PRIORITY": str(log.priority(logging.WARNING)),
                "SYSLOG_IDENTIFIER": "healthd",
                "HEALTHD_LOST": str(lost),
            }
            if self._taken(encode(fields)):
                self._told = self._lost

    def _taken(self, entry: bytes) -> bool:
        """Hand an entry to journald, and tell whether it took it."""
        assert self._socket
        problem = _deliver(self._socket, self._path, entry)
        if problem and (self._problem is None or self._problem.code != problem.code):
            _log.warning("entries for the journal are lost: %s", problem.reason)
        self._problem = problem
        return problem is None


def _deliver(journald: socket.socket, path: str, entry: bytes) -> Problem | None:
    """Hand an entry over and return why it was not taken.

    Each goes to the path anew: a journald that was restarted has another socket there.
    """
    try:
        try:
            journald.sendto(entry, path)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            _deliver_file(journald, path, entry)
    except BlockingIOError:
        return Problem(protocol.TIMEOUT, "journald does not keep up", _REMEDY)
    except (FileNotFoundError, ConnectionRefusedError):
        return Problem(protocol.VANISHED, f"no journald listens at {path}", _REMEDY)
    except OSError as error:
        code = protocol.PERMISSION if isinstance(error, PermissionError) else protocol.FAILED
        return Problem(code, f"{path}: {error.strerror or error}", _REMEDY)
    return None


def _deliver_file(journald: socket.socket, path: str, entry: bytes) -> None:
    """Hand over what is too large for a datagram: a file in memory that nobody can change any more."""
    file = os.memfd_create("healthd-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(entry)
        while rest:
            rest = rest[os.write(file, rest) :]
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        # With no piece at all QEMU, where it emulates Linux, sends nothing and says it did.
        journald.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [file]))], 0, path)
    finally:
        os.close(file)


def encode(fields: Mapping[str, str]) -> bytes:
    """Return an entry as journald reads it: `NAME=value` lines, or the value's length (64 bits) before it."""
    return b"".join(_field(name, value) for name, value in fields.items())


def _field(name: str, value: str) -> bytes:
    if value.isprintable():
        return f"{name}={value}\n".encode()
    # A lone surrogate is no UTF-8; it becomes its escape, as in the events.
    data = value.encode("utf-8", "backslashreplace")
    return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)


def _fields(event: Event, message: "Message", level: int, sentence: str) -> dict[str, str]:
    fields = {
        "MESSAGE": sentence,
        "PRIORITY": str(log.priority(level)),
        "MESSAGE_ID": message.id,
        "SYSLOG_IDENTIFIER": "healthd",
        "HEALTHD_EVENT": event.name,
        "HEALTHD_SEQ": str(event.seq),
        "HEALTHD_BOOT_SECONDS": str(event.instant.since_boot),
    }
    for key, value in event.data.items():
        if isinstance(value, str | int | float) and _KEY.fullmatch(key):
            # Flags as in JSON: true, false.
            fields.setdefault(f"HEALTHD_{key.upper()}", value if isinstance(value, str) else str(value).lower())
    return fields


def _said(event: Event, snapshot: Snapshot) -> bool:
    """Tell whether a person hears of it: what is gone, or lost with its family, is not available again."""
    if event.name != protocol.COLLECTOR_RECOVERED or event.data.get("instance", SINGLE) == SINGLE:
        return True
    entry = snapshot.entries.get(event.data["family"], {}).get(event.data["instance"])
    return entry is not None and entry.status.available


def _started(data: Data) -> tuple[int, str]:
    version, interval = data.get("version", ""), _span(data.get("interval"))
    return logging.INFO, f"healthd {version} observes this machine every {interval}"


def _stopped(_: Data) -> tuple[int, str]:
    return logging.INFO, "healthd ends"


def _gap(data: Data) -> tuple[int, str]:
    reason, seconds = data.get("reason"), data.get("seconds")
    if reason == protocol.SUSPEND:
        return logging.INFO, f"the machine was suspended for {_span(seconds)}"
    if reason == protocol.CLOCK:
        way = "back" if isinstance(seconds, float | int) and seconds < 0 else "forward"
        return log.NOTICE, f"the clock was set {way} by {_span(seconds)}"
    return log.NOTICE, f"samples were late by {_span(seconds)}"


def _failed(data: Data) -> tuple[int, str]:
    level = logging.INFO if data.get("problem") in protocol.NO_FAULTS else logging.WARNING
    remedy = data.get("remedy")
    return level, f"{_address(data, 'family')} is unavailable: {data.get('reason')}{f'; {remedy}' if remedy else ''}"


def _recovered(data: Data) -> tuple[int, str]:
    return logging.INFO, f"{_address(data, 'family')} is available again"


_LEVELS = {
    protocol.OK: logging.INFO,
    protocol.NOTICE: log.NOTICE,
    protocol.WARNING: logging.WARNING,
    protocol.CRITICAL: logging.CRITICAL,
}


def _transition(data: Data) -> tuple[int, str]:
    severity, before, summary = data.get("to"), data.get("from"), data.get("summary")
    level = _LEVELS.get(str(severity), log.NOTICE)
    said = f": {summary}" if summary else ""
    if severity == protocol.OK:
        how = "is not judged any more" if data.get("judged") is False else "is ok again"
        return level, f"{_address(data, 'condition')} {how}"
    return level, f"{_address(data, 'condition')} is {severity}{f' (was {before})' if before else ''}{said}"


def _acknowledged(data: Data) -> tuple[int, str]:
    return logging.INFO, f"{_address(data, 'condition')} was acknowledged by {data.get('who')}"


def _enabled(data: Data) -> tuple[int, str]:
    return logging.INFO, f"{_address(data, 'family')} is observed again"


def _disabled(data: Data) -> tuple[int, str]:
    return logging.INFO, f"{_address(data, 'family')} is not observed any more: {data.get('reason')}"


def _loaded(data: Data) -> tuple[int, str]:
    files = data.get("files")
    named = ", ".join(map(str, files)) if isinstance(files, list | tuple) else ""
    return logging.INFO, f"in force is {named or 'the default configuration'}"


def _refused(data: Data) -> tuple[int, str]:
    faults = data.get("faults")
    told = "; ".join(map(str, faults)) if isinstance(faults, list | tuple) else str(faults)
    return logging.ERROR, f"the configuration before stays in force, as this one has faults: {told}"


def _address(data: Data, key: str) -> str:
    instance = data.get("instance")
    return f"{data.get(key)}@{instance}" if instance else str(data.get(key))


def _span(seconds: Any) -> str:
    return span(seconds if isinstance(seconds, float | int) else nan)


class Message(NamedTuple):
    """How an event is told."""

    id: str
    """Stays what it is: what explains an entry, and who looks for one, goes by it."""
    tell: Callable[[Data], tuple[int, str]]
    """Gives a level of `logging` and a sentence."""


MESSAGES: Mapping[str, Message] = {
    protocol.RUNTIME_STARTED: Message("90861c829b7d437cb951d44be4c65e1f", _started),
    protocol.RUNTIME_STOPPED: Message("8913ca24f6bc4a0d822227f0cc22a266", _stopped),
    protocol.RUNTIME_GAP: Message("4883ec5332ae489a926d9e26a7e6560c", _gap),
    protocol.COLLECTOR_FAILED: Message("0e276916efa44767a6ce8f80a2ad68b9", _failed),
    protocol.COLLECTOR_RECOVERED: Message("9b284ce0d6b441cd8c1ec5824c54c509", _recovered),
    protocol.HEALTH_TRANSITION: Message("1ed674ac3ab54b7abb94cf2771125eee", _transition),
    protocol.HEALTH_ACKNOWLEDGED: Message("428b0338bc454403a92ab5f9e68cdcd4", _acknowledged),
    protocol.COLLECTOR_ENABLED: Message("84c4d1301b9d421c95246570ad4ade76", _enabled),
    protocol.COLLECTOR_DISABLED: Message("de6f4f4c0e794ce8a4e95dad78449b7b", _disabled),
    protocol.CONFIG_REFUSED: Message("31b99e3cb67b405aa222c7ffa1f9df94", _refused),
    protocol.CONFIG_LOADED: Message("4b9be0012b8340f2882d9d85c65b6a33", _loaded),
}
"""The events that are told, and the id of each in the journal."""
