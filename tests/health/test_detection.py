"""What happens to machines: each is told of once, in time, and as what it is."""

from shipped import GIB, RULES, machine

from healthd.observe.cpu import Cpu
from healthd.observe.disk import Disk
from healthd.observe.filesystem import Filesystem
from healthd.observe.host import Host
from healthd.observe.load import Load
from healthd.observe.memory import Memory
from healthd.observe.network import Network
from healthd.observe.pressure import Pressure
from healthd.observe.sensor import Sensor


def well():
    """Return a machine on which all is well, as it was for the last five hours."""
    made = machine(interval=5.0)
    made.set(Host, model="PC", booted_at=0.0)
    made.set(Cpu, user=5.0, nice=0.0, system=2.0, idle=92.5, iowait=0.5, irq=0.0, softirq=0.0, steal=0.0, online=4)
    made.set(Load, load1=0.3, load5=0.2, load15=0.1)
    made.set(
        Memory, total_bytes=8 * GIB, available_bytes=5 * GIB, percent=37.5, oom_kills=0, swap_total_bytes=2 * GIB,
        swap_percent=3.0, swap_out_bytes_per_second=0.0,
    )  # fmt: skip
    calm = {f"{what}_avg{time}": 0.1 for what in ("cpu_some", "memory_full", "io_full") for time in (10, 60)}
    made.set(Pressure, **calm)
    for mount, free in (("/", 60), ("/home", 200), ("/mnt/backup", 900)):
        made.set(Filesystem, mount, read_only=False, percent=60.0, available_bytes=free * GIB, inodes_percent=9.0)
    made.set(Disk, "sda", read_bytes_per_second=0.0, write_bytes_per_second=9000.0)
    made.set(Sensor, "coretemp/Package", driver="coretemp", role="cpu", celsius=45.0, critical_celsius=100.0)
    packets = {"rx_packets_per_second": 9.0, "tx_packets_per_second": 9.0}
    faults = {"rx_errors_per_second": 0.0, "tx_errors_per_second": 0.0}
    made.set(Network, "eth0", kind="physical", carrier=True, uplink=True, **packets, **faults)
    made.look()
    # Few looks make many hours.
    made.interval = 300.0
    made.pass_(5 * 3600)
    made.interval = 5.0
    assert made.told == []
    assert made.health.severity == "ok"
    made.begun = made.since_boot
    return made


def problems(made):
    """Return what was told of beside what is over."""
    return [(time, name, severity) for time, name, _, severity in made.told if severity != "ok"]


def test_a_memory_leak():
    made = well()
    crossed = {}
    for look in range(240):
        percent = min(37.5 + look * 0.3, 98.0)
        made.set(Memory, percent=round(percent, 1), available_bytes=int(8 * GIB * (1 - percent / 100)))
        if percent > 95.0:
            # It pages, and the kernel waits: the symptoms of the same.
            made.set(Memory, swap_percent=97.0, swap_out_bytes_per_second=5e6)
            made.set(Pressure, io_full_avg60=85.0, cpu_some_avg60=95.0, memory_full_avg60=20.0, memory_full_avg10=20.0)
        made.pass_(5)
        for limit in (90.0, 96.0):
            if percent > limit:
                crossed.setdefault(limit, made.now)
    made.pass_(3600)
    told = problems(made)
    assert [found[1:] for found in told] == [
        ("memory_available", "warning"),
        ("memory_available", "critical"),
        ("memory_pressure", "warning"),
    ]
    assert 60.0 <= told[0][0] - crossed[90.0] <= 65.0
    assert 30.0 <= told[1][0] - crossed[96.0] <= 35.0
    assert made.health.reasons == ("memory_available", "memory_pressure")


def test_a_filling_disk():
    made = well()
    crossed = {}
    for minute in range(400):
        percent = min(60.0 + minute * 0.1, 99.0)
        free = int(150 * GIB * (1 - percent / 100))
        made.set(Filesystem, "/", percent=round(percent, 1), available_bytes=free)
        made.pass_(60)
        for limit, least in ((90.0, 20 * GIB), (97.0, 2 * GIB)):
            if round(percent, 1) >= limit and free < least:
                crossed.setdefault(limit, made.now - 55.0)
    told = problems(made)
    first = next(time for time, name, severity in told if (name, severity) == ("filesystem_space@/", "warning"))
    worst = next(time for time, name, severity in told if (name, severity) == ("filesystem_space@/", "critical"))
    assert 300.0 <= first - crossed[90.0] <= 305.0
    assert 60.0 <= worst - crossed[97.0] <= 65.0
    # Hours before: it would be full soon.
    assert told[0][1] == "filesystem_filling@/"
    assert told[0][0] < crossed[90.0]
    assert len({(name, severity) for _, name, severity in told}) == len(told)
    assert {name for _, name, _ in told} == {"filesystem_space@/", "filesystem_filling@/"}


def test_whoever_fills_a_disk_is_looked_for():
    assert {rule.who for rule in RULES if rule.name in ("filesystem_space", "filesystem_filling")} == {"io"}


def test_a_file_that_fills_a_disk_at_once():
    made = well()
    made.set(Filesystem, "/home", percent=98.0, available_bytes=GIB).pass_(1200)
    assert problems(made) == [(65.0, "filesystem_space@/home", "critical")]


def test_a_cpu_hog():
    made = well()
    made.set(Cpu, user=99.0, system=1.0, idle=0.0, iowait=0.0).set(Load, load1=9.0, load5=8.9, load15=8.8)
    made.set(Pressure, cpu_some_avg10=80.0, cpu_some_avg60=75.0).pass_(3600)
    told = problems(made)
    assert told[0] == (305.0, "cpu_pressure", "warning")
    assert [found[1:] for found in told[1:]] == [("cpu_busy", "warning")]
    assert told[1][0] <= 635.0
    made.set(Cpu, user=5.0, system=1.0, idle=94.0).set(Pressure, cpu_some_avg10=0.0, cpu_some_avg60=0.0).pass_(3600)
    assert made.health.severity == "ok"
    assert len(made.told) == 4


def test_an_hour_of_builds_at_low_priority_is_nobodys_problem():
    made = well()
    made.set(Cpu, user=5.0, nice=95.0, idle=0.0, iowait=0.0).set(Pressure, cpu_some_avg10=50.0, cpu_some_avg60=55.0)
    made.pass_(3600)
    assert made.told == []


def test_an_io_stall():
    made = well()
    made.set(Pressure, io_full_avg10=60.0, io_full_avg60=55.0).set(Cpu, iowait=80.0, idle=10.0).pass_(1800)
    assert problems(made) == [(605.0, "io_pressure", "warning")]
    made.set(Pressure, io_full_avg10=95.0, io_full_avg60=90.0).pass_(1800)
    assert problems(made)[1:] == [(2705.0, "io_pressure", "critical")]


def test_a_copy_of_minutes_is_no_stall():
    made = well()
    made.set(Pressure, io_full_avg10=70.0, io_full_avg60=65.0).pass_(595)
    made.set(Pressure, io_full_avg10=1.0, io_full_avg60=30.0).pass_(600)
    assert made.told == []


def test_a_file_system_that_the_kernel_turns_read_only():
    made = well()
    made.set(Filesystem, "/home", read_only=True).pass_(3600)
    assert problems(made) == [(5.0, "filesystem_read_only@/home", "critical")]
    made.set(Filesystem, "/home", read_only=False).pass_(305)
    assert made.health.severity == "ok"


def test_a_full_one_that_turns_read_only_has_one_problem_and_it_is_the_worse():
    made = well()
    made.set(Filesystem, "/home", percent=95.0, available_bytes=5 * GIB).pass_(600)
    assert made.health.reasons == ("filesystem_space@/home",)
    made.set(Filesystem, "/home", read_only=True).pass_(5)
    assert made.health.reasons == ("filesystem_read_only@/home",)


def test_a_mount_of_fstab_that_vanished():
    made = well()
    made.fail(Filesystem, "/mnt/backup", problem="unmounted").pass_(3600)
    assert problems(made) == [(65.0, "mount_missing@/mnt/backup", "warning")]
    made.set(Filesystem, "/mnt/backup", read_only=False, percent=60.0, available_bytes=GIB, inodes_percent=9.0).pass_(5)
    assert made.health.severity == "ok"
    assert len(made.told) == 2


def test_a_mount_of_fstab_that_was_never_there():
    made = well()
    made.fail(Filesystem, "/mnt/old", problem="unmounted").pass_(3600)
    assert problems(made) == [(65.0, "mount_missing@/mnt/old", "warning")]


def test_a_mount_that_somebody_takes_away_on_purpose_is_nobodys_problem():
    made = well()
    made.drop(Filesystem, "/mnt/backup").pass_(3600)
    assert made.told == []


def test_a_server_that_does_not_answer():
    made = well()
    made.fail(Filesystem, "/mnt/backup", problem="timeout").pass_(3600)
    assert problems(made) == [(35.0, "mount_stale@/mnt/backup", "warning")]


def test_a_fan_that_stopped():
    made = well()
    made.set(Sensor, "coretemp/Package", celsius=97.0).set(Pressure, cpu_some_avg60=70.0, cpu_some_avg10=70.0)
    made.pass_(3600)
    assert problems(made) == [(20.0, "cpu_temperature@coretemp/Package", "critical")], "slow by heat, not by work"


def test_a_cable_that_was_pulled():
    made = well()
    made.set(Network, "eth0", carrier=False).pass_(600)
    assert problems(made) == [(35.0, "link_lost@eth0", "warning")]
    made.set(Network, "eth0", carrier=True).pass_(35)
    assert made.health.severity == "ok"
