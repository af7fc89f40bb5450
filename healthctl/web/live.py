"""What streams send: the latest state to each reader, at its own pace.

Nothing is queued. A reader that is slow finds the newest when it comes back, and one that does not come back is left.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from healthctl.errors import Unavailable
from healthctl.web.machine import Machine
from healthctl.web.page import Page, State

_BEAT = 15.0
"""Between two signs of life at most, seconds."""
_STUCK = 30.0
"""How long a reader may take nothing, seconds."""
_REMEMBERED = 16
"""Parcels."""
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
        self.page = page
        self._made: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        """By the numbers of both states."""

    def between(self, before: State, now: State) -> bytes:
        """Return what has to be sent to who has a state."""
        key = before.number, now.number
        if key not in self._made:
            changed = {name: part for name, part in now.parts.items() if before.parts.get(name) != part}
            self._made[key] = event("parts", json.dumps(changed), now.number)
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        return self._made[key]


def event(name: str, data: str, number: int | None = None) -> bytes:
    """Return a server-sent event; `data` is one line."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


async def parts(machine: Machine, parcels: Parcels, stream: Stream, range_: str, had: int) -> None:
    """Send the parts of the page as they change, until the reader leaves; `had`: the number of the state it has."""
    page = parcels.page
    sent = page.before(range_, had)
    said = False
    async with machine.look():
        while True:
            version = machine.version
            with suppress(Unavailable):
                await page.renew(range_)
            state = page.state(range_)
            known = machine.last or machine.problem
            # The first tells that it is live, even where nothing has changed.
            wanted = known and not (said and state is sent)
            await stream.send(parcels.between(sent, state) if wanted else b": \n\n")
            sent, said = (state, True) if known else (sent, said)
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
