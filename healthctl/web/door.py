"""Questions to healthd over the bus, for an event loop: any number at once, each with a deadline."""

import asyncio
import select
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from healthctl._client_answers import Event, Sample, known, news, points
from healthctl._client_arguments import EVENTS, until_usec, usec
from healthctl._client_connection import TIMEOUT
from healthctl._client_line import Line
from healthctl.errors import Busy, HealthctlError, Unavailable
from healthctl.following import Following
from healthctl.series import Point

_ON_THE_WAY = 64
"""Questions without an answer at most."""
_AT_ONCE = 4
"""Histories and events that are on their way together at most: healthd reads few at once, for all who ask."""


class Door(Following):
    """One connection to the healthd on `bus` (`place.py`), made when something is asked, and anew after its end.

    Every method raises Unavailable where healthd can't be reached, or does not answer within 5 s.
    """

    def __init__(self, bus: str, heard: Callable[[Sample | Event | None], None]) -> None:
        super().__init__(bus)
        self._heard = heard
        """Takes what came of watches, and what happened; `None` when the connection is lost."""
        self._awaited: dict[int, tuple[str, asyncio.Future[tuple[Any, ...]]]] = {}
        self._arrival: asyncio.Task[Line] | None = None
        self._loop = asyncio.get_running_loop()
        self._slow = asyncio.Semaphore(_AT_ONCE)
        # Not the loop's own, whose end waits for what is on its way: for minutes, where ssh asks somebody.
        self._beside = ThreadPoolExecutor(1)
        self.problem = ""
        """Why there is no connection; "" where nothing is known against it."""

    @property
    def line(self) -> Line | None:
        """What leads to healthd now: another one after each loss."""
        return self._client.line if self._client and not self._arrival else None

    async def describe(self) -> str:
        """Return the text that `Describe` gives: an object in JSON."""
        (text,) = await self._ask("Describe")
        return str(text)

    async def metrics(self) -> dict[str, dict[str, Any]]:
        """Return what each metric is, by `family.field`."""
        return {name: known(row) for name, row in (await self._ask("ListMetrics"))[0].items()}

    async def conditions(self) -> dict[str, dict[str, Any]]:
        """Return every condition by its name, those that are ok too."""
        return {name: known(row) for name, row in (await self._ask("ListConditions"))[0].items()}

    async def explain(self, condition: str) -> str:
        """Return one condition with its evidence: an object in JSON. Raises UnknownCondition."""
        (text,) = await self._ask("Explain", "s", condition)
        return str(text)

    async def read(self, metrics: Sequence[str]) -> dict[str, Any]:
        """Return values by address, unknown as `None`. Raises UnknownMetric."""
        return known((await self._ask("Read", "as", list(metrics)))[0])

    async def history(self, metric: str, since: float, until: float | None, most: int) -> list[Point]:
        """Return a metric's points, oldest first; times are seconds since 1970. Raises UnknownMetric."""
        async with self._slow:
            return points((await self._ask("GetHistory", "sttu", metric, usec(since), until_usec(until), most))[0])

    async def events(self, since: float, until: float | None, names: Sequence[str], most: int) -> list[str]:
        """Return the newest events as lines of JSON, oldest first."""
        async with self._slow:
            (lines,) = await self._ask("GetEvents", "ttasu", usec(since), until_usec(until), list(names), most)
        return [str(line) for line in lines]

    async def watch(self, metrics: Sequence[str], seconds: float | None) -> int:
        """Watch metrics, and return the number of the watch. Raises UnknownMetric."""
        options = {} if seconds is None else {"interval_usec": ("t", usec(seconds))}
        number, _ = await self._ask("Watch", "asa{sv}", list(metrics), options)
        return int(number)

    async def unwatch(self, number: int) -> None:
        """End a watch."""
        await self._ask("Unwatch", "u", number)

    def close(self) -> None:
        """End the connection."""
        if self._client:
            self._loop.remove_reader(self._client.fileno())
        super().close()

    async def _ask(self, method: str, signature: str | None = None, *body: Any) -> tuple[Any, ...]:
        line = await self._reached()
        if len(self._awaited) >= _ON_THE_WAY or not line.has_room:
            raise Busy("healthd has too much to answer at once; try again")
        answer: asyncio.Future[tuple[Any, ...]] = self._loop.create_future()
        number = line.question(method, signature, body)
        self._awaited[number] = method, answer
        try:
            async with asyncio.timeout(TIMEOUT):
                return await answer
        except TimeoutError as error:
            raise Unavailable(f"healthd has not answered for {TIMEOUT:.0f} s; see: systemctl status healthd") from error
        finally:
            self._awaited.pop(number, None)
            line.forget(number)

    async def _reached(self) -> Line:
        """Return the line to healthd; while there is none, all who ask wait for the same one."""
        if not self._arrival:
            if self._client:
                return self._client.line
            if self.wait:
                raise Unavailable(self.problem)
            self._arrival = self._loop.create_task(self._arrive())
            self._arrival.add_done_callback(heeded)
        try:
            async with asyncio.timeout(TIMEOUT):
                return await asyncio.shield(self._arrival)
        except TimeoutError as error:
            raise Unavailable(f"healthd has not been reached for {TIMEOUT:.0f} s") from error

    async def _arrive(self) -> Line:
        try:
            # It may take a while, and not only where it leads to another machine.
            line = await self._loop.run_in_executor(self._beside, self._listening)
        except Unavailable as error:
            self._give_up(error)
            raise
        finally:
            self._arrival = None
        self._loop.add_reader(line.fileno(), self._readable, line)
        return line

    def _listening(self) -> Line:
        while not (client := self._connect()):
            # On the way to another machine.
            select.select([self] if self.fileno() >= 0 else [], [], [], self.wait)
        client.line.subscribe(EVENTS)
        return client.line

    def _readable(self, line: Line) -> None:
        """Hand out what has come, that included which comes meanwhile: of what was read nothing tells again."""
        try:
            self._hand_out(line)
            while line.has_unread:
                self._hand_out(line)
        except Unavailable as error:
            self._give_up(error)

    def _hand_out(self, line: Line) -> None:
        for message in line.come():
            if told := news(message, line.owner):
                self._heard(told)
        for number, (method, answer) in list(self._awaited.items()):
            try:
                if (content := line.taken(method, number)) is not None and not answer.done():
                    self.problem = ""
                    self._answered()
                    answer.set_result(content)
            except HealthctlError as error:
                if not answer.done():
                    answer.set_exception(error)

    def _give_up(self, error: Unavailable) -> None:
        """End a connection that leads nowhere; all who wait for something of it are told why."""
        self.problem = str(error)
        awaited = [answer for _, answer in self._awaited.values() if not answer.done()]
        self.close()
        self._lost()
        for answer in awaited:
            answer.set_exception(Unavailable(self.problem))
        self._heard(None)


def heeded(task: "asyncio.Task[Any]") -> None:
    """Take note of how a task ended that many await, and that goes on when all of them have left."""
    if not task.cancelled():
        task.exception()
