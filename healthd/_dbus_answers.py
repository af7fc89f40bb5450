"""How calls are answered: at once, or when there is an answer, while other calls are answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from healthd import _dbus_frames as frames
from healthd._dbus_messages import FAILED, LIMITS_EXCEEDED, Answer, Call, Handler, Patient, Reply
from healthd.errors import CallError

MOST = 16
"""How many calls may wait for their answers at once."""
MOST_OF_ONE = 4
"""How many of them one sender may have."""
MOST_PATIENT = 640
"""How many more may wait for whoever says who may: more than all connections that the bus grants one user can have."""
MOST_PATIENT_OF_ONE = 2

MOST_UNSENT = 4 * 1024 * 1024
"""While this much is unsent no answer is kept that took its time, bytes."""

_log = logging.getLogger(__name__)


class _Room(NamedTuple):
    """Where calls wait for their answers."""

    most: int
    most_of_one: int
    senders: dict["asyncio.Future[Reply]", str]
    """By the answer."""


class Answerer:
    """Answers the calls of one connection by `send`, which takes a kind, a reply and the parts of a message.

    `unsent` tells how many bytes the bus has not taken yet.
    """

    def __init__(self, send: Callable[..., object], unsent: Callable[[], int]) -> None:
        self._send = send
        self._unsent = unsent
        self._waiting = _Room(MOST, MOST_OF_ONE, {})
        self._patient = _Room(MOST_PATIENT, MOST_PATIENT_OF_ONE, {})

    def answer(self, handler: Handler | None, frame: frames.Frame, message: Any) -> None:
        """Answer a call, or have it wait for what the handler promises."""
        try:
            reply = _reply(handler, frame, message)
            if isinstance(reply, Reply):
                self._tell(message, reply)
            elif isinstance(reply, Patient):
                self._wait(message, reply.answer, self._patient)
            else:
                self._wait(message, reply, self._waiting)
        except Exception as error:  # noqa: BLE001  # the edge: our fault reaches neither the caller nor the connection
            self._refuse(message, error)

    def end(self) -> None:
        """Let go of all calls that wait: nobody takes their answers."""
        for room in (self._waiting, self._patient):
            waiting = list(room.senders)
            room.senders.clear()
            for answer in waiting:
                answer.cancel()

    def _wait(self, message: Any, awaitable: Awaitable[Reply], room: "_Room") -> None:
        answer = asyncio.ensure_future(awaitable)
        sender, senders = message.sender, list(room.senders.values())
        if len(senders) >= room.most or senders.count(sender) >= room.most_of_one:
            # Before it began: nothing is done for it.
            answer.cancel()
            raise CallError(LIMITS_EXCEEDED, "too many calls wait; try again")
        room.senders[answer] = sender
        answer.add_done_callback(lambda answer: self._arrived(message, answer, room))

    def _arrived(self, message: Any, answer: "asyncio.Future[Reply]", room: "_Room") -> None:
        if room.senders.pop(answer, None) is None:
            if not answer.cancelled():
                # asyncio warns of an exception that nobody looked at.
                answer.exception()
            return
        try:
            self._tell(message, self._kept(answer.result()))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # the edge, as above
            self._refuse(message, error)

    def _kept(self, reply: Reply) -> Reply:
        """Return an answer that was begun when there was room: many large ones can be more than there is memory."""
        if self._unsent() > MOST_UNSENT:
            raise CallError(LIMITS_EXCEEDED, "the bus does not keep up; try again")
        return reply

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


def _reply(handler: Handler | None, frame: frames.Frame, message: Any) -> Answer:
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
