"""Services of the bus that a test plays: one that owns a name, and answers what it is called for."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, Self

from raw import CALL, ERROR, RETURN, Client, Message, message

Answer = tuple[Any, ...] | str | None
"""A signature and its values, the name of an error, or none at all."""


def policy(name: str) -> str:
    """Return what the policy file of a service allows, for whoever runs the tests too."""
    return f'<policy context="default"><allow own="{name}"/><allow send_destination="{name}"/></policy>'


def own(client: Client, name: str) -> None:
    """Have a name that nobody else has."""
    assert client.driver("RequestName", "su", name, 4).body == [1]


class Played(threading.Thread):
    """Owns a name on a bus, and answers each call by what a function returns for it, until it ends."""

    def __init__(self, bus: str, name: str, answer: Callable[[Message], Answer]) -> None:
        super().__init__(daemon=True)
        self._answer = answer
        self._client = Client(bus)
        own(self._client, name)
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def run(self) -> None:
        """Answer until the connection ends."""
        with contextlib.suppress(OSError, ValueError):
            while True:
                call = self._client.receive()
                if call.kind == CALL:
                    self._reply(self._answer(call), call)

    def _reply(self, answer: Answer, call: Message) -> None:
        where = {"destination": call.fields["sender"], "reply_serial": call.serial}
        if isinstance(answer, str):
            self._client.send(message(ERROR, 99, "s", "it went wrong", error_name=answer, **where))
        elif answer is not None:
            self._client.send(message(RETURN, 99, *answer, **where))

    def end(self) -> None:
        """Leave the bus."""
        with contextlib.suppress(OSError):
            # It is being read from.
            self._client._socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self._client.__exit__()
