import asyncio
import errno
import os
import shutil
import threading
from dataclasses import astuple
from itertools import product

import pytest
from pi_firmware import GENCMD, PROPERTY, Firmware

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Sample
from healthd.observe._files import File, Roots, roots
from healthd.observe._runner import Runner
from healthd.observe.throttling import Throttling, ThrottlingCollector

ALARM = "sys/class/hwmon/hwmon1/in0_lcrit_alarm"
NAMES = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
BITS = (0x1, 0x2, 0x4, 0x8, 0x10000, 0x20000, 0x40000, 0x80000)


class Pi:
    """A machine of which a test says what its firmware answers, and what there is to ask it by."""

    def __init__(self, path, *devices: str, model: str = "Raspberry Pi 4 Model B Rev 1.4"):
        self.path = path
        self.write("sys/firmware/devicetree/base/model", f"{model}\0")
        for device in devices:
            self.write(f"dev/{device}", "")
        self.firmware = Firmware()
        self.roots = roots(f"{path}/proc", f"{path}/sys", f"{path}/etc", str(path))
        self.collector = ThrottlingCollector(self.roots, self.firmware)
        self.since_boot = 1000.0
        self.asleep = 0.0

    def write(self, name: str, content: str) -> None:
        file = self.path / name
        os.makedirs(file.parent, exist_ok=True)
        file.write_text(content)

    def alarm(self, content: int | str) -> None:
        self.write("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
        self.write(ALARM, f"{content}\n")

    def read(self, flags: int | None = None, after: float = 5.0) -> Throttling:
        if flags is not None:
            self.firmware.flags = flags
        self.since_boot += after
        probes = self.collector.probes(Instant(1767225600.0 + self.since_boot, self.since_boot, self.asleep))
        assert list(probes) == [SINGLE]
        return probes[SINGLE]()

    def problem(self, after: float = 5.0) -> Unobserved:
        with pytest.raises(Unobserved) as caught:
            self.read(after=after)
        return caught.value


@pytest.fixture
def pi(tmp_path):
    return Pi(tmp_path, "vcio_gencmd", "vcio")


@pytest.fixture
def notified(monkeypatch):
    """Give a list; while there is something in it, the kernel says that the alarm changed."""
    told: list[bool] = []
    monkeypatch.setattr(File, "changed", lambda _: bool(told and told.pop()))
    return told


def flags(reading: Throttling) -> tuple[bool | None, ...]:
    return astuple(reading)[:8]


def counted(reading: Throttling) -> tuple[int | None, float | None]:
    return reading.under_voltage_episodes, reading.under_voltage_seconds


# What the flags mean


def test_all_256_combinations_of_the_flags_are_told_as_they_are(tmp_path):
    for number, chosen in enumerate(product((False, True), repeat=8)):
        pi = Pi(tmp_path / str(number), "vcio_gencmd")
        reading = pi.read(sum(bit for bit, is_set in zip(BITS, chosen, strict=True) if is_set))
        assert flags(reading) == chosen


def test_flags_are_named_as_the_documentation_of_vcgencmd_has_them(pi):
    for bit, name in zip(BITS, [*NAMES, *[f"{name}_since_boot" for name in NAMES]], strict=True):
        pi.collector = ThrottlingCollector(pi.roots, pi.firmware)
        reading = pi.read(bit)
        assert [metric.name for metric in reading.metrics if getattr(reading, metric.name) is True] == [name]


def test_bits_that_mean_nothing_are_passed_by(pi):
    assert flags(pi.read(0xFFF0FFF0)) == (False,) * 8


# The ladder


def test_the_narrow_device_is_the_best(pi):
    reading = pi.read(0x50000)
    assert (reading.source, reading.passed_over) == ("vcio_gencmd", "")
    assert pi.firmware.asked == [("vcio_gencmd", GENCMD)]


def test_without_it_the_wide_device_is_asked_by_the_same_command(tmp_path):
    pi = Pi(tmp_path, "vcio")
    pi.firmware.kernel = "plain"
    reading = pi.read(0x50005)
    assert flags(reading) == (True, False, True, False) * 2
    assert reading.source == "vcio"
    assert reading.passed_over == f"{tmp_path}/dev/vcio_gencmd: No such file or directory"


@pytest.mark.parametrize("kernel", ["plain", "old"])
def test_a_firmware_without_the_command_is_asked_in_the_older_way(tmp_path, kernel):
    pi = Pi(tmp_path, "vcio")
    pi.firmware.kernel, pi.firmware.knows = kernel, (PROPERTY,)
    reading = pi.read(0x10006)
    assert reading.source == "vcio_property"
    # The kernel resets those since boot: one that is clear may have been set.
    assert flags(reading) == (False, True, True, False, True, True, True, None)
    assert reading.passed_over.startswith(f"{tmp_path}/dev/vcio_gencmd: No such file or directory; the firmware")


def test_what_was_seen_once_was_so_since_boot_whoever_resets_it(tmp_path):
    pi = Pi(tmp_path, "vcio")
    pi.firmware.kernel, pi.firmware.knows = "plain", (PROPERTY,)
    assert flags(pi.read(0x00000)) == (False, False, False, False, None, None, None, None)
    pi.read(0x50000)
    pi.read(0x00008)
    assert flags(pi.read(0x00000)) == (False, False, False, False, True, None, True, True)


def test_where_somebody_resets_what_the_firmware_remembers_for_vcgencmd_it_is_believed(pi):
    assert pi.read(0x50005).throttled_since_boot is True
    assert flags(pi.read(0x00000)) == (False,) * 8


@pytest.mark.parametrize("name", ["raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-mainline"])
def test_without_a_device_hwmon_tells_of_the_voltage_and_the_kernel_is_not_made_to_warn(machine, name):
    reading = ThrottlingCollector(machine(name)).probes(Instant(1767225600.0, 1000.0, 0.0))[SINGLE]()
    assert reading.source == "rpi_volt"
    assert flags(reading) == (False, *(None,) * 7)
    assert counted(reading) == (0, 0.0)
    root = machine(name).host.root
    assert reading.passed_over == (
        f"{root}/dev/vcio_gencmd: No such file or directory; {root}/dev/vcio: No such file or directory: as a "
        "service, take the drop-in raspberry-pi.conf (/usr/share/doc/healthd/examples/drop-ins); else let the "
        "user into the group of the device (sudo usermod -aG video USER)"
    )


CACHED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def test_what_the_driver_asked_and_got_no_answer_to_is_no_answer(tmp_path):
    pi = Pi(tmp_path)
    pi.write(CACHED, "ffff\n")
    assert "Connection timed out" in pi.problem().reason
    pi.write(CACHED, "4\n")
    assert pi.read(after=60.0).throttled_since_boot is True


def test_a_kernel_that_panics_when_it_warns_is_not_made_to_warn(tmp_path):
    pi = Pi(tmp_path)
    pi.write(CACHED, "4\n")
    pi.write("proc/sys/kernel/panic_on_warn", "1\n")
    assert "panics when it warns" in pi.problem().reason
    pi.write("proc/sys/kernel/panic_on_warn", "0\n")
    pi.collector = ThrottlingCollector(pi.roots, pi.firmware)
    assert pi.read().throttled_since_boot is True


def test_an_alarm_of_hwmon_is_under_voltage_now_and_since_boot(tmp_path):
    pi = Pi(tmp_path)
    pi.alarm(1)
    assert flags(pi.read()) == (True, None, None, None, True, None, None, None)
    pi.alarm(0)
    assert flags(pi.read()) == (False, None, None, None, True, None, None, None)


@pytest.mark.parametrize("name", ["raspberry-pi-4", "raspberry-pi-5"])
@pytest.mark.parametrize(
    ("content", "bits"), [("50000\n", 0x50000), ("10", 0x10), ("5\n", 0x5), ("e000e\n", 0xE000E), ("0\n", 0)]
)
def test_the_file_of_the_firmware_is_the_last_and_hexadecimal_without_a_prefix(machine, tmp_path, name, content, bits):
    shutil.copytree(machine(name).host.root, tmp_path, symlinks=True, dirs_exist_ok=True)
    [file] = tmp_path.glob("sys/devices/platform/soc*/*:firmware/get_throttled")
    file.write_text(content)
    [alarm] = tmp_path.glob("sys/devices/platform/soc*/*:firmware/raspberrypi-hwmon/hwmon/hwmon*/name")
    alarm.write_text("other\n")
    made = roots(f"{tmp_path}/proc", f"{tmp_path}/sys", f"{tmp_path}/etc", str(tmp_path))
    reading = ThrottlingCollector(made).probes(Instant(1767225600.0, 1000.0, 0.0))[SINGLE]()
    assert reading.source == "get_throttled"
    # Without the driver of rpi_volt nobody reads it anew: it may be of the time of boot.
    assert flags(reading)[:4] == (None,) * 4
    assert flags(reading)[4:] == tuple([True if (bits | bits << 16) & bit else None for bit in BITS[4:]])
    assert counted(reading) == (None, None)
    assert "hwmon rpi_volt: No such file or directory" in reading.passed_over


# What can't be read


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES])
def test_without_the_right_to_ask_the_remedy_is_told(pi, code):
    pi.firmware.fails = code
    found = pi.problem()
    assert found.problem == protocol.PERMISSION
    assert f"{pi.path}/dev/vcio_gencmd: {os.strerror(code)}" in found.reason
    assert "raspberry-pi.conf" in found.remedy
    assert "usermod -aG video" in found.remedy


def test_a_pi_on_which_nothing_is_there_to_be_asked_has_the_same_remedy(tmp_path):
    found = Pi(tmp_path).problem()
    assert found.problem == protocol.PERMISSION
    assert found.reason.startswith(f"{tmp_path}/dev/vcio_gencmd: No such file or directory; {tmp_path}/dev/vcio: ")
    assert "raspberry-pi.conf" in found.remedy


def test_a_firmware_that_refuses_everything_is_a_failure(pi):
    pi.firmware.kernel, pi.firmware.knows = "old", ()
    assert pi.problem().problem == protocol.FAILED


def test_another_machine_is_not_supported_and_asked_for_nothing_in_between(machine, tmp_path):
    for made in (machine("laptop"), machine("server-64"), machine("container")):
        with pytest.raises(Unobserved) as caught:
            ThrottlingCollector(made).probes(Instant(1767225600.0, 1000.0, 0.0))[SINGLE]()
        assert (caught.value.problem, caught.value.remedy) == (protocol.UNSUPPORTED, "")
    other = Pi(tmp_path, model="Radxa ROCK 5B")
    assert other.problem().problem == protocol.UNSUPPORTED
    other.alarm(0)
    assert other.problem().problem == protocol.UNSUPPORTED
    assert other.read(after=60.0).source == "rpi_volt", "whatever it is called"


def test_a_machine_that_closes_parts_of_sys_is_no_raspberry_pi_for_that(tmp_path, monkeypatch):
    other = Pi(tmp_path, model="MS-7C56")
    listed = os.listdir

    def closed(path: str) -> list[str]:
        if path.startswith(f"{tmp_path}/sys/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return listed(path)

    monkeypatch.setattr(os, "listdir", closed)
    found = other.problem()
    assert (found.problem, found.reason, found.remedy) == (protocol.UNSUPPORTED, "this is no Raspberry Pi", "")


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("Raspberry Pi Zero W Rev 1.1", None),
        ("Raspberry Pi Zero 2 W Rev 1.0", None),
        ("Raspberry Pi Compute Module 3 Plus Rev 1.0", None),
        ("Raspberry Pi Compute Module Rev 1.0", None),
        ("Raspberry Pi Model B Rev 2", None),
        ("Raspberry Pi Model B Plus Rev 1.2", False),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", False),
        ("Raspberry Pi Compute Module 5 Rev 1.0", False),
        ("Raspberry Pi 5 Model B Rev 1.0", False),
    ],
)
def test_a_board_without_a_sensor_does_not_know_its_voltage(tmp_path, model, known):
    pi = Pi(tmp_path, "vcio_gencmd", model=model)
    pi.alarm(0)
    reading = pi.read(0x80008)
    assert flags(reading) == (known, False, False, True, known, False, False, True)
    assert counted(reading) == ((0, 0.0) if known is False else (None, None))
    # Where it is told of after all, there is one.
    assert pi.read(0x90009).under_voltage is True
    assert pi.read(0x90008).under_voltage is False


def test_one_answer_that_is_late_costs_one_look_at_the_best_source(pi):
    pi.alarm(0)
    assert pi.read().source == "vcio_gencmd"
    pi.firmware.fails = errno.ETIMEDOUT
    assert pi.read().source == "rpi_volt"
    pi.firmware.fails = 0
    assert pi.read().source == "vcio_gencmd"


def test_what_can_not_be_opened_is_tried_again_each_minute_and_what_refuses_each_hour(pi):
    pi.alarm(0)
    pi.firmware.fails = errno.EACCES
    for _ in range(12):
        assert pi.read().source == "rpi_volt"
    assert len(pi.firmware.asked) == 3
    pi.firmware.fails = errno.EINVAL
    pi.read(after=60.0)
    assert len(pi.firmware.asked) == 6
    pi.firmware.fails = 0
    assert pi.read(after=600.0).source == "rpi_volt"
    assert pi.read(after=3000.0).source == "vcio_gencmd"


def test_a_driver_that_is_loaded_anew_under_another_number_is_found(tmp_path):
    pi = Pi(tmp_path)
    pi.alarm(1)
    assert pi.read().under_voltage is True
    # What is open stays readable here; sysfs gives ENODEV.
    pi.collector._alarm._file.close()
    os.rename(tmp_path / "sys/class/hwmon/hwmon1", tmp_path / "sys/class/hwmon/hwmon7")
    assert pi.problem().problem == protocol.PERMISSION
    assert pi.read().under_voltage is True


# Episodes and seconds


def test_episodes_and_seconds_are_counted_as_they_are_seen(pi):
    told = [counted(pi.read(bits)) for bits in (0, 0x50005, 0x50005, 0x50000, 0x50000, 0x50005, 0x50000)]
    assert told == [(0, 0.0), (1, 0.0), (1, 5.0), (1, 10.0), (1, 10.0), (2, 10.0), (2, 15.0)]


def test_under_voltage_at_the_first_look_is_an_episode_and_what_was_before_is_none(pi):
    assert counted(pi.read(0x50000)) == (0, 0.0)
    pi.collector = ThrottlingCollector(pi.roots, pi.firmware)
    assert counted(pi.read(0x50005)) == (1, 0.0)


def test_an_episode_between_two_looks_is_seen_by_what_the_firmware_remembers(pi):
    pi.read(0)
    reading = pi.read(0x50000)
    assert (reading.under_voltage, counted(reading)) == (True, (1, 0.0))
    reading = pi.read(0x50000)
    assert (reading.under_voltage, counted(reading)) == (False, (1, 0.0))


def test_an_episode_between_two_looks_is_seen_by_what_the_kernel_says_of_the_alarm(tmp_path, notified):
    pi = Pi(tmp_path)
    pi.alarm(0)
    assert pi.read().under_voltage is False
    notified.append(True)
    reading = pi.read()
    assert (reading.under_voltage, reading.under_voltage_episodes) == (True, 1)
    pi.alarm(1)
    notified.append(True)
    assert pi.read().under_voltage_episodes == 2
    assert pi.read().under_voltage_episodes == 2
    notified.append(True)
    assert pi.read().under_voltage_episodes == 3, "off and on again"
    pi.alarm(0)
    notified.append(True)
    reading = pi.read()
    assert (reading.under_voltage, reading.under_voltage_episodes) == (False, 3)


def test_one_episode_that_both_firmware_and_kernel_tell_of_is_one(pi, notified):
    pi.alarm(0)
    pi.read(0)
    assert counted(pi.read(0x50005, after=1.0)) == (1, 0.0)
    assert counted(pi.read(0x50000, after=1.0)) == (1, 1.0)
    pi.alarm(1)
    notified.append(True)
    assert counted(pi.read(0x50000, after=1.0)) == (1, 1.0)
    pi.alarm(0)
    notified.append(True)
    assert counted(pi.read(0x50000, after=2.0)) == (1, 3.0)
    # The firmware told of it, the alarm came and went before the next look.
    pi.read(0x50000, after=60.0)
    assert counted(pi.read(0x50005))[0] == 2
    notified.append(True)
    assert counted(pi.read(0x50000))[0] == 2


def test_an_alarm_that_comes_late_is_the_same_episode(pi, notified):
    pi.alarm(0)
    pi.read(0)
    assert pi.read(0x50005).under_voltage_episodes == 1
    pi.alarm(1)
    notified.append(True)
    assert pi.read(0x50005).under_voltage_episodes == 1


def test_what_begins_right_after_one_that_passed_between_two_looks_is_the_same(pi):
    pi.read(0)
    assert pi.read(0x50000, after=1.0).under_voltage_episodes == 1
    assert pi.read(0x50005, after=1.0).under_voltage_episodes == 1
    pi.read(0x50000)
    assert pi.read(0x50005).under_voltage_episodes == 2


def test_time_asleep_is_no_time_of_under_voltage(pi):
    pi.read(0x50005)
    pi.asleep = 3600.0
    assert counted(pi.read(0x50005, after=3605.0)) == (1, 0.0)
    assert counted(pi.read(0x50005)) == (1, 5.0)


def test_while_nobody_knows_the_voltage_nothing_is_counted(tmp_path):
    pi = Pi(tmp_path, "vcio_gencmd", model="Raspberry Pi Zero W Rev 1.1")
    assert [counted(pi.read(bits)) for bits in (0, 0, 0x50005, 0x50005)] == [(None, None)] * 2 + [(1, 0.0), (1, 5.0)]


@pytest.mark.parametrize("content", ["", "yes", "0x1"])
def test_an_alarm_that_holds_no_number_is_malformed(tmp_path, content):
    pi = Pi(tmp_path)
    pi.alarm(content)
    assert pi.problem().problem == protocol.MALFORMED


def test_a_runner_observes_it_in_a_thread_of_its_own(pi):
    asked_by = set()

    def ioctl(fd: int, request: int, message: bytearray) -> int:
        asked_by.add(threading.current_thread().name)
        return pi.firmware(fd, request, message)

    class Simulated(ThrottlingCollector):
        def __init__(self, roots: Roots) -> None:
            super().__init__(roots, ioctl)

    async def sampled() -> Sample:
        return await Runner([Simulated], pi.roots, 5.0).sample()

    pi.firmware.flags = 0xE0008
    [observation] = asyncio.run(sampled()).observations
    assert observation.readings[SINGLE].soft_temperature_limit is True
    assert observation.problems == {}
    assert asked_by == {"observe-throttling"}
