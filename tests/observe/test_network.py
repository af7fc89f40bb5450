import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import Reading
from healthd.observe._files import Roots, roots
from healthd.observe.network import COLLECTOR, Counters, Network, parse, rates, table

FIRST = Instant(1767254500.0, 100.0, 0.0)
SECOND = Instant(1767254505.0, 105.0, 0.0)
THIRD = Instant(1767254510.0, 110.0, 0.0)
FOURTH = Instant(1767254515.0, 115.0, 0.0)
HEAD = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|"
    "bytes    packets errs drop fifo colls carrier compressed\n"
)
COUNTERS = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
UNKNOWN = dict.fromkeys((f"{name}_per_second" for name in COUNTERS), None)


@pytest.fixture
def copy(machine: Callable[[str], Roots], tmp_path: Path) -> Callable[[str], Roots]:
    """Return a function that copies a machine's network to where a test can change it."""

    def of(name: str) -> Roots:
        for part in ("sys/class/net", "sys/devices"):
            shutil.copytree(machine(name).host.path(part), tmp_path / part, symlinks=True)
        (tmp_path / "proc/net").mkdir(parents=True)
        for file in ("dev", "route", "wireless"):
            shutil.copy(machine(name).proc.path(f"net/{file}"), tmp_path / "proc/net" / file)
        return roots(proc=str(tmp_path / "proc"), sys=str(tmp_path / "sys"))

    return of


@pytest.fixture
def made(tmp_path: Path) -> Roots:
    """Return roots of a machine without interfaces."""
    (tmp_path / "proc/net").mkdir(parents=True)
    made = roots(proc=str(tmp_path / "proc"), sys=str(tmp_path / "sys"))
    write(made)
    return made


def write(machine: Roots, **interfaces: tuple[int, ...]) -> None:
    """Write the table: the eight counters of each interface."""
    text = HEAD
    for name, (rb, rp, re, rd, tb, tp, te, td) in interfaces.items():
        text += f"{name:>6}: {rb:7} {rp:7} {re:4} {rd:4}    0     0          0         0 {tb:8} {tp:7} {te:4} {td:4}"
        text += "    0     0       0          0\n"
    with open(machine.proc.path("net/dev"), "w") as file:
        file.write(text)


def change(path: str, old: str, new: str) -> None:
    with open(path) as file:
        text = file.read()
    assert text.count(old) == 1
    with open(path, "w") as file:
        file.write(text.replace(old, new))


def put(machine: Roots, name: str, fact: str, text: str) -> None:
    with open(machine.sys.path(f"class/net/{name}/{fact}"), "w") as file:
        file.write(text)


def speeds(reading: Reading) -> tuple[float | None, ...]:
    return tuple(getattr(reading, f"{name}_per_second") for name in COUNTERS)


def counters(reading: Reading) -> tuple[int | None, ...]:
    return tuple(getattr(reading, name) for name in COUNTERS)


def test_the_laptop_has_four_interfaces_of_three_kinds(machine: Callable[[str], Roots]) -> None:
    readings = COLLECTOR(machine("laptop")).collect(FIRST)
    assert readings == {
        "lo": Network(
            kind="loopback", operstate="unknown", carrier=True, speed_bytes_per_second=None, signal_dbm=None,
            uplink=False, **dict.fromkeys(COUNTERS), **UNKNOWN,
        ),
        "wlp0s20f3": Network(
            kind="physical", operstate="up", carrier=True, speed_bytes_per_second=None, signal_dbm=-52.0, uplink=True,
            **dict.fromkeys(COUNTERS), **UNKNOWN,
        ),
        # 10000 Mbit/s of 125000 bytes
        "docker0": Network(
            kind="virtual", operstate="up", carrier=True, speed_bytes_per_second=1_250_000_000, signal_dbm=None,
            uplink=False, **dict.fromkeys(COUNTERS), **UNKNOWN,
        ),
        "veth1a2b3c4": Network(
            kind="virtual", operstate="up", carrier=True, speed_bytes_per_second=1_250_000_000, signal_dbm=None,
            uplink=False, **dict.fromkeys(COUNTERS), **UNKNOWN,
        ),
    }  # fmt: skip
    assert counters(readings["lo"]) == (4120331, 21044, 0, 0, 4120331, 21044, 0, 0)
    assert counters(readings["wlp0s20f3"]) == (1840221904, 1502113, 0, 412, 210448120, 801223, 0, 3)


def test_the_pi_has_a_cable_and_no_wireless_network(machine: Callable[[str], Roots]) -> None:
    readings = COLLECTOR(machine("raspberry-pi-4")).collect(FIRST)
    assert list(readings) == ["lo", "eth0", "wlan0"]
    eth0, wlan0 = readings["eth0"], readings["wlan0"]
    assert (eth0.kind, eth0.operstate, eth0.carrier, eth0.speed_bytes_per_second) == ("physical", "up", True, 125000000)
    assert counters(eth0) == (412044881, 512044, 0, 18, 91204410, 301122, 0, 0)
    assert (wlan0.kind, wlan0.operstate, wlan0.carrier, wlan0.speed_bytes_per_second) == (
        "physical", "down", False, None,
    )  # fmt: skip
    assert counters(wlan0) == (0,) * 8


def test_rates_are_what_passed_in_a_second(made: Roots) -> None:
    collector = COLLECTOR(made)
    write(made, eth0=(1000, 10, 1, 2, 3000, 30, 3, 4))
    assert speeds(collector.collect(FIRST)["eth0"]) == (None,) * 8
    write(made, eth0=(51003, 133, 2, 2, 3001, 31, 3, 5))
    # In 5 s: 50003 bytes, 123 packets, 1 fault; 1 byte, 1 packet, 1 dropped.
    assert speeds(collector.collect(SECOND)["eth0"]) == (10001.0, 24.6, 0.2, 0.0, 0.0, 0.2, 0.0, 0.2)


def test_an_idle_interface_reads_zero_and_stays_the_same_object(copy: Callable[[str], Roots]) -> None:
    collector = COLLECTOR(copy("laptop"))
    collector.collect(FIRST)
    second, third = collector.collect(SECOND), collector.collect(THIRD)
    for name in ("lo", "wlp0s20f3", "docker0", "veth1a2b3c4"):
        assert speeds(second[name]) == (0.0,) * 8
        assert third[name] is second[name]


def test_traffic_after_a_pause_counts_from_the_last_sample(made: Roots) -> None:
    collector = COLLECTOR(made)
    still, moved = (1000, 10, 0, 0, 1000, 10, 0, 0), (6000, 10, 0, 0, 1000, 10, 0, 0)
    write(made, eth0=still)
    for now in (FIRST, SECOND, THIRD):
        collector.collect(now)
    write(made, eth0=moved)
    # 5000 bytes in the 5 s since the third sample.
    assert collector.collect(Instant(0.0, 115.0, 0.0))["eth0"].rx_bytes_per_second == 1000.0
    assert collector.collect(Instant(0.0, 120.0, 0.0))["eth0"].rx_bytes_per_second == 0.0


@pytest.mark.parametrize(
    "after", [(0, 0, 0, 0, 0, 0, 0, 0), (5, 11, 1, 1, 2001, 21, 1, 1), (1001, 11, 0, 1, 1, 21, 1, 1)]
)
def test_a_reset_or_a_wrap_gives_no_rate_for_that_step(made: Roots, after: tuple[int, ...]) -> None:
    collector = COLLECTOR(made)
    write(made, eth0=(1000, 10, 0, 0, 2000, 20, 0, 0))
    collector.collect(FIRST)
    write(made, eth0=after)
    reading = collector.collect(SECOND)["eth0"]
    assert speeds(reading) == (None,) * 8
    assert counters(reading) == after
    assert speeds(collector.collect(THIRD)["eth0"]) == (0.0,) * 8


def test_a_suspend_gives_no_rates_even_to_the_idle(copy: Callable[[str], Roots]) -> None:
    collector = COLLECTOR(copy("laptop"))
    collector.collect(FIRST)
    collector.collect(SECOND)
    readings = collector.collect(Instant(1767258100.0, 3700.0, 3590.0))
    assert [speeds(reading) for reading in readings.values()] == [(None,) * 8] * 4
    readings = collector.collect(Instant(1767258105.0, 3705.0, 3590.0))
    assert [speeds(reading) for reading in readings.values()] == [(0.0,) * 8] * 4


def test_a_bad_sample_in_between_spoils_no_rate(made: Roots) -> None:
    collector = COLLECTOR(made)
    write(made, eth0=(1000, 0, 0, 0, 0, 0, 0, 0))
    collector.collect(FIRST)
    write(made, eth0=(-1, 0, 0, 0, 0, 0, 0, 0))
    with pytest.raises(Unobserved):
        collector.collect(SECOND)
    write(made, eth0=(2000, 0, 0, 0, 0, 0, 0, 0))
    # 1000 bytes in the 10 s since the good one.
    assert collector.collect(THIRD)["eth0"].rx_bytes_per_second == 100.0


def test_an_interface_that_comes_has_no_rate_at_first_and_one_that_goes_is_gone(made: Roots) -> None:
    collector = COLLECTOR(made)
    some, more = (10, 1, 0, 0, 10, 1, 0, 0), (510, 1, 0, 0, 10, 1, 0, 0)
    write(made, eth0=some)
    assert list(collector.collect(FIRST)) == ["eth0"]
    write(made, eth0=some, usb0=some)
    readings = collector.collect(SECOND)
    assert speeds(readings["usb0"]) == (None,) * 8
    assert speeds(readings["eth0"]) == (0.0,) * 8
    write(made, usb0=more)
    readings = collector.collect(THIRD)
    assert list(readings) == ["usb0"]
    assert readings["usb0"].rx_bytes_per_second == 100.0
    write(made, eth0=more, usb0=more)
    # It was away: what passed since the first sample is not known.
    assert speeds(collector.collect(Instant(0.0, 115.0, 0.0))["eth0"]) == (None,) * 8


def test_no_interface_at_all_is_no_error(made: Roots) -> None:
    assert COLLECTOR(made).collect(FIRST) == {}


def test_the_link_of_a_physical_interface_is_read_each_time(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    idle = collector.collect(SECOND)["eth0"]
    put(pi, "eth0", "operstate", "down\n")
    put(pi, "eth0", "carrier", "0\n")
    put(pi, "eth0", "speed", "-1\n")
    reading = collector.collect(THIRD)["eth0"]
    assert (reading.operstate, reading.carrier, reading.speed_bytes_per_second) == ("down", False, None)
    assert speeds(reading) == speeds(idle) == (0.0,) * 8
    put(pi, "eth0", "operstate", "up\n")
    put(pi, "eth0", "carrier", "1\n")
    put(pi, "eth0", "speed", "100\n")
    reading = collector.collect(Instant(0.0, 115.0, 0.0))["eth0"]
    assert (reading.operstate, reading.carrier, reading.speed_bytes_per_second) == ("up", True, 12_500_000)


def test_the_link_of_a_busy_physical_interface_is_read_each_time(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    put(pi, "eth0", "carrier", "0\n")
    change(pi.proc.path("net/dev"), "412044881", "412044886")
    reading = collector.collect(SECOND)["eth0"]
    assert (reading.carrier, reading.rx_bytes_per_second) == (False, 1.0)


def test_a_speed_that_comes_with_the_link_is_seen(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    assert collector.collect(FIRST)["wlan0"].speed_bytes_per_second is None
    put(pi, "wlan0", "operstate", "up\n")
    put(pi, "wlan0", "speed", "54\n")
    assert collector.collect(SECOND)["wlan0"].speed_bytes_per_second == 6_750_000


def test_the_link_of_a_virtual_interface_is_read_every_30_s(copy: Callable[[str], Roots]) -> None:
    laptop = copy("laptop")
    collector = COLLECTOR(laptop)
    collector.collect(FIRST)
    put(laptop, "docker0", "operstate", "down\n")
    put(laptop, "docker0", "carrier", "0\n")
    assert collector.collect(Instant(0.0, 129.0, 0.0))["docker0"].operstate == "up"
    reading = collector.collect(Instant(0.0, 130.0, 0.0))["docker0"]
    assert (reading.operstate, reading.carrier) == ("down", False)


def test_routes_are_read_after_a_link_changed_and_every_30_s(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    assert [reading.uplink for reading in collector.collect(FIRST).values()] == [False, True, False]
    collector.collect(SECOND)
    change(pi.proc.path("net/route"), "eth0\t00000000", "wlan0\t00000000")
    assert collector.collect(THIRD)["wlan0"].uplink is False
    put(pi, "eth0", "carrier", "0\n")
    assert collector.collect(Instant(0.0, 114.0, 0.0))["wlan0"].uplink is False
    readings = collector.collect(Instant(0.0, 115.0, 0.0))
    assert [(name, reading.uplink) for name, reading in readings.items()] == [
        ("lo", False), ("eth0", False), ("wlan0", True),
    ]  # fmt: skip
    # A link that is lost loses its routes: it is the one that was lost.
    with open(pi.proc.path("net/route"), "w"):
        pass
    put(pi, "wlan0", "carrier", "0\n")
    for later in (120.0, 125.0, 131.0):
        readings = collector.collect(Instant(0.0, later, 0.0))
        assert [reading.uplink for reading in readings.values()] == [False, False, True]
    with open(pi.proc.path("net/route"), "w") as file:
        file.write("eth0\t00000000\t0101A8C0\t0003\t0\t0\t202\t00000000\t0\t0\t0\n")
    assert collector.collect(Instant(0.0, 160.0, 0.0))["eth0"].uplink is False
    assert collector.collect(Instant(0.0, 161.0, 0.0))["eth0"].uplink is True


def test_without_any_default_route_nobody_knows_the_uplink(made: Roots) -> None:
    write(made, eth0=(10, 1, 0, 0, 10, 1, 0, 0))
    assert COLLECTOR(made).collect(FIRST)["eth0"].uplink is None


@pytest.mark.parametrize(
    ("fact", "text", "field"),
    [
        ("operstate", "", "operstate"),
        ("operstate", "sideways\n", "operstate"),
        ("operstate", "\0\n", "operstate"),
        ("carrier", "", "carrier"),
        ("carrier", "2\n", "carrier"),
        ("carrier", "-1\n", "carrier"),
        ("speed", "", "speed_bytes_per_second"),
        ("speed", "-1\n", "speed_bytes_per_second"),
        ("speed", "0\n", "speed_bytes_per_second"),
        ("speed", "4294967295\n", "speed_bytes_per_second"),
        ("speed", "²\n", "speed_bytes_per_second"),
        ("speed", "9" * 5000, "speed_bytes_per_second"),
    ],
)
def test_a_fact_that_is_none_is_unknown(copy: Callable[[str], Roots], fact: str, text: str, field: str) -> None:
    pi = copy("raspberry-pi-4")
    put(pi, "eth0", fact, text)
    reading = COLLECTOR(pi).collect(FIRST)["eth0"]
    assert getattr(reading, field) is None
    known = {"operstate", "carrier", "speed_bytes_per_second"} - {field}
    assert all(getattr(reading, other) is not None for other in known)


@pytest.mark.parametrize("fact", ["operstate", "carrier", "speed"])
def test_a_fact_that_can_not_be_read_is_unknown_until_it_can(copy: Callable[[str], Roots], fact: str) -> None:
    pi = copy("raspberry-pi-4")
    path = pi.sys.path(f"class/net/eth0/{fact}")
    os.rename(path, path + ".kept")
    os.mkdir(path)
    collector = COLLECTOR(pi)
    reading = collector.collect(FIRST)["eth0"]
    assert None in (reading.operstate, reading.carrier, reading.speed_bytes_per_second)
    assert reading.rx_bytes == 412044881
    os.rmdir(path)
    os.rename(path + ".kept", path)
    put(pi, "eth0", "operstate", "dormant\n")
    reading = collector.collect(SECOND)["eth0"]
    assert None not in (reading.operstate, reading.carrier, reading.speed_bytes_per_second)


def test_an_interface_that_sysfs_does_not_show_has_counters_and_no_kind(made: Roots) -> None:
    write(made, eth0=(10, 1, 0, 0, 10, 1, 0, 0))
    reading = COLLECTOR(made).collect(FIRST)["eth0"]
    assert (reading.kind, reading.operstate, reading.rx_bytes) == (None, None, 10)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0", b"eth0"),
        (b"  eth0:1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0", b"eth0"),
        (b"eth0:1: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0", b"eth0:1"),
        (b"eth0:1:1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0", b"eth0:1"),
        (b" br-0.5@x: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0", b"br-0.5@x"),
        (b" caf\xc3\xa9\xff: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0", b"caf\xc3\xa9\xff"),
    ],
)
def test_a_name_may_hold_nearly_anything(line: bytes, name: bytes) -> None:
    assert parse(line) == (name, Counters(1, 2, 3, 4, 5, 6, 7, 8))


def test_a_name_that_is_no_utf_8_is_looked_up_as_it_is_and_shown_escaped(made: Roots) -> None:
    with open(made.proc.path("net/dev"), "wb") as file:
        file.write(HEAD.encode() + b"a\xff: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n")
    os.makedirs(os.fsencode(made.sys.path("class/net/")) + b"a\xff/device")
    reading = COLLECTOR(made).collect(FIRST)["a\\xff"]
    assert (reading.kind, reading.tx_dropped) == ("physical", 8)


def test_counters_of_64_bits_are_read(made: Roots) -> None:
    write(made, eth0=(2**64 - 1, 0, 0, 0, 0, 0, 0, 0))
    assert COLLECTOR(made).collect(FIRST)["eth0"].rx_bytes == 18446744073709551615


GOOD = HEAD.encode() + b"  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        GOOD[:40],
        GOOD[:-1],
        GOOD[:-4],
        GOOD[len(HEAD) :],
        GOOD.replace(b"eth0: 1", b"eth0: -1"),
        GOOD.replace(b"eth0: 1", b"eth0: 1e3"),
        GOOD.replace(b"eth0: 1", b"eth0: 1_0"),
        GOOD.replace(b"eth0: 1", b"eth0: " + b"9" * 400),
        GOOD.replace(b"eth0", b"et/h0"),
        GOOD.replace(b"eth0", b"et\0h0"),
        GOOD.replace(b"eth0:", b"eth0"),
        GOOD.replace(b"eth0", b""),
        GOOD.replace(b"eth0", b"e" * 40),
        GOOD + b"\n",
        GOOD + b"garbage\n",
    ],
)
def test_what_the_kernel_does_not_write_is_malformed(made: Roots, content: bytes) -> None:
    with open(made.proc.path("net/dev"), "wb") as file:
        file.write(content)
    with pytest.raises(Unobserved) as raised:
        COLLECTOR(made).collect(FIRST)
    assert raised.value.problem == protocol.MALFORMED


def test_a_missing_file_is_an_os_error(made: Roots) -> None:
    os.unlink(made.proc.path("net/dev"))
    with pytest.raises(FileNotFoundError):
        COLLECTOR(made).collect(FIRST)


def test_a_directory_in_place_of_the_file_is_an_os_error(made: Roots) -> None:
    os.unlink(made.proc.path("net/dev"))
    os.mkdir(made.proc.path("net/dev"))
    with pytest.raises(IsADirectoryError):
        COLLECTOR(made).collect(FIRST)


@given(
    st.binary()
    | st.builds(
        lambda a, b, c: GOOD[:a] + b + GOOD[c:], st.integers(0, 250), st.binary(max_size=4), st.integers(0, 250)
    )
)
def test_no_bytes_give_a_counter_that_can_not_be(content: bytes) -> None:
    try:
        found = [parse(line) for line in table(content)]
    except Unobserved:
        return
    for name, values in found:
        assert name
        assert b"/" not in name
        assert all(0 <= value < 10**20 for value in values)


@given(*[st.lists(st.integers(0, 10**20 - 1), min_size=8, max_size=8)] * 2, st.floats(0.001, 1e6))
def test_no_counters_give_a_rate_below_zero(before: list[int], after: list[int], seconds: float) -> None:
    for rate, digits in zip(rates(Counters(*before), Counters(*after), seconds), (0, 1, 1, 1, 0, 1, 1, 1), strict=True):
        assert rate is None or (rate >= 0.0 and rate == round(rate, digits))


def test_a_counter_of_32_bits_that_wraps_gives_no_rate_for_that_step(made: Roots) -> None:
    collector = COLLECTOR(made)
    for now, received, rate in (
        (FIRST, 2**32 - 1000, None), (SECOND, 2**32 - 1, 200.0), (THIRD, 500, None), (FOURTH, 1000, 100.0),
    ):  # fmt: skip
        write(made, eth0=(received, 10, 0, 0, 10, 1, 0, 0))
        assert collector.collect(now)["eth0"].rx_bytes_per_second == rate


def replace(machine: Roots, name: str, *, device: bool = True, operstate: str = "up\n") -> None:
    """Let another interface take a name, as the kernel does: in a directory of its own."""
    path = machine.sys.path(f"class/net/{name}")
    os.makedirs(f"{path}.new/device" if device else f"{path}.new")
    with open(f"{path}.new/operstate", "w") as file:
        file.write(operstate)
    if os.path.exists(path):
        # It stays, so that nothing else gets its inode.
        os.makedirs(machine.sys.path("gone"), exist_ok=True)
        os.rename(path, machine.sys.path(f"gone/{len(os.listdir(machine.sys.path('gone')))}"))
    os.rename(f"{path}.new", path)


@pytest.mark.parametrize("kind", ["physical", "virtual"])
def test_an_interface_made_anew_under_the_same_name_begins_anew(made: Roots, kind: str) -> None:
    device = kind == "physical"
    collector = COLLECTOR(made)
    replace(made, "ppp0", device=device)
    write(made, ppp0=(1000, 10, 0, 0, 1000, 10, 0, 0))
    collector.collect(FIRST)
    replace(made, "ppp0", device=device, operstate="unknown\n")
    # More than the other had: that is no traffic of this one.
    write(made, ppp0=(9000, 90, 0, 0, 9000, 90, 0, 0))
    reading = collector.collect(SECOND)["ppp0"]
    assert speeds(reading) == (None,) * 8
    assert (reading.kind, reading.rx_bytes, reading.operstate) == (kind, 9000, "unknown")
    write(made, ppp0=(9500, 90, 0, 0, 9000, 90, 0, 0))
    assert speeds(collector.collect(THIRD)["ppp0"]) == (100.0, *[0.0] * 7)


def test_two_physical_interfaces_that_change_names_change_links_and_have_no_rates(made: Roots) -> None:
    collector = COLLECTOR(made)
    names = ("eth0", "eth1")
    for name, operstate in zip(names, ("up\n", "down\n"), strict=True):
        replace(made, name, operstate=operstate)
    write(made, eth0=(5, 1, 0, 0, 1, 1, 0, 0), eth1=(7, 1, 0, 0, 1, 1, 0, 0))
    collector.collect(FIRST)
    assert [collector.collect(SECOND)[name].operstate for name in names] == ["up", "down"]
    path = made.sys.path("class/net")
    for old, new in (("eth0", "eth2"), ("eth1", "eth0"), ("eth2", "eth1")):
        os.rename(f"{path}/{old}", f"{path}/{new}")
    write(made, eth0=(7, 1, 0, 0, 1, 1, 0, 0), eth1=(5, 1, 0, 0, 1, 1, 0, 0))
    readings = collector.collect(THIRD)
    assert [readings[name].operstate for name in names] == ["down", "up"]
    assert [speeds(readings[name]) for name in names] == [(None,) * 8] * 2


def test_an_interface_that_is_renamed_goes_and_another_comes(made: Roots) -> None:
    collector = COLLECTOR(made)
    replace(made, "eth0")
    write(made, eth0=(10, 1, 0, 0, 10, 1, 0, 0))
    collector.collect(FIRST)
    os.rename(made.sys.path("class/net/eth0"), made.sys.path("class/net/enp3s0"))
    write(made, enp3s0=(510, 1, 0, 0, 10, 1, 0, 0))
    readings = collector.collect(SECOND)
    assert list(readings) == ["enp3s0"]
    assert (readings["enp3s0"].kind, speeds(readings["enp3s0"])) == ("physical", (None,) * 8)


def test_an_interface_that_takes_anothers_name_is_looked_at_anew(made: Roots) -> None:
    replace(made, "usb0")
    write(made, usb0=(10, 1, 0, 0, 10, 1, 0, 0))
    collector = COLLECTOR(made)
    assert collector.collect(FIRST)["usb0"].kind == "physical"
    replace(made, "usb0", device=False)
    assert collector.collect(SECOND)["usb0"].kind == "virtual"


def test_a_virtual_interface_with_no_traffic_that_takes_anothers_name_is_seen_within_30_s(made: Roots) -> None:
    replace(made, "usb0", device=False)
    write(made, usb0=(10, 1, 0, 0, 10, 1, 0, 0))
    collector = COLLECTOR(made)
    for now in (FIRST, SECOND):
        collector.collect(now)
    replace(made, "usb0")
    assert collector.collect(THIRD)["usb0"].kind == "virtual"
    assert collector.collect(Instant(0.0, 130.0, 0.0))["usb0"].kind == "physical"


def test_an_interface_that_goes_between_the_table_and_sysfs_is_there_once_more_without_facts(made: Roots) -> None:
    collector = COLLECTOR(made)
    replace(made, "eth0")
    write(made, eth0=(10, 1, 0, 0, 10, 1, 0, 0), eth1=(10, 1, 0, 0, 10, 1, 0, 0))
    readings = collector.collect(FIRST)
    assert (readings["eth0"].kind, readings["eth1"].kind) == ("physical", None)
    os.rename(made.sys.path("class/net/eth0"), made.sys.path("gone"))
    readings = collector.collect(SECOND)
    assert [(reading.kind, reading.operstate, reading.rx_bytes) for reading in readings.values()] == [
        (None, None, 10), (None, None, 10),
    ]  # fmt: skip
    write(made)
    assert collector.collect(THIRD) == {}


def test_the_members_of_a_bond_are_physical_and_what_is_made_of_them_is_not(machine: Callable[[str], Roots]) -> None:
    readings = COLLECTOR(machine("server-64")).collect(FIRST)
    assert {name: reading.kind for name, reading in readings.items()} == {
        "lo": "loopback", "eno1np0": "physical", "eno2np1": "physical", "eno8303": "physical", "bond0": "virtual",
        "bond0.100": "virtual",
    }  # fmt: skip
    # What the bond counts its members count: the sum of the physical ones is what passed.
    received = sum(reading.rx_bytes for reading in readings.values() if reading.kind == "physical")
    assert received == readings["bond0"].rx_bytes == 173553718520


def test_of_many_interfaces_no_file_is_kept_open(made: Roots) -> None:
    """A process has 1024 descriptors by default, and an adapter of some servers is 256 interfaces."""
    names = [f"enp1s0f0v{number}" for number in range(400)]
    for name in names:
        replace(made, name)
    write(made, **dict.fromkeys(names, (10, 1, 0, 0, 10, 1, 0, 0)))
    collector = COLLECTOR(made)
    before = len(os.listdir("/proc/self/fd"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 50, limits[1]))
    try:
        for now in (FIRST, SECOND, THIRD):
            readings = collector.collect(now)
            assert {reading.operstate for reading in readings.values()} == {"up"}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_of_few_interfaces_the_files_are_given_back_when_they_go(made: Roots) -> None:
    names = [f"eth{number}" for number in range(60)]
    for name in names:
        replace(made, name)
    collector = COLLECTOR(made)
    collector.collect(FIRST)
    before = len(os.listdir("/proc/self/fd"))
    write(made, **dict.fromkeys(names, (10, 1, 0, 0, 10, 1, 0, 0)))
    collector.collect(SECOND)
    assert len(os.listdir("/proc/self/fd")) == before + len(names)
    write(made)
    collector.collect(THIRD)
    assert len(os.listdir("/proc/self/fd")) == before
