"""What a container may use, on trees with the files of both versions of cgroups."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.clock import Instant
from healthd.observe._files import Roots, roots
from healthd.observe._limits import CpuLimit, keyed
from healthd.observe.cpu import COLLECTOR

FIRST = Instant(1767254500.0, 100.0, 0.0)
SECOND = Instant(1767254510.0, 110.0, 0.0)
LATER = Instant(1767254560.0, 160.0, 0.0)


@pytest.fixture
def copy(machine: Callable[[str], Roots], tmp_path: Path) -> Callable[[str], Roots]:
    """Return a function that copies a machine to where a test can change it."""

    def of(name: str) -> Roots:
        shutil.copytree(machine(name).host.root, tmp_path / "machine", symlinks=True)
        return roots(f"{tmp_path}/machine/proc", f"{tmp_path}/machine/sys")

    return of


def write(machine: Roots, name: str, content: str) -> None:
    with open(machine.sys.path(f"fs/cgroup/{name}"), "w") as file:
        file.write(content)


def test_how_many_cpus_a_container_may_use_is_said_by_both_versions(machine: Callable[[str], Roots]) -> None:
    assert CpuLimit(machine("docker").sys).read(FIRST) == (1.5, 9_000_000)
    assert CpuLimit(machine("lxc").sys).read(FIRST) == (2.0, 5_000_000)
    assert CpuLimit(machine("laptop").sys).read(FIRST) is None


def test_what_a_container_uses_is_a_share_of_what_it_may(copy: Callable[[str], Roots]) -> None:
    made = copy("docker")
    collector = COLLECTOR(made)
    reading = collector.collect(FIRST)[""]
    assert (reading.limit_cpus, reading.limit_percent, reading.online) == (1.5, None, 4)
    # 6 s of the 15 s that one and a half CPUs have in ten.
    write(made, "cpu.stat", "usage_usec 15000000\nuser_usec 1\n")
    assert collector.collect(SECOND)[""].limit_percent == 40.0


def test_a_burst_is_no_more_than_all(copy: Callable[[str], Roots]) -> None:
    made = copy("lxc")
    collector = COLLECTOR(made)
    collector.collect(FIRST)
    write(made, "cpuacct/cpuacct.usage", "26000000000\n")
    assert collector.collect(SECOND)[""].limit_percent == 100.0


def test_a_counter_that_goes_backwards_gives_no_share(copy: Callable[[str], Roots]) -> None:
    made = copy("docker")
    collector = COLLECTOR(made)
    collector.collect(FIRST)
    write(made, "cpu.stat", "usage_usec 5\n")
    assert collector.collect(SECOND)[""].limit_percent is None


@pytest.mark.parametrize(
    "content", ["max 100000\n", "", "0 100000\n", "150000 0\n", "-1 100000\n", "many few\n", "1\n"]
)
def test_what_is_no_limit_is_none(copy: Callable[[str], Roots], content: str) -> None:
    made = copy("docker")
    write(made, "cpu.max", content)
    assert CpuLimit(made.sys).read(FIRST) is None


def test_another_limit_is_seen_within_a_minute(copy: Callable[[str], Roots]) -> None:
    made = copy("docker")
    limit = CpuLimit(made.sys)
    limit.read(FIRST)
    write(made, "cpu.max", "50000 100000\n")
    assert limit.read(SECOND) == (1.5, 9_000_000)
    assert limit.read(LATER) == (0.5, 9_000_000)


def test_a_limit_of_which_the_use_is_unknown_is_none(copy: Callable[[str], Roots]) -> None:
    made = copy("docker")
    os.unlink(made.sys.path("fs/cgroup/cpu.stat"))
    assert CpuLimit(made.sys).read(FIRST) is None


@given(st.text() | st.from_regex(r"([a-z_]{1,9} [-0-9]{1,9}\n){0,5}", fullmatch=True))
def test_no_text_gives_a_figure_below_zero(text: str) -> None:
    assert all(figure >= 0 for figure in keyed(text).values())
