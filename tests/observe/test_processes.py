import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from healthd.observe import collectors, roots
from healthd.observe._processes import RESOURCES, Look, Process, compared, look, who

EVERYTHING = 10_000
MIB = 1024 * 1024
SSH = "/system.slice/ssh.service"


class Machine:
    """A made `/proc` and `/sys`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc").mkdir()
        self.roots = roots(proc=f"{root}/proc", sys=f"{root}/sys")
        self.process(1, name="systemd", cgroup="/init.scope")

    def write(self, path: str, content: str | bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def process(
        self,
        pid: int,
        name: str | bytes = "sshd",
        *,
        start: int = 100,
        ticks: tuple[int, int] = (0, 0),
        status: str = "",
        io: tuple[int, int] = (0, 0),
        cgroup: str = "",
        threads: int = 1,
    ) -> None:
        name = name.encode() if isinstance(name, str) else name
        after = f"S 1 {pid} {pid} 0 -1 4194560 9 9 9 9 {ticks[0]} {ticks[1]} 7 7 20 0 {threads} 0 {start} 99 99 99\n"
        self.write(f"proc/{pid}/stat", b"%d (%s) " % (pid, name) + after.encode())
        escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
        self.write(
            f"proc/{pid}/status", b"Name:\t%s\nUmask:\t0022\n%sThreads:\t%d\n" % (escaped, status.encode(), threads)
        )
        read, written = io
        self.write(
            f"proc/{pid}/io",
            f"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: {read}\nwrite_bytes: {written}\n"
            "cancelled_write_bytes: 5\n",
        )
        self.write(f"proc/{pid}/cgroup", f"0::{cgroup or '/'}\n")

    def unit(self, path: str, **files: str | int) -> None:
        """Write a unit's files, `cpu_stat` for `cpu.stat`."""
        for name, content in files.items():
            self.write(f"sys/fs/cgroup{path}/{name.replace('_', '.')}", f"{content}\n")

    def forbid(self, path: str) -> None:
        """Let a file be there and not be read, even by root."""
        os.unlink(self.root / path)
        os.symlink(os.path.basename(path), self.root / path)

    def end(self, pid: int) -> None:
        for file in (self.root / f"proc/{pid}").iterdir():
            file.unlink()
        (self.root / f"proc/{pid}").rmdir()

    def look(self, resource: str, at: float = 10.0) -> Look:
        found = look(self.roots, RESOURCES[resource])
        return found._replace(
            time=at, processes={key: process._replace(at=at) for key, process in found.processes.items()}
        )

    def compared(self, resource: str, before: Look, most: int = EVERYTHING) -> dict:
        """Compare with a look two seconds later."""
        after = self.look(resource, before.time + 2.0)
        return compared(self.roots, RESOURCES[resource], before, after, most)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a look take its time, however busy the machine is with other tests."""
    monkeypatch.setattr("healthd.observe._processes._PATIENCE", 60.0)


@pytest.fixture
def made(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def tick() -> float:
    return 1.0 / os.sysconf("SC_CLK_TCK")


def test_it_is_no_collector():
    assert all(not collector.__module__.endswith(("_processes", "_units")) for collector in collectors())


def test_cpu_is_what_a_process_used_between_two_looks_in_percent_of_one_cpu(made):
    made.process(7, ticks=(1000, 500), cgroup=SSH)
    before = made.look("cpu")
    made.process(7, ticks=(1010, 530), cgroup=SSH)
    seen = made.compared("cpu", before)
    # 40 ticks in 2 s.
    used = round(100 * 40 * tick() / 2, 1)
    assert seen == {
        "seconds": 2.0,
        "processes": [{"pid": 7, "name": "sshd", "unit": "ssh.service", "cpu": used}],
        "units": [{"unit": "ssh.service", "cpu": used}],
        "hidden": 0,
        "reason": "",
    }
    assert json.loads(json.dumps(seen)) == seen


def test_io_is_what_went_from_and_to_devices_each_second(made):
    made.process(7, io=(1000, 5000))
    before = made.look("io")
    made.process(7, io=(3000, 9000))
    seen = made.compared("io", before)
    assert seen["processes"] == [
        {"pid": 7, "name": "sshd", "unit": "", "read_bytes_per_second": 1000.0, "write_bytes_per_second": 2000.0}
    ]
    assert seen["units"] == []


def test_memory_is_what_can_not_be_had_back_without_swap(made):
    made.process(
        7,
        status="VmRSS:\t    9000 kB\nRssAnon:\t    4000 kB\nRssFile:\t    3000 kB\nRssShmem:\t    2000 kB\n"
        "VmSwap:\t     100 kB\n",
        cgroup=SSH,
    )
    # Before Linux 4.5 the parts were not told, and of its own a kernel thread has none.
    made.process(8, name="old", status="VmRSS:\t    7000 kB\n")
    made.process(9, name="files", status="VmRSS:\t    10 kB\nRssAnon:\t 0 kB\nRssFile:\t 10 kB\nRssShmem:\t 0 kB\n")
    seen = who(made.roots, "memory")
    assert seen == {
        "resource": "memory",
        "seconds": 0.0,
        "processes": [
            {"pid": 8, "name": "old", "unit": "", "memory_bytes": 7000 * 1024, "swap_bytes": 0},
            {"pid": 7, "name": "sshd", "unit": "ssh.service", "memory_bytes": 6000 * 1024, "swap_bytes": 100 * 1024},
        ],
        "units": [{"unit": "ssh.service", "memory_bytes": 6000 * 1024, "swap_bytes": 100 * 1024}],
        "hidden": 0,
        "reason": "",
    }


def test_swap_counts_like_memory_for_who_is_worst(made):
    for pid, anon, swap in ((7, 50, 0), (8, 10, 60), (9, 0, 30)):
        made.process(pid, status=f"RssAnon:\t{anon} kB\nRssFile:\t1 kB\nRssShmem:\t0 kB\nVmSwap:\t{swap} kB\n")
    assert [row["pid"] for row in who(made.roots, "memory")["processes"]] == [8, 7, 9]


def test_only_the_worst_are_told(made):
    for pid in range(10, 20):
        made.process(pid, cgroup=f"/system.slice/{pid}.service")
    before = made.look("cpu")
    for pid in range(10, 19):
        made.process(pid, ticks=(pid, 0), cgroup=f"/system.slice/{pid}.service")
    seen = made.compared("cpu", before, most=3)
    assert [row["pid"] for row in seen["processes"]] == [18, 17, 16]
    assert [row["unit"] for row in seen["units"]] == ["18.service", "17.service", "16.service"]
    everyone = made.compared("cpu", before)
    assert [row["pid"] for row in everyone["processes"]] == list(range(18, 9, -1))


def test_processes_come_and_go_and_share_a_pid_one_after_the_other(made):
    made.process(7, ticks=(500, 0))
    made.process(8, start=100, ticks=(500, 0))
    made.process(9, ticks=(500, 0))
    before = made.look("io"), made.look("cpu")
    made.end(7)
    made.process(8, start=200, ticks=(30, 0))
    made.process(9, ticks=(499, 0))
    made.process(10, ticks=(20, 0))
    seen = made.compared("cpu", before[1])
    # 8 is another process; 9 went backwards, which is no use at all.
    assert [(row["pid"], row["cpu"]) for row in seen["processes"]] == [
        (8, round(100 * 30 * tick() / 2, 1)),
        (10, round(100 * 20 * tick() / 2, 1)),
    ]
    assert (seen["hidden"], seen["reason"]) == (0, "")


def test_one_that_goes_while_it_is_looked_at_is_no_error(made):
    for missing in ("stat", "io"):
        made.process(7)
        os.unlink(made.root / f"proc/7/{missing}")
        seen = made.look("io")
        assert {pid for pid, _ in seen.processes} == {1}
        assert not seen.unread


def test_a_process_without_a_cgroup_file_has_no_unit(made):
    made.process(7, status="RssAnon:\t1 kB\nRssShmem:\t0 kB\n", cgroup=SSH)
    os.unlink(made.root / "proc/7/cgroup")
    assert who(made.roots, "memory")["processes"][0]["unit"] == ""


def test_the_kernel_s_account_of_a_unit_goes_before_the_sum_of_its_processes(made):
    made.process(7, cgroup=SSH)
    made.process(8, cgroup="/system.slice/other.service")
    made.unit(SSH, cpu_stat="usage_usec 5000000\nuser_usec 1\nsystem_usec 2")
    before = made.look("cpu")
    made.process(7, ticks=(10, 0), cgroup=SSH)
    made.process(8, ticks=(20, 0), cgroup="/system.slice/other.service")
    # Its children were many, and are gone.
    made.unit(SSH, cpu_stat="usage_usec 7000000")
    made.unit("/system.slice/new.service", cpu_stat="usage_usec 1500000")
    made.unit("/system.slice/idle.service", cpu_stat="usage_usec 0")
    assert made.compared("cpu", before)["units"] == [
        {"unit": "ssh.service", "cpu": 100.0},
        {"unit": "new.service", "cpu": 75.0},
        {"unit": "other.service", "cpu": round(100 * 20 * tick() / 2, 1)},
    ]


def test_a_unit_that_was_started_anew_used_what_it_has_used_since(made):
    made.unit(SSH, cpu_stat="usage_usec 500000")
    before = made.look("cpu")
    cgroup = made.root / f"sys/fs/cgroup{SSH}"
    cgroup.rename(cgroup.with_name("former"))
    made.unit(SSH, cpu_stat="usage_usec 600000")
    assert made.compared("cpu", before)["units"] == [{"unit": "ssh.service", "cpu": 30.0}]


def test_a_unit_s_memory_is_without_the_cache_that_is_not_in_use(made):
    made.unit(SSH, memory_current=100 * MIB, memory_stat=f"anon {40 * MIB}\ninactive_file {30 * MIB}\nactive_file 7")
    made.unit("/system.slice/swapped.service", memory_current=9 * MIB, memory_stat="anon 0", memory_swap_current=MIB)
    made.unit("/system.slice/absurd.service", memory_current=1, memory_stat="inactive_file 2")
    assert who(made.roots, "memory")["units"] == [
        {"unit": "ssh.service", "memory_bytes": 70 * MIB, "swap_bytes": 0},
        {"unit": "swapped.service", "memory_bytes": 9 * MIB, "swap_bytes": MIB},
    ]


def test_a_unit_s_transfers_are_counted_once_on_disks_below_others(made):
    made.write("sys/dev/block/253:0/slaves/sda3", "")
    made.write("sys/dev/block/8:0/size", "1")
    disks = "8:0 rbytes={} wbytes={} rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=0 wbytes={} rios=0 wios=1\n254:0 \n"
    stacked = "253:0 rbytes={} wbytes={} rios=1 wios=1 dbytes=0 dios=0"
    made.unit(SSH, io_stat=disks.format(0, 0, 0) + stacked.format(0, 0))
    before = made.look("io")
    # What was read is told at both levels; of what was written the disk below does not know whose it was.
    made.unit(SSH, io_stat=disks.format(4000, 100, 200) + stacked.format(4000, 6000))
    assert made.compared("io", before)["units"] == [
        {"unit": "ssh.service", "read_bytes_per_second": 2000.0, "write_bytes_per_second": 3000.0}
    ]
    made.unit(SSH, io_stat=disks.format(4000, 100, 200))
    assert made.compared("io", before)["units"] == [
        {"unit": "ssh.service", "read_bytes_per_second": 2000.0, "write_bytes_per_second": 150.0}
    ]


def test_files_of_a_unit_that_make_no_sense_are_as_good_as_none(made):
    made.process(7, status="RssAnon:\t1 kB\nRssShmem:\t0 kB\n", cgroup=SSH)
    for content in ("", "many", "max"):
        made.unit(SSH, memory_current=content, memory_stat="inactive_file 0", cpu_stat=content)
        assert who(made.roots, "memory")["units"] == [{"unit": "ssh.service", "memory_bytes": 1024, "swap_bytes": 0}]
        assert made.look("cpu").units == {}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"Web Content", "Web Content"),
        (b"a) S 1 (b", "a) S 1 (b"),
        (b"((sd-pam))", "((sd-pam))"),
        (b")", ")"),
        (b"", ""),
        (b"line\nbreak", r"line\nbreak"),
        (b"back\\slash", r"back\slash"),
        (b"\x1b[31mred", r"\x1b[31mred"),
        (b"caf\xe9", r"caf\xe9"),
        ("größe".encode(), "größe"),
    ],
)
def test_any_name_is_shown_as_text(made, name, shown):
    before = made.look("cpu")
    made.process(7, name=name, ticks=(3, 4), status="RssAnon:\t1 kB\nRssShmem:\t0 kB\n")
    (row,) = made.compared("cpu", before)["processes"]
    assert (row["name"], row["cpu"]) == (shown, round(100 * 7 * tick() / 2, 1))
    (row,) = who(made.roots, "memory")["processes"]
    assert (row["name"], row["memory_bytes"]) == (shown, 1024)


@pytest.mark.parametrize(
    ("file", "content", "resource"),
    [
        ("stat", b"", "cpu"),
        ("stat", b"7 (sshd", "cpu"),
        ("stat", b"7 (sshd) S 1 2 3", "io"),
        ("stat", b"7 (sshd) " + b"x " * 30, "cpu"),
        ("status", b"", "memory"),
        ("status", b"Name:\tsshd\nRssAnon:\tmuch\nThreads:\t1\n", "memory"),
        ("status", b"Name:\tsshd\nThreads:", "memory"),
        ("io", b"", "io"),
        ("io", b"read_bytes: 1\n", "io"),
        ("io", b"\xff\xfe", "io"),
    ],
)
def test_a_process_whose_files_make_no_sense_is_hidden_and_costs_no_other(made, file, content, resource):
    made.process(7)
    made.process(8)
    made.write(f"proc/7/{file}", content)
    seen = made.look(resource)
    assert seen.unread == {7}
    assert {pid for pid, _ in seen.processes} == {1, 8}


def test_what_may_not_be_read_is_hidden_with_the_reason(made):
    made.process(7, status="RssAnon:\t1 kB\nRssShmem:\t0 kB\n")
    for file in ("status", "stat"):
        made.forbid(f"proc/1/{file}")
    seen = who(made.roots, "memory")
    assert [row["pid"] for row in seen["processes"]] == [7]
    assert seen["hidden"] == 1
    assert seen["reason"] == "1 of 2 processes could not be read: not permitted, malformed, or no time left"
    seen = who(made.roots, "io", 0.0)
    assert (seen["processes"], seen["hidden"]) == ([], 1)
    assert seen["reason"].startswith(
        "1 of 2 processes could not be read: only their user and root may read /proc/PID/io"
    )


def test_one_that_could_be_read_later_only_did_not_come_in_between(made):
    made.process(7, io=(10**12, 10**12))
    made.forbid("proc/7/io")
    before = made.look("io")
    os.unlink(made.root / "proc/7/io")
    made.process(7, io=(10**12, 10**12))
    seen = made.compared("io", before)
    assert (seen["processes"], seen["hidden"]) == ([], 1)


def test_units_that_there_was_no_time_for_did_not_come_in_between(made):
    made.unit(SSH, cpu_stat="usage_usec 1000000")
    before = made.look("cpu")
    made.unit("/system.slice/late.service", cpu_stat="usage_usec 9000000")
    made.unit(SSH, cpu_stat="usage_usec 3000000")
    units = made.compared("cpu", before._replace(all_units=False))["units"]
    assert units == [{"unit": "ssh.service", "cpu": 100.0}]
    assert len(made.compared("cpu", before)["units"]) == 2


def test_a_look_ends_in_time(made, monkeypatch):
    monkeypatch.setattr("healthd.observe._processes._PATIENCE", 0.0)
    made.unit(SSH, cpu_stat="usage_usec 1000000")
    seen = made.look("cpu")
    assert (seen.processes, seen.units, seen.all_units, seen.unread) == ({}, {}, False, {1})


def test_processes_that_are_not_even_listed_are_told_of_by_their_threads(made):
    made.process(7, threads=4)
    made.write("proc/loadavg", "0.10 0.20 0.30 2/250 4711\n")
    assert who(made.roots, "memory")["hidden"] == 0
    made.end(1)
    for resource in RESOURCES:
        seen = who(made.roots, resource, 0.0)
        assert seen["hidden"] == 246
        assert seen["reason"].endswith("does not list the processes of others (hidepid), which have 246 threads")
    for loadavg in ("", "0.10 0.20 0.30 2/3 4711\n"):
        made.write("proc/loadavg", loadavg)
        assert who(made.roots, "memory")["hidden"] == 1


def test_a_tree_without_processes_is_said_to_have_none(tmp_path):
    seen = who(roots(proc=str(tmp_path / "absent"), sys=str(tmp_path)), "memory")
    assert (seen["processes"], seen["units"], seen["hidden"]) == ([], [], 0)
    assert seen["reason"] == f"no process is to be seen in {tmp_path}/absent"


def test_another_resource_is_unknown(made):
    with pytest.raises(KeyError):
        who(made.roots, "patience")


# What follows looks at this machine.


@pytest.fixture
def child() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Give a function that starts Python with a program that prints a line once it is at work."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: str, **options: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", program, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def row_of(pid: int, seen: dict) -> dict:
    (row,) = [row for row in seen["processes"] if row["pid"] == pid]
    return row


def test_one_that_burns_cpu_is_seen(child):
    burner = child("print('ready', flush=True)\nwhile True: pass")
    seen = who(roots(), "cpu", 0.3, EVERYTHING)
    assert seen["seconds"] >= 0.3
    row = row_of(burner.pid, seen)
    assert row["name"].startswith("python")
    assert 0 < row["cpu"] < 150
    assert [other["cpu"] for other in seen["processes"]] == sorted(
        (other["cpu"] for other in seen["processes"]), reverse=True
    )


def test_each_is_measured_by_its_own_time_as_a_look_takes_a_while():
    used = Process(7, b"python", 1, (0,), at=10.5), Process(7, b"python", 1, (800_000,), at=11.5)
    before, after = (
        Look(time, {(os.getpid(), 7): process}, frozenset(), {}, all_units=True)
        for time, process in zip((10.0, 10.3), used, strict=True)
    )
    (row,) = compared(roots(), RESOURCES["cpu"], before, after, 5)["processes"]
    assert row["cpu"] == 80.0


def test_one_that_holds_memory_is_seen(child):
    hoarder = child(
        "import sys; held = b'x' * 200_000_000; print('ready', flush=True); sys.stdin.read()", stdin=subprocess.PIPE
    )
    row = row_of(hoarder.pid, who(roots(), "memory", most=EVERYTHING))
    assert 200_000_000 < row["memory_bytes"] + row["swap_bytes"] < 300_000_000


WRITER = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
ready = False
while True:
    os.pwrite(fd, b"x" * 65536, 0)
    os.fsync(fd)
    if not ready:
        print("ready", flush=True)
        ready = True
"""


def test_one_that_writes_is_seen(child, tmp_path):
    writer = child(WRITER, str(tmp_path / "file"))
    if "\nwrite_bytes: 0\n" in Path(f"/proc/{writer.pid}/io").read_text():
        pytest.skip("temporary files are not on a device")
    row = row_of(writer.pid, who(roots(), "io", 0.3, EVERYTHING))
    assert row["write_bytes_per_second"] >= 65536


def test_without_privileges_the_transfers_of_others_are_hidden_and_their_memory_is_not():
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        seen = {resource: who(roots(), resource, 0.0, EVERYTHING) for resource in ("io", "memory")}
    finally:
        os.seteuid(before)
    assert seen["io"]["hidden"] >= 1
    assert "only their user and root may read /proc/PID/io" in seen["io"]["reason"]
    assert row_of(1, seen["memory"])["memory_bytes"] > 0


def test_a_look_at_this_machine_leaves_no_descriptor():
    before = os.listdir("/proc/self/fd")
    for resource in RESOURCES:
        who(roots(), resource, 0.0)
    assert os.listdir("/proc/self/fd") == before


@pytest.fixture
def service() -> Iterator[Path]:
    """Give a cgroup that is called like a service."""
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(f"{mount}/cgroup.controllers"):
            above = Path(f"{mount}/healthdtest{os.getpid()}.slice")
            cgroup = above / "burner.service"
            try:
                cgroup.mkdir(parents=True)
            except OSError:
                break
            yield cgroup
            cgroup.rmdir()
            above.rmdir()
            return
    pytest.skip("cgroups can't be made here")


def test_a_unit_of_this_machine_has_what_the_kernel_accounts_for_it(service, child, tmp_path):
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs/cgroup").symlink_to(service.parent.parent)
    burner = child("print('ready', flush=True)\nwhile True: pass")
    (service / "cgroup.procs").write_text(str(burner.pid))
    seen = who(roots(sys=str(tmp_path)), "cpu", 0.3, EVERYTHING)
    assert row_of(burner.pid, seen)["unit"] == "burner.service"
    (unit,) = [row for row in seen["units"] if row["unit"] == "burner.service"]
    # From cpu.stat, which counts µs, not ticks.
    assert 0 < unit["cpu"] < 150
