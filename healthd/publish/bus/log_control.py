"""How much is logged and where to, as systemd's tools ask for it (org.freedesktop.LogControl1(5))."""

from healthd import log
from healthd.model import Table, state, table
from healthd.publish.bus.interface import of_table

PATH = "/org/freedesktop/LogControl1"


@table("LogControl")
class LogControl(Table):
    """The log of healthd. It is beside the tree of what is observed, where systemd's tools look for it."""

    log_level: str = state(
        "What is logged, that and worse: emerg, alert, crit, err, warning, notice, info or debug. Until healthd ends. "
        "Setting it is up to root and whom polkit lets.",
        live=True,
    )
    log_target: str = state(
        "Where the log goes: journal or console, whichever standard error is, or null for nowhere. It can be set to "
        "that one, to auto, which means the same, and to null, by the same users.",
        live=True,
    )
    syslog_identifier: str = state("The name of healthd in the journal.", live=True)


# systemd's name, with systemd's contract.
LogControl.interface = "org.freedesktop.LogControl1"

INTERFACE = of_table(LogControl, writable=("log_level", "log_target"))


def tables() -> tuple[LogControl]:
    """Return the tables of the log's object, as it is now."""
    return (LogControl(log_level=log.level(), log_target=log.target(), syslog_identifier="healthd"),)
