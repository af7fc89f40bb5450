import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.observe._channels import CELSIUS, number, value
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


def known(reading: Sensor | None) -> dict[str, Any]:
    """Return the fields of a reading that are known."""
    assert reading is not None
    return {name: value for name, value in asdict(reading).items() if value is not None}


def problem(probe) -> tuple[str, str]:
    with pytest.raises(Unobserved) as caught:
        probe()
    return caught.value.problem, caught.value.reason


def test_a_server_has_two_packages_their_cores_and_four_drives(machine):
    probes = SensorCollector(machine("server-64")).probes(NOW)
    assert len([name for name in probes if name.startswith(("coretemp", "nvme"))]) == 2 * 17 + 4 * 2
    found = {name: probe() for name, probe in probes.items()}
    assert known(found["coretemp/coretemp.0/Package id 0"]) == {
        "label": "Package id 0",
        "driver": "coretemp",
        "role": "cpu",
        "celsius": 58.0,
        "high_celsius": 82.0,
        "critical_celsius": 92.0,
    }
    assert found["coretemp/coretemp.1/Core 15"].celsius == 58.5  # 50000 + 500 * 15 + 1000
    assert known(found["nvme/0000:16:00.0/Composite"]) == {
        "label": "Composite",
        "driver": "nvme",
        "celsius": 38.9,
        "high_celsius": 69.8,
        "critical_celsius": 79.8,
    }
    # The drive says 65261.85 °C where it sets no limit.
    assert known(found["nvme/0000:16:00.0/Sensor 1"]) == {"label": "Sensor 1", "driver": "nvme", "celsius": 36.9}
    assert found["nvme/0000:46:00.0/Composite"].celsius == -1.1  # -1150, and -1.15 is nearer to -1.1 in binary


def test_a_servers_power_supply_has_voltage_current_power_fan_and_their_limits(machine):
    probes = SensorCollector(machine("server-64")).probes(NOW)
    found = {name.partition("/")[2]: known(probe()) for name, probe in probes.items() if "pmbus" in name}
    assert {
        name: {field: of[field] for field in of if field not in ("driver", "label")} for name, of in found.items()
    } == {
        "0-0058/fan1": {"rpm": 9120.0},
        "0-0058/vin": {"volts": 230.5, "low_volts": 180.0, "high_volts": 264.0},
        "0-0058/vout1": {"volts": 12.031},
        "0-0058/pin": {"watts": 418.0, "high_watts": 1100.0},
        "0-0058/iin": {"amperes": 1.82, "high_amperes": 10.0},
    }
    assert known(probes["power_meter/ACPI000D:00/power1"]())["watts"] == 412.0


def test_a_laptop_has_a_fan_and_its_battery_is_no_sensor(machine):
    found = {name: probe() for name, probe in SensorCollector(machine("laptop")).probes(NOW).items()}
    assert known(found["dell_smm/dell_smm_hwmon/CPU Fan"]) == {"label": "CPU Fan", "driver": "dell_smm", "rpm": 2412.0}
    assert not [name for name in found if "BAT0" in name]


def test_zones_that_hwmon_shows_are_not_shown_twice(machine):
    names = list(SensorCollector(machine("laptop")).probes(NOW))
    assert "acpitz/thermal/temp1" in names
    # x86_pkg_temp is what coretemp calls the package.
    assert [name for name in names if "/thermal/" in name] == ["acpitz/thermal/temp1", "iwlwifi_1/thermal/temp1"]


def rk3588(machine, path) -> dict[str, dict[str, Any]]:
    """Return what a board shows once each of its slow sensors has had its turn."""
    board = copied(machine("rk3588"), path)
    for _ in range(2):
        found = board.read()
    return {name: known(reading) for name, reading in found.items()}


def test_a_board_without_hwmon_has_its_thermal_zones(machine, tmp_path):
    found = rk3588(machine, tmp_path)
    assert found["soc-thermal/thermal/temp"] == {
        "label": "temp",
        "driver": "soc-thermal",
        "role": "cpu",
        "celsius": 34.2,
        "critical_celsius": 115.0,
    }
    assert found["gpu-thermal/thermal/temp"]["celsius"] == 33.3
    assert len([name for name in found if "/thermal/" in name]) == 7
    assert found["pwmfan/pwm-fan/fan1"]["rpm"] == 3120.0


def test_a_board_has_weather_by_iio_and_1_wire(machine, tmp_path):
    found = rk3588(machine, tmp_path)
    assert found["bme280/2-0076/temp"]["celsius"] == 21.3
    assert found["bme280/2-0076/pressure"]["pascals"] == 99347.0
    assert found["bme280/2-0076/humidityrelative"]["humidity"] == 48.2
    assert found["ds18b20/w1/28-0316a2791fff"]["celsius"] == 23.2
    assert found["ds18s20/w1/10-000802b4ba0e"]["celsius"] == -5.4
    assert not [name for name in found if "saradc" in name or "tcpm" in name]


def test_a_container_has_no_sensor_and_no_advice(machine):
    with pytest.raises(Unobserved) as caught:
        SensorCollector(machine("container")).probes(NOW)
    assert (caught.value.problem, caught.value.reason, caught.value.remedy) == (
        protocol.UNSUPPORTED,
        "no sensor",
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
        "cpu_thermal/thermal/temp1",
        "nvme/0000:01:00.0/temp1",
        "bare/virtual/temp1",
        "old/old.0/temp1",
    }


def plugged_in(path, count: int) -> set[str]:
    """Return the sensors of a machine that was given its devices when so many others had been counted."""
    one = Machine(path)
    usb, pci = "pci0000:00/0000:00:14.0/usb1", "pci0000:00/0000:00"
    one.chip("acpitz", f"virtual/thermal/thermal_zone{count}", 0, glue=False, temp1_input=1000)
    one.chip("nzxtsmart2", f"{usb}/1-4/1-4:1.0/0003:1E71:2010.{count:04X}", 1, fan1_input=900)
    lun = f"host{count}/target{count}:0:0/{count}:0:0:0"
    one.chip("drivetemp", f"{usb}/1-5/1-5:1.0/{lun}", 2, temp1_input=1000)
    one.chip("drivetemp", f"{pci}:17.0/ata{count}/{lun}", 3, temp1_input=1000)
    add(path / f"sys/devices/{pci}:17.0/ata{count}/ata_port/ata{count}", port_no=3)
    sas = f"host{count}/port-{count}:0/expander-{count}:0/port-{count}:0:2/end_device-{count}:0:2"
    one.chip("drivetemp", f"{pci}:18.0/{sas}/target{count}:0:12/{count}:0:12:0", 4, temp1_input=1000)
    return set(one.read())


def test_what_is_counted_when_it_is_found_is_no_part_of_an_id(tmp_path):
    ids = plugged_in(tmp_path / "now", 4)
    assert ids == {
        "acpitz/thermal/temp1",
        "nzxtsmart2/1-4:1.0/fan1",
        "drivetemp/1-5:1.0/0:0:0/temp1",
        "drivetemp/0000:00:17.0/ata-3/0:0:0/temp1",
        "drivetemp/0000:00:18.0/0:12:0/temp1",
    }
    assert plugged_in(tmp_path / "later", 27) == ids


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


def chip_of_graphics(small: Machine, control: str, delay: int) -> Callable[[float], Any]:
    """Add a graphics chip with two sensors, and return what reads both at a time."""
    directory = small.chip("amdgpu", "pci0000:00/0000:03:00.0", temp1_input=0, temp2_input=0)
    power = small.path / "sys/devices/pci0000:00/0000:03:00.0/power"
    add(power, runtime_status="active", control=control, autosuspend_delay_ms=delay)

    def read(seconds: float) -> Any:
        # What it shows when it is asked at that time.
        add(small.path / os.path.relpath(directory, small.path), temp1_input=1000 * seconds, temp2_input=1000 * seconds)
        found = [attempt(probe) for probe in small.collector.probes(NOW._replace(since_boot=seconds)).values()]
        return [one.problem if isinstance(one, Unobserved) else one.celsius for one in found]

    return read


@pytest.mark.parametrize(("delay", "every"), [(0, 60), (5000, 60), (25000, 75)])
def test_a_device_that_falls_asleep_by_itself_is_left_alone_so_that_it_can(small, delay, every):
    read = chip_of_graphics(small, "auto", delay)
    shown = [read(float(seconds)) for seconds in range(0, 3 * every, 5)]
    assert shown == [[each, each] for each in (0.0, every, 2.0 * every) for _ in range(0, every, 5)]


@pytest.mark.parametrize(("control", "delay"), [("on", 5000), ("auto", -1)])
def test_a_device_that_stays_awake_is_read_in_each_run(small, control, delay):
    read = chip_of_graphics(small, control, delay)
    assert [read(5.0), read(10.0)] == [[5.0, 5.0], [10.0, 10.0]]


def test_a_device_that_was_woken_by_others_is_read_at_once_where_its_last_answer_is_old(small):
    read = chip_of_graphics(small, "auto", 5000)
    power = small.path / "sys/devices/pci0000:00/0000:03:00.0/power"
    assert read(5.0) == [5.0, 5.0]
    add(power, runtime_status="suspended")
    assert read(10.0) == read(65.0) == [protocol.UNSUPPORTED] * 2
    add(power, runtime_status="active")
    assert [read(70.0), read(75.0)] == [[70.0, 70.0]] * 2


def test_a_device_that_is_left_alone_is_asked_again_at_once_where_its_driver_was_loaded_anew(small, monkeypatch):
    read = chip_of_graphics(small, "auto", 5000)
    assert read(5.0) == [5.0, 5.0]
    pread, stale = os.pread, [errno.ENODEV]

    def attempted(file: int, *of: int) -> bytes:
        if stale and os.readlink(f"/proc/self/fd/{file}").endswith("temp1_input"):
            raise OSError(stale.pop(), "No such device")
        return pread(file, *of)

    monkeypatch.setattr(os, "pread", attempted)
    assert read(60.0) == [60.0, 60.0]
    assert not stale


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


def test_what_a_chip_measures_as_well_from_now_on_is_found_within_a_minute(small):
    directory = small.chip("chip", "platform/chip.0", 0, temp1_input=1000)
    first = small.collector.probes(NOW)
    add(small.path / os.path.relpath(directory, small.path), temp2_input=2000, temp2_crit=90000)
    found = small.collector.probes(LATER)
    assert found["chip/chip.0/temp2"]().critical_celsius == 90.0
    assert set(found) == {*first, "chip/chip.0/temp2"}


def test_a_chip_that_is_as_it_was_is_not_looked_at_again(small, monkeypatch):
    small.chip("chip", "platform/chip.0", 0, temp1_input=1000, temp1_label="Board", temp1_crit=90000)
    first = small.collector.probes(NOW)
    first["chip/chip.0/Board"]()
    opened, opening = [], os.open

    def note(path, *how):
        opened.append(os.path.basename(path))
        return opening(path, *how)

    monkeypatch.setattr(os, "open", note)
    assert small.collector.probes(LATER) is first
    assert opened == ["name"]


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
    small.collector.probes(LATER)
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


def add(path, **files: str | float) -> None:
    """Write files of a device."""
    os.makedirs(path, exist_ok=True)
    for file, content in files.items():
        (path / file).write_text(f"{content}\n")


@pytest.mark.parametrize(
    ("chips", "expected"),
    [
        ({"coretemp": "Package id 0", "acpitz": "", "nct6775": "CPUTIN"}, "coretemp/chip.0/Package id 0"),
        ({"coretemp": "Core 0", "acpitz": ""}, "coretemp/chip.0/Core 0"),
        ({"k10temp": "Tctl", "nct6775": "CPUTIN"}, "k10temp/chip.0/Tctl"),
        ({"acpitz": "", "thinkpad": "CPU"}, "thinkpad/chip.1/CPU"),
        ({"gpu_thermal": "", "cpu_thermal": ""}, "cpu_thermal/chip.1/temp1"),
        ({"littlecore_thermal": "", "bigcore0_thermal": ""}, "bigcore0_thermal/chip.1/temp1"),
        ({"GPU-therm": "", "CPU-therm": ""}, "CPU-therm/chip.1/temp1"),
        ({"acpitz": "", "nvme": "Composite"}, None),
    ],
)
def test_the_temperature_of_the_processor_is_the_first_in_the_documented_order(small, chips, expected):
    for index, (name, label) in enumerate(chips.items()):
        small.chip(name, f"platform/chip.{index}", index, temp1_input=1000 * index, temp1_label=label)
    of_cpu = [name for name, reading in small.read().items() if reading.role == "cpu"]
    assert of_cpu == ([expected] if expected else [])


def test_of_k10temp_the_die_counts_and_not_what_fans_are_steered_by(small):
    small.chip(
        "k10temp",
        "pci0000:00/0000:00:18.3",
        temp1_input=70000,
        temp1_label="Tctl",
        temp2_input=43000,
        temp2_label="Tdie",
        temp3_input=50000,
        temp3_label="Tccd1",
    )
    assert [reading.label for reading in small.read().values() if reading.role] == ["Tdie"]


def test_each_package_has_the_temperature_of_the_processor(machine):
    found = {name: probe() for name, probe in SensorCollector(machine("server-64")).probes(NOW).items()}
    assert [name for name, reading in found.items() if reading.role] == [
        "coretemp/coretemp.0/Package id 0",
        "coretemp/coretemp.1/Package id 1",
    ]


def test_a_fan_that_is_called_cpu_is_no_temperature(small):
    small.chip("dell_smm", "platform/dell", fan1_input=0, fan1_label="CPU", fan1_min=600)
    (fan,) = small.read().values()
    assert known(fan) == {"label": "CPU", "driver": "dell_smm", "rpm": 0.0, "low_rpm": 600.0}


@pytest.mark.parametrize(
    ("file", "raw", "shown"),
    [
        ("fan1_input", 65535, "65535 rpm"),
        ("fan1_input", -1, "-1 rpm"),
        ("in0_input", 4294967295, "4.29497e+06 V"),
        ("curr1_input", -(2**31), "-2.14748e+06 A"),
        ("power1_input", 2**60, "1.15292e+12 W"),
        ("humidity1_input", 125000, "125 %"),
    ],
)
def test_what_no_chip_can_measure_is_malformed(small, file, raw, shown):
    small.chip("chip", "platform/chip.0", **{file: raw})
    (probe,) = small.collector.probes(NOW).values()
    assert problem(probe) == (protocol.MALFORMED, f"reads {shown}, which can't be true")


def test_a_voltage_can_be_negative_and_its_limits_of_zero_are_none(small):
    small.chip("chip", "platform/chip.0", in4_input=-12034, in4_label="-12V", in4_min=0, in4_max=0)
    (rail,) = small.read().values()
    assert known(rail) == {"label": "-12V", "driver": "chip", "volts": -12.034}


def test_of_power_what_is_measured_now_goes_before_the_average(small):
    small.chip("chip", "platform/chip.0", power1_average=9000000, power1_input=12345678, power2_average=500000)
    assert [reading.watts for reading in small.read().values()] == [12.35, 0.5]


def test_drivers_of_the_old_kind_keep_their_files_with_the_device(small):
    small.chip("old", "platform/old.0")
    add(small.path / "sys/devices/platform/old.0", temp1_input=41000, temp1_label="CPU")
    assert {name: reading.celsius for name, reading in small.read().items()} == {"old/old.0/CPU": 41.0}


@pytest.mark.parametrize("code", [errno.ENODATA, errno.EAGAIN, errno.EBUSY])
def test_a_driver_that_has_no_value_now_has_not_failed(small, monkeypatch, code):
    small.chip("iwlwifi_1", "virtual/thermal/thermal_zone2", temp1_input=1)
    (probe,) = small.collector.probes(NOW).values()

    def read(*of: int) -> bytes:  # noqa: ARG001
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pread", read)
    assert problem(probe) == (protocol.UNSUPPORTED, "the driver has no value at present")


def drive(small: Machine, rotational: int) -> Callable[[], Any]:
    """Add a disk with drivetemp, and return what reads it at a time."""
    device = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0"
    small.chip("drivetemp", device, temp1_input=31000)
    block = small.path / "sys/devices" / device / "block/sda"
    add(block, stat="1 0 8 0 1 0 8 0 0 0 0")
    add(block / "queue", rotational=rotational)

    def read(seconds: float, used: str = "") -> Any:
        if used:
            add(block, stat=used)
        (probe,) = small.collector.probes(NOW._replace(since_boot=1000.0 + seconds)).values()
        found = attempt(probe)
        return found.problem if isinstance(found, Unobserved) else found.celsius

    return read


def test_a_turning_disk_is_asked_only_while_others_use_it(small):
    read = drive(small, rotational=1)
    assert read(0) == protocol.UNSUPPORTED, "nobody knows whether it sleeps"
    assert read(5, "2 0 8 0 1 0 8 0 0 0 0") == 31.0
    assert read(304.9) == 31.0
    assert read(305.0) == protocol.UNSUPPORTED
    assert read(900.0) == protocol.UNSUPPORTED
    assert read(905.0, "3 0 8 0 1 0 8 0 0 0 0") == 31.0


def test_a_turning_disk_that_the_kernel_put_to_sleep_is_not_asked(small):
    read = drive(small, rotational=1)
    add(
        small.path / "sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/power", runtime_status="active"
    )
    read(0)
    assert read(5, "2 0 8 0 1 0 8 0 0 0 0") == 31.0
    add(
        small.path / "sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/power",
        runtime_status="suspended",
    )
    assert read(10) == protocol.UNSUPPORTED


def test_a_limit_that_could_not_be_read_is_looked_for_again(small):
    directory = small.chip("chip", "platform/chip.0", temp1_input=1000, temp1_crit="")
    assert small.read()["chip/chip.0/temp1"].critical_celsius is None
    add(small.path / os.path.relpath(directory, small.path), temp1_crit=90000)
    assert small.read()["chip/chip.0/temp1"].critical_celsius is None
    assert small.read(LATER)["chip/chip.0/temp1"].critical_celsius == 90.0


def test_a_disk_without_platters_is_always_asked(small):
    assert drive(small, rotational=0)(0) == 31.0


def test_a_zone_that_is_only_there_to_be_told_of_is_none(small):
    add(small.path / "sys/class/thermal/thermal_zone0", type="INT3400 Thermal", temp=20000)
    add(small.path / "sys/class/thermal/thermal_zone1", type="cpu-thermal", temp=48200)
    assert set(small.read()) == {"cpu-thermal/thermal/temp"}


def test_zones_of_one_type_are_told_apart_and_shown_once_where_hwmon_has_them(small):
    for index in range(2):
        add(small.path / f"sys/class/thermal/thermal_zone{index}", type="acpitz", temp=1000 * index)
    assert set(small.read()) == {"acpitz/thermal/temp/thermal_zone0", "acpitz/thermal/temp/thermal_zone1"}
    # The kernel's bridge shows both zones in the device of the first one.
    small.chip("acpitz", "virtual/thermal/thermal_zone0", temp1_input=0, temp2_input=1000)
    assert set(small.read(LATER)) == {"acpitz/thermal/temp1", "acpitz/thermal/temp2"}


def test_of_iio_a_raw_value_is_shifted_and_scaled_by_its_own_or_its_kinds_factors(small):
    directory = small.path / "sys/bus/iio/devices/iio:device0"
    # MLX90614: hundredths of a kelvin, 0.02 K each; HTU21: 0.001 of a per mille.
    add(directory, name="mlx90614", in_temp_ambient_raw=14800, in_temp_object_raw=15225)
    add(directory, in_temp_offset="-13657.500000", in_temp_scale="20", in_temp_object_calibemissivity="1.0")
    add(directory, in_humidityrelative0_raw=100, in_humidityrelative0_scale="500.5", in_humidityrelative_scale="1")
    found = {reading.label: reading for reading in small.read().values()}
    assert found["temp_ambient"].celsius == 22.9  # (14800 - 13657.5) * 0.02 = 22.85
    assert found["temp_object"].celsius == 31.4  # (15225 - 13657.5) * 0.02 = 31.35
    assert found["humidityrelative0"].humidity == 50.0  # 50.05
    assert len(found) == 3


def test_of_iio_what_the_driver_worked_out_goes_before_what_is_raw(small):
    directory = small.path / "sys/bus/iio/devices/iio:device0"
    add(directory, name="bmp280", in_temp_raw=7, in_temp_scale=1, in_temp_input=21500)
    assert [reading.celsius for reading in small.read().values()] == [21.5]


def wire(small: Machine, content: str, address: str = "28-0316a2791fff", file: str = "w1_slave") -> None:
    add(small.path / "sys/bus/w1/devices" / address, **{file: content})


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("73 01 : crc=41 YES\n73 01 t=23187", 23.2),
        ("73 01 : crc=41 NO\n73 01 t=23187", protocol.FAILED),
        ("50 05 : crc=1c YES\n50 05 t=85000", protocol.FAILED),
        ("73 01 : crc=41 YES\n73 01", protocol.MALFORMED),
        ("", protocol.MALFORMED),
    ],
)
def test_a_1_wire_thermometer_tells_its_checksum_and_when_it_had_no_power(small, content, found):
    wire(small, content)
    result = attempt(small.collector.probes(NOW)["ds18b20/w1/28-0316a2791fff"])
    assert (result.problem if isinstance(result, Unobserved) else result.celsius) == found


def test_85_degrees_are_believed_where_it_was_nearly_as_hot_before(small):
    for written in (82000, 85000):
        wire(small, str(written), file="temperature")
        (reading,) = small.read().values()
    assert reading.celsius == 85.0


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ((75000, 79900, 80100, 85000), [75.0, 79.9, 80.1, 85.0]),
        ((79000, 85000, 85000, 86000), [79.0, protocol.FAILED, 85.0, 86.0]),
        ((79000, 85000, 20000, 85000), [79.0, protocol.FAILED, 20.0, protocol.FAILED]),
        ((85000, 85000, 20000), [protocol.FAILED, protocol.FAILED, 20.0]),
    ],
)
def test_85_degrees_are_believed_the_second_time_of_one_that_has_measured(small, steps, found):
    shown = []
    for step in steps:
        wire(small, str(step), file="temperature")
        (probe,) = small.collector.probes(NOW).values()
        result = attempt(probe)
        shown.append(result.problem if isinstance(result, Unobserved) else result.celsius)
    assert shown == found


def test_of_several_1_wire_thermometers_one_measures_in_each_run(small):
    names = [f"28-{index:012x}" for index in range(3)]
    for index, name in enumerate(names):
        wire(small, str(1000 * index), name, "temperature")
    runs = [small.read() for _ in range(3)]
    shown = [[reading.celsius if reading else None for reading in run.values()] for run in runs]
    assert shown == [[0.0, None, None], [0.0, 1.0, None], [0.0, 1.0, 2.0]]
    for name in names:
        wire(small, "50000", name, "temperature")
    # It is remembered when sensors are looked for again, too.
    assert [reading.celsius for reading in small.read(LATER).values()] == [50.0, 1.0, 2.0]


def test_a_1_wire_thermometer_that_fails_goes_on_failing_until_its_next_turn(small):
    for index in range(2):
        wire(small, "crc=41 NO\nt=1", f"28-{index:012x}")
    for _ in range(2):
        results = [attempt(probe) for probe in small.collector.probes(NOW).values()]
    assert [result.problem for result in results] == [protocol.FAILED] * 2
    wire(small, "crc=41 YES\nt=1000", "28-000000000000")
    results = [attempt(probe) for probe in small.collector.probes(NOW).values()]
    assert results[0].celsius == 1.0


def test_what_shows_the_same_is_the_same_reading(small):
    small.chip("chip", "platform/chip.0", fan1_input=1200)
    first, second = (small.read()["chip/chip.0/fan1"] for _ in range(2))
    assert first is second


@given(st.binary() | st.integers(-(10**9), 10**9).map(lambda number: b"%d\n" % number))
def test_any_bytes_are_a_temperature_with_one_decimal_or_malformed(content):
    celsius = attempt(lambda: value(number(content), CELSIUS))
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
        assert (probes.problem, probes.reason) == (protocol.UNSUPPORTED, "no sensor")
    else:
        assert all(name.count("/") >= 2 for name in probes)
