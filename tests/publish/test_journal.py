"""What stands in the journal: a real journald, and a reader that takes the protocol by its letter."""

import contextlib
import fcntl
import io
import itertools
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journald import Journald, parse
from private_bus import eventually

from healthd import protocol
from healthd.clock import Instant
from healthd.events import changes
from healthd.model import SINGLE, Account, Cycle, Event, Observation, Problem, Sample
from healthd.observe.load import Load
from healthd.observe.network import Network
from healthd.publish.journal import MESSAGES, Journal
from healthd.state.store import Store

NOW = Instant(1767268800.0, 12.345, 0.0)
NOTHING = Store().accept(Sample(NOW, "boot", 1, ()))
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
numbers = itertools.count(1)


def happened(name: str, **data: object) -> Event:
    return Event(NOW, name, data, "boot", next(numbers))


def failed(reason: str = "no temperature sensor", remedy: str = "", problem: str = protocol.FAILED) -> Event:
    return happened(
        protocol.COLLECTOR_FAILED, family="sensor", instance="", problem=problem, reason=reason, remedy=remedy
    )


def publish(journal: Journal, *events: Event) -> None:
    journal.publish(Cycle(NOTHING, NOTHING, events))


def within(do, seconds: float = 20.0) -> None:
    """Fail where it blocks."""
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it blocks"


def be_journal(patch: pytest.MonkeyPatch) -> None:
    """Have standard error be the journal, as far as the environment says."""
    there = os.fstat(2)
    patch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")


@pytest.fixture
def is_journal(monkeypatch):
    be_journal(monkeypatch)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "healthd.publish")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


@pytest.fixture(scope="module")
def lasting():
    made = Journald()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def journald():
    made = Journald()
    yield made
    made.remove()


class Receiver:
    """Takes what is sent to journald's socket, by the letter."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(path)

    def entry(self) -> dict[str, bytes]:
        content, ancillary, flags, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        if not ancillary:
            return parse(content)
        ((_, _, descriptor),) = ancillary
        assert not content
        with open(int.from_bytes(descriptor, sys.byteorder), "rb") as file:
            assert fcntl.fcntl(file, fcntl.F_GET_SEALS) == SEALS
            file.seek(0)
            return parse(file.read())

    def entries(self) -> list[dict[str, bytes]]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.entry())
        return found


@pytest.fixture
def receiver(tmp_path, monkeypatch):
    be_journal(monkeypatch)
    made = Receiver(str(tmp_path / "socket"))
    yield made
    made.socket.close()


@pytest.fixture
def journal(receiver):
    with contextlib.closing(Journal(path=receiver.path)) as made:
        yield made


STARTED = {"version": "0.1.0", "interval": 5.0}
NOTED = {"condition": "filesystem_space", "instance": "/", "who": "ann", "until": None}
SENTENCES = [
    (protocol.RUNTIME_STARTED, STARTED, "INFO", "healthd 0.1.0 observes this machine every 5 s"),
    (protocol.RUNTIME_STOPPED, {}, "INFO", "healthd ends"),
    (protocol.COLLECTOR_RECOVERED, {"family": "sensor", "instance": ""}, "INFO", "sensor is available again"),
    (protocol.HEALTH_ACKNOWLEDGED, NOTED, "INFO", "filesystem_space@/ was acknowledged by ann"),
    ("config.loaded", {}, "INFO", "in force is the default configuration"),
    ("config.loaded", {"files": ["/a.toml", "/b.toml"]}, "INFO", "in force is /a.toml, /b.toml"),
    (
        "config.refused",
        {"faults": ["/a.toml: x: bad", "/a.toml: y: worse"]},
        "ERROR",
        "the configuration before stays in force, as this one has faults: /a.toml: x: bad; /a.toml: y: worse",
    ),
    (
        "collector.disabled",
        {"family": "disk", "instance": "", "problem": "disabled", "reason": "it is switched off", "remedy": "…"},
        "INFO",
        "disk is not observed any more: it is switched off",
    ),
    ("collector.enabled", {"family": "disk", "instance": ""}, "INFO", "disk is observed again"),
]


@pytest.mark.parametrize(("name", "data", "level", "sentence"), SENTENCES)
def test_what_happens_is_a_sentence(said, name, data, level, sentence):
    publish(Journal(), happened(name, **data))
    assert said() == [(level, sentence)]


@pytest.mark.parametrize(
    ("family", "instance", "problem", "reason", "remedy", "level", "sentence"),
    [
        ("load", "", "malformed", "odd", "", "WARNING", "load is unavailable: odd"),
        ("network", "eth1", "failed", "odd", "", "WARNING", "network@eth1 is unavailable: odd"),
        ("sensor", "", "unsupported", "no sensor", "", "INFO", "sensor is unavailable: no sensor"),
        ("disk", "", "permission", "denied", "let it", "WARNING", "disk is unavailable: denied; let it"),
    ],
)
def test_what_is_unavailable_is_said_with_reason_and_remedy(  # noqa: PLR0917
    said, family, instance, problem, reason, remedy, level, sentence
):
    data = {"family": family, "instance": instance, "problem": problem, "reason": reason, "remedy": remedy}
    publish(Journal(), happened(protocol.COLLECTOR_FAILED, **data))
    assert said() == [(level, sentence)]


@pytest.mark.parametrize(
    ("severity", "before", "level", "sentence"),
    [
        ("critical", "warning", "CRITICAL", "space@/home is critical (was warning)"),
        ("warning", "ok", "WARNING", "space@/home is warning (was ok)"),
        ("notice", None, "Level 25", "space@/home is notice"),
        ("unknown", "ok", "Level 25", "space@/home is unknown (was ok)"),
        ("ok", "critical", "INFO", "space@/home is ok again"),
    ],
)
def test_a_transition_is_as_urgent_as_what_it_leads_to(said, severity, before, level, sentence):
    data = {"condition": "space@/home", "from": before, "to": severity}
    publish(Journal(), happened(protocol.HEALTH_TRANSITION, **data))
    assert said() == [(level, sentence)]


@pytest.mark.parametrize(
    ("reason", "seconds", "sentence"),
    [
        ("suspend", 11100.4, "the machine was suspended for 3 h 5 min"),
        ("suspend", 0.734, "the machine was suspended for 0.734 s"),
        ("suspend", 59.7, "the machine was suspended for 1 min"),
        ("suspend", 93784.0, "the machine was suspended for 1 d 2 h"),
        ("suspend", 86460.0, "the machine was suspended for 1 d"),
        ("clock", 7200.0, "the clock was set forward by 2 h"),
        ("clock", -90.0, "the clock was set back by 1 min 30 s"),
        ("clock", 1.7e9, "the clock was set forward by 19675 d 22 h"),
        ("overrun", 12.2, "samples were late by 12 s"),
        ("overrun", None, "samples were late by an unknown time"),
        ("overrun", float("inf"), "samples were late by an unknown time"),
    ],
)
def test_a_gap_is_said_as_a_person_says_it(said, reason, seconds, sentence):
    publish(Journal(), happened(protocol.RUNTIME_GAP, reason=reason, seconds=seconds))
    assert [text for _, text in said()] == [sentence]


def test_samples_and_instances_that_come_and_go_are_not_told(said):
    for name in ("system.load.updated", protocol.INSTANCE_ADDED, protocol.INSTANCE_REMOVED, protocol.SNAPSHOT):
        publish(Journal(), happened(name, family="network", instance="eth0"))
    assert said() == []


def test_what_is_gone_or_lost_with_its_family_is_not_available_again(said):
    store, journal, before = Store(), Journal(), None

    def observe(readings, problems):
        nonlocal before
        made = dict.fromkeys(readings, Network.family.unknown)
        observation = Observation(Network.family, NOW, made, problems, 0.0, 0)
        snapshot = store.accept(Sample(NOW, "boot", next(numbers), (observation,)))
        journal.publish(Cycle(before, snapshot, tuple(changes(before, snapshot))))
        before = snapshot

    fault = Problem(protocol.FAILED, "Input/output error")
    observe(["b"], {"a": fault, "c": fault})
    observe(["a", "b"], {})
    observe(["a"], {"b": fault})
    observe([], {SINGLE: Problem(protocol.FAILED, "no list")})
    observe(["a", "b"], {})
    assert [text for _, text in said()] == [
        "network@a is unavailable: Input/output error",
        "network@c is unavailable: Input/output error",
        "network@a is available again",
        "network@b is unavailable: Input/output error",
        "network is unavailable: no list",
        "network is available again",
    ]


def test_a_change_of_state_is_told_once(said):
    store, journal, before = Store(), Journal(), None
    denied, absent = Problem(protocol.PERMISSION, "Permission denied"), Problem(protocol.UNSUPPORTED, "no such thing")
    odd = Problem(protocol.FAILED, "the collector failed: ValueError('odd')")
    for problem in (odd, odd, denied, denied, None, None, absent, absent):
        readings = {} if problem else {SINGLE: Load(load1=1.0, load5=1.0, load15=1.0)}
        problems = {SINGLE: problem} if problem else {}
        observation = Observation(Load.family, NOW, readings, problems, 0.0, 0)
        snapshot = store.accept(Sample(NOW, "boot", next(numbers), (observation,)))
        journal.publish(Cycle(before, snapshot, tuple(changes(before, snapshot))))
        before = snapshot
    assert said() == [
        ("WARNING", "load is unavailable: the collector failed: ValueError('odd')"),
        ("WARNING", "load is unavailable: Permission denied"),
        ("INFO", "load is available again"),
        ("INFO", "load is unavailable: no such thing"),
    ]


def test_each_event_has_an_id_of_its_own():
    ids = [message.id for message in MESSAGES.values()]
    assert len(set(ids)) == len(ids) == 11
    for made in ids:
        assert re.fullmatch("[0-9a-f]{32}", made)
        assert uuid.UUID(made).version == 4


def test_an_entry_has_the_sentence_and_the_data(receiver, journal):
    event = happened(
        protocol.COLLECTOR_FAILED, family="network", instance="eth1", problem="failed", reason="odd", remedy="pull it",
        tries=3, share=0.5, flag=True, nothing=None, parts=[1], deep={"a": 1}, event="mine",
        **{"ä": 1, "a b": 2, "_x": 4, "1": 5, "": 6, "y" * 56: 7, "y" * 57: 8, "\u0131": 9},
    )  # fmt: skip
    publish(journal, event)
    assert receiver.entry() == {
        "MESSAGE": b"network@eth1 is unavailable: odd; pull it",
        "PRIORITY": b"4",
        "MESSAGE_ID": MESSAGES[protocol.COLLECTOR_FAILED].id.encode(),
        "SYSLOG_IDENTIFIER": b"healthd",
        "HEALTHD_EVENT": b"collector.failed",
        "HEALTHD_SEQ": str(event.seq).encode(),
        "HEALTHD_BOOT_SECONDS": b"12.345",
        "HEALTHD_FAMILY": b"network",
        "HEALTHD_INSTANCE": b"eth1",
        "HEALTHD_PROBLEM": b"failed",
        "HEALTHD_REASON": b"odd",
        "HEALTHD_REMEDY": b"pull it",
        "HEALTHD_TRIES": b"3",
        "HEALTHD_SHARE": b"0.5",
        "HEALTHD_FLAG": b"true",
        "HEALTHD__X": b"4",
        "HEALTHD_1": b"5",
        "HEALTHD_" + "Y" * 56: b"7",
    }
    assert journal.account() == Account()


texts = st.text(st.characters(exclude_categories=()), max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from(["\n", "a\nb", "=", "\0"])
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=6)
keys = texts | st.sampled_from(
    ["family", "instance", "reason", "seconds", "interval", "from", "to", "condition", "problem", "remedy", "seq", "A"]
)


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """Give a journal and its receiver for many examples."""
    made = Receiver(str(tmp_path_factory.mktemp("journal") / "socket"))
    with pytest.MonkeyPatch.context() as patch:
        be_journal(patch)
        journal = Journal(path=made.path)
    with contextlib.closing(journal), contextlib.closing(made.socket):
        yield journal, made


@given(data=st.dictionaries(keys, values, max_size=12), name=st.sampled_from(sorted(MESSAGES)))
def test_any_data_arrive_as_they_were(endless, data, name):
    journal, receiver = endless
    if name == protocol.COLLECTOR_RECOVERED:
        data.pop("instance", None)
    event = Event(NOW, name, data, "boot", 7)
    publish(journal, event)
    arrived = receiver.entry()
    own = {"HEALTHD_EVENT": name, "HEALTHD_SEQ": "7", "HEALTHD_BOOT_SECONDS": "12.345"}
    expected = {}
    for key, value in data.items():
        field = f"HEALTHD_{key.upper()}"
        if key.isascii() and re.fullmatch(r"\w{1,56}", key) and isinstance(value, str | int | float):
            expected.setdefault(field, str(value).lower() if isinstance(value, bool) else str(value))
    for field, value in (expected | own).items():
        assert arrived.pop(field) == value.encode("utf-8", "backslashreplace")
    assert set(arrived) == {"MESSAGE", "PRIORITY", "MESSAGE_ID", "SYSLOG_IDENTIFIER"}
    assert arrived["MESSAGE"]
    assert journal.account() == Account()


def test_what_is_too_large_for_a_datagram_goes_as_a_sealed_file_and_leaves_none_open(receiver, journal):
    before = os.listdir("/proc/self/fd")
    reason = "x" * (1 << 20) + "\nend"
    publish(journal, failed(reason))
    assert receiver.entry()["HEALTHD_REASON"] == reason.encode()
    assert os.listdir("/proc/self/fd") == before
    assert journal.account() == Account()


@pytest.mark.parametrize("large", [5, 10**6])
def test_a_journald_that_hangs_costs_entries_which_are_counted_and_nothing_else(receiver, journal, said, large):
    events = [failed("x" * (10 if number % large else 300_000)) for number in range(1000)]
    within(lambda: [publish(journal, event) for event in events])
    problem, lost = journal.account()
    assert problem
    assert problem.code == protocol.TIMEOUT
    assert said() == [("WARNING", "entries for the journal are lost: journald does not keep up")]
    arrived = receiver.entries()
    assert lost == len(events) - len(arrived) > 0
    assert [entry["HEALTHD_SEQ"] for entry in arrived] == [str(event.seq).encode() for event in events[: len(arrived)]]
    publish(journal, failed())
    told, entry = receiver.entries()
    assert told["HEALTHD_LOST"] == str(lost).encode()
    assert told["MESSAGE"] == f"entries of healthd that are missing before this one: {lost}".encode()
    assert entry["MESSAGE"] == b"sensor is unavailable: no temperature sensor"
    assert journal.account() == Account(None, lost)


def test_the_problem_goes_with_the_first_cycle_after_it_though_nothing_happens(receiver, journal):
    within(lambda: [publish(journal, failed()) for _ in range(1000)])
    receiver.entries()
    publish(journal)
    assert journal.account().problem is None
    publish(journal)
    assert len(receiver.entries()) == 1


def test_each_entry_that_is_lost_is_told_once(receiver, journal):
    for _ in range(3):
        within(lambda: [publish(journal, failed()) for _ in range(500)])
    arrived = receiver.entries()
    for _ in range(3):
        within(lambda: [publish(journal, failed()) for _ in range(500)])
    arrived += receiver.entries()
    publish(journal)
    arrived += receiver.entries()
    told = sum(int(entry.get("HEALTHD_LOST", 0)) for entry in arrived)
    assert told == journal.account().lost
    assert told + sum("HEALTHD_EVENT" in entry for entry in arrived) == 3000


def test_a_journald_that_is_gone_is_said_once_and_found_again(receiver, journal, said):
    receiver.socket.close()
    publish(journal, failed(), failed())
    assert journal.account().problem.code == protocol.VANISHED
    os.unlink(receiver.path)
    publish(journal, failed())
    problem, lost = journal.account()
    assert (problem.code, lost) == (protocol.VANISHED, 3)
    assert said() == [("WARNING", f"entries for the journal are lost: no journald listens at {receiver.path}")]
    receiver.__init__(receiver.path)
    publish(journal, failed())
    assert [entry.get("HEALTHD_LOST") for entry in receiver.entries()] == [b"3", None]
    assert journal.account() == Account(None, 3)


@pytest.mark.usefixtures("is_journal")
def test_a_path_that_can_not_be_used_harms_nothing(tmp_path, said):
    (tmp_path / "file").touch()
    for path, code in (
        (tmp_path / "file" / "socket", protocol.FAILED),
        (tmp_path / ("x" * 200), protocol.FAILED),
        (tmp_path / "file", protocol.VANISHED),
    ):
        with contextlib.closing(Journal(path=str(path))) as journal:
            publish(journal, failed())
            assert journal.account().problem.code == code
    assert len(said()) == 3


def test_a_standard_error_that_is_no_journal_gets_the_sentences(receiver, monkeypatch, said):
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    publish(Journal(path=receiver.path), failed())
    assert receiver.entries() == []
    assert len(said()) == 1


@pytest.mark.usefixtures("is_journal")
def test_journald_keeps_what_it_is_told(lasting):
    events = [
        failed("two\nlines\n", "µ \u2013 é"),
        failed("a\0b\x1b[0m"),
        failed("/caf\udce9"),
        failed("x" * (1 << 20)),
        failed(problem=protocol.UNSUPPORTED),
        happened(protocol.HEALTH_TRANSITION, condition="throttled", **{"from": "ok", "to": "critical"}),
    ]
    with contextlib.closing(Journal(path=lasting.path)) as journal:
        publish(journal, *events)
        assert journal.account() == Account()

    def entries():
        matches = [f"HEALTHD_SEQ={event.seq}" for event in events]
        found = lasting.entries(*matches)
        return found if len(found) == len(events) else None

    first, control, surrogate, large, missing, critical = eventually(entries)
    assert first["MESSAGE"] == "sensor is unavailable: two\nlines\n; µ \u2013 é"
    assert first["PRIORITY"] == "4"
    assert first["MESSAGE_ID"] == MESSAGES[protocol.COLLECTOR_FAILED].id
    assert first["SYSLOG_IDENTIFIER"] == "healthd"
    assert first["HEALTHD_REASON"] == "two\nlines\n"
    assert first["HEALTHD_REMEDY"] == "µ \u2013 é"
    assert first["HEALTHD_BOOT_SECONDS"] == "12.345"
    assert first["_PID"] == str(os.getpid())
    assert first["_TRANSPORT"] == "journal"
    assert control["HEALTHD_REASON"] in (b"a\0b\x1b[0m", "a\0b\x1b[0m")
    assert surrogate["HEALTHD_REASON"] == "/caf\\udce9"
    assert large["HEALTHD_REASON"] == "x" * (1 << 20)
    assert missing["PRIORITY"] == "6"
    assert critical["PRIORITY"] == "2"
    assert (critical["HEALTHD_CONDITION"], critical["HEALTHD_FROM"], critical["HEALTHD_TO"]) == (
        "throttled", "ok", "critical",
    )  # fmt: skip


@pytest.mark.usefixtures("is_journal")
def test_a_real_journald_that_is_stopped_and_goes_on(journald):
    journald.start()
    with contextlib.closing(Journal(path=journald.path)) as journal:
        journald.signal(signal.SIGSTOP)
        events = [failed("x" * (300_000 if number % 100 == 5 else 10)) for number in range(1000)]
        within(lambda: [publish(journal, event) for event in events])
        problem, lost = journal.account()
        assert problem.code == protocol.TIMEOUT
        assert lost
        journald.signal(signal.SIGCONT)

        def well() -> bool:
            publish(journal)
            return journal.account().problem is None

        eventually(well)
        # Only when it has read what stood before that there is room for sure.
        eventually(lambda: journald.entries(f"HEALTHD_LOST={lost}"))
        last = failed()
        publish(journal, last)
        eventually(lambda: journald.entries(f"HEALTHD_SEQ={last.seq}"))
        kept = journald.entries("HEALTHD_EVENT=collector.failed")
        assert len(kept) + lost == len(events) + 1
        (told,) = journald.entries(f"HEALTHD_LOST={lost}")
        assert told["PRIORITY"] == "4"


@pytest.mark.usefixtures("is_journal")
def test_a_real_journald_that_is_killed_and_comes_back(journald):
    with contextlib.closing(Journal(path=journald.path)) as journal:
        publish(journal, failed("before the first"))
        assert journal.account().problem.code == protocol.VANISHED
        journald.start()
        publish(journal, failed("first"))
        eventually(lambda: journald.entries("HEALTHD_REASON=first"))
        journald.kill()
        publish(journal, failed("between"))
        assert journal.account() == Account(journal.account().problem, 2)
        journald.start()
        publish(journal, failed("second"))
        eventually(lambda: journald.entries("HEALTHD_REASON=second"))
        assert journal.account() == Account(None, 2)
        assert [entry["HEALTHD_REASON"] for entry in journald.entries("HEALTHD_EVENT=collector.failed")] == [
            "first", "second",
        ]  # fmt: skip


SERVICE = """
import logging, sys
from healthd import log, protocol
from healthd.clock import Instant
from healthd.model import Cycle, Event, Sample
from healthd.publish.journal import Journal
from healthd.state.store import Store

log.configure()
now = Instant(1.0, 2.0, 0.0)
snapshot = Store().accept(Sample(now, "boot", 1, ()))
Journal(path=sys.argv[1]).publish(Cycle(None, snapshot, (Event(now, protocol.RUNTIME_STOPPED, {}, "boot", 1),)))
logging.getLogger("x").error("two\\nlines of %s", sys.argv[2])
"""


def service(journald: Journald, word: str, *, elsewhere: bool = False) -> str:
    """Run what logs and publishes as a service does, and return what was written elsewhere."""
    with journald.stream(word) as stream, open(f"{journald.directory}/{word}", "w+") as file:
        there = os.fstat(stream.fileno())
        subprocess.run(
            [sys.executable, "-c", SERVICE, journald.path, word], check=True, timeout=60,
            stderr=file if elsewhere else stream,
            env={**os.environ, "JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"},
        )  # fmt: skip
        file.seek(0, io.SEEK_SET)
        return file.read()


def test_a_service_writes_its_log_with_priorities_and_its_events_as_entries(lasting):
    assert service(lasting, "service") == ""
    lines = eventually(lambda: len(found := lasting.entries("SYSLOG_IDENTIFIER=service")) == 2 and found)
    assert [(line["PRIORITY"], line["MESSAGE"]) for line in lines] == [("3", "two"), ("3", "lines of service")]
    (entry,) = eventually(lambda: lasting.entries(f"_PID={lines[0]['_PID']}", "HEALTHD_EVENT=runtime.stopped"))
    assert entry["MESSAGE"] == "healthd ends"


def test_a_service_whose_standard_error_leads_elsewhere_writes_for_a_person(lasting):
    assert service(lasting, "elsewhere", elsewhere=True) == "healthd: healthd ends\nhealthd: two\nlines of elsewhere\n"
    assert not lasting.entries("SYSLOG_IDENTIFIER=elsewhere")
