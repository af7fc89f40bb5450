"""The strength of radio signals is told in dBm, and is unknown where it is anything else."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from private_bus import eventually

from healthd.clock import Instant
from healthd.observe._files import File, Roots, roots
from healthd.observe._wireless import EVERY, STALE, Signals, dbm, parse
from healthd.observe.network import COLLECTOR

HEAD = (
    "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n"
    " face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n"
)


def line(name: str, level: str, *, status: str = "0000", link: str = "  54.") -> str:
    return f"{name:>6}: {status} {link}  {level}  -256        0      0      0      0     14        0\n"


def at(since_boot: float) -> Instant:
    return Instant(1767254400.0 + since_boot, since_boot, 0.0)


@pytest.fixture
def made(tmp_path: Path) -> Roots:
    """Return roots of a machine with a wireless adapter, which is not connected."""
    found = roots(proc=str(tmp_path / "proc"), sys=str(tmp_path / "sys"))
    os.makedirs(found.proc.path("net"))
    for entry in ("device", "phy80211"):
        os.makedirs(found.sys.path(f"class/net/wlan0/{entry}"))
    with open(found.proc.path("net/dev"), "w") as file:
        file.write("Inter-|\n face |\n wlan0: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n")
    write(found, "")
    return found


def write(machine: Roots, lines: str) -> None:
    with open(machine.proc.path("net/wireless"), "w") as file:
        file.write(HEAD + lines)


def signal_of(machine: Roots, name: str = "wlan0") -> object:
    reading = COLLECTOR(machine).collect(at(100.0))[name]
    return reading.signal_dbm


def test_the_laptop_receives_its_access_point_and_nothing_else_has_a_signal(machine: Callable[[str], Roots]) -> None:
    readings = COLLECTOR(machine("laptop")).collect(at(100.0))
    signals = {name: reading.signal_dbm for name, reading in readings.items()}
    # Level -52; as link quality the kernel writes 110 - 52 = 58.
    assert signals == {"lo": None, "wlp0s20f3": -52.0, "docker0": None, "veth1a2b3c4": None}


def test_the_pi_on_its_cable_receives_nothing(machine: Callable[[str], Roots]) -> None:
    assert signal_of(machine("raspberry-pi-4")) is None


@pytest.mark.parametrize(
    ("level", "signal"),
    [
        # The kernel knows that it is dBm, and takes 256 off the byte.
        (-56, -56.0),
        (-1, -1.0),
        (-127, -127.0),
        # The byte 128 is what drivers begin with, and 0 is none.
        (-128, None),
        (-256, None),
        (-257, None),
        # The kernel does not know: a signed byte, or a share of something.
        (200, -56.0),
        (255, -1.0),
        (129, -127.0),
        (128, None),
        (100, None),
        (70, None),
        (1, None),
        (0, None),
        (256, None),
    ],
)
def test_a_level_is_in_dbm_or_unknown(level: int, signal: float | None) -> None:
    assert dbm(level) == signal


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (line("wlan0", " -56."), {"wlan0": -56.0}),
        (line("wlan0", " -56 "), {"wlan0": -56.0}),
        (line("wlan0", "-100."), {"wlan0": -100.0}),
        (line("wlan0", " 200."), {"wlan0": -56.0}),
        (line("wlan0", "  70 "), {}),
        (line("wlan0", "   0 ", link="   0 "), {}),
        (line("wlan0", "-256 "), {}),
        (line("wlan0", " -56.", status="00ff", link=" -54 "), {"wlan0": -56.0}),
        (line("wlan0:1", " -56."), {"wlan0:1": -56.0}),
        (line("caf\\u00e9", " -56."), {"caf\\u00e9": -56.0}),
        (line("wlan0", " -56.") + line("wlan1", " -71."), {"wlan0": -56.0, "wlan1": -71.0}),
        (line("wlan0", " -5x.") + line("wlan1", " -71."), {"wlan1": -71.0}),
        (line("wlan0", "99999") + line("wlan1", " -71."), {"wlan1": -71.0}),
        (line("wlan0", " -56.").replace(":", " "), {}),
        (" wlan0: 0000   54.", {}),
        ("", {}),
    ],
)
def test_what_the_kernel_writes_is_understood_and_the_rest_left_out(text: str, found: dict[str, float]) -> None:
    assert parse((HEAD + text).encode()) == found


PARTS = [b"wlan0:", b" 0000", b" 54.", b" -56.", b"-", b"\n", b"9"]


@given(st.binary() | st.lists(st.sampled_from(PARTS)).map(b"".join))
def test_no_bytes_give_a_signal_that_can_not_be(table: bytes) -> None:
    for name, signal in parse(table).items():
        assert name
        assert -127.0 <= signal <= -1.0


def test_an_interface_that_is_not_connected_has_no_signal_whether_it_has_a_line_or_not(made: Roots) -> None:
    assert signal_of(made) is None
    write(made, line("wlan0", "   0 ", link="   0 "))
    assert signal_of(made) is None


@pytest.mark.parametrize("entry", ["phy80211", "wireless"])
def test_either_entry_of_sysfs_makes_an_interface_wireless(made: Roots, entry: str) -> None:
    write(made, line("wlan0", " -56."))
    os.rmdir(made.sys.path("class/net/wlan0/phy80211"))
    assert signal_of(made) is None
    os.mkdir(made.sys.path(f"class/net/wlan0/{entry}"))
    assert signal_of(made) == -56.0


def test_a_kernel_without_the_table_tells_no_signal(made: Roots) -> None:
    os.unlink(made.proc.path("net/wireless"))
    assert signal_of(made) is None


def test_where_nothing_is_wireless_no_thread_reads(made: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    os.rmdir(made.sys.path("class/net/wlan0/phy80211"))
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread began"))
    assert signal_of(made) is None


def test_a_signal_is_read_every_10_s(made: Roots) -> None:
    write(made, line("wlan0", " -56."))
    signals = Signals(made.proc.file("net/wireless"))
    assert signals.dbm("wlan0", at(100.0)) == -56.0
    write(made, line("wlan0", " -71."))
    assert signals.dbm("wlan0", at(100.0 + EVERY - 0.1)) == -56.0
    eventually(lambda: signals.dbm("wlan0", at(100.0 + EVERY)) == -71.0)
    assert signals.dbm("wlan1", at(100.0 + EVERY)) is None


def test_signals_are_known_where_ticks_are_rare(made: Roots) -> None:
    write(made, line("wlan0", " -56."))
    signals = Signals(made.proc.file("net/wireless"))
    ticks = iter(range(100, 1_000_000, 60))
    for level in (-56, -71):
        write(made, line("wlan0", f" {level}."))
        eventually(lambda level=level: signals.dbm("wlan0", at(next(ticks))) == level)


def test_a_signal_that_changes_gives_a_new_reading_and_one_that_does_not_the_same(made: Roots) -> None:
    write(made, line("wlan0", " -56."))
    collector = COLLECTOR(made)
    collector.collect(at(100.0))
    second = collector.collect(at(105.0))["wlan0"]
    assert collector.collect(at(106.0))["wlan0"] is second
    write(made, line("wlan0", " -71."))
    ticks = iter(range(116, 10_000))
    changed = eventually(lambda: (reading := collector.collect(at(next(ticks)))["wlan0"]) is not second and reading)
    assert changed.signal_dbm == -71.0


class Answering(File):
    """A table that a driver answers for only when it is let."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.asked = 0
        self.answers = threading.Event()
        self.answers.set()

    def read(self) -> bytes:
        self.asked += 1
        self.answers.wait(20.0)
        return super().read()


def test_a_driver_that_does_not_answer_delays_nothing_and_its_last_signal_ends(made: Roots) -> None:
    write(made, line("wlan0", " -56."))
    table = Answering(made.proc.path("net/wireless"))
    signals = Signals(table)
    eventually(lambda: signals.dbm("wlan0", at(100.0)) == -56.0)
    table.answers.clear()
    for since_boot in (110.0, 120.0, 100.0 + STALE - 0.1):
        assert signals.dbm("wlan0", at(since_boot)) == -56.0
    assert signals.dbm("wlan0", at(100.0 + STALE)) is None
    assert signals.dbm("wlan0", at(1000.0)) is None
    # One thread waits, and no others with it.
    assert table.asked == 2
    table.answers.set()
    ticks = iter(range(1010, 1_000_000, 10))
    eventually(lambda: signals.dbm("wlan0", at(next(ticks))) == -56.0)


def test_the_first_look_waits_no_longer_than_a_moment(made: Roots) -> None:
    write(made, line("wlan0", " -56."))
    table = Answering(made.proc.path("net/wireless"))
    table.answers.clear()
    signals = Signals(table)
    assert signals.dbm("wlan0", at(100.0)) is None
    table.answers.set()
    eventually(lambda: signals.dbm("wlan0", at(105.0)) == -56.0)
