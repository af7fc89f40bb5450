"""logind for tests: it tells everybody that the machine is about to sleep, and that it woke."""

from typing import Any

from played import own, policy
from raw import SIGNAL, Client, message

NAME = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
INTERFACE = "org.freedesktop.login1.Manager"
POLICY = policy(NAME)


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
        own(self, NAME)
