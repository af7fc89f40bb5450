"""The composition root: what is made, in which order it starts, and how it ends."""

import asyncio
import logging
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from healthd import archive, dbus, observe, protocol
from healthd.amount import span
from healthd.clock import Clock, SystemClock
from healthd.errors import ConfigError
from healthd.health.judge import Judge
from healthd.model import Account, Publisher, Source
from healthd.notify import Notifier
from healthd.options import Options
from healthd.pipeline import Pipeline
from healthd.presence import Presence
from healthd.publish.bus.server import BusServer
from healthd.publish.console import Console
from healthd.publish.journal import Journal
from healthd.publish.jsonl import Recorder
from healthd.replay import Replay
from healthd.state.history import History
from healthd.state.store import Store
from healthd.system_bus import SystemBus
from healthd.witness import Witness
from healthd.worker import Worker

_log = logging.getLogger(__name__)

_FILES = 16384
"""How many files may be open, where that is allowed: each interval that clients watch at has its own."""
_STARTING = 30.0
"""How long a start may take beside that, seconds."""
_BEFORE_SERVING = 2
"""Cycles before the name is owned: with the second there are rates."""
_SLEEP = dbus.Signal(
    "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PrepareForSleep"
)
"""Told of by logind before the machine sleeps, and as it wakes (org.freedesktop.login1(5))."""

_ANEW = {
    "record": "record.directory",
    "tiers": "history.tiers",
    "series": "history.series",
    "plugins": "collectors.plugins",
}
"""Options that are taken up at the next start alone, and their keys."""


class Daemon:
    """One run of healthd; it is what the bus may change (`publish.bus.behind.Control`).

    `load` gives the options anew, from the configuration as it is then; it may block. Raises RecordingTaken or
    NoRecording for directories that can't be used, and ConfigError for an interval that the watchdog does not allow.
    """

    def __init__(self, options: Options, load: Callable[[], Options] | None = None, clock: Clock | None = None) -> None:
        self._options = options
        self._load = load or (lambda: options)
        self._loader = Worker("configuration")
        self._loading = asyncio.Lock()
        self._clock = clock or SystemClock()
        self._notifier = Notifier()
        if fault := self._too_slow(options):
            raise ConfigError(fault)
        self._serving = False
        self._beside: list[asyncio.Task[None]] = []
        self._reloading: set[asyncio.Task[None]] = set()
        self._awaiting: list[asyncio.Future[None]] = []
        """Who waits for the end of a cycle that has not begun."""
        families = observe.families(options.collectors)
        self._replay = Replay(families=families, **options.replay._asdict()) if options.replay else None
        self._others = SystemBus()
        self._runner = (
            None
            if self._replay
            else observe.Runner(options.collectors, observe.roots(), options.interval, self._clock, self._others)
        )
        if self._runner:
            self._configure(self._runner, options)
        source = self._replay or self._runner
        assert source
        self._source: Source = source
        self.faster = self._runner.faster if self._runner else None
        history = History(options.tiers, options.series)
        self._recorder = (
            Recorder(
                options.record, options.keeping, Worker("record"), Worker("tidy"), partial(archive.summary, families)
            )
            if options.record
            else None
        )
        self._archive = archive.Archive(
            history,
            families,
            Worker("archive"),
            options.replay.directory if options.replay else options.record,
            self._recorder.unwritten if self._recorder and not options.replay else list,
        )
        self._judge = judge = Judge(options.rules)
        server = (
            BusServer(families, self._archive, self._accounts, judge, None if options.replay else self)
            if options.bus
            else None
        )
        self._presence = Presence(options.bus, server) if server else None
        self._witness = Witness(self._witnessed)
        self._console = Console(patient=bool(options.replay)) if options.console else None
        self._journal = None if options.replay else Journal()
        made = (self._recorder, server, self._journal, self._console)
        self._publishers: list[Publisher] = [publisher for publisher in made if publisher]
        self._pipeline = Pipeline(self._source, Store(), judge, history, [*self._publishers, self._archive])

    def _witnessed(self, who: Mapping[str, Any]) -> None:
        self._pipeline.witness(self._clock.now(), who)

    def _sleeping(self, told: Sequence[Any]) -> None:
        """PrepareForSleep: have on disk what was observed before it sleeps; and observe at once when it wakes."""
        if told == [True] and self._recorder:
            self._recorder.flush()
        elif told == [False] and self._runner:
            self._runner.hurry()

    def _accounts(self) -> Mapping[str, Account]:
        return {publisher.name: publisher.account() for publisher in self._publishers}

    def acknowledge(self, rule: str, instance: str, who: str, until: float) -> None:
        """See `publish.bus.behind.Control`."""
        self._pipeline.acknowledge(self._clock.now(), rule, instance, who, until)

    async def set_collector_enabled(self, family: str, *, enabled: bool) -> None:
        """See `publish.bus.behind.Control`."""
        assert self._runner
        self._runner.set_enabled(family, enabled=enabled)
        await self._published()

    async def reload(self) -> None:
        """See `publish.bus.behind.Control`; who asks while it is read waits for the next reading."""
        async with self._loading:
            if self._serving:
                self._notifier.reloading()
            try:
                self._take_up(await self._loaded())
                await self._published()
            except ConfigError as error:
                self._pipeline.refuse(self._clock.now(), error.faults)
                raise
            finally:
                # Before its start is over, and after its end began, systemd is told of these alone.
                if self._serving:
                    self._notifier.ready(self._status())

    def _published(self) -> "asyncio.Future[None]":
        """Return what is done when a sample that is taken from now on is published: who asked for a change finds it."""
        waiting = asyncio.get_running_loop().create_future()
        self._awaiting.append(waiting)
        return waiting

    async def _loaded(self) -> Options:
        loading = self._loader.submit(self._load)
        await asyncio.wait([loading])
        error = loading.exception()
        if error and not isinstance(error, ConfigError):
            # A fault of ours keeps the one in force, like any other.
            _log.error("the configuration could not be loaded", exc_info=error)
            raise ConfigError(f"internal error: {error!r:.200}; report it, with the log")
        options = loading.result()
        if fault := self._too_slow(options):
            raise ConfigError(fault)
        return options

    def _too_slow(self, options: Options) -> str:
        """Return why the watchdog does not allow an interval, "" where it does."""
        most = self._notifier.watchdog / 2
        if not most or options.interval <= most:
            return ""
        allowed = f"at most {most:g} s (half of the service's WatchdogSec: systemctl edit healthd)"
        return f"interval: expected {allowed}, found {options.interval:g} s"

    def _take_up(self, options: Options) -> None:
        """Have in force what a configuration chooses; nothing that is known is lost by it."""
        for name, key in _ANEW.items():
            if getattr(options, name) != getattr(self._options, name):
                _log.warning("%s: another value is taken up with the next start", key)
        kept = {name: getattr(self._options, name) for name in _ANEW}
        self._options = options._replace(**kept)
        if self._recorder:
            self._recorder.keep(options.keeping)
        self._pipeline.adopt(options.rules)
        assert self._runner
        self._configure(self._runner, options)

    @staticmethod
    def _configure(runner: observe.Runner, options: Options) -> None:
        told = {"files": list(options.files), "rules": options.digest, "interval": options.interval}
        runner.configure(options.interval, options.disabled, told)

    def _reload(self) -> None:
        """SIGHUP."""
        task = asyncio.get_running_loop().create_task(self._reload_quietly())
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    async def _reload_quietly(self) -> None:
        # The journal says it.
        with suppress(ConfigError):
            await self.reload()

    def _status(self) -> str:
        """Return how the machine is, and healthd, for `systemctl status`."""
        snapshot = self._pipeline.snapshot
        if snapshot is None:
            return "Taking the first samples"
        health = snapshot.health
        reasons = f": {', '.join(health.reasons)}" if health.reasons else ""
        refused = "; the configuration has faults, the one before is in force" if snapshot.configuration else ""
        return f"{health.severity}{reasons}; sampling every {span(snapshot.interval)}{refused}"

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, until nobody reads the console any more, or until a replay without a bus ends.

        Raises BusError where the bus can't be had at start (later it is waited for), and BadRecording at the end of a
        replay of which parts could not be read.
        """
        _allow_files()
        loop = asyncio.get_running_loop()
        living = loop.create_task(self._live())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, living.cancel)
        # A replay has nothing to be configured, and is not ended by it.
        loop.add_signal_handler(signal.SIGHUP, self._reload if self._runner else _nothing)
        try:
            await asyncio.wait([living])
            if not living.cancelled():
                living.result()
        finally:
            self._serving = False
            self._notifier.stopping()
            await self._end()
        if self._replay:
            self._replay.check()

    async def _live(self) -> None:
        if self._presence:
            await self._presence.connect()
        if self._runner:
            self._others.follow(_SLEEP, self._sleeping)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._cycle(tasks)
                for task in self._beside:
                    task.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _cycle(self, tasks: asyncio.TaskGroup) -> None:
        """Go through the stages at each tick, and serve from the second time on."""
        if self._runner and self._options.record:
            self._notifier.starting("Judging what was recorded last", archive.PATIENCE + _STARTING)
            self._runner.states = await self._archive.judged(self._options.rules)
        published = 0
        async for _ in self._source.ticks():
            awaiting, self._awaiting = self._awaiting, []
            published += await self._pipeline.cycle()
            for waiting in awaiting:
                # Who left has cancelled it.
                if not waiting.done():
                    waiting.set_result(None)
            if not self._replay:
                self._witness.look(self._judge.wanted)
                self._others.look()
            if published == _BEFORE_SERVING and not self._serving:
                await self._open(tasks)
            if self._serving:
                self._notifier.alive(self._status())
            if self._console and self._console.gone:
                return
            if self._replay:
                await self._room()
        await self._stay(tasks)

    async def _stay(self, tasks: asyncio.TaskGroup) -> None:
        """A replay is over: what it ended with stays to be asked for."""
        if self._recorder:
            self._recorder.flush()
        if not self._serving:
            await self._open(tasks)
        while self._options.bus:
            await asyncio.sleep(protocol.INTERVAL)
            self._pipeline.tell()
            self._notifier.alive(self._status())

    async def _room(self) -> None:
        """A replay can wait: nothing of it shall be lost."""
        for publisher in (self._recorder, self._console):
            if publisher:
                await publisher.room()

    async def _open(self, tasks: asyncio.TaskGroup) -> None:
        """Serve what is known now, and look for what was known before."""
        self._serving = True
        if self._presence:
            await self._presence.serve()
            self._beside.append(tasks.create_task(self._presence.keep()))
        if self._options.record and not self._replay:
            self._beside.append(tasks.create_task(self._archive.restore(self._clock.now().time)))
        self._notifier.ready(self._status())
        if self._presence:
            _log.info("serving %s on the %s bus with %s", protocol.BUS_NAME, self._options.bus, dbus.LIBRARY)

    async def _end(self) -> None:
        """Say so, have what is recorded on disk, and let go of the bus."""
        if not self._replay:
            self._pipeline.tell(self._clock.now(), protocol.RUNTIME_STOPPED)
        if self._journal:
            self._journal.close()
        if self._recorder:
            await self._recorder.close()
        self._others.close()
        if self._presence:
            await self._presence.end()


def _allow_files() -> None:
    """Have as many files as are wanted, up to the hard limit: a shell gives 1024 (getrlimit(2))."""
    with suppress(OSError, ValueError):  # the service's filter of system calls may forbid it
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # There, infinity is less than any number.
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _nothing() -> None:
    """Let a signal pass."""
