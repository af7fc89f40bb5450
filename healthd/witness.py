"""Who uses most of what runs short: looked for once, in a thread of its own, when a condition asks for it."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from healthd import observe
from healthd.worker import Worker

_log = logging.getLogger(__name__)


class Witness:
    """Looks who it is; `tell` is given what was seen (`observe.who`)."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._worker = Worker("witness")
        self._looking: set[str] = set()

    def look(self, resources: Iterable[str]) -> None:
        """Have it seen who uses most of these, unless that is under way."""
        for resource in resources:
            if resource not in self._looking:
                self._looking.add(resource)
                seen = self._worker.submit(partial(observe.who, resource))
                seen.add_done_callback(partial(self._seen, resource))

    def _seen(self, resource: str, seen: "asyncio.Future[dict[str, Any]]") -> None:
        self._looking.discard(resource)
        if seen.cancelled():
            return
        if error := seen.exception():
            _log.warning("who uses most of %s can't be seen: %s", resource, error)
        else:
            self._tell(seen.result())
