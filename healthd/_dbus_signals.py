"""What others tell everybody: the signals that one connection listens for; no others of theirs are even decoded."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from healthd import _dbus_frames as frames


class Signal(NamedTuple):
    """Which signal, and whose."""

    sender: str
    """Unique name: another one can't send in its place."""
    path: str
    interface: str
    member: str

    @property
    def rule(self) -> str:
        """What the bus is told to pass on (D-Bus specification, "Match Rules")."""
        words = [f"{key}='{value}'" for key, value in self._asdict().items()]
        return ",".join(["type='signal'", *words])


class Signals:
    """The signals that one connection listens for, each by one listener.

    `ask` calls a method of the bus daemon, and `tell` does without waiting for its answer.
    """

    def __init__(self, ask: Callable[..., Awaitable[list[Any]]], tell: Callable[..., None]) -> None:
        self._ask = ask
        self._tell = tell
        self._listeners: dict[Signal, Callable[[list[Any]], None]] = {}

    @contextlib.asynccontextmanager
    async def listening(self, signal: Signal, then: Callable[[list[Any]], None]) -> AsyncIterator[None]:
        """Call `then` with the body of each such signal while the context lasts."""
        self._listeners[signal] = then
        try:
            await self._ask("AddMatch", "s", signal.rule)
            yield
        finally:
            self._tell("RemoveMatch", "s", signal.rule)
            del self._listeners[signal]

    def wanted(self, data: bytearray) -> bool:
        """Tell whether a message that is not decoded yet comes from somebody who is listened to."""
        return any(frames.is_from(data, signal.sender) for signal in self._listeners)

    def came(self, message: Any) -> None:
        """Tell who listens for a signal of what it says."""
        then = self._listeners.get(Signal(message.sender, message.path, message.interface, message.member))
        if then:
            then(list(message.body))
