"""What streams send: the latest state to each reader, at its own pace.

Nothing is queued. A reader that is slow finds the newest when it comes back, and one that does not come back is left.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from healthctl.errors import Unavailable
from healthctl.web.machine import Machine
from healthctl.web.page import Page, Parts

_BEAT = 15.0
"""Between two signs of life at most, seconds."""
_STUCK = 30.0
"""How long a reader may take nothing, seconds."""
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Stream:
    """One reader of server-sent events."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(headers=_HEADERS)

    async def begin(self) -> None:
        """Send the head."""
        await self._response.prepare(self._request)
        await self.send(b"retry: 2000\n\n")

    async def send(self, content: bytes) -> None:
        """Send bytes, and wait until there is room for more. Raises ConnectionResetError where nobody takes them."""
        try:
            async with asyncio.timeout(_STUCK):
                await self._response.write(content)
        except TimeoutError as error:
            if self._request.transport:
                self._request.transport.abort()
            raise ConnectionResetError from error

    @property
    def response(self) -> web.StreamResponse:
        """What the handler returns."""
        return self._response


class Parcels:
    """The parts of the page that changed from one state to another, as bytes made once for all readers."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._states: dict[str, tuple[int, Parts]] = {}
        self._made: dict[tuple[str, int], bytes] = {}
        self._number = 0

    def state(self, range_: str) -> tuple[int, Parts]:
        """Return what is shown now, and its number: the same as long as nothing has changed."""
        parts, known = self._page.parts(range_), self._states.get(range_)
        if known and known[1] is parts:
            return known
        self._number += 1
        self._made.clear()
        self._states[range_] = self._number, parts
        return self._states[range_]

    def since(self, range_: str, before: tuple[int, Parts]) -> bytes:
        """Return what has to be sent to who has `before`."""
        number, parts = self._states[range_]
        key = range_, before[0]
        if key not in self._made:
            changed = {name: part for name, part in parts.items() if before[1].get(name) != part}
            self._made[key] = event("parts", json.dumps(changed), number)
        return self._made[key]


def event(name: str, data: str, number: int | None = None) -> bytes:
    """Return a server-sent event; `data` is one line."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


async def parts(machine: Machine, page: Page, parcels: Parcels, stream: Stream, range_: str) -> None:
    """Send the parts of the page as they change, until the reader leaves."""
    sent: tuple[int, Parts] = (0, {})
    async with machine.look():
        while True:
            version = machine.version
            with suppress(Unavailable):
                await page.renew(range_)
            state = parcels.state(range_)
            known = machine.last or machine.problem
            await stream.send(parcels.since(range_, sent) if known and state[0] != sent[0] else b": \n\n")
            sent = state if known else sent
            await machine.change(version, _BEAT)


async def events(machine: Machine, stream: Stream, wanted: Callable[[str], bool]) -> None:
    """Send the status when it changes, and each event that is wanted, until the reader leaves."""
    last, status = 0, ""
    async with machine.look():
        if machine.happened:
            last = machine.happened[-1].number
        while True:
            version, seen, problem = machine.version, machine.last, machine.problem
            content = b""
            said = ""
            if problem or seen:
                said = json.dumps(seen.verdict if seen and not problem else {"unavailable": problem})
            if said and said != status:
                status = said
                content = event("status", said)
            for happened in list(machine.happened):
                if happened.number > last and wanted(happened.name):
                    content += event("event", happened.line, happened.number)
            if machine.happened:
                last = machine.happened[-1].number
            await stream.send(content or b": \n\n")
            await machine.change(version, _BEAT)
