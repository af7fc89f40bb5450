"""Each rule that healthd has: just beyond its threshold it comes, once and in time; just below it does not."""

from typing import Any, NamedTuple

import pytest
from scripted import Machine
from shipped import GIB, MIB, RULES, TABLES, machine

from healthd.model import SINGLE, Reading
from healthd.observe.battery import Battery
from healthd.observe.clock import Clock
from healthd.observe.cpu import Cpu
from healthd.observe.disk import Disk
from healthd.observe.filesystem import Filesystem
from healthd.observe.host import Host
from healthd.observe.load import Load
from healthd.observe.memory import Memory
from healthd.observe.network import Network
from healthd.observe.pressure import Pressure
from healthd.observe.self import Self
from healthd.observe.sensor import Sensor
from healthd.observe.services import Services
from healthd.observe.throttling import Throttling

BY_NAME = {rule.name: rule for rule in RULES}
Fields = dict[str, Any]


class Case(NamedTuple):
    """One level of a rule: values that hold, and some that do not."""

    rule: str
    severity: str
    reading: type[Reading]
    beyond: Fields
    below: list[Fields]
    always: Fields
    instance: str = SINGLE
    host: str | None = None


def pressure(rule: str, severity: str, beyond: Fields, *below: Fields) -> Case:
    calm = {f"{what}_avg{time}": 0.0 for what in ("cpu_some", "memory_full", "io_full") for time in (10, 60)}
    return Case(rule, severity, Pressure, beyond, list(below), calm)


def memory(rule: str, severity: str, beyond: Fields, *below: Fields) -> Case:
    calm = {"percent": 40.0, "available_bytes": 4 * GIB, "swap_disk_bytes": GIB, "swap_percent": 5.0}
    calm |= {"swap_out_bytes_per_second": 0.0}
    return Case(rule, severity, Memory, beyond, list(below), calm)


def space(rule: str, severity: str, beyond: Fields, *below: Fields) -> Case:
    calm = {"read_only": False, "percent": 50.0, "available_bytes": 50 * GIB, "inodes_percent": 5.0}
    return Case(rule, severity, Filesystem, beyond, list(below), calm, "/srv")


def sensor(severity: str, celsius: float, critical: float | None, model: str = "PC") -> Case:
    rule = "pi_temperature" if model.startswith("Rasp") else "cpu_temperature"
    always = {"role": "cpu", "critical_celsius": critical}
    return Case(rule, severity, Sensor, {"celsius": celsius}, [{"celsius": celsius - 0.1}], always, "chip", model)


def battery(severity: str, percent: float) -> Case:
    low = {"percent": 5.0, "together_percent": 5.0}
    below = [{"percent": 5.0, "together_percent": percent + 0.1}, {**low, "status": "charging"}]
    below.append({**low, "kind": "device"})
    always = {"kind": "battery", "status": "discharging"}
    return Case("battery_low", severity, Battery, {"together_percent": percent}, below, always, "BAT0")


def network(rule: str, severity: str, beyond: Fields, *below: Fields) -> Case:
    calm = {"kind": "physical", "carrier": True, "uplink": True}
    return Case(rule, severity, Network, beyond, list(below), calm, "eth0")


def throttling(rule: str, severity: str, beyond: Fields, *below: Fields) -> Case:
    calm = {"under_voltage": False, "under_voltage_episodes": 0, "under_voltage_seconds": 0.0, "throttled": False}
    calm |= {"under_voltage_since_boot": False, "throttled_since_boot": False}
    calm |= {"frequency_capped": False, "soft_temperature_limit": False}
    return Case(rule, severity, Throttling, beyond, list(below), calm)


PAGING = {"swap_out_bytes_per_second": 1.0}
CASES = [
    pressure("cpu_pressure", "warning", {"cpu_some_avg60": 60.1}, {"cpu_some_avg60": 60.0}),
    pressure("cpu_pressure", "critical", {"cpu_some_avg60": 90.1}, {"cpu_some_avg60": 90.0}),
    pressure("memory_pressure", "warning", {"memory_full_avg60": 5.1}, {"memory_full_avg60": 5.0}),
    pressure("memory_pressure", "critical", {"memory_full_avg10": 30.1}, {"memory_full_avg10": 30.0}),
    pressure("io_pressure", "warning", {"io_full_avg60": 40.1}, {"io_full_avg60": 40.0}),
    pressure("io_pressure", "critical", {"io_full_avg60": 80.1}, {"io_full_avg60": 80.0}),
    Case("load", "warning", Load, {"load5": 8.01}, [{"load5": 8.0}], {}),
    Case("load", "critical", Load, {"load5": 16.01}, [{"load5": 16.0}], {}),
    Case("cpu_steal", "warning", Cpu, {"steal": 10.1}, [{"steal": 10.0}], {}),
    memory("memory_available", "warning", {"percent": 90.1}, {"percent": 90.0}),
    memory("memory_available", "warning", {"available_bytes": 64 * MIB - 1}, {"available_bytes": 64 * MIB}),
    memory("memory_available", "critical", {"percent": 96.1}, {"percent": 96.0}),
    memory("memory_available", "critical", {"available_bytes": 32 * MIB - 1}, {"available_bytes": 32 * MIB}),
    memory("swap", "warning", {"swap_percent": 80.1, **PAGING}, {"swap_percent": 80.0, **PAGING}),
    memory("swap", "warning", {"swap_percent": 95.0, **PAGING}, {"swap_percent": 99.0}),
    memory("swap", "critical", {"swap_percent": 95.1, **PAGING}, {"swap_percent": 95.0, **PAGING}),
    sensor("warning", 85.0, 100.0),
    sensor("critical", 95.0, 100.0),
    sensor("warning", 65.0, 80.0),
    sensor("warning", 85.0, None),
    sensor("critical", 95.0, 120.0),
    sensor("warning", 75.0, 110.0, "Raspberry Pi 4 Model B"),
    sensor("critical", 82.0, 110.0, "Raspberry Pi 4 Model B"),
    battery("warning", 20.0),
    battery("critical", 10.0),
    Case("emmc_life", "notice", Disk, {"life_used": 80.0}, [{"life_used": 70.0}], {}, "mmcblk0"),
    Case("emmc_life", "warning", Disk, {"life_used": 90.0}, [{"life_used": 80.0}], {}, "mmcblk0"),
    Case("emmc_spare", "notice", Disk, {"pre_eol": "warning"}, [{"pre_eol": "normal"}], {}, "mmcblk0"),
    Case("emmc_spare", "warning", Disk, {"pre_eol": "urgent"}, [{"pre_eol": "warning"}], {}, "mmcblk0"),
    throttling("under_voltage", "warning", {"under_voltage": True}, {"under_voltage_episodes": 2}),
    throttling("under_voltage", "critical", {"under_voltage_episodes": 3}, {"under_voltage_episodes": 2}),
    throttling("under_voltage_long", "critical", {"under_voltage_seconds": 30.0}, {"under_voltage_seconds": 29.9}),
    throttling("under_voltage_since_boot", "notice", {"under_voltage_since_boot": True}, {"under_voltage": True}),
    throttling("throttled_since_boot", "notice", {"throttled_since_boot": True}, {"under_voltage_since_boot": True}),
    throttling("throttled", "warning", {"throttled": True}, {"throttled_since_boot": True}),
    throttling("throttled", "critical", {"throttled": True}, {"frequency_capped": True}),
    throttling("frequency_capped", "warning", {"frequency_capped": True}, {"throttled": True}),
    throttling("soft_temperature_limit", "notice", {"soft_temperature_limit": True}, {"throttled": True}),
    throttling("soft_temperature_limit", "warning", {"soft_temperature_limit": True}, {"throttled": True}),
    space(
        "filesystem_space", "warning", {"percent": 90.0, "available_bytes": 20 * GIB - 1},
        {"percent": 89.9, "available_bytes": GIB}, {"percent": 95.0, "available_bytes": 20 * GIB},
    ),
    space(
        "filesystem_space", "critical", {"percent": 97.0, "available_bytes": 2 * GIB - 1},
        {"percent": 96.9, "available_bytes": GIB}, {"percent": 99.0, "available_bytes": 2 * GIB},
    ),
    space("filesystem_inodes", "warning", {"inodes_percent": 90.0}, {"inodes_percent": 89.9}),
    space("filesystem_inodes", "critical", {"inodes_percent": 97.0}, {"inodes_percent": 96.9}),
    space("filesystem_read_only", "critical", {"read_only": True}, {"read_only": False}),
    Case("clock_unsynchronised", "warning", Clock, {"synchronised": False}, [{"synchronised": True}], {}),
    Case("failed_units", "warning", Services, {"failed_units": 1}, [{"failed_units": 0}], {"failed_units": 0}),
    Case("samples_late", "warning", Self, {"late_samples": 3}, [{"late_samples": 2}], {"late_samples": 0}),
    Case("family_failing", "warning", Self, {"failing_families": 1}, [], {"failing_families": 0}),
    network("link_lost", "warning", {"carrier": False}, {"carrier": None}, {"carrier": False, "uplink": False}),
]  # fmt: skip


def begun(case: Case) -> Machine:
    """Return a machine on which all is well, looked at once."""
    made = machine()
    if case.host:
        made.set(Host, model=case.host)
    if case.rule == "load":
        made.set(Cpu, online=4)
    made.set(case.reading, case.instance, **case.always)
    made.look()
    return made


def come(made: Machine, case: Case) -> list[float]:
    """Return when the level came."""
    name = f"{case.rule}@{case.instance}" if case.instance else case.rule
    return [time for time, condition, _, after in made.told if (condition, after) == (name, case.severity)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.severity}")
def test_beyond_its_threshold_it_comes_once_and_in_time(case):
    made = begun(case)
    level = next(level for level in BY_NAME[case.rule].levels if level.severity == case.severity)
    made.set(case.reading, case.instance, **case.beyond)
    made.pass_(level.hold + 1200.0)
    (time,) = come(made, case)
    assert level.hold <= time - made.interval <= level.hold + made.interval
    assert not [told for told in made.told if told[3] == "unknown"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.severity}")
def test_below_its_threshold_it_does_not_come(case):
    for below in case.below:
        made = begun(case)
        made.set(case.reading, case.instance, **below)
        made.pass_(3600.0)
        assert come(made, case) == []
        assert not [told for told in made.told if told[3] == "unknown"]


# What looks at more than the present value


def busy(percent: float) -> Machine:
    made = machine().set(Cpu, user=percent - 10.0, system=8.0, irq=1.0, softirq=1.0, nice=5.0, iowait=4.0)
    made.look()
    made.pass_(3600)
    return made


def test_cpu_busy_comes_when_most_of_ten_minutes_were_seen():
    (told,) = busy(90.1).told
    assert told[1:] == ("cpu_busy", "ok", "warning")
    assert 480.0 <= told[0] <= 515.0
    assert busy(90.0).told == []


def test_a_short_peak_is_no_busy_cpu():
    made = machine().set(Cpu, user=10.0, system=0.0, irq=0.0, softirq=0.0)
    made.look()
    made.pass_(1200)
    made.set(Cpu, user=100.0).pass_(500)
    made.set(Cpu, user=10.0).pass_(1200)
    assert made.told == []


def killed(*times: float) -> Machine:
    """Return a machine on which processes were killed at these times."""
    made = machine().set(Memory, percent=10.0, available_bytes=4 * GIB, oom_kills=7)
    made.look()
    for number in range(1, 1000):
        made.set(Memory, oom_kills=7 + sum(time <= number * 5.0 for time in times)).pass_(5)
    return made


def test_one_process_that_was_killed_is_seen_for_half_an_hour():
    assert killed(10.0).told == [(10.0, "oom_kill", "ok", "warning"), (1810.0, "oom_kill", "warning", "ok")]
    assert killed().told == []


def test_three_within_half_an_hour_are_critical_and_two_are_not():
    assert [told[3] for told in killed(10.0, 500.0).told] == ["warning", "ok"]
    assert killed(10.0, 500.0, 1000.0).told[1] == (1000.0, "oom_kill", "warning", "critical")


def filling(hours: float, percent: float, watched: float) -> Machine:
    """Return a machine of which one file system would be full after so many hours, after it was watched for some."""
    made = machine(interval=30.0)
    whole = 500 * GIB
    for look in range(int(watched * 120) + 1):
        free = int(whole * (1 - look / 120 / hours))
        made.set(Filesystem, "/srv", read_only=False, percent=percent, available_bytes=free)
        made.pass_(30)
    return made


def test_a_file_system_that_will_be_full_within_a_day_is_told_of():
    (told,) = filling(28.0, 70.0, 8.0).told
    assert told[1:] == ("filesystem_filling@/srv", "ok", "warning")
    assert 4.8 * 3600 + 1800 <= told[0] <= 5.1 * 3600 + 1800


def test_a_file_system_that_will_be_full_within_four_hours_is_critical():
    assert [told[1:] for told in filling(8.9, 70.0, 5.7).told] == [("filesystem_filling@/srv", "ok", "critical")]


@pytest.mark.parametrize(("hours", "percent"), [(40.0, 70.0), (28.0, 69.9), (-50.0, 80.0)])
def test_a_file_system_that_fills_slowly_or_is_empty_enough_is_not(hours, percent):
    assert filling(hours, percent, 8.0).told == []


def test_an_hour_of_backups_each_night_fills_nothing():
    made = machine(interval=30.0)
    for look in range(24 * 120):
        hour = look / 120
        within = min(max(hour % 24 - 3.0, 0.0), 1.0)
        made.set(Filesystem, "/srv", read_only=False, percent=80.0, available_bytes=int((100 - 30 * within) * GIB))
        made.pass_(30)
    assert made.told == []


def flapping(changes: int) -> Machine:
    """Return a machine of which the link was lost or found again so often within five minutes."""
    made = machine().set(Network, "eth0", kind="physical", carrier=True)
    made.look()
    for change in range(changes):
        made.set(Network, "eth0", carrier=bool(change % 2)).pass_(15)
    made.set(Network, "eth0", carrier=True).pass_(3600)
    return made


def test_six_changes_of_a_link_within_ten_minutes_are_flapping_and_five_are_not():
    assert flapping(4).told == []
    first, last = flapping(6).told
    assert first == (80.0, "link_flapping@eth0", "ok", "warning")
    assert last[1:] == ("link_flapping@eth0", "warning", "ok")
    assert 600.0 <= last[0] <= 700.0


def faulty(errors: float, packets: float, seconds: float = 900.0) -> Machine:
    """Return a machine of which an interface had so many errors and packets a second for a while, and none after it."""
    rates = {"rx_packets_per_second": packets, "tx_packets_per_second": 0.0, "tx_errors_per_second": 0.0}
    made = machine().set(Network, "eth0", kind="physical", carrier=True, rx_errors_per_second=0.0, **rates)
    made.look()
    made.pass_(1200)
    made.set(Network, "eth0", rx_errors_per_second=errors).pass_(seconds)
    made.set(Network, "eth0", rx_errors_per_second=0.0).pass_(1800)
    return made


def test_one_packet_of_a_hundred_that_fails_within_ten_minutes_is_told_of():
    first, last = faulty(10.2, 1000.0).told
    assert first[1:] == ("network_errors@eth0", "ok", "warning")
    # The window is over, to one part of it, when nearly all of it was like that.
    assert 570.0 <= first[0] - 1200.0 <= 620.0
    assert last[1:] == ("network_errors@eth0", "warning", "ok")
    assert 2100.0 + 480.0 + 300.0 <= last[0] <= 2100.0 + 600.0 + 300.0
    assert faulty(10.0, 1000.0).told == []


def test_faults_of_a_minute_count_as_what_they_are_of_ten():
    assert [told[3] for told in faulty(120.0, 1000.0, 60.0).told] == ["warning", "ok"]
    assert faulty(90.0, 1000.0, 60.0).told == []


def test_of_less_than_a_hundred_packets_nothing_is_told():
    assert faulty(0.1, 0.15).told == []
    assert [told[3] for told in faulty(0.1, 0.2).told] == ["warning", "ok"]
    # Of a cable that is broken nothing comes through.
    assert [told[3] for told in faulty(0.5, 0.0).told] == ["warning", "ok"]


def test_a_link_that_is_no_uplink_is_nobodys_loss():
    made = machine()
    for name, uplink in (("eth0", None), ("eth1", False), ("eth2", True)):
        made.set(Network, name, kind="physical", carrier=True, uplink=uplink)
    made.set(Network, "br0", kind="virtual", carrier=True, uplink=True).look()
    for name in ("eth0", "eth1", "eth2", "br0"):
        made.set(Network, name, carrier=False)
    made.pass_(600)
    assert made.told == [(35.0, "link_lost@eth2", "ok", "warning")]


def test_where_another_interface_takes_over_nothing_is_lost():
    made = machine().set(Network, "eth0", kind="physical", carrier=True, uplink=True)
    made.look()
    made.set(Network, "eth0", carrier=False).pass_(25)
    made.set(Network, "eth0", uplink=False).pass_(600)
    assert made.told == []
    made.set(Network, "eth0", carrier=True, uplink=True).pass_(5)
    made.set(Network, "eth0", carrier=False).pass_(600)
    assert [told[1:] for told in made.told] == [("link_lost@eth0", "ok", "warning")]
    assert [told[1:] for told in made.set(Network, "eth0", uplink=False).pass_(5)] == [
        ("link_lost@eth0", "warning", "ok")
    ]


def test_a_link_that_was_lost_before_a_restart_is_known_from_the_record_once_it_is_the_uplink():
    made = machine().set(Network, "eth0", kind="physical", carrier=True, uplink=True)
    made.look()
    made.set(Network, "eth0", carrier=False).pass_(60)
    made.restart()
    assert made.pass_(600) == []
    assert made.severity("link_lost", "eth0") == "warning"
    # Without a default route since the start nobody knows.
    made.restart()
    made.set(Network, "eth0", uplink=None)
    assert [told[1:] for told in made.pass_(600)] == [("link_lost@eth0", "warning", "ok")]


def powered(*episodes: tuple[float, float]) -> Machine:
    """Return a machine that had under-voltage from and to these times, and the firmware's flags with it."""
    made = machine(interval=5.0).set(Throttling, under_voltage=False, under_voltage_episodes=0, throttled=False)
    made.set(Throttling, under_voltage_seconds=0.0, under_voltage_since_boot=False, throttled_since_boot=False).look()
    for look in range(1, 600):
        low = [begin for begin, end in episodes if begin <= look * 5.0 < end]
        begun = sum(begin <= look * 5.0 for begin, _ in episodes)
        seconds = sum(max(0.0, min(look * 5.0, end) - begin) for begin, end in episodes)
        made.set(Throttling, under_voltage=bool(low), throttled=bool(low), under_voltage_episodes=begun)
        made.set(Throttling, under_voltage_since_boot=begun > 0, throttled_since_boot=begun > 0)
        made.set(Throttling, under_voltage_seconds=seconds).pass_(5)
    return made


def test_an_episode_of_under_voltage_is_told_of_at_once_and_over_after_five_quiet_minutes():
    told = powered((100.0, 110.0)).told
    assert told == [
        (100.0, "under_voltage", "ok", "warning"),
        (100.0, "under_voltage_since_boot", "ok", "notice"),
        (100.0, "throttled_since_boot", "ok", "notice"),
        (410.0, "under_voltage", "warning", "ok"),
    ]


def test_three_episodes_within_ten_minutes_are_critical_and_two_are_not():
    made = powered((100.0, 105.0), (300.0, 305.0), (695.0, 700.0))
    assert (695.0, "under_voltage", "ok", "critical") in made.told
    assert not [told for told in powered((100.0, 105.0), (300.0, 305.0), (705.0, 710.0)).told if told[3] == "critical"]


def test_half_a_minute_of_under_voltage_within_ten_is_critical_and_silences_the_rest():
    made = powered((100.0, 115.0), (300.0, 315.0))
    assert (315.0, "under_voltage_long", "ok", "critical") in made.told
    assert not [told for told in made.told if told[1] in ("throttled", "frequency_capped")]
    assert not [told for told in powered((100.0, 115.0), (300.0, 310.0)).told if told[3] == "critical"]


def test_under_voltage_since_boot_is_a_notice_that_makes_nothing_worse():
    made = powered((100.0, 110.0))
    assert made.severity("under_voltage_since_boot") == made.severity("throttled_since_boot") == "notice"
    assert made.health.severity == "ok"


NOW = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
SINCE = tuple(f"{flag}_since_boot" for flag in NOW)
COUNTED = ("under_voltage_episodes", "under_voltage_seconds")
CALM: Fields = {**dict.fromkeys(NOW + SINCE, False), "under_voltage_episodes": 0, "under_voltage_seconds": 0.0}
BAD: Fields = {**dict.fromkeys(NOW + SINCE, True), "under_voltage_episodes": 3, "under_voltage_seconds": 60.0}


@pytest.mark.parametrize("lost", [NOW + SINCE + COUNTED, NOW[1:] + SINCE, SINCE, NOW + COUNTED])
@pytest.mark.parametrize("again", [Machine.restart, Machine.reboot])
def test_what_a_raspberry_pi_can_not_tell_after_a_restart_or_a_boot_leaves_nothing_unknown(lost, again):
    made = machine().set(Throttling, **CALM)
    made.look()
    made.set(Throttling, **BAD).pass_(600)
    assert made.health.severity == "critical"
    again(made)
    made.set(Throttling, **{**CALM, **dict.fromkeys(lost)}).pass_(1800)
    assert made.health.severity == "ok"
    assert not [told for told in made.told if told[3] == "unknown"]


def test_one_blink_is_no_matter_any_more_when_nobody_can_tell_of_it_after_a_restart():
    # As by hwmon alone, which tells of what is so since boot only that it was so.
    made = machine().set(Throttling, under_voltage=False, under_voltage_episodes=0, under_voltage_seconds=0.0)
    made.look()
    made.set(Throttling, under_voltage=True, under_voltage_episodes=1, under_voltage_since_boot=True).pass_(5)
    made.set(Throttling, under_voltage=False).pass_(600)
    assert made.severity("under_voltage_since_boot") == "notice"
    made.restart()
    made.set(Throttling, under_voltage_episodes=0, under_voltage_since_boot=None).pass_(600)
    assert (made.health.severity, made.severity("under_voltage_since_boot")) == ("ok", None)


def test_a_board_without_a_sensor_for_its_voltage_is_told_that_it_was_slowed_down():
    made = machine().set(Throttling, throttled=False, throttled_since_boot=True, frequency_capped=False).look()
    assert [told[1:] for told in made] == [("throttled_since_boot", "ok", "notice")]


def test_where_only_under_voltage_is_known_nothing_else_is_judged():
    made = machine().set(Throttling, under_voltage=False, under_voltage_episodes=0, under_voltage_seconds=0.0)
    made.look()
    made.pass_(600)
    assert made.told == []
    assert made.severity("under_voltage") == "ok"
    assert [made.severity(rule) for rule in ("throttled", "frequency_capped", "throttled_since_boot")] == [None] * 3


def test_a_clock_that_nobody_keeps_yet_is_no_matter_until_seventeen_minutes_after_boot():
    made = machine(interval=60.0, since_boot=0.0).set(Clock, synchronised=False)
    made.look()
    made.pass_(3600)
    assert [told[1:] for told in made.told] == [("clock_unsynchronised", "ok", "warning")]
    assert 1020.0 + 300.0 <= made.told[0][0] <= 1020.0 + 300.0 + 60.0
    made = machine(interval=60.0, since_boot=0.0).set(Clock, synchronised=False)
    made.look()
    made.pass_(1260)
    made.set(Clock, synchronised=True).pass_(3600)
    assert made.told == []


def test_where_the_kernel_may_not_be_asked_about_its_clock_nothing_is_said_of_it():
    made = machine().fail(Clock, SINGLE, problem="permission")
    made.look()
    made.pass_(3600)
    assert made.told == []
    assert made.severity("clock_unsynchronised") is None


def test_a_unit_that_is_started_anew_within_a_minute_did_not_fail_and_one_that_is_later_did():
    made = machine(interval=30.0).set(Services, failed_units=0)
    made.look()
    made.set(Services, failed_units=2).pass_(60)
    made.set(Services, failed_units=0).pass_(300)
    assert made.told == []
    made.set(Services, failed_units=1).pass_(120)
    made.set(Services, failed_units=0).pass_(30)
    assert [told[1:] for told in made.told] == [("failed_units", "ok", "warning"), ("failed_units", "warning", "ok")]


def test_a_collector_that_fails_for_some_minutes_and_works_again_is_no_matter():
    made = machine().set(Self, failing_families=0)
    made.look()
    made.set(Self, failing_families=2).pass_(295)
    made.set(Self, failing_families=0).pass_(600)
    assert made.told == []


def mount(problem: str, seconds: float) -> Machine:
    """Return a machine of which a mount had a problem for so long."""
    made = machine(interval=5.0).set(Filesystem, "/mnt", read_only=False, percent=5.0, available_bytes=GIB)
    made.look()
    made.fail(Filesystem, "/mnt", problem=problem).pass_(seconds)
    made.set(Filesystem, "/mnt", read_only=False, percent=5.0, available_bytes=GIB).pass_(600)
    return made


@pytest.mark.parametrize(
    ("rule", "problem", "hold"), [("mount_stale", "timeout", 30.0), ("mount_missing", "unmounted", 60.0)]
)
def test_a_mount_that_does_not_answer_or_is_missing_comes_alone(rule, problem, hold):
    made = mount(problem, 1200.0)
    assert made.told[0] == (hold + 5.0, f"{rule}@/mnt", "ok", "warning")
    assert [told[1:] for told in made.told[1:]] == [(f"{rule}@/mnt", "warning", "ok")]
    assert mount(problem, hold).told == []


# Where a rule does not belong


def test_load_is_judged_only_where_there_is_no_pressure():
    made = machine().set(Cpu, online=4).set(Load, load5=40.0).set(Pressure, cpu_some_avg60=0.0)
    made.look()
    made.pass_(3600)
    assert made.told == []


def test_a_raspberry_pi_has_its_own_thresholds_alone_and_others_not_those():
    made = machine().set(Host, model="Raspberry Pi 5").set(Sensor, "chip", role="cpu", celsius=78.0)
    made.look()
    made.pass_(600)
    assert made.health.reasons == ("pi_temperature@chip",)
    made.set(Host, model="Rock 5").pass_(600)
    assert made.health.reasons == ()


def test_a_disk_that_is_hot_is_no_hot_processor():
    made = machine().set(Host, model="PC").set(Sensor, "disk", driver="drivetemp", celsius=99.0)
    made.look()
    made.pass_(600)
    assert made.told == []


def test_a_battery_is_low_until_it_is_charged_or_stands_on_mains_again():
    made = machine().set(Battery, "BAT0", kind="battery", status="discharging", together_percent=20.0)
    made.look()
    assert made.health.reasons == ("battery_low@BAT0",)
    made.set(Battery, "BAT0", together_percent=24.0).pass_(600)
    assert made.health.reasons == ("battery_low@BAT0",)
    made.set(Battery, "BAT0", status="charging").pass_(5)
    assert made.health.reasons == ()
    made.set(Battery, "BAT0", status="discharging", together_percent=9.0).pass_(5)
    assert made.severity("battery_low", "BAT0") == "critical"
    made.set(Battery, "BAT0", together_percent=15.0).pass_(5)
    assert made.severity("battery_low", "BAT0") == "warning"


def test_a_battery_that_is_emptied_before_a_full_one_is_not_low():
    made = machine().set(Battery, "BAT0", kind="battery", status="not charging", percent=98.0, together_percent=67.0)
    made.set(Battery, "BAT1", kind="battery", status="discharging", percent=8.0, together_percent=67.0).look()
    made.pass_(600)
    assert made.told == []


def test_without_swap_nothing_is_said_of_it():
    made = machine().set(Memory, percent=5.0, available_bytes=GIB, swap_disk_bytes=GIB, swap_percent=99.0)
    made.set(Memory, swap_out_bytes_per_second=9e6)
    made.look()
    made.pass_(400)
    assert made.health.reasons == ("swap",)
    made.set(Memory, swap_disk_bytes=0, swap_percent=None, swap_out_bytes_per_second=None).pass_(600)
    assert made.health.severity == "ok"


def test_swap_that_is_compressed_memory_alone_is_meant_to_fill():
    made = machine().set(Memory, percent=5.0, available_bytes=GIB, swap_total_bytes=GIB, swap_disk_bytes=0)
    made.set(Memory, swap_percent=99.0, swap_out_bytes_per_second=9e6).look()
    made.pass_(3600)
    assert made.told == []
    assert made.severity("swap") is None


def test_where_nobody_knows_what_swap_is_made_of_it_is_judged():
    made = machine().set(Memory, percent=5.0, available_bytes=GIB, swap_total_bytes=GIB, swap_disk_bytes=None)
    made.set(Memory, swap_percent=99.0, swap_out_bytes_per_second=9e6).look()
    made.pass_(600)
    assert made.health.reasons == ("swap",)


def test_an_interface_that_is_idle_loses_nothing():
    made = machine().set(Network, "eth0", kind="physical", carrier=True, rx_errors_per_second=0.0)
    made.set(Network, "eth0", tx_errors_per_second=0.0, rx_packets_per_second=0.0, tx_packets_per_second=0.0)
    made.look()
    made.pass_(3600)
    assert made.told == []
    assert made.severity("network_errors", "eth0") == "ok"


def test_an_interface_that_is_switched_off_has_not_lost_its_link():
    made = machine().set(Network, "eth0", kind="physical", carrier=True)
    made.look()
    made.set(Network, "eth0", carrier=None, operstate="down").pass_(3600)
    assert made.told == []


def test_what_was_read_only_from_the_start_is_meant_to_be():
    made = machine().set(Filesystem, "/boot", read_only=True, percent=99.0, available_bytes=0)
    made.look()
    made.pass_(3600)
    assert made.told == []


@pytest.mark.parametrize("name", ["cpu_pressure", "memory_pressure", "io_pressure", "cpu_busy", "cpu_steal", "load"])
def test_boot_is_a_busy_time_that_is_not_judged(name):
    assert BY_NAME[name].grace == 180.0


def test_every_level_of_every_rule_is_tried():
    tried = {(case.rule, case.severity) for case in CASES}
    tried |= {("cpu_busy", "warning"), ("oom_kill", "warning"), ("oom_kill", "critical"), ("link_flapping", "warning")}
    tried |= {("filesystem_filling", "warning"), ("filesystem_filling", "critical")}
    tried |= {("mount_stale", "warning"), ("mount_missing", "warning"), ("network_errors", "warning")}
    assert tried == {(rule.name, level.severity) for rule in RULES for level in rule.levels}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_rule_says_what_is_the_matter_why_and_what_to_do(name):
    for key in ("summary", "why", "remedy"):
        assert TABLES[name][key].endswith((".", ")"))
        assert len(TABLES[name][key]) > 20


def test_no_deadband_is_wider_than_a_quarter_of_what_lies_between_the_thresholds():
    for rule in RULES:
        pairs = [
            (enter, clear) for level in rule.levels for enter in level.enter.bounds for clear in level.clear.bounds
        ]
        for enter, clear in pairs:
            field = enter.field or rule.fields[0]
            metric = rule.family.by_name.get(field.name.rpartition(".")[2])
            if enter.about == clear.about and metric and metric.band and not (metric.band.relative or rule.operator):
                apart = abs(enter.threshold - clear.threshold)
                assert max(metric.band.absolute, metric.band.coarse) <= apart / 4, rule.name
