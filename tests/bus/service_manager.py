"""systemd's manager for tests: it tells of units that failed as a test wants, or hangs, or lies."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from raw import CALL, ERROR, RETURN, Client, message

NAME = "org.freedesktop.systemd1"
POLICY = f'<policy context="default"><allow own="{NAME}"/><allow send_destination="{NAME}"/></policy>'
UNITS = "a(ssssssouso)"

Answer = tuple[Any, ...] | str | None
"""A signature and its values, the name of an error, or none at all."""


def unit(name: str) -> tuple[str, str, str, str, str, str, str, int, str, str]:
    """Return a row of ListUnitsFiltered."""
    return name, "Something", "loaded", "failed", "failed", "", "/org/freedesktop/systemd1/unit/x", 0, "", "/"


def machine(failed: list[str], state: str = "running") -> dict[str, Answer]:
    """Return the answers of a manager some of whose units failed."""
    return {
        "NFailedUnits": ("v", ("u", len(failed))),
        "SystemState": ("v", ("s", state)),
        "ListUnitsFiltered": (UNITS, [unit(name) for name in failed]),
    }


class Manager(threading.Thread):
    """Stands in for systemd: notes what it is asked, and answers by property or method."""

    def __init__(self, bus: str, answers: dict[str, Answer]) -> None:
        super().__init__(daemon=True)
        self.answers = answers
        self.asked: list[str] = []
        self._client = Client(bus)
        assert self._client.driver("RequestName", "su", NAME, 4).body == [1]

    def run(self) -> None:
        """Answer until the connection ends."""
        with contextlib.suppress(OSError, ValueError):
            while True:
                call = self._client.receive()
                if call.kind != CALL:
                    continue
                member = call.fields["member"]
                asked = call.body[1] if member == "Get" else member
                if member == "ListUnitsFiltered":
                    assert call.body == [["failed"]]
                else:
                    assert call.body[0] == f"{NAME}.Manager"
                self.asked.append(asked)
                self._reply(self.answers[asked], call.fields["sender"], call.serial)

    def _reply(self, answer: Answer, to: str, serial: int) -> None:
        where = {"destination": to, "reply_serial": serial}
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


@contextlib.contextmanager
def manager(bus: str, answers: dict[str, Answer]) -> Iterator[Manager]:
    """Run a manager on a bus."""
    made = Manager(bus, answers)
    made.start()
    try:
        yield made
    finally:
        made.end()
