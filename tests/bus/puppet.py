"""Another user on the bus, who does what a test tells."""

import contextlib
from typing import Any

from private_bus import Bus
from raw import Client, Stranger


def _dance(pipe: Any, address: str, connections: int) -> None:
    """Do with connections to the bus what is told: send calls, tell their answers."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(address)) for _ in range(connections)]
        pipe.send([client.name for client in clients])
        while True:
            which, count, call = pipe.recv()
            for _ in range(count):
                clients[which].send(clients[which].prepare(*call[0], **call[1])[1])
            if not count:
                answer = clients[which].answers(1)[0]
                pipe.send((answer.error, answer.body))


class Puppet(Stranger):
    """Nobody, where the tests run as root."""

    def __init__(self, bus: Bus, connections: int = 1) -> None:
        super().__init__(_dance, bus.address, connections)
        self.names = self.told()

    def send(self, *call: Any, which: int = 0, count: int = 1, **more: Any) -> None:
        """Send a call, some times, by one of the connections."""
        self.tell((which, count, (call, more)))

    def answer(self, which: int = 0) -> tuple[str, list[Any]]:
        """Return an answer: the error's name, and the body."""
        self.tell((which, 0, None))
        return self.told()

    def call(self, *call: Any, **more: Any) -> tuple[str, list[Any]]:
        """Call, and return the answer."""
        self.send(*call, **more)
        return self.answer()

    def leave(self) -> None:
        """Leave the bus, in the midst of what it does."""
        self._process.kill()
