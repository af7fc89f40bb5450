"""Everything that healthctl raises on purpose, as one tree.

    HealthctlError
    ├── UsageError          an option or argument can't be used
    ├── UnknownMetric       healthd has no metric of that name
    ├── UnknownCondition    healthd has no condition of that name
    ├── BadConfig           the configuration has faults
    ├── NotAllowed          the user may not do that
    ├── Unmet               what was waited for did not come in time
    ├── Unwritten           a file can't be written
    ├── Taken               somebody else listens there
    └── Unavailable         healthd, or what was asked of it, can't be had
        ├── Busy            healthd has too much to answer at once
        └── Absent          what was named is not there now

Each text is one line that a user can act on; `cli.run` writes it, after the faults where there are some, and exits with
`exit_code`.
"""

import sys

from healthd import protocol


def complaint(reason: object) -> str:
    """Return a line for standard error; names from the bus may be part of it, and none moves a cursor."""
    return " ".join(plain(f"healthctl: {reason}").split()) + "\n"


class Loss:
    """Why something is not there now, which is said on standard error once as long as it stays the same."""

    def __init__(self) -> None:
        self.reason = ""
        """Empty where it is there."""

    def say(self, reason: object) -> None:
        """Say it unless it was said already."""
        if str(reason) != self.reason:
            self.reason = str(reason)
            sys.stderr.write(complaint(reason))

    def over(self) -> None:
        """Note that it is there again."""
        self.reason = ""


def plain(text: str) -> str:
    """Return text of which nothing moves a cursor."""
    return "".join(char if char.isprintable() else " " for char in text)


class HealthctlError(Exception):
    """Root of the tree."""

    exit_code = protocol.EXIT_UNAVAILABLE
    faults: tuple[str, ...] = ()
    """What is wrong one by one, in healthd's own words."""


class UsageError(HealthctlError):
    """An option or argument can't be used."""

    exit_code = protocol.EXIT_USAGE


class UnknownMetric(HealthctlError):
    """healthd has no metric of that name."""

    exit_code = protocol.EXIT_USAGE


class UnknownCondition(HealthctlError):
    """healthd has no condition of that name."""

    exit_code = protocol.EXIT_USAGE


class BadConfig(HealthctlError):
    """The configuration has faults."""

    exit_code = protocol.EXIT_CONFIG

    def __init__(self, reason: str, *faults: str) -> None:
        super().__init__(reason)
        self.faults = faults


class NotAllowed(HealthctlError):
    """The user may not do that."""

    exit_code = protocol.EXIT_NOT_ALLOWED


class Unmet(HealthctlError):
    """What was waited for did not come in time."""

    exit_code = protocol.EXIT_TAKEN


class Unwritten(HealthctlError):
    """A file can't be written."""

    exit_code = protocol.EXIT_IO_ERROR


class Taken(HealthctlError):
    """Somebody else listens there."""

    exit_code = protocol.EXIT_TAKEN


class Unavailable(HealthctlError):
    """healthd, or what was asked of it, can't be had."""


class Busy(Unavailable):
    """healthd has too much to answer at once; it can be asked again."""


class Absent(Unavailable):
    """What was named, such as the instance of a metric, is not there now."""
