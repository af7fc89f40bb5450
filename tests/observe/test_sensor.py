import errno
import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.observe import sensor
from healthd.observe._files import Roots, roots
from healthd.observe.sensor import Sensor, SensorCollector

NOW = Instant(1767225600.0, 1000.0, 0.0)
LATER = Instant(1767225660.0, 1060.0, 0.0)


class Machine:
    """A machine whose sensors can be changed; made of what the kernel's directories look like."""

    def __init__(self, path):
        self.path = path
        self.roots = roots(f"{path}/proc", f"{path}/sys", f"{path}/etc", str(path))
        self.collector = SensorCollector(self.roots)

    def chip(self, name: str, device: str, number: int = 0, *, glue: bool = True, **files: str | int) -> str:
        """Add a chip with its files, and return its directory."""
        owner = self.path / "sys/devices" / device
        directory = owner / "hwmon" / f"hwmon{number}" if glue else owner / f"hwmon{number}"
        os.makedirs(directory)
        os.symlink(os.path.relpath(owner, directory), directory / "device")
        os.makedirs(self.path / "sys/class/hwmon", exist_ok=True)
        link = self.path / "sys/class/hwmon" / f"hwmon{number}"
        os.symlink(os.path.relpath(directory, link.parent), link)
        for file, content in {"name": name, **files}.items():
            (directory / file).write_text(f"{content}\n")
        return str(directory)

    def read(self, now: Instant = NOW) -> dict[str, Sensor | None]:
        return {name: probe() for name, probe in self.collector.probes(now).items()}


@pytest.fixture
def small(tmp_path):
    return Machine(tmp_path)


def copied(source: Roots, path) -> Machine:
    shutil.copytree(source.host.root, path, symlinks=True, dirs_exist_ok=True)
    return Machine(path)


def attempt(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or why it could not be observed."""
    try:
        return call()
    except Unobserved as error:
        return error


def problem(probe) -> tuple[str, str]:
    with pytest.raises(Unobserved) as caught:
        probe()
    return caught.value.problem, caught.value.reason


def test_a_server_has_two_packages_their_cores_and_four_drives(machine):
    probes = SensorCollector(machine("server-64")).probes(NOW)
    assert len(probes) == 2 * 17 + 4 * 2
    found = {name: probe() for name, probe in probes.items()}
    assert found["coretemp/coretemp.0/Package id 0"] == Sensor(
        label="Package id 0", driver="coretemp", celsius=58.0, high_celsius=82.0, critical_celsius=92.0
    )
    assert found["coretemp/coretemp.1/Core 15"].celsius == 58.5  # 50000 + 500 * 15 + 1000
    assert found["nvme/0000:16:00.0/Composite"] == Sensor(
        label="Composite", driver="nvme", celsius=38.9, high_celsius=69.8, critical_celsius=79.8
    )
    # The drive says 65261.85 °C where it sets no limit.
    assert found["nvme/0000:16:00.0/Sensor 1"] == Sensor(
        label="Sensor 1", driver="nvme", celsius=36.9, high_celsius=None, critical_celsius=None
    )
    assert found["nvme/0000:46:00.0/Composite"].celsius == -1.1  # -1150, and -1.15 is nearer to -1.1 in binary
    assert not any("power_meter" in name for name in found)


def test_a_container_has_no_sensor_and_no_advice(machine):
    with pytest.raises(Unobserved) as caught:
        SensorCollector(machine("container")).probes(NOW)
    assert (caught.value.problem, caught.value.reason, caught.value.remedy) == (
        protocol.UNSUPPORTED,
        "no temperature sensor",
        "",
    )


@pytest.mark.parametrize(("flags", "advised"), [("fpu lm hypervisor", False), ("fpu lm", True)])
def test_advice_to_load_a_driver_is_given_on_real_hardware_only(small, flags, advised):
    os.makedirs(small.path / "proc")
    (small.path / "proc/cpuinfo").write_text(f"flags\t\t: {flags}\n")
    with pytest.raises(Unobserved) as caught:
        small.read()
    assert ("sensors-detect" in caught.value.remedy) is advised


def test_sensors_keep_their_ids_and_values_when_hwmon_is_renumbered(machine, tmp_path):
    before = SensorCollector(machine("server-64")).probes(NOW)
    server = copied(machine("server-64"), tmp_path)
    assert server.collector.probes(NOW).keys() == before.keys()
    hwmon = tmp_path / "sys/class/hwmon"
    for name in os.listdir(hwmon):
        directory = os.path.realpath(hwmon / name)
        number = 9 - int(name.removeprefix("hwmon"))
        renamed = os.path.join(os.path.dirname(directory), f"hwmon{number}0")
        os.rename(directory, renamed)
        os.unlink(hwmon / name)
        os.symlink(os.path.relpath(renamed, hwmon), hwmon / f"hwmon{number}0")
    assert set(server.collector.probes(NOW)) == set(before), "known paths are used until a file vanishes"
    assert all(probe() is None for probe in server.collector.probes(NOW).values())
    assert server.read() == {name: probe() for name, probe in before.items()}


def test_the_place_is_the_end_of_the_device_links_or_else_the_parent(small):
    small.chip("cpu_thermal", "virtual/thermal/thermal_zone0", 0, glue=False, temp1_input=48200)
    drive = small.chip("nvme", "pci0000:00/0000:01:00.0/nvme/nvme0", 1, glue=False, temp1_input=40000)
    os.symlink("../..", os.path.join(os.path.dirname(drive), "device"))
    (small.path / "sys/devices/pci0000:00/0000:01:00.0/device").write_text("0xa808\n")
    os.unlink(small.chip("bare", "virtual", 2, temp1_input=1000) + "/device")
    os.unlink(small.chip("old", "platform/old.0", 3, glue=False, temp1_input=1000) + "/device")
    assert set(small.read()) == {
        "cpu_thermal/thermal_zone0/temp1",
        "nvme/0000:01:00.0/temp1",
        "bare/virtual/temp1",
        "old/old.0/temp1",
    }


def test_labels_that_collide_are_told_apart_by_their_files_and_others_stay(small):
    small.chip(
        "nct6775",
        "platform/nct6775.656",
        temp1_input=1000,
        temp1_label="AUX",
        temp2_input=2000,
        temp2_label="AUX",
        temp3_input=3000,
        temp3_label="CPU",
        temp4_input=4000,
        temp4_label="",
    )
    found = small.read()
    assert {name: one.celsius for name, one in found.items()} == {
        "nct6775/nct6775.656/AUX/temp1": 1.0,
        "nct6775/nct6775.656/AUX/temp2": 2.0,
        "nct6775/nct6775.656/CPU": 3.0,
        "nct6775/nct6775.656/temp4": 4.0,
    }
    assert found["nct6775/nct6775.656/AUX/temp1"].label == "AUX"


@pytest.mark.parametrize(("raw", "celsius"), [(0, 0.0), (-40000, -40.0), (-127900, -127.9), (254900, 254.9)])
def test_zero_and_below_are_temperatures(small, raw, celsius):
    small.chip("chip", "platform/chip.0", temp1_input=raw)
    assert small.read()["chip/chip.0/temp1"].celsius == celsius


@pytest.mark.parametrize(
    ("raw", "shown"), [(255000, "255"), (-128000, "-128"), (65535000, "65535"), (-273150, "-273.1"), (254990, "255")]
)
def test_what_no_part_of_a_machine_can_have_is_malformed(small, raw, shown):
    small.chip("chip", "platform/chip.0", temp1_input=raw)
    probe = small.collector.probes(NOW)["chip/chip.0/temp1"]
    assert problem(probe) == (protocol.MALFORMED, f"reads {shown} °C, which can't be true")


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"-", b"4x", b"4 5", b"\xff\xfe", b"4\0", b"9" * 5000, b"1_000", b"--4"]
)
def test_what_is_no_number_is_malformed(small, content):
    directory = small.chip("chip", "platform/chip.0", temp1_input=1)
    with open(f"{directory}/temp1_input", "wb") as file:
        file.write(content)
    assert problem(small.collector.probes(NOW)["chip/chip.0/temp1"])[0] == protocol.MALFORMED


def test_an_input_error_on_one_sensor_is_the_problem_of_that_one_alone(small):
    directory = small.chip("chip", "platform/chip.0", temp1_input=1000, temp2_input=2000, temp3_input=3000)
    os.unlink(f"{directory}/temp2_input")
    # The kernel answers EIO to a read of this process's memory at address 0.
    os.symlink("/proc/self/mem", f"{directory}/temp2_input")
    probes = small.collector.probes(NOW)
    with pytest.raises(OSError, match="Input/output error") as caught:
        probes["chip/chip.0/temp2"]()
    assert caught.value.errno == errno.EIO
    assert [probes[f"chip/chip.0/temp{n}"]().celsius for n in (1, 3)] == [1.0, 3.0]
    assert small.collector.probes(NOW) is probes, "that is no reason to look for sensors again"


def test_a_faulty_sensor_has_failed_until_it_is_well_again(small):
    directory = small.chip("chip", "platform/chip.0", temp1_input=1000, temp1_fault=1)
    probe = small.collector.probes(NOW)["chip/chip.0/temp1"]
    assert problem(probe)[0] == protocol.FAILED
    with open(f"{directory}/temp1_fault", "w", encoding="ascii") as file:
        file.write("0\n")
    assert probe().celsius == 1.0


def test_a_device_that_sleeps_is_not_read(small):
    small.chip("amdgpu", "pci0000:00/0000:03:00.0", temp1_input=45000)
    power = small.path / "sys/devices/pci0000:00/0000:03:00.0/power"
    power.mkdir()
    (power / "runtime_status").write_text("suspended\n")
    probe = small.collector.probes(NOW)["amdgpu/0000:03:00.0/temp1"]
    assert problem(probe) == (protocol.UNSUPPORTED, "the device sleeps and is not woken for this")
    (power / "runtime_status").write_text("active\n")
    assert probe().celsius == 45.0


def test_limits_that_are_not_set_or_cannot_be_true_are_unknown(small):
    small.chip(
        "chip",
        "platform/chip.0",
        temp1_input=1000,
        temp1_max=0,
        temp1_crit=65261850,
        temp2_input=2000,
        temp2_max="none",
        temp2_crit=-5000,
    )
    found = small.read()
    limits = [(one.high_celsius, one.critical_celsius) for one in found.values()]
    assert limits == [(None, None), (None, -5.0)]


def test_sensors_that_appear_are_found_within_a_minute(small):
    small.chip("chip", "platform/chip.0", 0, temp1_input=1000)
    first = small.collector.probes(NOW)
    small.chip("late", "platform/late.0", 1, temp1_input=1000)
    assert small.collector.probes(NOW._replace(since_boot=1059.9)) is first
    assert set(small.collector.probes(LATER)) == {"chip/chip.0/temp1", "late/late.0/temp1"}


def test_the_first_sensor_of_a_machine_without_any_is_found_at_the_next_run(small):
    with pytest.raises(Unobserved):
        small.collector.probes(NOW)
    small.chip("late", "platform/late.0", 1, temp1_input=1000)
    assert set(small.read()) == {"late/late.0/temp1"}


def test_a_sensor_that_vanishes_has_no_reading_and_makes_the_next_run_look_again(small):
    directory = small.chip("chip", "platform/chip.0", 0, temp1_input=1000, temp2_input=2000)
    probes = small.collector.probes(NOW)
    os.unlink(f"{directory}/temp2_input")
    assert probes["chip/chip.0/temp2"]() is None
    assert set(small.collector.probes(NOW)) == {"chip/chip.0/temp1"}


def test_a_driver_that_was_loaded_anew_under_the_same_number_is_read_on(small, monkeypatch):
    small.chip("chip", "platform/chip.0", temp1_input=1000)
    probe = small.collector.probes(NOW)["chip/chip.0/temp1"]
    assert probe().celsius == 1.0
    pread, stale = os.pread, [errno.ENODEV]

    def read(*of: int) -> bytes:
        # What the kernel answers on a descriptor of the driver that is gone.
        if stale:
            raise OSError(stale.pop(), "No such device")
        return pread(*of)

    monkeypatch.setattr(os, "pread", read)
    assert probe().celsius == 1.0
    assert not stale


def test_nothing_is_read_from_a_chip_before_its_probe(small):
    directory = small.chip("chip", "platform/chip.0", temp1_input=1000, temp1_max=2000)
    for file in ("temp1_input", "temp1_max"):
        os.unlink(f"{directory}/{file}")
        os.mkfifo(f"{directory}/{file}")
    # A pipe tells whether someone has it open: to write without a reader fails.
    small.collector.probes(NOW)
    for file in ("temp1_input", "temp1_max"):
        with pytest.raises(OSError, match="No such device or address"):
            os.open(f"{directory}/{file}", os.O_WRONLY | os.O_NONBLOCK)


def test_names_that_are_no_text_become_printable(small):
    directory = small.chip("chip", "platform/chip.0", temp1_input=1000)
    for file in ("name", "temp1_label"):
        with open(f"{directory}/{file}", "wb") as binary:
            binary.write(b"A\xff\0\x1bB\n")
    (name,) = small.read()
    assert name == "A\ufffdB/chip.0/A\ufffdB"


@given(st.binary() | st.integers(-(10**9), 10**9).map(lambda number: b"%d\n" % number))
def test_any_bytes_are_a_temperature_with_one_decimal_or_malformed(content):
    celsius = attempt(lambda: sensor.parse(content))
    if isinstance(celsius, Unobserved):
        assert celsius.problem == protocol.MALFORMED
        return
    (metric,) = (metric for metric in Sensor.metrics if metric.name == "celsius")
    assert metric.minimum <= celsius <= metric.maximum
    assert -128.0 < celsius < 255.0
    assert celsius == round(celsius, metric.digits)


def test_this_machine_has_sensors_or_says_why_not():
    probes = attempt(lambda: SensorCollector(roots()).probes(NOW))
    if isinstance(probes, Unobserved):
        assert (probes.problem, probes.reason) == (protocol.UNSUPPORTED, "no temperature sensor")
    else:
        assert all(name.count("/") >= 2 for name in probes)
