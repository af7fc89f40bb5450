"""One connection of a client: whoever says nothing, or has too many, does not keep others out."""

import asyncio
import logging
import sys
from collections import Counter
from typing import Any, ClassVar

from aiohttp import web

from healthctl.errors import complaint
from healthctl.web.problem import problem

# What goes wrong is said once, by `handle_error`; tracebacks are for nobody here.
logging.getLogger("aiohttp").addHandler(logging.NullHandler())
logging.getLogger("aiohttp").propagate = False

_PATIENCE, _ANSWERED = 10.0, 30.0
"""How long a client may take for the head of its first request, and until it has the answer to one, seconds."""
_MOST, _OF_ONE = 700, 256
"""Connections at once, in all and of one address: below the 1024 descriptors of a process."""
_AHEAD = 32
"""Requests on a connection that wait for the one before, at most."""
_TAIL = 64 * 1024
"""Bytes that no request has been made of, at most: what comes after an upgrade that nobody takes up."""


class Connection(web.RequestHandler):
    """Ends itself where no request comes in time, where nobody takes the answer, or where there are too many."""

    open: ClassVar[Counter[str]] = Counter()
    """How many there are, by address."""

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # it may be None
            keepalive_timeout=_ANSWERED,
            # A few bytes may stand for more than there is memory.
            auto_decompress=False,
        )
        self._client: asyncio.Transport | None = None
        self._address = ""
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a client, if there is room."""
        assert isinstance(transport, asyncio.Transport)
        self._client = transport
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        Connection.open[self._address] += 1
        super().connection_made(transport)
        if Connection.open[self._address] > _OF_ONE or Connection.open.total() > _MOST:
            transport.abort()
        else:
            self._within(_PATIENCE)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        Connection.open[self._address] -= 1
        Connection.open += Counter()
        self._within(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and no more of them than a browser sends."""
        try:
            super().data_received(data)
        except ValueError:
            # A target that is none, in Debian 12's aiohttp: after that it can read no further.
            if self._client:
                self._client.abort()
            return
        # aiohttp bounds neither on Debian 12.
        ahead, tail = getattr(self, "_messages", ()), getattr(self, "_message_tail", b"")
        if self._client and (len(ahead) > _AHEAD or len(tail) > _TAIL):
            self._client.abort()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no request that can be read, and what is a bug of ours."""
        if isinstance(exc, ConnectionError):
            # The client has left.
            raise exc
        if isinstance(exc, web.RequestPayloadError):
            answer = problem(400, "the body can't be read")
        elif status < 500:
            answer = problem(status, (message or "this is no HTTP").splitlines()[0][:200])
        else:
            sys.stderr.write(complaint(f"this is a bug of healthctl: {request.path}: {exc!r}"))
            answer = problem(status, "this is a bug of healthctl")
        answer.force_close()
        if getattr(request.writer, "output_size", 0):
            # An answer has begun: there can be no other.
            raise ConnectionResetError
        return answer

    def heard(self, *, ends: bool) -> None:
        """Take note that the head of a request has come, whose answer `ends`."""
        self._within(_ANSWERED if ends else None)

    def _within(self, seconds: float | None) -> None:
        """Give the client so long; `None`: as long as it wants."""
        if self._limit:
            self._limit.cancel()
        self._limit = None
        if seconds is not None and self._client:
            self._limit = asyncio.get_running_loop().call_later(seconds, self._client.abort)


def heard(request: web.Request, *, ends: bool = True) -> None:
    """Take note that the head of a request has come; the answer to some never `ends`."""
    protocol: Any = request.protocol
    if isinstance(protocol, Connection):
        protocol.heard(ends=ends)
