"""The uplink is what carries the default route, and is remembered while there is none."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.observe._files import Roots, roots
from healthd.observe._routes import Routes, default, default_6, ranked

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
LAN = "eth0\t0002A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
NOWHERE = 32 * "0"
REJECTED = f"{NOWHERE} 00 {NOWHERE} 00 {NOWHERE} ffffffff 00000001 00000000 00200200       lo\n"


def route(name: str, metric: int = 0, *, flags: str = "0003") -> str:
    return f"{name}\t00000000\t0102A8C0\t{flags}\t0\t0\t{metric}\t00000000\t0\t0\t0  \n"


def route_6(name: str, metric: int = 1024, *, flags: str = "00000003") -> str:
    return f"{NOWHERE} 00 {NOWHERE} 00 fe800000000000000000000000000001 {metric:08x} 00000001 00000000 {flags} {name}\n"


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Roots]:
    """Return a function that writes the tables of a machine."""
    found = roots(proc=str(tmp_path / "proc"), sys=str(tmp_path / "sys"))
    os.makedirs(found.proc.path("net"))

    def write(*routes: str, six: str = REJECTED) -> Roots:
        with open(found.proc.path("net/route"), "w") as file:
            file.write(HEAD + "".join(routes))
        with open(found.proc.path("net/ipv6_route"), "w") as file:
            file.write(six)
        return found

    return write


@pytest.mark.parametrize(
    ("name", "uplink"),
    [
        ("laptop", {"wlp0s20f3"}),
        ("raspberry-pi-4", {"eth0"}),
        ("container", {"eth0"}),
        # A VLAN on a bond of two.
        ("server-64", {"bond0.100", "bond0", "eno1np0", "eno2np1"}),
    ],
)
def test_a_machine_has_its_uplink(machine: Callable[[str], Roots], name: str, uplink: set[str]) -> None:
    routes = Routes(machine(name))
    assert routes.changed()
    interfaces = machine(name).sys.names("class/net")
    assert {interface for interface in interfaces if routes.carry(interface)} == uplink
    assert routes.carry("lo") is False
    assert not routes.changed()


def test_without_a_default_route_since_the_start_nothing_is_known(made: Callable[..., Roots], tmp_path: Path) -> None:
    routes = Routes(made(LAN))
    assert not routes.changed()
    assert routes.carry("eth0") is None
    assert not Routes(roots(proc=str(tmp_path / "none"))).changed()


def test_the_uplink_is_remembered_while_there_is_no_default_route(made: Callable[..., Roots]) -> None:
    routes = Routes(made(route("eth0", 100), LAN))
    assert routes.changed()
    made(LAN)
    assert not routes.changed()
    assert (routes.carry("eth0"), routes.carry("wlan0")) == (True, False)
    made(route("wlan0", 600))
    assert routes.changed()
    assert (routes.carry("eth0"), routes.carry("wlan0")) == (False, True)


def test_of_several_default_routes_the_preferred_one_counts(made: Callable[..., Roots]) -> None:
    routes = Routes(made(route("wlan0", 600), route("eth0", 100), route("eth1", 100)))
    assert routes.changed()
    assert [routes.carry(name) for name in ("eth0", "eth1", "wlan0")] == [True, True, False]


def test_the_uplink_of_either_version_counts(made: Callable[..., Roots]) -> None:
    routes = Routes(made(route("eth0"), six=route_6("wlan0", 600) + route_6("eth1", 1024) + REJECTED))
    assert routes.changed()
    assert [routes.carry(name) for name in ("eth0", "eth1", "wlan0", "lo")] == [True, False, True, False]


def carried(routes: Routes, *names: str) -> list[str]:
    return [name for name in names if routes.carry(name)]


def test_where_a_tunnel_carries_all_the_physical_link_below_it_is_of_the_uplink_too(made: Callable[..., Roots]) -> None:
    names = "tun0", "tun1", "br0", "eth0", "wlan0"
    machine = made(route("wlan0", 600), route("br0", 100), route("tun1", 60), route("tun0", 50))
    os.makedirs(machine.sys.path("class/net/br0/lower_eth0"))
    for name in ("eth0", "wlan0"):
        os.makedirs(machine.sys.path(f"class/net/{name}/device"))
    routes = Routes(machine)
    assert routes.changed()
    assert carried(routes, *names) == ["tun0", "tun1", "br0", "eth0"]
    # The link is lost, and its route; that of the tunnel stays.
    made(route("tun0", 50))
    assert not routes.changed()
    assert carried(routes, *names) == ["tun0", "tun1", "br0", "eth0"]
    made(route("tun0", 50), route("wlan0", 600))
    assert routes.changed()
    assert carried(routes, *names) == ["tun0", "wlan0"]


@pytest.mark.parametrize(
    "line",
    [
        route("eth0", flags="0000"),  # not up
        route("eth0", flags="0203"),  # rejects
        route("eth0", flags="x"),
        route("eth0").replace("0003\t0\t0\t0", "0003\t0\t0\tx"),
        route("eth0").replace("0003\t0\t0\t0", "0003\t0\t0\t" + 5000 * "9"),
        # Half of all addresses, as VPNs have it.
        route("eth0").replace("00000000\t0\t0\t0 ", "00000080\t0\t0\t0 "),
        route("eth0")[:40],
        "\n",
    ],
)
def test_what_is_no_default_route_is_none(line: str) -> None:
    assert list(default((HEAD + line).encode())) == []


@pytest.mark.parametrize("line", [route_6("eth0", flags="00000002"), route_6("eth0", flags="0x"), REJECTED, "\n"])
def test_what_is_no_default_route_of_version_6_is_none(line: str) -> None:
    assert list(default_6(line.encode())) == []


def test_of_a_table_without_end_the_beginning_is_looked_at(made: Callable[..., Roots]) -> None:
    routes = Routes(made(route("eth0", 5), *[LAN] * 20_000, route("eth1")))
    assert routes.changed()
    assert (routes.carry("eth0"), routes.carry("eth1")) == (True, False)


def test_interfaces_that_lie_below_each_other_in_a_circle_end_nowhere(made: Callable[..., Roots]) -> None:
    machine = made(route("a"))
    for above, below in (("a", "b"), ("b", "a")):
        os.makedirs(machine.sys.path(f"class/net/{above}/lower_{below}"))
    routes = Routes(machine)
    assert routes.changed()
    assert (routes.carry("a"), routes.carry("b")) == (True, True)


@given(st.binary() | st.lists(st.sampled_from([b"\t", b"\n", 8 * b"0", 32 * b"0", b"00", b"1", b"\xff"])).map(b"".join))
def test_whatever_a_table_holds_it_is_read(content: bytes) -> None:
    for found in (list(default(content)), list(default_6(content))):
        assert {name for names in ranked(found) for name in names} == {name for _, name in found}
