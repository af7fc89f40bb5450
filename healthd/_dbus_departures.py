"""Who is waited for to leave the bus: the bus daemon tells of them, and only as long as somebody waits."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

_DRIVER = "org.freedesktop.DBus"
_RULE = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{}'"


class Departures:
    """The departures that one connection waits for.

    `ask` calls a method of the bus daemon, and `tell` does without waiting for its answer.
    """

    def __init__(self, ask: Callable[..., Awaitable[list[Any]]], tell: Callable[..., None]) -> None:
        self._ask = ask
        self._tell = tell
        self._expected: dict[str, list[Callable[[], None]]] = {}
        """What to do, by the unique name that leaves."""

    def __bool__(self) -> bool:
        """Tell whether any is waited for."""
        return bool(self._expected)

    @contextlib.asynccontextmanager
    async def expected(self, name: str, then: Callable[[], None]) -> AsyncIterator[None]:
        """Call `then` once a unique name has left the bus, at once where it has already, while the context lasts."""
        rule = _RULE.format(name)
        waiting = self._expected.setdefault(name, [])
        waiting.append(then)
        try:
            # The bus daemon counts rules that are the same.
            await self._ask("AddMatch", "s", rule)
            if not (await self._ask("NameHasOwner", "s", name))[0]:
                self.happened(name)
            yield
        finally:
            self._tell("RemoveMatch", "s", rule)
            if then in waiting:
                waiting.remove(then)
            if not waiting and self._expected.get(name) is waiting:
                del self._expected[name]

    def came(self, message: Any) -> None:
        """Take note of a signal: of the bus daemon's, which tells who owns a name now ("" for nobody)."""
        if (message.sender, message.member, message.signature) == (_DRIVER, "NameOwnerChanged", "sss"):
            name, _, owner = message.body
            if not owner:
                self.happened(name)

    def happened(self, name: str) -> None:
        """Do what is to be done once a name has left; nobody has it again."""
        waiting = self._expected.get(name, [])
        while waiting:
            waiting.pop()()
