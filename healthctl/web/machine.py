"""How the machine is, asked no oftener than somebody wants to know."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from time import monotonic, time
from typing import Any, NamedTuple

from healthctl.client import Event, Sample, described
from healthctl.errors import Absent, HealthctlError, Unavailable, UnknownMetric
from healthctl.render.described import Described, number
from healthctl.render.style import Style
from healthctl.web.door import Door, heeded

STRIP = ("cpu.busy", "memory.percent", "pressure.io_some_avg10")
"""What the live strips show, as it is observed."""
_STEP = 1.0
"""The interval of the one watch, seconds."""
KEPT = 60
"""Samples of a strip."""

_LEAST = 0.1
"""The shortest interval that is believed, seconds."""
_FRESH = 1.0
"""How old what is told to who asks once may be, seconds."""
_LINGER = 5.0
"""How long the watch is kept after the last looker left, seconds: who loads a page anew leaves for a moment."""
_RETRY = 1.0
_SILENCE = 5.0
"""How much later than due a sample is strange, seconds."""


class Seen(NamedTuple):
    """One answer to `Describe`."""

    text: bytes
    """As it came: an object in JSON."""
    tag: str
    """Another one for any other text."""
    described: dict[str, Any]
    at: float
    """When it came, on the monotonic clock, seconds."""

    @property
    def time(self) -> float:
        """When it was so by the clock of its machine, seconds since 1970; now where that is unknown."""
        return Described(self.described, Style()).time or time()

    @property
    def verdict(self) -> dict[str, Any]:
        """What `Describe` gives but the readings."""
        return {name: content for name, content in self.described.items() if name not in ("readings", "unavailable")}


class Happened(NamedTuple):
    """An event."""

    number: int
    name: str
    line: str
    """The event in JSON."""


class Machine:
    """What healthd tells, shared by all who look; while nobody does, nothing is asked and nothing watched."""

    def __init__(self, bus: str) -> None:
        self.door = Door(bus, self._hear)
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self.happened: deque[Happened] = deque(maxlen=1000)
        """The last events, as long as somebody looks."""
        self.version = 0
        """Another one whenever something is new."""
        self.long = asyncio.Lock()
        """Of who asks for much: one at a time has it in memory."""
        self.problem = ""
        """Why it is not known how the machine is now; "" where it is, or nobody has asked."""
        self._seen: Seen | None = None
        self._asking: asyncio.Task[Seen] | None = None
        self._lookers = 0
        self._keeper: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._overtaken = False
        """Whether something has happened since it was looked at."""
        self._changed: asyncio.Future[None] | None = None
        self._count = 0

    async def close(self) -> None:
        """End it."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self.door.close()

    @property
    def last(self) -> Seen | None:
        """What was seen last, however long ago; `None` where nothing was."""
        return self._seen

    async def now(self) -> Seen:
        """Return how the machine is: what all saw within the last second, or what is asked now. Raises Unavailable."""
        if self._seen and not self.problem and monotonic() - self._seen.at < _FRESH:
            return self._seen
        return await self._look()

    @asynccontextmanager
    async def look(self) -> AsyncIterator[None]:
        """Have the machine watched as long as somebody looks."""
        self._lookers += 1
        if not self._keeper:
            self._keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            self._lookers -= 1
            self._woken.set()

    async def change(self, version: int, seconds: float) -> None:
        """Wait until something is newer than a version, at most so long."""
        if self.version != version:
            return
        if not self._changed:
            self._changed = asyncio.get_running_loop().create_future()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._changed)

    async def _look(self) -> Seen:
        """Ask; all who want it at the same time have the same answer."""
        if not self._asking:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(heeded)
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Seen:
        try:
            text = (await self.door.describe()).encode()
            self._seen = Seen(text, tag_of(text), described(text), monotonic())
            self.problem = ""
            return self._seen
        except Unavailable as error:
            self.problem = str(error)
            raise
        finally:
            self._asking = None
            self._tell()

    def _hear(self, told: Sample | Event | None) -> None:
        """Take what came of the watch, and events; `None`: nothing comes any more."""
        if isinstance(told, Sample):
            self.samples.append(told)
        elif told is None:
            self.problem = self.door.problem
        else:
            self._overtaken = True
            if self._lookers:
                self._count += 1
                self.happened.append(Happened(self._count, told.name, told.line))
        self._woken.set()
        self._tell()

    def _tell(self) -> None:
        self.version += 1
        changed, self._changed = self._changed, None
        if changed and not changed.done():
            changed.set_result(None)

    async def _keep(self) -> None:
        """Keep one watch for all lookers, and what is seen new, until nobody has looked for a while."""
        try:
            while self._lookers:
                try:
                    await self._follow()
                except HealthctlError:
                    # `problem` says it to whoever looks.
                    self._tell()
                    await asyncio.sleep(_RETRY)
                self.samples.clear()
        finally:
            self._keeper = None
            self.samples.clear()
            self.happened.clear()

    async def _wanted(self) -> bool:
        if not self._lookers:
            await asyncio.sleep(_LINGER)
        return self._lookers > 0

    async def _follow(self) -> None:
        """Look again when a sample is due or something happened, as long as somebody wants it. Raises Unavailable."""
        seen = await self._look()
        watch = await self._watch()
        line = self.door.line
        try:
            while await self._wanted():
                interval = max(number(seen.described, "interval") or _STEP, _LEAST)
                # By healthd's own clock; where it is silent, or is not watched, its answer is asked for.
                due = (number(seen.described, "since_boot") or 0.0) + interval
                self._woken.clear()
                if not line or self.door.line is not line:
                    raise Unavailable(self.door.problem)
                try:
                    async with asyncio.timeout(_SILENCE + interval if watch else interval):
                        await self._woken.wait()
                except TimeoutError:
                    self._overtaken = True
                if self._overtaken or (self.samples and self.samples[-1].since_boot >= due):
                    self._overtaken = False
                    seen = await self._look()
        finally:
            if watch and self.door.line is line:
                with suppress(HealthctlError):
                    await self.door.unwatch(watch)

    async def _watch(self) -> int:
        """Begin the watch; 0 where there is none: what is replayed has none."""
        try:
            return await self.door.watch(STRIP, _STEP)
        except UnknownMetric:
            return 0
        except Unavailable:
            if not self.door.is_connected:
                raise
            return 0


def tag_of(content: bytes) -> str:
    """Return an ETag: another one for any other content."""
    return f'W/"{sha256(content).hexdigest()[:20]}"'


async def histories(
    machine: Machine, addresses: Sequence[str], since: float, until: float | None, most: int
) -> dict[str, list[Any]]:
    """Return the points of metrics, those alone that have some. Raises Unavailable."""
    found = await asyncio.gather(
        *(machine.door.history(address, since, until, most) for address in addresses), return_exceptions=True
    )
    kept = {}
    for address, points in zip(addresses, found, strict=True):
        if isinstance(points, BaseException):
            # Of what is not here there is none.
            if not isinstance(points, UnknownMetric | Absent):
                raise points
        elif points:
            kept[address] = points
    return kept
