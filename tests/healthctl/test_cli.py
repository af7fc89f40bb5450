import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from private_bus import eventually

from healthctl.group import COMMANDS
from healthd import protocol

pytestmark = pytest.mark.timeout(60)


def strict(text):
    """Read JSON; NaN and Infinity are none."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def on_the_bus(process):
    """Tell whether a process has come as far as to hold a socket."""
    folder = f"/proc/{process.pid}/fd"
    for number in os.listdir(folder):
        # One may be closed between the two looks.
        with suppress(FileNotFoundError):
            if "socket:" in os.readlink(f"{folder}/{number}"):
                return True
    return False


def start(bus, *arguments, **changes):
    return subprocess.Popen(
        [sys.executable, "-m", "healthctl", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "HEALTHD_BUS": bus, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "error", **changes},
    )  # fmt: skip


def complains(done, code):
    """Check that a command failed with one line and nothing else, and return the line."""
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("healthctl: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("arguments", [[], ["status"]])
def test_status_draws_the_machine_and_exits_by_its_severity(healthd_bus, healthctl, arguments):
    done = healthctl(healthd_bus.address, *arguments)
    severity = done.stdout.split()[1]
    assert done.returncode == {"ok": 0, "notice": 0, "warning": 1, "critical": 2, "unknown": 3}[severity]
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("● ")
    for label in ("Host", "Uptime", "CPU", "Memory", "Load"):
        assert any(line.startswith(label) for line in lines), label
    assert f" {os.uname().nodename}" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, lines)) <= 80


def test_status_as_json_is_the_object_that_the_bus_gives(healthd_bus, healthctl):
    described = strict(healthctl(healthd_bus.address, "status", "--json").stdout)
    assert list(described)[:2] == ["version", "time"]
    assert described["version"] == protocol.VERSION
    assert described["readings"]["memory"]["total_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert strict(healthctl(healthd_bus.address, "--json").stdout)["boot_id"] == described["boot_id"]


def test_get_one_value_writes_it_alone(healthd_bus, healthctl):
    done = healthctl(healthd_bus.address, "get", "host.hostname")
    assert (done.returncode, done.stdout, done.stderr) == (0, os.uname().nodename + "\n", "")


def test_get_several_values_names_them(healthd_bus, healthctl):
    done = healthctl(healthd_bus.address, "get", "memory.total_bytes", "cpu.online", "network.kind")
    pairs = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert int(pairs["memory.total_bytes"]) > 0
    assert int(pairs["cpu.online"]) == len(os.sched_getaffinity(0)) or int(pairs["cpu.online"]) > 0
    assert pairs["network.kind@lo"] == "loopback"
    assert done.returncode == 0


def test_get_as_json_gives_numbers_flags_and_null(healthd_bus, healthctl):
    done = healthctl(healthd_bus.address, "get", "--json", "memory.percent", "network.carrier@lo", "host.model")
    values = strict(done.stdout)
    assert list(values) == ["memory.percent", "network.carrier@lo", "host.model"]
    assert isinstance(values["memory.percent"], float)
    assert values["network.carrier@lo"] in (True, False, None)
    assert values["host.model"] is None or values["host.model"]


def test_get_and_status_agree(healthd_bus, healthctl):
    described = strict(healthctl(healthd_bus.address, "--json").stdout)["readings"]["memory"]
    names = ["memory.total_bytes", "memory.swap_total_bytes", "memory.swap_percent"]
    values = strict(healthctl(healthd_bus.address, "--json", "get", *names).stdout)
    assert values["memory.total_bytes"] == described["total_bytes"]
    assert values["memory.swap_total_bytes"] == described["swap_total_bytes"]
    assert (values["memory.swap_percent"] is None) == (described["swap_percent"] is None)


def test_an_unknown_metric_brings_the_one_that_was_meant(healthd_bus, healthctl):
    line = complains(healthctl(healthd_bus.address, "get", "memory.percent", "memory.availabel_bytes"), 64)
    assert "there is no metric 'memory.availabel_bytes'; did you mean memory.available_bytes" in line


def test_metrics_lists_what_can_be_asked_for(healthd_bus, healthctl):
    done = healthctl(healthd_bus.address, "metrics")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["METRIC", "KIND", "UNIT", "SUMMARY"]
    assert ["memory.percent", "gauge", "percent"] in [row[:3] for row in rows]
    every = strict(healthctl(healthd_bus.address, "metrics", "--json").stdout)
    assert [row[0] for row in rows[1:]] == list(every) == sorted(every)
    assert every["network.kind"]["instances"]
    assert healthctl(healthd_bus.address, "get", *every).returncode == 0


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("swap_perc", {"memory.swap_percent"}), ("load.load?", {"load.load1", "load.load5"}), ("no such thing", set())],
)
def test_metrics_that_match_a_pattern(healthd_bus, healthctl, pattern, expected):
    done = healthctl(healthd_bus.address, "metrics", pattern)
    assert {line.split()[0] for line in done.stdout.splitlines()[1:]} == expected
    assert done.returncode == 0
    assert bool(done.stderr) == (not expected)
    assert set(strict(healthctl(healthd_bus.address, "--json", "metrics", pattern).stdout)) == expected


def test_collectors_tells_how_each_does(healthd_bus, healthctl):
    done = healthctl(healthd_bus.address, "collectors")
    assert any(line.startswith("memory ") and " ok " in line for line in done.stdout.splitlines())
    every = strict(healthctl(healthd_bus.address, "collectors", "--json").stdout)
    assert every["memory"]["available"] is True
    assert abs(every["memory"]["sampled_at_usec"] / 1e6 - time.time()) < 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["frob"], "no such command 'frob'; try 'healthctl --help'"), (["get"], "try 'healthctl get --help'"),
     (["status", "--frob"], "no such option"), (["watch", "-n", "0"], "invalid value for '-n'"),
     (["watch", "-n", "soon"], "'soon' is no number"), (["log", "-n", "2.5"], "'2.5' is no whole number"),
     (["--color", "pink"], "invalid value for '--color'"), (["--bus", "somewhere"], "none of system, session"),
     (["status", "more"], "unexpected extra argument")],
)  # fmt: skip
def test_a_wrong_command_line_is_64_and_one_line(healthctl, arguments, words):
    assert words in complains(healthctl("unix:path=/nowhere", *arguments), protocol.EXIT_USAGE)


@pytest.mark.parametrize("command", [["status"], ["get", "cpu.busy"], ["metrics"], ["collectors"], ["watch"],
                                     ["history", "cpu.busy"], ["log"], ["log", "-f"], ["conditions"], ["why"],
                                     ["acknowledge", "swap"], ["wait", "--until", "ok"],
                                     ["wait", "--until", "swap", "--timeout", "1s"]])  # fmt: skip
def test_without_a_bus_it_is_69_and_says_so(healthctl, tmp_path, command):
    address = f"unix:path={tmp_path}/bus"
    line = complains(healthctl(address, *command), protocol.EXIT_UNAVAILABLE)
    assert f"there is no bus at {address} (No such file or directory); name another with --bus" in line


@pytest.mark.parametrize("address", ["tcp:host=localhost,port=1", "unix:", "unix:tmpdir=/tmp", "nonsense:", "x:y=z;"])
def test_an_address_that_is_of_no_use_is_told(healthctl, address):
    assert "there is no bus at" in complains(healthctl(address), protocol.EXIT_UNAVAILABLE)


def test_without_a_session_it_says_so(healthctl):
    done = healthctl("session", DBUS_SESSION_BUS_ADDRESS="", XDG_RUNTIME_DIR="")
    assert "there is no session bus here" in complains(done, protocol.EXIT_UNAVAILABLE)


def test_a_bus_without_healthd_says_how_to_start_it(bus, healthctl):
    line = complains(healthctl(bus.address, "watch"), protocol.EXIT_UNAVAILABLE)
    assert line == f"healthctl: healthd is not running; start it with: healthd --bus '{bus.address}'\n"
    line = complains(healthctl("system", DBUS_SYSTEM_BUS_ADDRESS=bus.address), protocol.EXIT_UNAVAILABLE)
    assert line == "healthctl: healthd is not running; start it with: systemctl start healthd\n"


def test_a_bus_that_refuses_by_policy_says_so(bus, healthctl, tmp_path):
    refusal = '<policy context="mandatory"><deny send_destination="org.healthd.Health1"/></policy>'
    refusing = type(bus)(str(tmp_path), extra=refusal)
    daemon = subprocess.Popen(
        [sys.executable, "-m", "healthd", "--bus", refusing.address], stderr=subprocess.PIPE, text=True
    )
    try:
        assert any("serving" in line for line in daemon.stderr)
        line = complains(healthctl(refusing.address), protocol.EXIT_UNAVAILABLE)
        assert "the bus's policy refuses to talk to healthd" in line
    finally:
        daemon.kill()
        daemon.communicate()
        refusing.stop()


def test_a_bus_that_refuses_this_user_is_not_said_to_be_none(bus, healthctl, tmp_path):
    # So is the session's bus to everybody else: it hangs up once it knows who it is.
    refusing = type(bus)(str(tmp_path), extra='<policy context="mandatory"><deny user="*"/></policy>')
    try:
        line = complains(healthctl(refusing.address), protocol.EXIT_UNAVAILABLE)
    finally:
        refusing.stop()
    assert line == f"healthctl: the bus at {refusing.address} hung up; it may refuse this user: try as another one\n"


def test_a_daemon_that_hangs_is_given_up_after_5_seconds(bus, healthd, healthctl):
    daemon = healthd("--interval", "1").ready()
    daemon.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    line = complains(healthctl(bus.address), protocol.EXIT_UNAVAILABLE)
    assert line == "healthctl: healthd has not answered for 5 s; see: systemctl status healthd\n"
    assert 4.9 < time.monotonic() - began < 10
    daemon.process.send_signal(signal.SIGCONT)


def test_a_bus_that_hangs_is_given_up_too(bus, healthctl):
    bus.signal(signal.SIGSTOP)
    line = complains(healthctl(bus.address), protocol.EXIT_UNAVAILABLE)
    assert "has not answered for 5 s" in line


def test_ctrl_c_ends_a_command_with_130_and_no_word(bus, healthd):
    daemon = healthd("--interval", "1").ready()
    daemon.process.send_signal(signal.SIGSTOP)
    process = start(bus.address, "status")
    eventually(lambda: on_the_bus(process))
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=5) == ("", "")
    assert process.returncode == 130
    daemon.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("command", ["status", "metrics", "watch", "log", "check"])
def test_a_reader_that_is_gone_gets_no_complaint(healthd_bus, command):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "healthctl", command],
        stdout=writer, stderr=subprocess.PIPE, env={**os.environ, "HEALTHD_BUS": healthd_bus.address},
        check=False, timeout=20,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_told(healthd_bus):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "healthctl", "status"],
            stdout=full, stderr=subprocess.PIPE, env={**os.environ, "HEALTHD_BUS": healthd_bus.address},
            check=False, timeout=20,
        )  # fmt: skip
    assert done.returncode == 74
    assert done.stderr == b"healthctl: the output can't be written: No space left on device\n"


def test_an_error_that_nobody_can_read_is_still_its_exit_code():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "healthctl", "--frob"], stderr=full, check=False, timeout=20)
    assert done.returncode == protocol.EXIT_USAGE


def test_closed_outputs_are_no_fault(healthd_bus):
    command = f"{sys.executable} -m healthctl --bus {healthd_bus.address} metrics >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False, timeout=20).returncode == 0


def test_colour_is_for_terminals_and_for_who_asks(healthd_bus, healthctl):
    assert "\x1b[" in healthctl(healthd_bus.address, "--color", "always").stdout
    assert "\x1b[" in healthctl(healthd_bus.address, "status", "--color=always").stdout
    assert "\x1b[" not in healthctl(healthd_bus.address, "--color", "always", "status", "--color", "never").stdout
    assert "\x1b[" not in healthctl(healthd_bus.address).stdout


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"LC_ALL": "", "LC_CTYPE": "", "LANG": "C"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_where_unicode_can_not_be_shown_it_is_ascii(healthd_bus, healthctl, locale):
    done = healthctl(healthd_bus.address, **locale)
    assert done.stdout.isascii()
    assert done.stdout.startswith("* ")


def test_the_width_is_what_columns_says(healthd_bus, healthctl):
    assert max(map(len, healthctl(healthd_bus.address, COLUMNS="60").stdout.splitlines())) <= 60
    for columns in ("0", "-1", "many", ""):
        assert healthctl(healthd_bus.address, "metrics", COLUMNS=columns).returncode == 0


def test_watch_without_a_terminal_writes_each_sample_once(healthd_bus):
    process = start(healthd_bus.address, "watch", "--json", "-n", "0.25")
    samples = [strict(process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=5)[1] == ""
    assert process.returncode == 0
    numbers = [sample["seq"] for sample in samples]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]


def test_watch_meets_each_sample_soon_after_it_was_taken(healthd_bus):
    process = start(healthd_bus.address, "watch", "--json")
    ages = []
    for number in range(4):
        sample = strict(process.stdout.readline())
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - sample["since_boot"]
        if number:  # the first comes when it is asked for
            ages.append(age)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert min(ages) < 0.3


def test_watch_as_text_puts_an_empty_line_between_samples(healthd_bus):
    process = start(healthd_bus.address, "watch")
    text = ""
    while text.count("● ") < 2:
        text += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert "\n\n● " in text
    assert "\x1b" not in text


def test_watch_without_a_terminal_outlives_the_daemon(bus, healthd):
    daemon = healthd("--interval", "0.5").ready()
    process = start(bus.address, "watch", "--json")
    strict(process.stdout.readline())
    daemon.process.kill()
    daemon.process.wait()
    gone = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert "healthd" in process.stderr.readline()
    healthd("--interval", "0.5").ready()
    while strict(process.stdout.readline())["since_boot"] < gone:
        """What the first daemon had still said."""
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    process.stdout.close()
    process.stderr.close()


def test_version_and_help_need_no_bus(healthctl):
    done = healthctl("unix:path=/nowhere", "--version")
    assert (done.returncode, done.stdout) == (0, f"healthctl, version {protocol.VERSION}\n")
    listed = healthctl("unix:path=/nowhere", "--help")
    assert listed.returncode == 0
    for command in COMMANDS:
        assert command in listed.stdout
        assert healthctl("unix:path=/nowhere", command, "--help").returncode == 0
