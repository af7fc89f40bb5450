"""How calls are answered: at once, or when there is an answer, while other calls are answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from healthd import _dbus_frames as frames
from healthd._dbus_messages import FAILED, LIMITS_EXCEEDED, Call, Handler, Reply
from healthd.errors import CallError

MOST = 16
"""How many calls may wait for their answers at once."""
MOST_OF_ONE = 4
"""How many of them one sender may have."""

_log = logging.getLogger(__name__)


class Answerer:
    """Answers the calls of one connection by `send`, which takes a kind, a reply and the parts of a message."""

    def __init__(self, send: Callable[..., object]) -> None:
        self._send = send
        self._waiting: dict[asyncio.Future[Reply], str] = {}
        """The sender of each call that waits, by its answer."""

    def answer(self, handler: Handler | None, frame: frames.Frame, message: Any) -> None:
        """Answer a call, or have it wait for what the handler promises."""
        try:
            reply = _reply(handler, frame, message)
            if isinstance(reply, Reply):
                self._tell(message, reply)
            else:
                self._wait(message, reply)
        except Exception as error:  # noqa: BLE001  # the edge: our fault reaches neither the caller nor the connection
            self._refuse(message, error)

    def end(self) -> None:
        """Let go of all calls that wait: nobody takes their answers."""
        waiting = list(self._waiting)
        self._waiting.clear()
        for answer in waiting:
            answer.cancel()

    def _wait(self, message: Any, awaitable: Awaitable[Reply]) -> None:
        answer = asyncio.ensure_future(awaitable)
        sender, senders = message.sender, list(self._waiting.values())
        if len(senders) >= MOST or senders.count(sender) >= MOST_OF_ONE:
            # Before it began: nothing is done for it.
            answer.cancel()
            raise CallError(LIMITS_EXCEEDED, "too many calls wait; try again")
        self._waiting[answer] = sender
        answer.add_done_callback(lambda answer: self._arrived(message, answer))

    def _arrived(self, message: Any, answer: "asyncio.Future[Reply]") -> None:
        if self._waiting.pop(answer, None) is None:
            if not answer.cancelled():
                # asyncio warns of an exception that nobody looked at.
                answer.exception()
            return
        try:
            self._tell(message, answer.result())
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # the edge, as above
            self._refuse(message, error)

    def _tell(self, message: Any, reply: Reply) -> None:
        self._send(frames.METHOD_RETURN, reply, destination=message.sender or None, reply_serial=message.serial)

    def _refuse(self, message: Any, error: BaseException) -> None:
        name, text = FAILED, "internal error, see the log"
        if isinstance(error, CallError):
            # It may quote what the caller sent, or what is no UTF-8.
            name, text = error.name, str(error).encode("utf-8", "replace").decode().replace("\0", " ")
        else:
            _log.error("answering %s.%s failed", message.interface, message.member, exc_info=error)
        self._send(
            frames.ERROR,
            error_name=name,
            signature="s",
            body=[text],
            destination=message.sender or None,
            reply_serial=message.serial,
        )


def _reply(handler: Handler | None, frame: frames.Frame, message: Any) -> Reply | Awaitable[Reply]:
    if frame.oversized:
        raise CallError(LIMITS_EXCEEDED, f"{frame.oversized} bytes are more than {frames.MAX_BODY} bytes")
    if handler is None:
        raise CallError(FAILED, "nothing is served here yet")
    return handler(
        Call(
            sender=message.sender or "",
            path=message.path or "",
            interface=message.interface or "",
            member=message.member or "",
            signature=message.signature or "",
            body=message.body,
            interactive=bool(frame.flags & frames.INTERACTIVE),
        )
    )
