"""Everything that healthctl raises on purpose, as one tree.

    HealthctlError
    ├── UsageError          an option or argument can't be used
    ├── UnknownMetric       healthd has no metric of that name
    ├── UnknownCondition    healthd has no condition of that name
    ├── NotAllowed          the user may not do that
    ├── Unmet               what was waited for did not come in time
    └── Unavailable         healthd, or what was asked of it, can't be had

Each text is one line that a user can act on; `cli.run` writes it and exits with `exit_code`.
"""

from healthd import protocol


def complaint(reason: object) -> str:
    """Return a line for standard error; names from the bus may be part of it, and none moves a cursor."""
    text = "".join(char if char.isprintable() else " " for char in f"healthctl: {reason}")
    return " ".join(text.split()) + "\n"


class HealthctlError(Exception):
    """Root of the tree."""

    exit_code = protocol.EXIT_UNAVAILABLE


class UsageError(HealthctlError):
    """An option or argument can't be used."""

    exit_code = protocol.EXIT_USAGE


class UnknownMetric(HealthctlError):
    """healthd has no metric of that name."""

    exit_code = protocol.EXIT_USAGE


class UnknownCondition(HealthctlError):
    """healthd has no condition of that name."""

    exit_code = protocol.EXIT_USAGE


class NotAllowed(HealthctlError):
    """The user may not do that."""

    exit_code = protocol.EXIT_NOT_ALLOWED


class Unmet(HealthctlError):
    """What was waited for did not come in time."""

    exit_code = protocol.EXIT_TAKEN


class Unavailable(HealthctlError):
    """healthd, or what was asked of it, can't be had."""
