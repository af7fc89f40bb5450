"""The log: lines on standard error, as whoever takes them wants them.

A person gets `healthd: …`. What is no terminal and no file gets the priority in front, `<4>…`, which journald and
others that collect logs take off again (sd-daemon(3)).
"""

import logging
import os
import re
import select
import stat

NOTICE = 25
"""Level of what is worth a look, and no fault."""

LEVELS = {
    "emerg": 70,
    "alert": 60,
    "crit": logging.CRITICAL,
    "err": logging.ERROR,
    "warning": logging.WARNING,
    "notice": NOTICE,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
"""What `logging` calls syslog's levels, from the worst on; of the first two there is nothing here."""

# By the least level; syslog's numbers.
_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, NOTICE: 5, logging.INFO: 6}
_DEBUG = 7
# Where journald ends a line.
_END = re.compile("[\n\0]")
# What a pipe or socket takes whole once poll says that it takes anything (POSIX: PIPE_BUF; Linux: 4096).
_PIECE = 4096


def configure(descriptor: int = 2) -> None:
    """Send the log to a descriptor, standard error by default; what that does not take is lost, and nothing else."""
    logging.raiseExceptions = False
    handler = logging.StreamHandler(_Descriptor(descriptor))
    if _prefixed(descriptor):
        # The journal knows the name.
        handler.setFormatter(_Prefixed("" if is_journal(descriptor) else "healthd: "))
    else:
        handler.setFormatter(logging.Formatter("healthd: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def level() -> str:
    """Return the level from which on, to the worse, is logged: a key of `LEVELS`."""
    now = logging.getLogger().level
    return next((name for name, least in LEVELS.items() if least <= now), "debug")


def set_level(name: str) -> None:
    """Log that and worse from now on; raises KeyError for what is no key of `LEVELS`."""
    logging.getLogger().setLevel(LEVELS[name])


def target() -> str:
    """Return where the log goes: `journal`, `console`, or `null` for nowhere (org.freedesktop.LogControl1(5))."""
    return "null" if logging.root.manager.disable >= logging.CRITICAL else _stream()


def targets() -> tuple[str, ...]:
    """Return what the target can be set to; `auto` is where standard error leads."""
    return "auto", _stream(), "null"


def set_target(name: str) -> None:
    """Have the log go nowhere, or where standard error leads; `name` is one of `targets`."""
    logging.disable(logging.CRITICAL if name == "null" else logging.NOTSET)


def _stream() -> str:
    return "journal" if is_journal() else "console"


def is_journal(descriptor: int = 2) -> bool:
    """Tell whether a descriptor leads to the journal: `$JOURNAL_STREAM` is its device and inode (systemd.exec(5)).

    The variable alone says nothing: it is inherited by those whose standard error is another one.
    """
    try:
        there = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def priority(level: int) -> int:
    """Return syslog's priority (0 to 7, the lower the worse) for a level of `logging`."""
    return next((number for least, number in _PRIORITIES.items() if level >= least), _DEBUG)


def _prefixed(descriptor: int) -> bool:
    """Tell whether lines are not for a person's eyes at once."""
    try:
        return not (os.isatty(descriptor) or stat.S_ISREG(os.fstat(descriptor).st_mode))
    except OSError:  # closed
        return False


class _Prefixed(logging.Formatter):
    """Puts the priority, and a name, before each line: a traceback is one record and many lines."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{priority(record.levelno)}>{self._name}"
        return "\n".join(prefix + line for line in _END.split(super().format(record)))


class _Descriptor:
    """Writes without blocking and, unlike a file object, keeps nothing that was not taken."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, text: str) -> None:
        """Write as many lines as are taken now. Raises OSError, which `logging` passes over."""
        for line in text.encode("utf-8", "backslashreplace").splitlines(keepends=True):
            for start in range(0, len(line), _PIECE):
                if not self._poll.poll(0):
                    return
                os.write(self._descriptor, line[start : start + _PIECE])
