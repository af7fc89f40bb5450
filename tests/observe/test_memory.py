import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.observe._files import Roots, roots
from healthd.observe.memory import Memory, MemoryCollector, arc, on_disk, oom_kills, paged, parse

FIRST = Instant(1767254500.0, 100.0, 0.0)
SECOND = Instant(1767254505.0, 105.0, 0.0)
KIB = 1024


@pytest.fixture
def laptop(machine: Callable[[str], Roots], tmp_path: Path) -> Roots:
    """Return the laptop's roots below a directory that a test can change."""
    for name in ("meminfo", "vmstat", "swaps"):
        shutil.copy(machine("laptop").proc.path(name), tmp_path / name)
    return roots(proc=str(tmp_path))


def change(laptop: Roots, name: str, old: str, new: str) -> None:
    path = laptop.proc.path(name)
    with open(path) as file:
        text = file.read()
    assert old in text
    with open(path, "w") as file:
        file.write(text.replace(old, new))


def test_the_laptop_has_the_figures_of_its_meminfo(machine: Callable[[str], Roots]) -> None:
    reading = MemoryCollector(machine("laptop"), page_size=4096).collect(FIRST)[""]
    assert reading == Memory(
        total_bytes=16066916 * KIB,
        available_bytes=7230112 * KIB,
        used_bytes=8836804 * KIB,  # 16066916 - 7230112
        percent=55.0,  # 8836804 / 16066916 = 0.55000
        free_bytes=1843212 * KIB,
        buffers_bytes=412300 * KIB,
        cached_bytes=5922600 * KIB,  # 5612488 + 310112 that can be reclaimed of the slab
        arc_bytes=None,
        shared_bytes=722416 * KIB,
        limit_bytes=None,
        swap_total_bytes=8388604 * KIB,
        swap_disk_bytes=8388604 * KIB,
        swap_used_bytes=1048576 * KIB,  # 8388604 - 7340028
        swap_percent=12.5,  # 1048576 / 8388604 = 0.125000
        swap_in_bytes=None,
        swap_out_bytes=None,
        oom_kills=0,
        swap_in_bytes_per_second=None,
        swap_out_bytes_per_second=None,
    )
    # 51200 and 313344 pages of 4096 bytes.
    assert (reading.swap_in_bytes, reading.swap_out_bytes) == (209715200, 1283457024)


def test_the_pi_has_no_swap_and_so_no_share_of_it(machine: Callable[[str], Roots]) -> None:
    reading = MemoryCollector(machine("raspberry-pi-4")).collect(FIRST)[""]
    assert reading.total_bytes == 3882600 * KIB
    assert reading.used_bytes == 678636 * KIB  # 3882600 - 3203964
    assert reading.percent == 17.5  # 678636 / 3882600 = 0.17479
    assert reading.cached_bytes == 1084400 * KIB  # 1033216 + 51184
    assert (reading.swap_total_bytes, reading.swap_used_bytes, reading.swap_percent) == (0, 0, None)
    assert reading.swap_disk_bytes == 0
    assert (reading.swap_in_bytes, reading.swap_in_bytes_per_second) == (None, None)


def swaps(laptop: Roots, *lines: str) -> None:
    with open(laptop.proc.path("swaps"), "w") as file:
        file.write("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" + "".join(lines))


ZRAM = "/dev/zram0                              partition\t4194304\t\t81234\t\t100\n"
FILE = "/var/swap\\040file                       file\t\t1048576\t\t0\t\t-2\n"


@pytest.mark.parametrize(("lines", "size"), [((ZRAM,), 0), ((ZRAM, FILE), 1048576 * KIB), ((FILE,), 1048576 * KIB)])
def test_swap_that_is_compressed_memory_is_none_on_a_disk(laptop: Roots, lines: tuple[str, ...], size: int) -> None:
    swaps(laptop, *lines)
    assert MemoryCollector(laptop).collect(FIRST)[""].swap_disk_bytes == size


def test_what_swap_is_made_of_is_looked_up_when_its_size_is_another_one(laptop: Roots) -> None:
    collector = MemoryCollector(laptop)
    assert collector.collect(FIRST)[""].swap_disk_bytes == 8388604 * KIB
    swaps(laptop, ZRAM)
    assert collector.collect(FIRST)[""].swap_disk_bytes == 8388604 * KIB
    change(laptop, "meminfo", "SwapTotal:       8388604 kB", "SwapTotal:       4194304 kB")
    assert collector.collect(FIRST)[""].swap_disk_bytes == 0
    change(laptop, "meminfo", "SwapTotal:       4194304 kB", "SwapTotal:             0 kB")
    assert collector.collect(FIRST)[""].swap_disk_bytes == 0
    change(laptop, "meminfo", "SwapTotal:             0 kB", "SwapSomething:         0 kB")
    assert collector.collect(FIRST)[""].swap_disk_bytes is None


def test_what_swap_is_made_of_is_unknown_where_that_can_not_be_read_and_known_once_it_can(
    tmp_path: Path, laptop: Roots
) -> None:
    collector = MemoryCollector(laptop)
    (tmp_path / "swaps").unlink()
    assert collector.collect(FIRST)[""].swap_disk_bytes is None
    swaps(laptop, FILE)
    assert collector.collect(SECOND)[""].swap_disk_bytes == 1048576 * KIB


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"Filename\n/dev/zram0\n", b"Filename\na b -5 d e\n", b"a b 5 d e\n"]
)
def test_what_is_no_table_of_swaps_says_nothing(content: bytes) -> None:
    assert on_disk(content) is None


def test_paging_has_a_rate_from_the_second_sample_on(laptop: Roots) -> None:
    collector = MemoryCollector(laptop, page_size=4096)
    assert collector.collect(FIRST)[""].swap_in_bytes_per_second is None
    change(laptop, "vmstat", "pswpin 51200", "pswpin 51300")
    reading = collector.collect(SECOND)[""]
    # 100 pages of 4096 bytes in 5 s.
    assert reading.swap_in_bytes_per_second == 81920.0
    assert reading.swap_out_bytes_per_second == 0.0


def test_larger_pages_count_for_more(laptop: Roots) -> None:
    collector = MemoryCollector(laptop, page_size=16384)
    collector.collect(FIRST)
    change(laptop, "vmstat", "pswpout 313344", "pswpout 313349")
    assert collector.collect(SECOND)[""].swap_out_bytes_per_second == 16384.0


def test_a_reset_of_the_counters_gives_no_rate(laptop: Roots) -> None:
    collector = MemoryCollector(laptop)
    collector.collect(FIRST)
    change(laptop, "vmstat", "pswpin 51200", "pswpin 5")
    reading = collector.collect(SECOND)[""]
    assert (reading.swap_in_bytes_per_second, reading.swap_out_bytes_per_second) == (None, None)


def test_a_suspend_gives_no_rate(laptop: Roots) -> None:
    collector = MemoryCollector(laptop)
    collector.collect(FIRST)
    change(laptop, "vmstat", "pswpin 51200", "pswpin 51300")
    reading = collector.collect(Instant(1767258100.0, 3700.0, 3595.0))[""]
    assert reading.swap_in_bytes_per_second is None


def test_a_kernel_that_counts_no_paging_leaves_it_unknown(laptop: Roots) -> None:
    change(laptop, "vmstat", "pswpin 51200\npswpout 313344\n", "")
    reading = MemoryCollector(laptop).collect(FIRST)[""]
    assert (reading.swap_in_bytes, reading.swap_used_bytes) == (None, 1048576 * KIB)


def test_an_old_kernel_without_memavailable_leaves_used_unknown(laptop: Roots) -> None:
    change(laptop, "meminfo", "MemAvailable:", "MemSomething:")
    reading = MemoryCollector(laptop).collect(FIRST)[""]
    assert (reading.available_bytes, reading.used_bytes, reading.percent) == (None, None, None)
    assert reading.free_bytes == 1843212 * KIB


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"MemTot", b"MemTotal:", b"MemTotal: -5 kB\n", b"MemTotal: many kB\n"]
)
def test_a_meminfo_without_a_total_is_malformed(laptop: Roots, content: bytes) -> None:
    with open(laptop.proc.path("meminfo"), "wb") as file:
        file.write(content)
    with pytest.raises(Unobserved) as raised:
        MemoryCollector(laptop).collect(FIRST)
    assert raised.value.problem == protocol.MALFORMED


def test_a_negative_figure_is_left_out() -> None:
    assert "free" not in parse(b"MemTotal: 100 kB\nMemFree: -1 kB\n")


@pytest.mark.parametrize("name", ["meminfo", "vmstat"])
def test_a_missing_file_is_an_os_error(tmp_path: Path, laptop: Roots, name: str) -> None:
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError):
        MemoryCollector(laptop).collect(FIRST)


@pytest.mark.parametrize("name", ["meminfo", "vmstat"])
def test_a_directory_in_place_of_a_file_is_an_os_error(tmp_path: Path, laptop: Roots, name: str) -> None:
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError):
        MemoryCollector(laptop).collect(FIRST)


@pytest.mark.parametrize(
    "content", [b"", b"\npswpin", b"\npswpin 1\n", b"\npswpin -1\npswpout 2\n", b"\npswpin 1\npswpout x\n", b"\xff"]
)
def test_paging_that_is_not_as_the_kernel_writes_it_is_unknown(content: bytes) -> None:
    assert paged(content) is None


@given(st.binary() | st.from_regex(rb"(MemTotal|MemFree|SwapTotal): {0,3}[-0-9]{0,9}( kB)?\n", fullmatch=True))
def test_no_bytes_give_a_figure_below_zero(content: bytes) -> None:
    try:
        found = parse(content)
    except Unobserved:
        return
    assert all(figure >= 0 and figure % KIB == 0 for figure in found.values())


@given(st.binary() | st.from_regex(rb"\npswpin [-0-9]{0,9}\npswpout [-0-9]{0,9}\n", fullmatch=True))
def test_no_bytes_give_pages_below_zero(content: bytes) -> None:
    pages = paged(content)
    assert pages is None or min(pages) >= 0


def test_processes_that_the_kernel_killed_for_want_of_memory_are_counted(laptop: Roots) -> None:
    collector = MemoryCollector(laptop)
    before = collector.collect(FIRST)[""].oom_kills
    change(laptop, "vmstat", f"oom_kill {before}\n", "oom_kill 7\n")
    assert (before, collector.collect(SECOND)[""].oom_kills) == (0, 7)


@pytest.mark.parametrize(
    "content", [b"", b"\noom_kill", b"\noom_kill 1", b"\noom_kill -1\n", b"\noom_kill x\n", b"\xff"]
)
def test_kills_that_are_not_as_the_kernel_writes_them_are_unknown(content: bytes) -> None:
    assert oom_kills(content) is None


def test_without_swap_a_kernel_without_vmstat_costs_only_the_kills(laptop: Roots) -> None:
    change(laptop, "meminfo", "SwapTotal:", "Other:")
    os.unlink(laptop.proc.path("vmstat"))
    reading = MemoryCollector(laptop).collect(FIRST)[""]
    assert (reading.oom_kills, reading.percent) == (None, 55.0)


# Containers, and ZFS


@pytest.fixture
def copy(machine: Callable[[str], Roots], tmp_path: Path) -> Callable[[str], Roots]:
    """Return a function that copies a machine to where a test can change it."""

    def of(name: str) -> Roots:
        shutil.copytree(machine(name).host.root, tmp_path / "machine", symlinks=True)
        top = str(tmp_path / "machine")
        return roots(f"{top}/proc", f"{top}/sys", f"{top}/etc", top)

    return of


def write(path: str, content: str) -> None:
    with open(path, "w") as file:
        file.write(content)


def test_a_container_has_its_own_limit_and_not_its_hosts_memory(machine: Callable[[str], Roots]) -> None:
    reading = MemoryCollector(machine("docker"), page_size=4096).collect(FIRST)[""]
    assert reading == Memory(
        total_bytes=2147483648,
        available_bytes=1199570944,  # 2147483648 - 1610612736, 209715200 + 419430400 of files, 33554432 of slab
        used_bytes=947912704,
        percent=44.1,  # 947912704 / 2147483648 = 0.44141
        free_bytes=536870912,
        buffers_bytes=None,
        cached_bytes=770703360,  # 737148928 + 33554432
        arc_bytes=None,
        shared_bytes=108003328,
        limit_bytes=2147483648,
        swap_total_bytes=1073741824,
        swap_disk_bytes=1073741824,  # of the 8388604 KiB of its host
        swap_used_bytes=268435456,
        swap_percent=25.0,
        swap_in_bytes=None,
        swap_out_bytes=None,
        oom_kills=3,
        swap_in_bytes_per_second=None,
        swap_out_bytes_per_second=None,
    )


def test_a_container_can_have_no_more_than_its_host_has_left(copy: Callable[[str], Roots]) -> None:
    made = copy("docker")
    change(made, "meminfo", "MemAvailable:   24000000 kB", "MemAvailable:     100000 kB")
    change(made, "meminfo", "MemFree:        18000000 kB", "MemFree:           50000 kB")
    reading = MemoryCollector(made).collect(FIRST)[""]
    assert (reading.available_bytes, reading.free_bytes) == (100000 * KIB, 50000 * KIB)


def test_a_container_over_its_limit_has_nothing_free(copy: Callable[[str], Roots]) -> None:
    made = copy("docker")
    write(made.sys.path("fs/cgroup/memory.current"), "2147487744\n")
    write(made.sys.path("fs/cgroup/memory.swap.current"), "1073745920\n")
    reading = MemoryCollector(made).collect(FIRST)[""]
    assert reading.free_bytes == 0
    assert reading.available_bytes == 662700032  # what is cached: 209715200 + 419430400 + 33554432
    assert reading.swap_percent == 100.0


def test_without_a_limit_a_container_has_what_its_host_has(copy: Callable[[str], Roots]) -> None:
    made = copy("docker")
    write(made.sys.path("fs/cgroup/memory.max"), "max\n")
    reading = MemoryCollector(made).collect(FIRST)[""]
    assert (reading.limit_bytes, reading.total_bytes, reading.oom_kills) == (None, 32768000 * KIB, 41)


def test_a_limit_of_swap_may_be_none(copy: Callable[[str], Roots]) -> None:
    made = copy("docker")
    write(made.sys.path("fs/cgroup/memory.swap.max"), "max\n")
    reading = MemoryCollector(made).collect(FIRST)[""]
    assert (reading.swap_total_bytes, reading.swap_used_bytes) == (8388604 * KIB, 268435456)


def test_another_limit_is_seen_within_a_minute(copy: Callable[[str], Roots]) -> None:
    made = copy("docker")
    collector = MemoryCollector(made)
    collector.collect(FIRST)
    write(made.sys.path("fs/cgroup/memory.max"), "4294967296\n")
    assert collector.collect(SECOND)[""].limit_bytes == 2147483648
    assert collector.collect(Instant(1767254560.0, 160.0, 0.0))[""].total_bytes == 4294967296


@pytest.mark.parametrize("name", ["memory.current", "memory.stat"])
@pytest.mark.parametrize("content", [None, "", "many\n"])
def test_a_limit_of_which_the_use_is_unknown_is_none(copy: Callable[[str], Roots], name: str, content: str) -> None:
    made = copy("docker")
    path = made.sys.path(f"fs/cgroup/{name}")
    if content is None:
        os.unlink(path)
    else:
        write(path, content)
    reading = MemoryCollector(made).collect(FIRST)[""]
    assert (reading.limit_bytes, reading.total_bytes) == (None, 32768000 * KIB)


def test_more_available_than_there_is_comes_from_the_host_and_the_cgroup_knows_better(
    machine: Callable[[str], Roots],
) -> None:
    reading = MemoryCollector(machine("lxc")).collect(FIRST)[""]
    assert reading.total_bytes == reading.limit_bytes == 4294967296
    assert reading.free_bytes == 3221225472  # 4294967296 - 1073741824
    assert reading.available_bytes == 3623878656  # 134217728 + 268435456 of files more
    assert reading.percent == 15.6  # 671088640 / 4294967296 = 0.15625
    assert (reading.cached_bytes, reading.shared_bytes, reading.oom_kills) == (536870912, 134217728, 2)


def test_more_available_than_there_is_says_nothing_where_nobody_knows_better(copy: Callable[[str], Roots]) -> None:
    made = copy("lxc")
    shutil.rmtree(made.sys.path("fs"))
    reading = MemoryCollector(made).collect(FIRST)[""]
    assert (reading.total_bytes, reading.available_bytes, reading.percent) == (4194304 * KIB, None, None)


def test_without_accounting_of_swap_nobody_knows_what_a_container_uses_of_it(copy: Callable[[str], Roots]) -> None:
    made = copy("lxc")
    stat = made.sys.path("fs/cgroup/memory/memory.stat")
    with open(stat) as file:
        lines = [line for line in file if not line.startswith("total_swap ")]
    write(stat, "".join(lines))
    change(made, "meminfo", "SwapTotal:", "SwapTotal: 2097152 kB\nOther:")
    reading = MemoryCollector(made).collect(FIRST)[""]
    assert (reading.swap_total_bytes, reading.swap_used_bytes, reading.swap_percent) == (2147483648, None, None)
    change(made, "meminfo", "SwapTotal: 2097152 kB", "SwapTotal: 0 kB")
    assert MemoryCollector(made).collect(FIRST)[""].swap_used_bytes == 0


def test_what_lxcfs_has_worked_out_stays_as_it_is(copy: Callable[[str], Roots]) -> None:
    made = copy("lxc")
    change(made, "meminfo", "MemAvailable:   26214400 kB", "MemAvailable:    3700000 kB")
    reading = MemoryCollector(made).collect(FIRST)[""]
    assert (reading.available_bytes, reading.buffers_bytes) == (3700000 * KIB, 0)
    assert reading.limit_bytes == 4294967296


def test_the_root_of_cgroup_v1_has_no_limit(copy: Callable[[str], Roots]) -> None:
    made = copy("lxc")
    write(made.sys.path("fs/cgroup/memory/memory.limit_in_bytes"), "9223372036854771712\n")
    assert MemoryCollector(made).collect(FIRST)[""].limit_bytes is None


def test_the_cache_of_zfs_is_available_above_its_minimum(machine: Callable[[str], Roots]) -> None:
    reading = MemoryCollector(machine("zfs-host")).collect(FIRST)[""]
    assert reading.arc_bytes == 34359738368
    assert reading.available_bytes == 38429516416  # 6030272 KiB + 34359738368 - 2105220480
    assert reading.used_bytes == 28937538944  # 65788140 KiB less that
    assert reading.percent == 43.0  # 28937538944 / 67367055360 = 0.42955
    assert reading.cached_bytes == 1812224 * KIB  # 1410020 + 402204


def test_a_cache_of_zfs_below_its_minimum_gives_nothing(copy: Callable[[str], Roots]) -> None:
    made = copy("zfs-host")
    change(made, "spl/kstat/zfs/arcstats", "size                            4    34359738368", "size 4 1073741824")
    reading = MemoryCollector(made).collect(FIRST)[""]
    assert (reading.arc_bytes, reading.available_bytes) == (1073741824, 6030272 * KIB)


def test_a_cache_of_zfs_that_is_larger_than_what_is_used_is_another_machines(copy: Callable[[str], Roots]) -> None:
    made = copy("zfs-host")
    change(made, "meminfo", "MemAvailable:    6030272 kB", "MemAvailable:   32788140 kB")
    reading = MemoryCollector(made).collect(FIRST)[""]
    assert (reading.arc_bytes, reading.available_bytes) == (None, 32788140 * KIB)


@pytest.mark.parametrize(("container", "size"), [("lxc", None), ("docker", 34359738368)])
def test_in_lxc_the_cache_of_zfs_is_the_hosts(copy: Callable[[str], Roots], container: str, size: int | None) -> None:
    made = copy("zfs-host")
    os.makedirs(made.host.path("run/systemd"))
    write(made.host.path("run/systemd/container"), container)
    assert MemoryCollector(made).collect(FIRST)[""].arc_bytes == size


@pytest.mark.parametrize(("point", "size"), [("/proc/meminfo", None), ("/var/lib/lxcfs", 34359738368)])
def test_where_lxcfs_tells_of_memory_the_cache_of_zfs_is_the_hosts(
    copy: Callable[[str], Roots], point: str, size: int | None
) -> None:
    made = copy("zfs-host")
    with open(made.proc.path("self/mountinfo"), "a") as file:
        file.write(f"417 414 0:48 /proc/meminfo {point} rw,relatime - fuse.lxcfs lxcfs rw,user_id=0\n")
    assert MemoryCollector(made).collect(FIRST)[""].arc_bytes == size


def test_zfs_that_is_loaded_later_is_seen_within_a_minute_and_one_that_goes_is_gone(
    copy: Callable[[str], Roots],
) -> None:
    made = copy("zfs-host")
    stats = made.proc.path("spl/kstat/zfs")
    os.rename(stats, stats + "-not-yet")
    collector = MemoryCollector(made)
    assert collector.collect(FIRST)[""].arc_bytes is None
    os.rename(stats + "-not-yet", stats)
    assert collector.collect(SECOND)[""].arc_bytes is None
    assert collector.collect(Instant(1767254560.0, 160.0, 0.0))[""].arc_bytes == 34359738368


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"size 4 12\n", b"c_min 4 1\nsize 4 -5\n", b"c_min 4 1\nsize 4\n", b"size 4 x\nc_min 4 1\n"],
)
def test_what_are_no_statistics_of_zfs_say_nothing(content: bytes) -> None:
    assert arc(content) is None
