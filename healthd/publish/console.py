"""The console: events as JSON lines on a descriptor. A reader that does not keep up loses lines, never the daemon."""

import asyncio
import logging
import os
import select
from contextlib import suppress
from typing import ClassVar

from healthd import protocol
from healthd.events import encode
from healthd.model import Account, Cycle, Problem

_log = logging.getLogger(__name__)

# What a pipe takes whole once poll says that it takes anything (POSIX: PIPE_BUF, at least 512; Linux: 4096).
_PIECE = 4096
# Not every descriptor can be waited for on the loop.
_PAUSE = 0.01


class Console:
    """Publishes events on a descriptor, standard output by default.

    A `patient` one loses nothing, for a source that waits (`room`) after each cycle.
    """

    name: ClassVar[str] = "console"

    def __init__(self, descriptor: int = 1, *, patient: bool = False) -> None:
        self._patient = patient
        self._descriptor = _own(descriptor)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._rest = b""
        self.lost = 0
        """Lines that nobody took."""
        self.gone = False
        """Whether the reader has gone away."""

    def publish(self, cycle: Cycle) -> None:
        """Write the cycle's events, one a line, without blocking."""
        for event in cycle.events:
            self._write(encode(event).encode() + b"\n")

    async def room(self) -> None:
        """Wait until the reader has taken everything, or is gone."""
        while self._rest:
            self._rest = self._send(self._rest)
            if self._rest:
                await asyncio.sleep(_PAUSE)

    def account(self) -> Account:
        """Tell how it goes; lost are lines."""
        problem = None
        if self.gone:
            problem = Problem(protocol.VANISHED, "the reader of the console is gone")
        elif self._rest:
            problem = Problem(protocol.TIMEOUT, "the reader of the console does not keep up")
        return Account(problem, self.lost)

    def _write(self, line: bytes) -> None:
        if self._rest:
            self._rest = self._send(self._rest)
        if self._rest and self._patient:
            self._rest += line
        elif self._rest or self.gone:
            self.lost += 1
        else:
            self._rest = self._send(line)

    def _send(self, data: bytes) -> bytes:
        """Write as much as is taken now and return the rest."""
        while data and not self.gone:
            ready = self._poll.poll(0)
            if not ready:
                return data
            try:
                written = os.write(self._descriptor, data[:_PIECE])
            except BlockingIOError:
                return data
            except OSError as error:
                self.gone = True
                _log.warning("the console is gone: %s", os.strerror(error.errno or 0))
                return b""
            data = data[written:]
        return data


def _own(descriptor: int) -> int:
    """Return what can be written without blocking.

    A terminal takes less than poll promises. O_NONBLOCK would hold for everyone who shares it: open it anew.
    """
    if os.isatty(descriptor):
        with suppress(OSError):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    return descriptor
