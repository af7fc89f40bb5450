"""Calls of ours: each is answered by whom it went to, in time, or not at all."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from healthd import _dbus_frames as frames
from healthd import _dbus_library as library
from healthd.errors import BusLost, CallError

DRIVER = "org.freedesktop.DBus"
"""The bus daemon, as it names itself."""


class _Waiting(NamedTuple):
    """A call that has no answer yet."""

    name: str
    """Unique name of whom it went to."""
    answer: asyncio.Future[Any]


class Calls:
    """The calls of one connection, sent by `send`, which takes a kind and the parts of a message."""

    def __init__(self, send: Callable[..., int]) -> None:
        self._send = send
        self._waiting: dict[int, _Waiting] = {}
        """By the serial of the call."""

    def __bool__(self) -> bool:
        """Tell whether any waits."""
        return bool(self._waiting)

    def tell(self, name: str, signature: str, body: Sequence[Any], **address: str) -> None:
        """Call a method that is not answered; `address`: path, interface and member."""
        flags = library.MessageFlag.NO_REPLY_EXPECTED
        call = {**address, "destination": name, "signature": signature, "body": list(body), "flags": flags}
        self._send(frames.METHOD_CALL, **call)

    async def ask(
        self, name: str, signature: str, body: Sequence[Any], wait: float | None, **address: str
    ) -> list[Any]:
        """Call a method of a unique name, and return the body of the answer.

        `address` as above. Raises CallError for an error reply, TimeoutError where no answer comes
        within `wait` seconds, if that is not `None`, and BusLost where the connection ends.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        serial = self._send(frames.METHOD_CALL, destination=name, signature=signature, body=list(body), **address)
        self._waiting[serial] = _Waiting(name, answer)
        try:
            async with asyncio.timeout(wait):
                reply = await answer
        finally:
            del self._waiting[serial]
        if reply.message_type.value == frames.ERROR:
            raise CallError(reply.error_name, str(reply.body[0]) if reply.body else "")
        return list(reply.body)

    def answered(self, sender: str, reply: Any) -> None:
        """Take an answer; one that comes from somebody else than was asked, or from the bus for them, is none."""
        waiting = self._waiting.get(reply.reply_serial)
        if waiting and sender in (waiting.name, DRIVER) and not waiting.answer.done():
            waiting.answer.set_result(reply)

    def end(self, fault: BusLost) -> None:
        """Let go of those who wait."""
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(BusLost(*fault.args))
