"""logind for tests: it tells everybody that the machine is about to sleep, and that it woke."""

import contextlib
from collections.abc import Iterator
from typing import Any

from raw import SIGNAL, Client, message

NAME = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
INTERFACE = "org.freedesktop.login1.Manager"
POLICY = f'<policy context="default"><allow own="{NAME}"/><allow send_destination="{NAME}"/></policy>'


class Speaker(Client):
    """Says what logind says, whoever it is."""

    def tell(self, signature: str = "b", *values: Any, member: str = "PrepareForSleep", **more: Any) -> None:
        """Send a signal, to everybody unless a `destination` is given."""
        where = {"path": PATH, "interface": INTERFACE, "member": member, **more}
        self.send(message(SIGNAL, 1000, signature, *values, **where))

    def sleeps(self) -> None:
        self.tell("b", True)

    def wakes(self) -> None:
        self.tell("b", False)


class Login(Speaker):
    """Stands in for logind."""

    def __init__(self, bus: str) -> None:
        super().__init__(bus)
        assert self.driver("RequestName", "su", NAME, 4).body == [1]


@contextlib.contextmanager
def login(bus: str) -> Iterator[Login]:
    """Run a logind on a bus."""
    with Login(bus) as made:
        yield made
