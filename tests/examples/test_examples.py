"""The examples run as their first lines say, on a real bus, and follow a real healthd that is really not well."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib

import pytest
from private_bus import Healthd, eventually, private_bus

from healthd import protocol

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLES = os.path.join(ROOT, "data", "examples")
SHELL = os.path.join(EXAMPLES, "shell", "health.sh")
LED = os.path.join(EXAMPLES, "raspberry-pi-led")
PATH = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
DEBIAN_PYTHON = "/usr/bin/python3"

# What this machine is really like is no matter here: only the rules of the tests are judged.
with open(os.path.join(ROOT, "healthd", "health", "rules.toml"), "rb") as file:
    SILENT = "".join(f"[rules.{name}]\nenabled = false\n" for name in tomllib.load(file))
NEVER = """
[rules.never]
metric = "cpu.online"
warning = { enter = "< 1" }
"""
ALWAYS = """
[rules.always]
summary = "There is a CPU."
metric = "cpu.online"
clear_after = "0s"
{severity} = {{ enter = "> 0" }}
"""


def needs(*commands: str) -> None:
    """Skip where a command is missing; each is `command=Debian package`."""
    for pair in commands:
        command, _, package = pair.partition("=")
        if not shutil.which(command):
            pytest.skip(f"{command} is not installed (apt install {package})")


class Patient:
    """healthd on a private bus; a test chooses how it finds the machine."""

    def __init__(self, bus, directory) -> None:
        self.address = bus.address
        self._file = directory / "healthd.toml"
        self._options = ("--config", str(self._file))
        self._write(protocol.OK)
        self.start()

    def _write(self, severity: str, more: str = "") -> None:
        rule = "" if severity == protocol.OK else ALWAYS.format(severity=severity)
        self._file.write_text(f"interval = 0.25\n{more}{SILENT}{NEVER}{rule}")

    def becomes(self, severity: str, more: str = "") -> None:
        self._write(severity, more)
        self.daemon.process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        self.daemon = Healthd(self.address, *self._options).ready()

    def stop(self) -> None:
        assert self.daemon.stop() == 0


@pytest.fixture
def patient(tmp_path):
    with private_bus() as bus:
        made = Patient(bus, tmp_path)
        yield made
        if not made.daemon.errors.closed:
            made.stop()


class Running:
    """An example while it runs."""

    def __init__(self, directory, address: str, *command: str) -> None:
        self._output, self._errors = directory / "output", directory / "errors"
        with open(self._output, "w") as output, open(self._errors, "w") as errors:
            # A group of its own: a script may have started others.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True,
                env={**os.environ, "HEALTHD_BUS": address, "PATH": PATH},
            )  # fmt: skip

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    @property
    def printed(self) -> str:
        return self._output.read_text()

    def prints(self, pattern: str, times: int = 1) -> None:
        """Wait until lines that match were printed so often."""

        def found() -> bool:
            assert self._process.poll() is None, self.errors
            return len(re.findall(f"^{pattern}$", self.printed, re.MULTILINE)) >= times

        try:
            eventually(found)
        except AssertionError as error:
            raise AssertionError(f"no line {pattern!r} in:\n{self.printed}\n{self.errors}") from error

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end, and return its exit code."""
        try:
            return self._process.wait(20)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


@pytest.fixture
def run(tmp_path):
    """Return a function that starts an example."""
    started = []

    def start(address: str, *command: str) -> Running:
        started.append(Running(tmp_path, address, *command))
        return started[-1]

    yield start
    for each in started:
        each.stop(signal.SIGKILL)


def test_python_with_dbus_next_tells_verdict_and_memory_and_follows_both_over_a_restart(patient, run):
    example = run(patient.address, sys.executable, f"{EXAMPLES}/python-dbus-next/follow_health.py")
    example.prints(r"health ok")
    example.prints(r"memory\.percent \d+\.\d")
    patient.becomes("warning")
    example.prints(r"health warning always")
    example.prints(r"transition always: ok -> warning: There is a CPU\.")
    patient.becomes("ok", "collectors.disabled = ['memory']\n")
    example.prints(r"health ok", times=2)
    example.prints(r"memory\.percent unknown")
    patient.stop()
    example.prints(r"health unknown healthd is not there")
    patient.start()
    example.prints(r"health ok", times=3)
    patient.becomes("critical")
    example.prints(r"health critical always")
    assert example.stop(signal.SIGINT) == 0
    assert example.errors == ""


def test_python_with_gi_prints_conditions_as_they_come_and_go_and_healthd_too(patient, run):
    if not os.path.exists(DEBIAN_PYTHON) or subprocess.run([DEBIAN_PYTHON, "-c", "import gi"], check=False).returncode:
        pytest.skip("PyGObject is not installed (apt install python3-gi)")
    example = run(patient.address, f"{EXAMPLES}/python-gi/conditions.py")
    example.prints(r"healthd is there")
    patient.becomes("warning")
    example.prints(r"warning: always: There is a CPU\.")
    patient.becomes("critical")
    example.prints(r"critical: always: There is a CPU\.")
    patient.stop()
    example.prints(r"healthd is not there: unknown")
    assert "over" not in example.printed
    patient.start()
    example.prints(r"healthd is there", times=2)
    example.prints(r"critical: always: There is a CPU\.", times=2)
    patient.becomes("ok")
    example.prints(r"over: always")
    assert example.stop() == 0
    assert example.errors == ""


def shell(patient, *arguments: str) -> str:
    ended = subprocess.run(
        [SHELL, *arguments], capture_output=True, text=True, timeout=30, check=True,
        env={**os.environ, "HEALTHD_BUS": patient.address},
    )  # fmt: skip
    assert ended.stderr == ""
    return ended.stdout


def test_the_shell_asks_for_the_verdict_one_value_and_everything(patient):
    needs("busctl=systemd")
    assert shell(patient, "status") == 's "ok"\nas 0\n'
    assert re.fullmatch(r'a\{sv\} 1 "memory\.percent" d \d+(\.\d+)?\n', shell(patient, "get", "memory.percent"))
    (described,) = json.loads(shell(patient, "all"))["data"]
    assert json.loads(described)["health"]["severity"] == "ok"


def test_the_shell_follows_transitions_with_gdbus(patient, run):
    needs("gdbus=libglib2.0-bin")
    example = run(patient.address, SHELL, "follow")
    # It says so when it listens.
    example.prints(r"The name org\.healthd\.Health1 is owned by .*")
    patient.becomes("warning")
    example.prints(r".*Properties\.PropertiesChanged .*'Health': <'warning'>.*")
    example.prints(r".*Manager\.Transition \('always', 'ok', 'warning', .*")
    example.stop()
    assert example.errors == ""


def test_the_shell_follows_every_signal_with_busctl(patient, run):
    needs("busctl=systemd")
    example = run(patient.address, SHELL, "signals")
    # It says so when it listens.
    eventually(lambda: "Monitoring bus" in example.errors)
    patient.becomes("warning")
    example.prints(r".*Member=PropertiesChanged")
    example.prints(r".*Member=Transition")
    example.stop()


def test_the_line_of_a_crontab_tells_only_what_is_not_well(patient):
    with open(SHELL, encoding="utf-8") as file:
        (command,) = re.findall(r"^#   \*/10 \* \* \* \* (.*)$", file.read(), re.MULTILINE)

    def mailed() -> str:
        environment = {**os.environ, "HEALTHD_BUS": patient.address, "PATH": PATH}
        ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, env=environment)
        assert ended.stderr == ""
        return ended.stdout

    # cron makes a line of its own of what follows one.
    assert "%" not in command
    assert mailed() == ""
    patient.becomes("critical")
    told = eventually(mailed)
    assert told.startswith("HEALTH CRITICAL - always is critical: There is a CPU")


def test_c_with_sd_bus_compiles_without_warnings_and_follows(patient, run, tmp_path):
    needs("make=make", "gcc=gcc", "pkg-config=pkgconf")
    if subprocess.run(["pkg-config", "--exists", "libsystemd"], check=False).returncode:
        pytest.skip("libsystemd's headers are not installed (apt install libsystemd-dev)")
    shutil.copytree(f"{EXAMPLES}/c", tmp_path / "c")
    made = subprocess.run(
        ["make", "-C", str(tmp_path / "c"), "CFLAGS=-O2 -Wall -Wextra -Werror"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    example = run(patient.address, str(tmp_path / "c" / "health"))
    example.prints(r"health ok")
    patient.becomes("warning")
    example.prints(r"health warning")
    patient.stop()
    example.prints(r"health unknown \(healthd ended\)")
    patient.start()
    example.prints(r"health warning", times=2)
    assert example.errors == ""


class Light:
    """What the kernel shows of a LED, as files."""

    def __init__(self, directory, trigger: str) -> None:
        self._directory = directory
        for name, text in (
            ("trigger", "none kbd-numlock timer mmc0 heartbeat default-on\n".replace(trigger, f"[{trigger}]")),
            ("brightness", "7\n"),
            ("max_brightness", "255\n"),
            ("delay_on", "500\n"),
            ("delay_off", "500\n"),
        ):
            (directory / name).write_text(text)

    def shows(self, **files: str) -> None:
        eventually(lambda: all((self._directory / name).read_text() == text for name, text in files.items()))

    def flashes(self) -> None:
        self.shows(trigger="none", brightness="255")
        self.shows(trigger="none", brightness="0")
        self.shows(trigger="none", brightness="255")


@pytest.fixture
def light(tmp_path, request):
    (tmp_path / "led").mkdir()
    return Light(tmp_path / "led", request.param)


@pytest.mark.parametrize(
    ("light", "at_the_end"),
    [("mmc0", {"trigger": "mmc0"}), ("none", {"trigger": "none", "brightness": "7"})],
    ids=["for_the_card", "idle"],
    indirect=["light"],
)
def test_a_led_follows_the_verdict_and_a_restart_and_does_at_the_end_what_it_did_before(
    patient, run, light, at_the_end, tmp_path
):
    patient.stop()
    example = run(patient.address, sys.executable, f"{LED}/health_led.py", str(tmp_path / "led"))
    example.prints("health unknown")
    light.flashes()
    patient.start()
    light.shows(trigger="none", brightness="255")
    example.prints("health ok")
    patient.becomes("warning")
    light.shows(trigger="timer", delay_on="1000", delay_off="1000")
    patient.becomes("critical")
    light.shows(trigger="timer", delay_on="100", delay_off="100")
    patient.stop()
    light.flashes()
    patient.start()
    light.shows(trigger="timer", delay_on="100", delay_off="100")
    assert example.stop() == 0
    light.shows(**at_the_end)
    assert example.errors == ""


@pytest.mark.parametrize("light", ["mmc0"], indirect=True)
def test_a_led_is_left_as_it_was_when_the_bus_ends(bus, run, light, tmp_path):
    example = run(bus.address, sys.executable, f"{LED}/health_led.py", str(tmp_path / "led"))
    light.flashes()
    bus.stop()
    light.shows(trigger="mmc0")
    assert example.ended() == 1
    assert "the bus is gone" in example.errors
    assert "Traceback" not in example.errors


def test_a_led_that_is_not_there_is_said_in_one_line(bus, run, tmp_path):
    example = run(bus.address, sys.executable, f"{LED}/health_led.py", str(tmp_path / "led"))
    assert example.ended() == 1
    assert re.fullmatch(r"health-led: .* No such file or directory: '.*/led/trigger'\n", example.errors)


def test_the_leds_unit_is_one_and_starts_what_its_instructions_install(tmp_path):
    with open(f"{LED}/health-led.service", encoding="utf-8") as file:
        unit = file.read()
    with open(f"{LED}/health_led.py", encoding="utf-8") as file:
        (installed,) = re.findall(r"install -m 755 health_led\.py (\S+)", file.read())
    assert re.search(rf"^ExecStart={installed} ", unit, re.MULTILINE)
    needs("systemd-analyze=systemd")
    (tmp_path / "health-led.service").write_text(unit.replace(installed, f"{LED}/health_led.py"))
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "health-led.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "health-led.service" not in ended.stderr


def test_every_example_says_first_what_it_does_and_how_it_is_run():
    for directory, runs in (
        ("python-dbus-next/follow_health.py", "python3 follow_health.py"),
        ("python-gi/conditions.py", "/usr/bin/python3 conditions.py"),
        ("shell/health.sh", "./health.sh status"),
        ("c/health.c", "make && ./health"),
        ("raspberry-pi-led/health_led.py", "sudo ./health_led.py"),
    ):
        with open(f"{EXAMPLES}/{directory}", encoding="utf-8") as file:
            first = file.read(1500)
        assert runs in first
        assert "HEALTHD_BUS chooses the bus" in first
