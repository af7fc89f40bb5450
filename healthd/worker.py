"""Work that can block, in a daemon thread of its own: a disk that hangs delays neither the loop nor the end."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")


class Worker:
    """One thread that takes one piece of work after the other; it starts with the first."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.waiting = 0
        """Pieces of work that are not done yet."""

    def submit(self, work: Callable[[], _T]) -> "asyncio.Future[_T]":
        """Have work done; the future has its result or exception, and may be cancelled, which stops nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        future: asyncio.Future[_T] = self._loop.create_future()
        self.waiting += 1

        def run() -> None:
            if future.cancelled():
                # Nobody waits for it any more.
                self._tell(self._finish, future, None)
                return
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # whoever waits has it
                self._tell(self._fail, future, error)
            else:
                self._tell(self._finish, future, result)

        self._work.put(run)
        return future

    def _serve(self) -> None:
        while True:
            self._work.get()()

    def _tell(self, done: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(done, *arguments)

    def _finish(self, future: "asyncio.Future[_T]", result: _T) -> None:
        self.waiting -= 1
        if not future.done():
            future.set_result(result)

    def _fail(self, future: "asyncio.Future[object]", error: BaseException) -> None:
        self.waiting -= 1
        if not future.done():
            future.set_exception(error)
