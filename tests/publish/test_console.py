"""Events as lines, and a reader that does not keep up."""

import fcntl
import json
import logging
import os
import pty
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from healthd import protocol
from healthd.clock import Instant
from healthd.events import changes
from healthd.model import SINGLE, Cycle, Observation, Problem, Sample
from healthd.observe.load import Load
from healthd.publish.console import Console
from healthd.state.store import Store

PIPE = 65536


class Reader:
    """A pipe with one end for the console, and a machine to tell of."""

    def __init__(self) -> None:
        self.out, self.descriptor = os.pipe()
        fcntl.fcntl(self.descriptor, fcntl.F_SETPIPE_SZ, PIPE)
        self.console = Console(self.descriptor)
        self._store = Store()
        self._seq = 0
        self._before = None

    def publish(self, *, reason: str = "") -> None:
        """Publish a cycle with one event: values that changed, or a problem with a reason."""
        self._seq += 1
        now = Instant(1767268800.0 + self._seq, float(self._seq), 0.0)
        readings = {} if reason else {SINGLE: Load(load1=float(self._seq), load5=1.0, load15=1.0)}
        problems = {SINGLE: Problem(f"code{self._seq}", reason)} if reason else {}
        observation = Observation(Load.family, now, readings, problems, 0.0, 0)
        snapshot = self._store.accept(Sample(now, "boot", self._seq, (observation,)))
        events = tuple(changes(self._before, snapshot))
        cycle, self._before = Cycle(self._before, snapshot, events), snapshot
        self.console.publish(cycle)

    def read(self) -> bytes:
        """Return all that is there now."""
        os.set_blocking(self.out, False)
        content = b""
        try:
            while chunk := os.read(self.out, PIPE):
                content += chunk
        except BlockingIOError:
            pass
        return content


@pytest.fixture
def reader():
    made = Reader()
    yield made
    for descriptor in (made.out, made.descriptor):
        os.close(descriptor)


def within(do: Callable[[], object], seconds: float = 20.0) -> None:
    """Fail where it blocks."""
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it blocks"


def sequence(content: bytes) -> list[int]:
    """Return the numbers of the cycles that whole lines tell of."""
    return [json.loads(line)["seq"] for line in content.decode().splitlines()]


def test_events_arrive_as_lines(reader):
    reader.publish()
    reader.publish()
    content = reader.read()
    assert content.endswith(b"\n")
    assert sequence(content) == [1, 2]
    assert json.loads(content.splitlines()[0])["name"] == "system.load.updated"
    assert (reader.console.lost, reader.console.gone) == (0, False)
    assert reader.console.account() == (None, 0)


def test_only_what_happened_is_told_and_not_what_differs(reader):
    reader.publish()
    reader.read()
    reader.console.publish(Cycle(None, reader._before, ()))
    assert reader.read() == b""


def test_text_is_utf_8_and_what_is_no_text_harms_nothing(reader):
    reader.publish(reason="µ \u2013 é")
    reader.publish(reason="/caf\udce9")
    first, second = reader.read().splitlines()
    assert "µ \u2013 é".encode() in first
    assert json.loads(second)["data"]["reason"] == "/caf\udce9"


@pytest.mark.parametrize("size", [100, 3000, 4096, 10_000, 200_000])
def test_a_reader_that_stalls_loses_whole_lines_which_are_counted_and_goes_on_at_a_line(reader, size):
    def publish() -> None:
        for _ in range(1000):
            reader.publish(reason="x" * size)

    within(publish)
    lost = reader.console.lost
    assert lost > 0
    assert not reader.console.gone
    problem, told = reader.console.account()
    assert problem
    assert (problem.code, told) == (protocol.TIMEOUT, lost)
    content = reader.read()
    for _ in range(100):
        # What of a line was begun is finished first.
        reader.publish(reason="y")
        content += reader.read()
    assert content.endswith(b"\n")
    arrived = sequence(content)
    assert arrived == sorted(set(arrived))
    assert arrived[-1] == 1100
    assert len(arrived) + reader.console.lost == 1100
    before = reader.console.lost
    reader.publish(reason="z")
    assert sequence(reader.read()) == [1101]
    assert reader.console.account() == (None, before)
    assert reader.console.lost == before


def test_a_full_pipe_returns_at_once_and_keeps_what_is_in_it(reader):
    os.set_blocking(reader.descriptor, False)
    with suppress(BlockingIOError):
        while os.write(reader.descriptor, b"-" * 4096):
            pass
    os.set_blocking(reader.descriptor, True)
    within(reader.publish)
    within(reader.publish)
    assert reader.console.lost == 1
    content = reader.read()
    assert content == b"-" * len(content)
    reader.publish()
    assert sequence(reader.read()) == [1, 3]


def test_a_terminal_that_nobody_reads_does_not_block_and_stays_as_it_was_for_others():
    leader, follower = pty.openpty()
    made = Reader()
    try:
        made.console = console = Console(follower)

        def publish() -> None:
            for _ in range(300):
                made.publish(reason="x" * 1000)

        within(publish)
        assert console.lost > 0
        assert not console.gone
        assert os.get_blocking(follower)
        assert os.read(leader, 100).startswith(b'{"time":')
    finally:
        os.close(console._descriptor)
        for descriptor in (leader, follower, made.out, made.descriptor):
            os.close(descriptor)


def test_a_reader_that_is_gone_is_noticed_and_said_once(reader, caplog):
    caplog.set_level(logging.INFO, "healthd.publish")
    reader.publish()
    assert not reader.console.gone
    os.close(reader.out)
    for _ in range(3):
        reader.publish()
    assert reader.console.gone
    assert [record.getMessage() for record in caplog.records] == ["the console is gone: Broken pipe"]
    assert reader.console.lost == 2
    problem, lost = reader.console.account()
    assert problem
    assert (problem.code, lost) == (protocol.VANISHED, 2)
    reader.out = os.dup(reader.descriptor)


def test_a_reader_that_goes_while_a_line_is_half_written_is_noticed(reader):
    within(lambda: reader.publish(reason="x" * 2 * PIPE))
    assert not reader.console.gone
    os.close(reader.out)
    reader.publish()
    assert reader.console.gone
    reader.out = os.dup(reader.descriptor)


def test_a_file_takes_everything(tmp_path):
    made = Reader()
    with open(tmp_path / "log", "ab") as file:
        made.console = Console(file.fileno())
        for _ in range(50):
            made.publish(reason="x" * 10_000)
    assert sequence((tmp_path / "log").read_bytes()) == list(range(1, 51))
    assert made.console.lost == 0
    os.close(made.out)
    os.close(made.descriptor)
