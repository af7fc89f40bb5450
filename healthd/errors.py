"""Everything that healthd raises on purpose, as one tree.

    HealthdError
    ├── UsageError          an option or argument can't be used
    ├── NoQuantity          a text is no duration or no size (in `quantity`)
    ├── ConfigError         a configuration has faults
    ├── Unobserved          something could not be observed, and why
    ├── BadEvent            a line is no event that can be read
    ├── RecordingError
    │   ├── RecordingTaken  another healthd records to that directory
    │   ├── NoRecording     there is nothing to replay
    │   └── BadRecording    a recording was read, and parts of it can't be
    └── BusError
        ├── BusUnreachable  there is no bus at that address
        ├── BusLost         the connection ended
        ├── NameTaken       another process owns the name
        ├── NotAllowed      the bus's policy refuses
        └── CallError       a method call failed, with its D-Bus error name

The library raises; the edge (`cli.py`, the collectors' runner, the bus server) logs or answers once.
Each text is one line that a user can act on.
"""


class HealthdError(Exception):
    """Root of the tree."""


class UsageError(HealthdError):
    """An option or argument can't be used."""


class ConfigError(HealthdError):
    """A configuration can't be used: `faults` are all its faults, a line each."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Unobserved(HealthdError):
    """Something could not be observed.

    `problem` is a code of `protocol` (`permission`, `unsupported`, …), the text is the reason, and
    `remedy` says what the user can do about it ("" where there is nothing).
    """

    def __init__(self, problem: str, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.problem = problem
        self.reason = reason
        self.remedy = remedy


class BadEvent(HealthdError):
    """A line is no event that can be read; the text is the reason."""


class RecordingError(HealthdError):
    """A recording, or the directory of one."""


class RecordingTaken(RecordingError):
    """Another healthd records to that directory."""


class NoRecording(RecordingError):
    """There is nothing to replay."""


class BadRecording(RecordingError):
    """A recording was read, and parts of it can't be."""


class BusError(HealthdError):
    """The bus, or the way to it."""


class BusUnreachable(BusError):
    """There is no bus at that address."""


class BusLost(BusError):
    """The connection ended."""


class NameTaken(BusError):
    """Another process owns the bus name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is taken: another healthd runs on this bus; stop it, or use another --bus")


class NotAllowed(BusError):
    """The bus's policy refuses."""


class CallError(BusError):
    """A method call failed: `name` is the D-Bus error name, the text is the peer's."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
