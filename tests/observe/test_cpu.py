import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import Reading
from healthd.observe._files import Roots, roots
from healthd.observe.cpu import COLLECTOR, Cores, core_shares, parse, plausible, spread

FIRST = Instant(1767254500.0, 100.0, 0.0)
SECOND = Instant(1767254510.0, 110.0, 0.0)
SHARES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "busy")
STAT = b"cpu  4 0 2 20 0 0 0 0 0 0\ncpu0 2 0 1 10 0 0 0 0 0 0\ncpu1 2 0 1 10 0 0 0 0 0 0\nintr 1 2 3\nbtime 1\n"


@pytest.fixture
def copy(machine: Callable[[str], Roots], tmp_path: Path) -> Callable[[str], Roots]:
    """Return a function that copies a machine's processors to where a test can change them."""

    def of(name: str) -> Roots:
        shutil.copytree(
            machine(name).sys.path("devices/system/cpu"), tmp_path / "sys/devices/system/cpu", symlinks=True
        )
        (tmp_path / "proc").mkdir()
        shutil.copy(machine(name).proc.path("stat"), tmp_path / "proc/stat")
        return roots(proc=str(tmp_path / "proc"), sys=str(tmp_path / "sys"))

    return of


def grow(machine: Roots, **ticks: tuple[int, ...] | None) -> None:
    """Add ticks to the columns of the lines that are named; `None` takes a line away."""
    path = machine.proc.path("stat")
    with open(path) as file:
        lines = file.read().splitlines()
    changed = []
    for line in lines:
        name, *numbers = line.split()
        more = ticks.get(name, ())
        if more:
            padded = [*more, *[0] * (len(numbers) - len(more))]
            changed.append(" ".join([name, *(str(int(old) + new) for old, new in zip(numbers, padded, strict=True))]))
        elif more is not None:
            changed.append(line)
    with open(path, "w") as file:
        file.write("\n".join(changed) + "\n")


def only(readings: Mapping[str, Reading]) -> Any:
    assert list(readings) == [""]
    return readings[""]


def shares(reading: Reading) -> tuple[float | None, ...]:
    return tuple(getattr(reading, name) for name in SHARES)


def test_the_first_sample_has_no_shares_but_what_is_known_at_once(machine: Callable[[str], Roots]) -> None:
    reading = only(COLLECTOR(machine("laptop")).collect(FIRST))
    assert shares(reading) == (None,) * 9
    assert reading.core_busy is None
    assert reading.online == 8


def test_the_frequency_is_the_mean_over_the_cpus(machine: Callable[[str], Roots]) -> None:
    reading = only(COLLECTOR(machine("laptop")).collect(FIRST))
    # (1400 + 1400 + 400 + 2800 + 1200 + 800 + 1600 + 2400) / 8 = 12000 / 8 MHz
    assert reading.frequency_hertz == 1.5e9
    assert reading.core_frequency_hertz == (1.4e9, 1.4e9, 0.4e9, 2.8e9, 1.2e9, 0.8e9, 1.6e9, 2.4e9)


def test_one_policy_stands_for_all_its_cpus(machine: Callable[[str], Roots]) -> None:
    reading = only(COLLECTOR(machine("raspberry-pi-4")).collect(FIRST))
    assert reading.online == 4
    assert reading.frequency_hertz == 1.5e9
    assert reading.core_frequency_hertz == (1.5e9,) * 4


def test_shares_are_of_what_passed_between_two_samples(copy: Callable[[str], Roots]) -> None:
    laptop = copy("laptop")
    collector = COLLECTOR(laptop)
    collector.collect(FIRST)
    # 100 + 20 + 50 + 780 + 30 + 10 + 6 + 4 = 1000 ticks; 60 of a guest are inside the 100 of user.
    grow(laptop, cpu=(100, 20, 50, 780, 30, 10, 6, 4, 60, 0))
    reading = only(collector.collect(SECOND))
    assert shares(reading) == (10.0, 2.0, 5.0, 78.0, 3.0, 1.0, 0.6, 0.4, 19.0)  # busy: 1000 - 780 - 30


def test_shares_sum_to_a_hundred_within_rounding(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    grow(pi, cpu=(1, 1, 1, 1, 1, 1, 1, 0))
    reading = only(collector.collect(SECOND))
    assert shares(reading) == (*(14.3,) * 7, 0.0, 71.4)  # 1 / 7 = 14.29 %, 5 / 7 = 71.43 %
    assert abs(sum(shares(reading)[:8]) - 100.0) <= 8 * 0.05


def test_each_core_is_busy_by_its_own_figures(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    grow(
        pi,
        cpu=(1127, 0, 0, 2002, 0, 0, 0, 0),
        cpu0=(127, 0, 0, 873, 0, 0, 0, 0),  # 12.7
        cpu1=(0, 0, 0, 900, 100, 0, 0, 0),  # waiting for I/O is not busy
        cpu2=(400, 100, 300, 0, 0, 100, 60, 40),  # all that is not idle: 100
        cpu3=(1, 0, 0, 2, 0, 0, 0, 0),  # 1 / 3 = 33.33
    )
    assert only(collector.collect(SECOND)).core_busy == (12.7, 0.0, 100.0, 33.3)


def test_an_offline_cpu_leaves_a_hole(copy: Callable[[str], Roots]) -> None:
    laptop = copy("laptop")
    grow(laptop, cpu2=None)
    collector = COLLECTOR(laptop)
    reading = only(collector.collect(FIRST))
    assert reading.online == 7
    assert math.isnan(reading.core_frequency_hertz[2])
    assert reading.core_frequency_hertz[3] == 2.8e9
    # Of the 12000 MHz of all eight, 400 are gone: 11600 / 7.
    assert reading.frequency_hertz == round(11.6e9 / 7)
    grow(laptop, cpu=(80, 0, 0, 0), cpu3=(80, 0, 0, 20), cpu7=(10, 0, 0, 90))
    busy = only(collector.collect(SECOND)).core_busy
    assert math.isnan(busy[2])
    assert (len(busy), busy[3], busy[7]) == (8, 80.0, 10.0)


def test_a_cpu_that_goes_offline_does_not_lose_the_others(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    grow(pi, cpu=(30, 0, 0, 70), cpu1=None, cpu3=(30, 0, 0, 70))
    reading = only(collector.collect(SECOND))
    assert (reading.online, reading.core_busy[3], reading.user) == (3, 30.0, 30.0)
    assert math.isnan(reading.core_busy[1])


def test_a_cpu_that_comes_online_is_known_from_its_second_sample_on(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    with open(pi.proc.path("stat")) as file:
        whole = file.read()
    grow(pi, cpu3=None)
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    with open(pi.proc.path("stat"), "w") as file:
        file.write(whole)
    grow(pi, cpu=(10, 0, 0, 10), cpu0=(10, 0, 0, 10))
    busy = only(collector.collect(SECOND)).core_busy
    assert busy[0] == 50.0
    assert math.isnan(busy[3])
    grow(pi, cpu=(10, 0, 0, 10), cpu3=(10, 0, 0, 10))
    assert only(collector.collect(Instant(1767254520.0, 120.0, 0.0))).core_busy[3] == 50.0


def test_idle_and_iowait_that_go_backwards_count_as_nothing(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    grow(pi, cpu=(50, 0, 0, 50, -7), cpu0=(20, 0, 0, 60, -7), cpu1=(5, 0, 0, -3, 5), cpu2=(10, 0, 0, -3, -3))
    reading = only(collector.collect(SECOND))
    assert shares(reading) == (50.0, 0.0, 0.0, 50.0, 0.0, 0.0, 0.0, 0.0, 50.0)
    assert reading.core_busy[:3] == (25.0, 50.0, 100.0)  # 20 / 80, 5 / 10, 10 / 10


def test_a_core_on_which_no_time_passed_is_not_known(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    grow(pi, cpu=(10, 0, 0, 10), cpu0=(10, 0, 0, 10), cpu1=(-1, 0, 0, 10))
    busy = only(collector.collect(SECOND)).core_busy
    assert busy[0] == 50.0
    assert [math.isnan(one) for one in busy] == [False, True, True, True]


def test_a_reset_gives_no_shares_for_one_step(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    grow(pi, cpu=(-100000, 0, 0, 500))
    reading = only(collector.collect(SECOND))
    assert shares(reading) == (None,) * 9
    assert reading.core_busy is None
    grow(pi, cpu=(25, 0, 0, 75))
    assert only(collector.collect(Instant(1767254520.0, 120.0, 0.0))).busy == 25.0


def test_a_suspend_gives_no_shares(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    grow(pi, cpu=(25, 0, 0, 75), cpu0=(25, 0, 0, 75))
    reading = only(collector.collect(Instant(1767258100.0, 3700.0, 3590.0)))
    assert shares(reading) == (None,) * 9
    assert reading.core_busy is None


def test_the_same_figures_twice_are_no_shares(copy: Callable[[str], Roots]) -> None:
    collector = COLLECTOR(copy("raspberry-pi-4"))
    collector.collect(FIRST)
    assert shares(only(collector.collect(SECOND))) == (None,) * 9


def test_frequencies_are_read_no_more_often_than_every_30_s(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    with open(pi.sys.path("devices/system/cpu/cpufreq/policy0/scaling_cur_freq"), "w") as file:
        file.write("600000\n")
    assert only(collector.collect(Instant(0.0, 129.9, 0.0))).frequency_hertz == 1.5e9
    assert only(collector.collect(Instant(0.0, 130.0, 0.0))).frequency_hertz == 0.6e9


def test_clocks_have_limits_the_widest_of_all_clusters(machine: Callable[[str], Roots]) -> None:
    def limits(name: str) -> tuple[float | None, ...]:
        reading = only(COLLECTOR(machine(name)).collect(FIRST))
        return reading.frequency_min_hertz, reading.frequency_max_hertz, reading.frequency_limit_hertz

    assert limits("raspberry-pi-4") == (0.6e9, 1.8e9, 1.8e9)
    assert limits("laptop") == (0.4e9, 4.8e9, 4.8e9)
    assert limits("rk3588") == (0.408e9, 2.256e9, 2.256e9)


def test_a_limit_that_is_lowered_is_seen_within_half_a_minute(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    with open(pi.sys.path("devices/system/cpu/cpufreq/policy0/scaling_max_freq"), "w") as file:
        file.write("1000000\n")
    assert only(collector.collect(Instant(0.0, 129.9, 0.0))).frequency_limit_hertz == 1.8e9
    reading = only(collector.collect(Instant(0.0, 130.0, 0.0)))
    assert (reading.frequency_limit_hertz, reading.frequency_max_hertz) == (1e9, 1.8e9)


@pytest.mark.parametrize(
    ("limits", "highest"),
    [
        ((1800000, 1200000, 2256000), 2.256e9),
        ((1800000, 1200000, 1000000), 1.8e9),
        ((408000, 1200000, 1000000), 1.2e9),
    ],
)
def test_the_limit_is_the_highest_of_all_clusters(
    copy: Callable[[str], Roots], limits: tuple[int, ...], highest: float
) -> None:
    board = copy("rk3588")
    collector = COLLECTOR(board)
    collector.collect(FIRST)
    for policy, limit in zip((0, 4, 6), limits, strict=True):
        with open(board.sys.path(f"devices/system/cpu/cpufreq/policy{policy}/scaling_max_freq"), "w") as file:
            file.write(f"{limit}\n")
    assert only(collector.collect(Instant(0.0, 130.0, 0.0))).frequency_limit_hertz == highest


def test_without_limits_they_are_unknown(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    for name in ("cpuinfo_min_freq", "cpuinfo_max_freq", "scaling_max_freq"):
        os.unlink(pi.sys.path(f"devices/system/cpu/cpufreq/policy0/{name}"))
    reading = only(COLLECTOR(pi).collect(FIRST))
    assert (reading.frequency_min_hertz, reading.frequency_max_hertz, reading.frequency_limit_hertz) == (None,) * 3
    assert reading.frequency_hertz == 1.5e9


def test_frequencies_that_come_late_are_found(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    base = pi.sys.path("devices/system/cpu/cpufreq")
    os.rename(base, base + ".gone")
    collector = COLLECTOR(pi)
    reading = only(collector.collect(FIRST))
    assert (reading.frequency_hertz, reading.core_frequency_hertz) == (None, None)
    os.rename(base + ".gone", base)
    assert only(collector.collect(Instant(0.0, 130.0, 0.0))).frequency_hertz == 1.5e9


@pytest.mark.parametrize("content", ["", "<unknown>\n", "-1400000\n", "0\n", "1e9\n", "²\n", "9" * 5000])
def test_a_frequency_that_is_none_leaves_a_hole(copy: Callable[[str], Roots], content: str) -> None:
    laptop = copy("laptop")
    with open(laptop.sys.path("devices/system/cpu/cpufreq/policy3/scaling_cur_freq"), "w") as file:
        file.write(content)
    reading = only(COLLECTOR(laptop).collect(FIRST))
    assert math.isnan(reading.core_frequency_hertz[3])
    assert reading.frequency_hertz == round(9.2e9 / 7)  # 12000 - 2800 MHz, of seven


@pytest.mark.parametrize("name", ["scaling_cur_freq", "affected_cpus"])
def test_a_frequency_that_can_not_be_read_leaves_a_hole(copy: Callable[[str], Roots], name: str) -> None:
    laptop = copy("laptop")
    path = laptop.sys.path(f"devices/system/cpu/cpufreq/policy0/{name}")
    os.unlink(path)
    os.mkdir(path)
    assert math.isnan(only(COLLECTOR(laptop).collect(FIRST)).core_frequency_hertz[0])


@pytest.mark.parametrize("name", ["laptop", "raspberry-pi-4"])
def test_all_of_the_table_is_read(machine: Callable[[str], Roots], name: str) -> None:
    with open(machine(name).proc.path("stat"), "rb") as file:
        total, cores = parse(file.read())
    known = {
        # busy: user + nice + system + irq + softirq + steal of the first core
        "laptop": ([1159900, 5400, 360300, 15247200, 16100, 67700, 19400, 0], 214863, 1893022, 2310),
        "raspberry-pi-4": ([162000, 1200, 72000, 3262000, 16100, 0, 5000, 0], 62862, 812004, 4120),
    }[name]
    assert (total, cores.busy[0], cores.idle[0], cores.iowait[0]) == known


def test_a_machine_of_256_cpus_is_read_whole() -> None:
    rows = [f"cpu{n} {n} 0 0 {1000 - n} 0 0 0 0 0 0" for n in range(256)]
    text = "cpu  32640 0 0 223360 0 0 0 0 0 0\n" + "\n".join(rows) + "\nintr 0\n"
    total, cores = parse(text.encode())
    assert (total[0], cores.cpus, cores.busy) == (32640, [*range(256)], [*range(256)])


def test_rounding_of_a_core_is_to_one_decimal_half_up() -> None:
    before = Cores([0, 1, 2], [0, 0, 0], [0, 0, 0], [0, 0, 0])
    after = Cores([0, 1, 2], [1, 2, 1], [1999, 1, 3], [0, 0, 0])
    assert core_shares(before, after) == [0.1, 66.7, 25.0]  # 0.05, 66.67, 25


def test_holes_are_nan() -> None:
    table = spread([1, 3], [10.0, 30.0])
    assert [math.isnan(one) for one in table] == [True, False, True, False]
    assert (table[1], table[3]) == (10.0, 30.0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"intr 1\n",
        b"\nintr 1\n",
        STAT[:60],
        STAT[: STAT.index(b"intr")],
        STAT.replace(b"cpu1 2", b"cpu1 -2"),
        STAT.replace(b"cpu  4", b"cpu  -4"),
        STAT.replace(b"cpu1 2 0", b"cpu1 2"),
        STAT.replace(b"cpu1 2", b"cpu1 2.5"),
        STAT.replace(b"cpu1 2", b"cpu1 2_0"),
        STAT.replace(b"cpu1 2", b"cpu1 02"),
        STAT.replace(b"cpu1 2", b"cpu1 " + b"9" * 5000),
        STAT.replace(b"cpu  4", b"cpu  " + b"9" * 400),
        STAT.replace(b"cpu  4 0 2 20 0 0 0 0 0 0", b"cpu  4 0 2 20"),
        STAT.replace(b"cpu1", b"core1"),
        STAT.replace(b"cpu1", b"pc1"),
    ],
)
def test_what_the_kernel_does_not_write_is_malformed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stat").write_bytes(content)
    with pytest.raises(Unobserved) as raised:
        COLLECTOR(roots(proc=str(tmp_path), sys=str(tmp_path))).collect(FIRST)
    assert raised.value.problem == protocol.MALFORMED


@pytest.mark.parametrize("cpus", [[0, 1, 1], [0, 65536], [10**12]])
def test_numbers_of_cpus_that_can_not_be_are_malformed(cpus: list[int]) -> None:
    with pytest.raises(Unobserved) as raised:
        plausible(cpus)
    assert raised.value.problem == protocol.MALFORMED


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        COLLECTOR(roots(proc=str(tmp_path), sys=str(tmp_path))).collect(FIRST)


def test_a_directory_in_place_of_the_file_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "stat").mkdir()
    with pytest.raises(IsADirectoryError):
        COLLECTOR(roots(proc=str(tmp_path), sys=str(tmp_path))).collect(FIRST)


def test_a_bad_sample_in_between_spoils_no_rate(copy: Callable[[str], Roots]) -> None:
    pi = copy("raspberry-pi-4")
    collector = COLLECTOR(pi)
    collector.collect(FIRST)
    path = pi.proc.path("stat")
    with open(path) as file:
        good = file.read()
    with open(path, "w") as file:
        file.write(good[:50])
    with pytest.raises(Unobserved):
        collector.collect(SECOND)
    with open(path, "w") as file:
        file.write(good)
    grow(pi, cpu=(25, 0, 0, 75))
    assert only(collector.collect(Instant(1767254520.0, 120.0, 0.0))).busy == 25.0


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    start, end = draw(st.integers(0, len(STAT))), draw(st.integers(0, len(STAT)))
    return (
        STAT[:start] + draw(st.binary(max_size=4) | st.from_regex(rb"[0-9 \ncpu]{0,12}", fullmatch=True)) + STAT[end:]
    )


class Contents:
    """Stands where the open file stands."""

    def __init__(self, *contents: bytes) -> None:
        self._contents = iter(contents)

    def read(self) -> bytes:
        return next(self._contents)


@given(st.binary() | damaged(), damaged())
def test_no_bytes_give_a_share_that_can_not_be(first: bytes, second: bytes) -> None:
    collector = COLLECTOR(roots(proc="/nowhere", sys="/nowhere"))
    collector._stat = Contents(first, second)
    for now in (FIRST, SECOND):
        try:
            reading = only(collector.collect(now))
        except Unobserved:
            continue
        for share in (*shares(reading), *(reading.core_busy or ())):
            assert share is None or math.isnan(share) or (0.0 <= share <= 100.0 and share == round(share, 1))
        assert reading.online is None or reading.online > 0
