import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.observe import disk
from healthd.observe._files import Roots, roots
from healthd.observe.disk import Disk, DiskCollector, Totals

T0 = Instant(1767225600.0, 1000.0, 0.0)
T5 = Instant(1767225605.0, 1005.0, 0.0)
T10 = Instant(1767225610.0, 1010.0, 0.0)
RATES = ("read_bytes_per_second", "write_bytes_per_second", "reads_per_second", "writes_per_second", "busy")
UNKNOWN = (None, None, None, None, None)
IDLE = (0.0, 0.0, 0.0, 0.0, 0.0)


class Machine:
    """A machine whose disks can be changed."""

    def __init__(self, path):
        self.path = path
        os.makedirs(path / "proc", exist_ok=True)
        self.roots = roots(f"{path}/proc", f"{path}/sys", f"{path}/etc", str(path))
        self.collector = DiskCollector(self.roots)

    def write(self, content: str | bytes) -> None:
        (self.path / "proc/diskstats").write_bytes(content if isinstance(content, bytes) else content.encode())

    def has(self, *names: str) -> None:
        for name in names:
            os.makedirs(self.path / "sys/block" / name)

    def rates(self, now: Instant, name: str = "sda") -> tuple[float | None, ...]:
        reading = self.collector.collect(now)[name]
        return tuple(getattr(reading, rate) for rate in RATES)


@pytest.fixture
def small(tmp_path):
    one = Machine(tmp_path)
    one.has("sda", "sdb")
    return one


def attempt(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or why it could not be observed."""
    try:
        return call()
    except Unobserved as error:
        return error


def line(name: str, *, reads=100, read=2000, writes=300, written=4000, busy=500, number="8 0") -> str:
    return f"   {number} {name} {reads} 1 {read} 10 {writes} 2 {written} 20 0 {busy} 30 0 0 0 0 0 0\n"


def copied(source: Roots, tmp_path) -> Machine:
    shutil.copytree(source.host.root, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Machine(tmp_path)


def test_a_server_has_its_whole_disks_raids_and_volumes(machine):
    found = DiskCollector(machine("server-64")).collect(T0)
    assert list(found) == ["sda", "sdb", *(f"nvme{i}n1" for i in range(4)), "md0", "md1", "dm-0", "dm-1"]
    assert found["sda"] == Disk(
        model="SSDSC2KB480G8R",
        size_bytes=480103981056,  # 937703088 sectors
        rotational=False,
        life_used=None,
        pre_eol=None,
        read_bytes=20542914560,  # 40122880 sectors
        write_bytes=107746951168,  # 210443264 sectors
        reads=812033,
        writes=5120441,
        read_bytes_per_second=None,
        write_bytes_per_second=None,
        reads_per_second=None,
        writes_per_second=None,
        busy=None,
    )
    # Counters take no part in equality.
    assert (found["sda"].read_bytes, found["sda"].write_bytes) == (20542914560, 107746951168)
    assert (found["sda"].reads, found["sda"].writes) == (812033, 5120441)
    assert (found["md1"].model, found["md1"].size_bytes) == (None, 25599347261440)
    assert found["nvme3n1"].model == "Dell Ent NVMe P5600 MU U.2 6.4TB"


def test_rates_are_the_differences_over_boot_time(machine, tmp_path):
    server = copied(machine("server-64"), tmp_path)
    server.collector.collect(T0)
    path = tmp_path / "proc/diskstats"
    before = "sda 812033 20113 40122880 391202 5120441 3310220 210443264 4120331 0 3310440"
    # 10 reads of 1024 sectors in all, 7 writes of 81, busy for 1.26 s, in 5 s
    after = "sda 812043 20113 40123904 391202 5120448 3310220 210443345 4120331 0 3311700"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    found = server.collector.collect(T5)
    assert [getattr(found["sda"], rate) for rate in RATES] == [104858.0, 8294.0, 2.0, 1.4, 25.2]  # 104857.6, 8294.4
    assert tuple(getattr(found["sdb"], rate) for rate in RATES) == IDLE


@pytest.mark.parametrize(
    ("life_time", "used"),
    [("0x01 0x01", 0.0), ("0x02 0x01", 10.0), ("0x01 0x0A", 90.0), ("0x0b 0x01", 100.0), ("0x00 0x03", 20.0),
     ("0x00 0x00", None), ("0x0c", None), ("", None), ("3", None)],
)  # fmt: skip
def test_the_life_of_an_emmc_is_that_of_its_worse_part(life_time, used):
    assert disk.life_used(life_time) == used


def test_a_board_tells_how_far_its_emmc_is_used_up(machine):
    board = DiskCollector(machine("rk3588")).collect(T0)
    assert (board["mmcblk0"].model, board["mmcblk0"].life_used, board["mmcblk0"].pre_eol) == ("A3A564", 10.0, "normal")
    server = DiskCollector(machine("server-64")).collect(T0)
    assert {(one.life_used, one.pre_eol) for one in server.values()} == {(None, None)}


@pytest.mark.parametrize(
    ("content", "said"), [("0x00", None), ("0x01", "normal"), ("0x02", "warning"), ("0x03", "urgent"), ("2", None)]
)
def test_an_emmc_says_how_many_spare_blocks_are_left(small, content, said):
    os.makedirs(small.path / "sys/block/mmcblk0/device")
    (small.path / "sys/block/mmcblk0/device/pre_eol_info").write_text(f"{content}\n")
    small.write(line("mmcblk0"))
    assert small.collector.collect(T0)["mmcblk0"].pre_eol == said


def test_a_container_without_disks_has_no_instances_and_no_problem(machine):
    assert DiskCollector(machine("container")).collect(T0) == {}


def test_an_idle_disk_reads_zero_and_then_stays_the_same_object(small):
    small.write(line("sda"))
    assert small.rates(T0) == UNKNOWN
    assert small.rates(T5) == IDLE
    first = small.collector.collect(T10)["sda"]
    assert small.collector.collect(T10._replace(since_boot=1015.0))["sda"] is first


def test_work_after_idleness_is_measured_over_one_interval_only(small):
    small.write(line("sda"))
    for since_boot in range(1000, 1100, 5):
        small.collector.collect(T0._replace(since_boot=float(since_boot)))
    small.write(line("sda", read=3000))
    assert small.rates(T0._replace(since_boot=1100.0))[0] == 102400.0  # 1000 sectors in 5 s
    assert small.rates(T0._replace(since_boot=1105.0)) == IDLE


def test_after_a_suspend_not_even_an_idle_disk_has_rates(small):
    small.write(line("sda"))
    small.collector.collect(T0)
    assert small.rates(T5) == IDLE
    assert small.rates(T10._replace(asleep=4.0)) == UNKNOWN
    assert small.rates(T10._replace(since_boot=1015.0, asleep=4.0)) == IDLE


@pytest.mark.parametrize("field", ["reads", "read", "writes", "written", "busy"])
def test_a_reset_or_a_wrap_gives_no_rate_once(small, field):
    small.write(line("sda"))
    small.collector.collect(T0)
    small.write(line("sda", **{field: 7}))
    assert small.rates(T5) == UNKNOWN
    small.write(line("sda", **{field: 17}))
    assert None not in small.rates(T10)


def test_no_time_gives_no_rate(small):
    small.write(line("sda"))
    small.collector.collect(T0)
    small.write(line("sda", read=9000))
    assert small.rates(T0) == UNKNOWN


def test_a_disk_that_was_gone_starts_anew(small):
    small.write(line("sda") + line("sdb"))
    small.collector.collect(T0)
    small.write(line("sda"))
    assert list(small.collector.collect(T5)) == ["sda"]
    small.write(line("sda") + line("sdb", read=9000))
    assert small.rates(T10, "sdb") == UNKNOWN


def test_busy_is_never_more_than_all_the_time(small):
    small.write(line("sda"))
    small.collector.collect(T0)
    small.write(line("sda", busy=5520))
    assert small.rates(T5)[4] == 100.0  # 5020 ms in 5 s


def test_partitions_and_what_is_no_disk_are_left_out_even_when_they_change(small):
    emmc = ["mmcblk0boot0", "mmcblk0boot1", "mmcblk0rpmb"]
    small.has("loop0", "ram1", "zram0", "fd0", "sr0", "mmcblk0", *emmc, "dm-0", "cciss!c0d0")
    names = ["sda", "sda1", "loop0", "ram1", "zram0", "fd0", "sr0", "mmcblk0", "mmcblk0p1", "dm-0", "cciss/c0d0", *emmc]
    for reads in (1, 2):
        small.write("".join(line(name, reads=reads) for name in names))
        assert set(small.collector.collect(T0)) == {"sda", "mmcblk0", "dm-0", "cciss/c0d0"}


def test_what_sys_block_says_is_read_once_and_unknown_where_it_says_nothing(small):
    directory = small.path / "sys/block/sdb"
    (directory / "queue").mkdir()
    (directory / "queue/rotational").write_text("1\n")
    (directory / "device").mkdir()
    (directory / "device/name").write_text("SC32G\n")
    (directory / "size").write_text("-1\n")
    small.write(line("sda") + line("sdb"))
    found = small.collector.collect(T0)
    assert (found["sda"].model, found["sda"].size_bytes, found["sda"].rotational) == (None, None, None)
    assert (found["sdb"].model, found["sdb"].size_bytes, found["sdb"].rotational) == ("SC32G", None, True)
    shutil.rmtree(directory)
    small.write(line("sda") + line("sdb", reads=101))
    assert small.collector.collect(T5)["sdb"].model == "SC32G"


def test_a_disk_that_sys_block_has_later_is_seen_within_a_minute_and_partitions_are_not_looked_at_again(
    small, monkeypatch
):
    add_partition = small.path / "sys/class/block/sda1"
    add_partition.mkdir(parents=True)
    (add_partition / "partition").write_text("1\n")
    small.write(line("sda") + line("sda1") + line("sdc"))
    assert list(small.collector.collect(T0)) == ["sda"]
    small.has("sdc")
    assert list(small.collector.collect(T5)) == ["sda"]
    looked, there = [], os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: (looked.append(os.path.basename(path)), there(path))[1])
    assert list(small.collector.collect(Instant(1767225660.0, 1060.0, 0.0))) == ["sda", "sdc"]
    assert set(looked) == {"sda", "sdc"}


def test_without_the_file_disks_are_unsupported(small):
    with pytest.raises(Unobserved) as caught:
        small.collector.collect(T0)
    assert caught.value.problem == protocol.UNSUPPORTED


def test_an_empty_file_means_no_disks(small):
    small.write("")
    assert small.collector.collect(T0) == {}


@pytest.mark.parametrize(
    "content",
    [
        "garbage\n",
        "\n",
        line("sda")[:-1],
        line("sda")[:30] + "\n",
        line("sda").replace(" 2000 ", " -2000 "),
        line("sda").replace(" 2000 ", " 20x0 "),
        line("sda").replace(" 2000 ", f" {'9' * 17} "),
        line("sda").replace(" 2000 ", f" {'9' * 5000} "),
        line("sda", number="8 -1"),
        line("sda").encode().replace(b"sda", b"sd\xff"),
    ],
)
def test_a_line_that_the_kernel_did_not_write_is_malformed_and_spoils_no_later_rate(small, content):
    small.write(line("sda"))
    small.collector.collect(T0)
    small.write(content)
    with pytest.raises(Unobserved) as caught:
        small.collector.collect(T5)
    assert caught.value.problem == protocol.MALFORMED
    small.write(line("sda", read=3000))
    assert small.rates(T10)[0] == 51200.0  # 1000 sectors in 10 s


def test_a_file_that_may_not_be_read_is_the_runners_to_name(small):
    small.write(line("sda"))
    (small.path / "proc/diskstats").chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(PermissionError):
            small.collector.collect(T0)
    finally:
        os.seteuid(before)


def test_a_directory_in_its_place_is_the_runners_to_name(small):
    (small.path / "proc/diskstats").mkdir()
    with pytest.raises(IsADirectoryError):
        small.collector.collect(T0)


WORDS = st.sampled_from([b"8", b"0", b"sda", b"sdb1", b"-1", b"\xff", b"10000", b"9" * 16, b"\0"])
LINES = st.lists(st.lists(WORDS, max_size=18).map(b" ".join), max_size=5).map(lambda rows: b"\n".join(rows) + b"\n")


@given(st.lists(st.binary() | LINES, min_size=1, max_size=4))
def test_any_bytes_give_values_in_their_declared_range_or_are_malformed(tmp_path_factory, contents):
    one = Machine(tmp_path_factory.getbasetemp())
    os.makedirs(one.path / "sys/block/sda", exist_ok=True)
    for step, content in enumerate(contents):
        one.write(content)
        found = attempt(partial(one.collector.collect, T0._replace(since_boot=1000.0 + step)))
        if isinstance(found, Unobserved):
            assert found.problem == protocol.MALFORMED
            continue
        for reading in found.values():
            for metric in Disk.metrics:
                value = getattr(reading, metric.name)
                if value is not None and not isinstance(value, str):
                    assert metric.minimum <= value <= min(metric.maximum, 2**64 - 2)
                    assert value == round(value, metric.digits or 0)


COUNTS = st.integers(0, 10**16 - 1)
TOTALS = st.builds(Totals, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)


@given(TOTALS, TOTALS, st.floats(0.001, 1e6))
def test_rates_are_all_there_or_all_unknown(before, totals, seconds):
    found = disk.rates(totals, before, seconds)
    if any(new < old for new, old in zip(totals, before, strict=True)):
        assert found == [None] * 5
    else:
        assert min(found) >= 0.0
        assert found[4] <= 100.0


OPENED = """
import json, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from healthd.clock import Instant
from healthd.observe._files import roots
from healthd.observe.disk import DiskCollector
from healthd.observe.filesystem import FilesystemCollector
disk, filesystem = DiskCollector(roots()), FilesystemCollector(roots())
for seconds in (0.0, 61.0):
    disk.collect(Instant(0.0, seconds, 0.0))
    for probe in filesystem.probes(Instant(0.0, seconds, 0.0)).values():
        probe()
print(json.dumps([path for path in opened if path.startswith(("/proc", "/sys", "/dev"))]))
"""


def test_a_disk_that_sleeps_is_not_opened():
    if not os.path.exists("/proc/diskstats"):
        pytest.skip("this machine has no /proc/diskstats")
    ran = subprocess.run([sys.executable, "-c", OPENED], capture_output=True, text=True, check=True)
    opened = json.loads(ran.stdout)
    assert {"/proc/diskstats", "/proc/self/mountinfo"} <= set(opened)
    assert [path for path in opened if not path.startswith(("/proc/", "/sys/block/"))] == []


def test_this_machine_agrees_with_the_kernel_about_its_disks():
    collector = DiskCollector(roots())
    if not os.path.exists("/proc/diskstats"):
        pytest.skip("this machine has no /proc/diskstats")
    found = collector.collect(T0)
    for name, reading in found.items():
        with open(f"/sys/block/{name}/size", encoding="ascii") as file:
            assert reading.size_bytes == int(file.read()) * 512
        # The counters of one device as the device itself tells them (kernel: block/stat).
        with open(f"/sys/block/{name}/stat", encoding="ascii") as file:
            assert reading.reads <= int(file.read().split()[0])


def test_a_card_that_is_put_in_is_seen_within_a_minute(small):
    small.write(line("sda"))
    size = small.path / "sys/block/sda/size"
    size.write_text("0\n")
    assert small.collector.collect(Instant(0.0, 100.0, 0.0))["sda"].size_bytes == 0
    size.write_text("2048\n")
    assert small.collector.collect(Instant(0.0, 159.0, 0.0))["sda"].size_bytes == 0
    reading = small.collector.collect(Instant(0.0, 161.0, 0.0))["sda"]
    assert (reading.size_bytes, reading.busy) == (2048 * 512, 0.0)
    small.write(line("sda", read=2002))
    assert small.collector.collect(Instant(0.0, 162.0, 0.0))["sda"].read_bytes_per_second == 1024.0
