"""The composition root: what is made, in which order it starts, and how it ends."""

import asyncio
import logging
import signal
from typing import NamedTuple

from healthd import dbus, observe, protocol
from healthd.clock import Clock, SystemClock, ticks
from healthd.errors import BusError
from healthd.model import Publisher
from healthd.notify import Notifier
from healthd.pipeline import Pipeline
from healthd.publish.bus.server import BusServer
from healthd.publish.console import Console
from healthd.state.store import Store

_log = logging.getLogger(__name__)

FIRST_RATES = 0.1
"""Time from the first sample to the second, so that no client sees rates that are not there yet, seconds."""
_FIRST_RETRY, _LAST_RETRY = 0.5, 30.0


class Options(NamedTuple):
    """What the command line chose."""

    bus: str = "system"
    interval: float = 5.0
    console: bool = False


class Daemon:
    """One run of healthd."""

    def __init__(self, options: Options, clock: Clock | None = None) -> None:
        self._options = options
        self._clock = clock or SystemClock()
        self._notifier = Notifier()
        self._connection: dbus.Connection | None = None
        collectors = observe.collectors()
        self._server = BusServer(observe.families(collectors), options.interval)
        self._console = Console() if options.console else None
        publishers: list[Publisher] = [self._server, *([self._console] if self._console else [])]
        runner = observe.Runner(collectors, observe.roots(), options.interval, self._clock)
        self._pipeline = Pipeline(runner, Store(), publishers)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, or until nobody reads the console any more.

        Raises BusError where the bus can't be had at start; later it is waited for.
        """
        loop = asyncio.get_running_loop()
        living = loop.create_task(self._live())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, living.cancel)
        try:
            await asyncio.wait([living])
            if not living.cancelled():
                living.result()
        finally:
            self._notifier.stopping()
            await self._disconnect()

    async def _live(self) -> None:
        self._connection = await dbus.connect(self._options.bus)
        await self._pipeline.cycle(first=True)
        await asyncio.sleep(FIRST_RATES)
        await self._pipeline.cycle(first=True)
        await self._serve(self._connection)
        self._notifier.ready(f"Sampling every {self._options.interval:g} s")
        _log.info("serving %s on the %s bus with %s", protocol.BUS_NAME, self._options.bus, dbus.LIBRARY)
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(self._keep_serving())
            async for _ in ticks(self._clock, self._options.interval):
                await self._pipeline.cycle()
                if self._console and self._console.gone:
                    break
            keeping.cancel()

    async def _serve(self, connection: dbus.Connection) -> None:
        """Export, then own the name: whoever waits for the name finds everything there."""
        self._server.attach(connection)
        await connection.own(protocol.BUS_NAME)

    async def _keep_serving(self) -> None:
        """Sampling goes on without a bus; look for it until it is back."""
        while self._connection:
            await asyncio.shield(self._connection.lost)
            _log.warning("the bus is gone; sampling goes on")
            await self._reconnect()
            _log.info("the bus is back")

    async def _reconnect(self) -> None:
        delay, said = _FIRST_RETRY, ""
        while True:
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY)
            try:
                self._connection = await dbus.connect(self._options.bus)
                await self._serve(self._connection)
            except BusError as error:
                await self._disconnect()
                if str(error) != said:
                    said = str(error)
                    _log.warning("%s", error)
            else:
                return

    async def _disconnect(self) -> None:
        """Let go of the bus, which has a second to take what was said last."""
        if self._connection:
            self._connection.close()
            await asyncio.wait([self._connection.lost], timeout=1.0)
