"""healthd on a bus: connected, known by its name, and back again after the bus was gone."""

import asyncio
import logging

from healthd import dbus, protocol
from healthd.errors import BusError
from healthd.publish.bus.server import BusServer

_log = logging.getLogger(__name__)

_FIRST_RETRY, _LAST_RETRY = 0.5, 30.0


class Presence:
    """Lets a server answer under healthd's name on one bus."""

    def __init__(self, bus: str, server: BusServer) -> None:
        self._bus = bus
        self._server = server
        self._connection: dbus.Connection | None = None

    async def connect(self) -> None:
        """Connect, and see that nobody has the name; raises BusError."""
        self._connection = await dbus.connect(self._bus)
        await self._connection.require_free(protocol.BUS_NAME)

    async def serve(self) -> None:
        """Export, then own the name: whoever waits for the name finds everything there. Raises BusError."""
        assert self._connection
        self._server.attach(self._connection)
        await self._connection.own(protocol.BUS_NAME)

    async def keep(self) -> None:
        """Look for a bus that is gone until it is back, over and over."""
        while self._connection:
            await asyncio.shield(self._connection.lost)
            _log.warning("the bus is gone; sampling goes on")
            await self._return()
            _log.info("the bus is back")

    async def _return(self) -> None:
        delay, said = _FIRST_RETRY, ""
        while True:
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY)
            try:
                self._connection = await dbus.connect(self._bus)
                await self.serve()
            except BusError as error:
                await self.end()
                if str(error) != said:
                    said = str(error)
                    _log.warning("%s", error)
            else:
                return

    async def end(self) -> None:
        """Let go of the bus, which has a second to take what was said last."""
        if self._connection:
            self._connection.close()
            await asyncio.wait([self._connection.lost], timeout=1.0)
