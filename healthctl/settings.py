"""What the options that every command understands say, from the command line or the environment."""

import os

from healthctl import place
from healthctl.errors import UsageError
from healthctl.place import Place
from healthd import protocol

ASKED = "_HEALTHCTL_COMPLETE"
"""The variable by which a shell asks how to go on with a line."""


class Settings:
    """What the options before and after the subcommand say together: the later one wins."""

    def __init__(self) -> None:
        self.named_bus = ""
        """What an option says of the bus; "" is nothing."""
        self.hosts: tuple[str, ...] = ()
        """Other machines; none: this one."""
        self.color = "auto"
        self.json = False
        self.no_pager = False

    @property
    def bus(self) -> str:
        """Where the one healthd is that is meant; raises UsageError where several are, or the variable names no bus."""
        if len(self.hosts) > 1:
            raise UsageError("this is for one host at a time; several can be named for status and check")
        return self.buses[self.hosts[0]] if self.hosts else self._bus

    @property
    def buses(self) -> dict[str, str]:
        """Where healthd is on each of the other machines; raises UsageError where the variable names no bus."""
        return {host: place.address(Place(self._bus, host)) for host in self.hosts}

    @property
    def _bus(self) -> str:
        """The bus, here or on the other machines."""
        named = os.environ.get(protocol.BUS_VARIABLE) or "system"
        try:
            return self.named_bus or place.bus(named)
        except UsageError as error:
            raise UsageError(f"{protocol.BUS_VARIABLE}: {error}") from error
