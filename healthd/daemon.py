"""The composition root: what is made, in which order it starts, and how it ends."""

import asyncio
import logging
import signal
from contextlib import suppress
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
        self._stop = asyncio.Event()
        self._notifier = Notifier()
        roots = observe.roots()
        collectors = observe.collectors()
        self._server = BusServer(observe.families(collectors), options.interval)
        self._console = Console() if options.console else None
        publishers: list[Publisher] = [self._server, *([self._console] if self._console else [])]
        runner = observe.Runner(collectors, roots, options.interval)
        boot_id = roots.proc.text("sys/kernel/random/boot_id", default="")
        self._pipeline = Pipeline(self._clock, runner, Store(boot_id), publishers)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises BusError where the bus can't be had at start; later it is waited for.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        connection = await dbus.connect(self._options.bus)
        try:
            await self._pipeline.cycle(first=True)
            await asyncio.sleep(FIRST_RATES)
            await self._pipeline.cycle(first=True)
            # Export, own the name, say so: whoever waits for the name finds everything there.
            self._server.attach(connection)
            await connection.own(protocol.BUS_NAME)
        except BaseException:
            connection.close()
            raise
        self._notifier.ready(f"Sampling every {self._options.interval:g} s")
        _log.info("serving %s on the %s bus with %s", protocol.BUS_NAME, self._options.bus, dbus.LIBRARY)
        async with asyncio.TaskGroup() as tasks:
            sampling = tasks.create_task(self._sample())
            serving = tasks.create_task(self._serve(connection))
            await self._stop.wait()
            self._notifier.stopping()
            sampling.cancel()
            serving.cancel()

    async def _sample(self) -> None:
        async for _ in ticks(self._clock, self._options.interval):
            await self._pipeline.cycle()
            if self._console and self._console.gone:
                # Its reader was the purpose of this run.
                self._stop.set()

    async def _serve(self, connection: dbus.Connection) -> None:
        """Keep the name owned: sampling goes on without a bus, which is looked for until it is back."""
        try:
            while True:
                await asyncio.shield(connection.lost)
                _log.warning("the bus is gone; sampling goes on")
                connection = await self._reconnect()
                _log.info("the bus is back")
        finally:
            connection.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.shield(connection.lost)

    async def _reconnect(self) -> dbus.Connection:
        delay, said = _FIRST_RETRY, ""
        while True:
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY)
            try:
                connection = await dbus.connect(self._options.bus)
                try:
                    self._server.attach(connection)
                    await connection.own(protocol.BUS_NAME)
                except BusError:
                    connection.close()
                    raise
            except BusError as error:
                if str(error) != said:
                    said = str(error)
                    _log.warning("%s", error)
            else:
                return connection
