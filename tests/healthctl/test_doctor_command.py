"""The doctor finds what is wrong with a broken installation, and says what to do; each here is broken for real."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from private_bus import HERE, Bus, Healthd, eventually, private_bus
from stand_in import ALLOWED, StandIn, systemd

from healthctl import diagnosis
from healthctl.diagnosis import ABSENT, FAIL, OK, WARN, Finding
from healthctl.installation import Owner, policy
from healthctl.observed import Told, findings
from healthctl.render.doctor import draw, draw_metrics
from healthctl.render.style import Style
from healthd import protocol

# healthd on a machine that was recorded, or on this one with one thing changed.
ELSEWHERE = """
import os, sys, threading
from healthd import observe
from healthd.cli import main
root, change = sys.argv[1:3]
if root:
    found = observe.roots(f"{root}/proc", f"{root}/sys", f"{root}/etc", root)
    observe.roots = lambda: found
    # Its file systems are those of this machine: there is but one.
    _statvfs = os.statvfs
    os.statvfs = lambda path: _statvfs("/")
exec(change)
sys.exit(main(sys.argv[3:]))
"""
# What the sandbox of the service does.
CONFINED = """
import errno
from healthd.observe import clock
def refuse():
    raise PermissionError(errno.EPERM, "Operation not permitted", "adjtimex")
clock.ClockCollector.__init__.__defaults__ = (refuse,)
"""
# A network file system whose server does not answer.
HANGS = """
from healthd.observe import _threads
_statvfs, _threads.DEADLINE = os.statvfs, 0.5
os.statvfs = lambda path: threading.Event().wait() if path == "/" else _statvfs(path)
"""


class Patient:
    """A bus, what is started on it, and what the doctor says of it."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.daemons: list[Healthd] = []
        self.stand_ins: list[StandIn] = []
        # For a Python beside which no healthd is installed.
        program = os.path.join(bus.directory, "healthd")
        with open(program, "w") as file:
            file.write(f'#!/bin/sh\nexec "{sys.executable}" -m healthd "$@"\n')
        os.chmod(program, 0o755)

    def start(self, *options: str, machine: str = "laptop", change: str = "", bus: str = "") -> Healthd:
        daemon = Healthd.__new__(Healthd)
        root = os.path.join(HERE, "fixtures", machine) if machine else ""
        daemon.start([sys.executable, "-c", ELSEWHERE, root, change, "--bus", bus or self.bus.address,
                      "--interval", "0.25", *options])  # fmt: skip
        self.daemons.append(daemon)
        return daemon

    def ended(self, *options: str) -> int:
        """Start a healthd that can't go on, and return its exit code."""
        return self.start(*options).process.wait(30)

    def systemd(self, **told: Any) -> None:
        self.stand_ins.append(systemd(self.bus.address, **told))

    def failed(self, status: int) -> None:
        """Have systemd say that healthd failed."""
        self.systemd(ActiveState="failed", SubState="failed", Result="exit-code", ExecMainCode=1, ExecMainStatus=status)

    def doctor(self, *arguments: str, bus: str = "", **environment: str) -> "Verdict":
        done = subprocess.run(
            [sys.executable, "-m", "healthctl", "--bus", bus or self.bus.address, "doctor", "--json", *arguments],
            capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
            env={
                **os.environ, "PYTHONWARNINGS": "error", "DBUS_SYSTEM_BUS_ADDRESS": self.bus.address,
                "PATH": f"{self.bus.directory}:{os.environ['PATH']}", **environment,
            },
        )  # fmt: skip
        assert not done.stderr
        return Verdict(done)


class Verdict:
    """What the doctor has said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        told = json.loads(done.stdout)
        self.metrics = told["metrics"]
        self.checks = {}
        for check in told["checks"]:
            self.checks.setdefault(check["check"], check)
        # One that says all is well beside something that is not would be none.
        worst = max(["ok", "warn", "fail"].index(each["state"]) for each in told["checks"] if each["state"] != ABSENT)
        assert (self.code, told["state"]) == (worst, ["ok", "warn", "fail"][worst])

    def says(self, check: str, state: str, *words: str) -> None:
        found = self.checks[check]
        assert found["state"] == state, found
        for word in words:
            assert word in f"{found['text']} -> {found['remedy']}", found
        if state in (WARN, FAIL):
            assert found["remedy"]


@pytest.fixture
def patient():
    with private_bus(ALLOWED) as bus:
        made = Patient(bus)
        yield made
        for each in made.stand_ins:
            each.close()
        for daemon in made.daemons:
            if not daemon.errors.closed:
                daemon.stop(signal.SIGKILL)


def test_one_that_is_well_is_0_and_every_family_says_from_where_it_is(patient):
    daemon = patient.start().ready()
    patient.systemd(MainPID=daemon.process.pid)
    verdict = patient.doctor()
    assert verdict.code == 0, verdict.checks
    verdict.says("program", OK, f"healthd {protocol.VERSION}")
    verdict.says("library", OK, "dbus_")
    verdict.says("daemon", OK, f"process {daemon.process.pid} of ")
    verdict.says("service", OK, "active (running)")
    verdict.says("watchdog", OK, "hangs for 30 s")
    verdict.says("version", OK, f"healthd {protocol.VERSION} with API level {protocol.API_LEVEL}")
    verdict.says("publisher recorder", ABSENT, "nothing is recorded")
    verdict.says("family memory", OK, "metrics from /proc/meminfo, /proc/vmstat")
    assert verdict.metrics["memory.available_bytes"]["state"] == "ok"
    assert all(metric["source"] for metric in verdict.metrics.values())
    assert {name.partition(".")[0] for name in verdict.metrics} == {
        check.partition(" ")[2] for check in verdict.checks if check.startswith("family ")
    }


def test_as_text_it_is_a_line_for_each_and_a_second_one_for_what_is_to_be_done(patient, healthctl):
    patient.start(machine="raspberry-pi-4").ready()
    path = f"{patient.bus.directory}:{os.environ['PATH']}"
    done = healthctl(patient.bus.address, "doctor", PATH=path)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("warn  family pressure "))
    assert "psi=1" in lines[at + 1]
    assert lines[at + 1].startswith("    ")
    assert lines[-1] == "healthd: 2 degraded"
    at = next(number for number, line in enumerate(lines) if line.startswith("warn  family throttling "))
    assert " metrics from rpi_volt; unknown here: frequency_capped, " in lines[at]
    assert "raspberry-pi.conf" in lines[at + 1]
    assert any(line.startswith("ok    family memory ") for line in lines)
    every = healthctl(patient.bus.address, "doctor", "--metrics", PATH=path).stdout.splitlines()
    assert any(line.startswith("ok    load.load1 ") and line.endswith("/proc/loadavg") for line in every)
    assert any(line.startswith("-     pressure.cpu_some_avg10 ") for line in every)


@pytest.mark.parametrize(
    ("machine", "code", "state", "words"),
    [
        # Who keeps the clock says that it is kept: what else the kernel would tell is no fault.
        ("vm", 0, OK, ["3 metrics", "unknown here: ", "offset_seconds"]),
        # Nobody says anything.
        ("server-64", 1, WARN, ["permission", "clock.conf"]),
    ],
)
def test_a_clock_that_the_kernel_is_not_asked_about_is_no_fault_where_it_is_known_to_be_kept(
    patient, machine, code, state, words
):
    daemon = patient.start(machine=machine, change=CONFINED).ready()
    patient.systemd(MainPID=daemon.process.pid)
    verdict = patient.doctor()
    verdict.says("family clock", state, *words)
    assert verdict.code == code, verdict.checks


def test_no_bus(patient, tmp_path):
    verdict = patient.doctor(bus="system", DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={tmp_path}/bus")
    verdict.says("bus", FAIL, "there is no bus at", "systemctl start dbus")
    verdict.says("program", OK)
    assert "configuration" in verdict.checks


def test_nobody_runs_and_nobody_would_be_started(patient):
    verdict = patient.doctor(bus="system")
    verdict.says("daemon", FAIL, "healthd does not run", "systemctl enable --now healthd")
    verdict.says("activation", WARN, "does not know how to start healthd", "dbus-1/system-services")
    assert patient.doctor().checks["daemon"]["remedy"] == f"healthd --bus '{patient.bus.address}'"


def test_nobody_runs_though_the_bus_would_start_it(tmp_path):
    (tmp_path / "org.healthd.Health1.service").write_text(
        "[D-BUS Service]\nName=org.healthd.Health1\nExec=/bin/false\nUser=root\n"
    )
    with private_bus(f"<servicedir>{tmp_path}</servicedir>") as bus:
        verdict = Patient(bus).doctor()
    verdict.says("daemon", FAIL, "does not run, though the bus starts it", "journalctl -u healthd")
    verdict.says("activation", OK)


def test_the_policy_does_not_let_it_own_its_name():
    refusal = '<policy context="mandatory"><deny own="org.healthd.Health1"/></policy>'
    with private_bus(ALLOWED + refusal) as bus:
        patient = Patient(bus)
        status = patient.ended()
        assert status == protocol.EXIT_NOT_ALLOWED
        patient.failed(status)
        verdict = patient.doctor()
        verdict.says("service", FAIL, "the bus's policy does not let it own its name", "systemctl reload dbus")
        patient.stand_ins[0].close()
        patient.daemons[0].stop()


def test_the_policy_does_not_let_anybody_talk_to_it():
    refusal = '<policy context="mandatory"><deny send_destination="org.healthd.Health1"/></policy>'
    with private_bus(refusal) as bus:
        patient = Patient(bus)
        daemon = patient.start().ready()
        verdict = patient.doctor()
        verdict.says("answers", FAIL, "the bus's policy refuses to talk to healthd")
        daemon.stop()


def test_the_record_directory_is_taken(patient, tmp_path):
    with private_bus() as other:
        patient.start("--record", str(tmp_path), bus=other.address).ready()
        status = patient.ended("--record", str(tmp_path))
    assert status == protocol.EXIT_TAKEN
    patient.failed(status)
    patient.doctor().says("service", FAIL, "another healthd has its name on the bus, or its record directory", "pgrep")


def test_the_record_directory_can_not_be_written(patient, tmp_path):
    (tmp_path / "file").write_text("")
    patient.start("--record", str(tmp_path / "file" / "record")).ready()
    found = eventually(lambda: (each := patient.doctor()).checks["publisher recorder"]["state"] == FAIL and each)
    found.says("publisher recorder", FAIL, str(tmp_path))
    assert found.code == 2


def test_the_disk_is_as_good_as_full(patient, tmp_path):
    (tmp_path / "healthd.toml").write_text('[record]\nmin_free = "100TB"\n')
    patient.start("--record", str(tmp_path / "record"), "--config", str(tmp_path / "healthd.toml")).ready()
    found = eventually(lambda: (each := patient.doctor()).checks["publisher recorder"]["state"] == FAIL and each)
    found.says("publisher recorder", FAIL, "free")


def test_the_configuration_has_faults(patient, tmp_path):
    file = tmp_path / "healthd.toml"
    file.write_text("interval = 0\n[record]\nbatch = 0\n")
    status = patient.ended("--config", str(file))
    assert status == protocol.EXIT_CONFIG
    patient.failed(status)
    verdict = patient.doctor("--config", str(file))
    verdict.says("configuration", FAIL, f"{file}: interval: expected", f"healthctl config check --config {file}")
    verdict.says("service", FAIL, "its configuration has faults", "healthctl config check")


def test_a_configuration_was_refused(patient, tmp_path):
    file = tmp_path / "healthd.toml"
    file.write_text("")
    daemon = patient.start("--config", str(file)).ready()
    file.write_text("intervall = 3\n")
    daemon.process.send_signal(signal.SIGHUP)
    found = eventually(lambda: "configuration" in (each := patient.doctor()).checks and each)
    found.says("configuration", FAIL, "the one before is in force", "intervall", "healthctl reload")


def test_a_collector_is_switched_off(patient, tmp_path):
    (tmp_path / "healthd.toml").write_text('[collectors]\ndisabled = ["load"]\n')
    patient.start("--config", str(tmp_path / "healthd.toml")).ready()
    verdict = patient.doctor()
    verdict.says("family load", WARN, "disabled: it is switched off", "healthctl collectors --enable load")
    assert verdict.metrics["load.load1"]["state"] == "unavailable"
    assert verdict.code == 1


def test_the_kernel_does_not_measure_pressure(patient):
    patient.start(machine="raspberry-pi-4").ready()
    verdict = patient.doctor()
    verdict.says("family pressure", WARN, "unsupported: the kernel does not measure pressure", "psi=1")
    assert verdict.code == 1


def test_a_collector_fails(patient):
    change = "from healthd.observe import load\nload.LoadCollector.collect = lambda self, now: 1 / 0"
    patient.start(change=change).ready()
    patient.doctor().says("family load", FAIL, "failed: ")


def test_a_file_system_does_not_answer(patient):
    patient.start(machine="", change=HANGS).ready()
    found = eventually(lambda: "family filesystem@/" in (each := patient.doctor()).checks and each)
    found.says("family filesystem@/", WARN, "stale: ")
    assert found.checks["family memory"]["state"] == OK


def test_a_daemon_of_another_version_runs(patient):
    told = {"Version": ("s", "0.0.9"), "ApiLevel": ("u", protocol.API_LEVEL), "ConfigurationProblem": ("s", "")}
    patient.stand_ins.append(StandIn(patient.bus.address, protocol.BUS_NAME, {protocol.MANAGER: told}))
    verdict = patient.doctor()
    verdict.says("version", WARN, "healthd 0.0.9", "systemctl restart healthd")
    verdict.says("publishers", WARN, "healthd refuses")
    verdict.says("answers", FAIL, "healthd refuses")


def test_a_daemon_hangs(patient):
    daemon = patient.start().ready()
    daemon.process.send_signal(signal.SIGSTOP)
    patient.doctor().says("answers", FAIL, "has not answered for 5 s", "systemctl restart healthd")
    daemon.process.send_signal(signal.SIGCONT)


def test_the_bus_library_is_missing(patient):
    verdict = patient.doctor(HEALTHD_DBUS_LIBRARY="bogus")
    verdict.says("library", FAIL, "there is no D-Bus library", "pip install dbus-next")


@pytest.mark.parametrize(
    ("told", "check", "state", "words"),
    [({"LoadState": "not-found", "ActiveState": "inactive"}, "service", FAIL, ("not installed",)),
     ({"LoadState": "masked", "ActiveState": "inactive"}, "service", FAIL, ("systemctl unmask healthd",)),
     ({"LoadState": "bad-setting"}, "service", FAIL, ("systemd-analyze verify healthd.service",)),
     ({"ActiveState": "inactive", "SubState": "dead"}, "service", FAIL, ("inactive (dead)", "enable --now")),
     ({"ActiveState": "failed", "Result": "watchdog", "ExecMainCode": 2, "ExecMainStatus": 6}, "service", FAIL,
      ("watchdog, status 6", "journalctl -u healthd")),
     ({"ActiveState": "activating", "SubState": "auto-restart", "ExecMainCode": 1, "ExecMainStatus": 70}, "service",
      FAIL, ("an internal error",)),
     ({"NRestarts": 3}, "service", WARN, ("again 3 times",)),
     ({"UnitFileState": "disabled"}, "service", WARN, ("systemctl enable healthd",)),
     ({"WatchdogUSec": 2**64 - 1}, "watchdog", WARN, ("WatchdogSec",)),
     ({"WatchdogUSec": 0}, "watchdog", WARN, ("WatchdogSec",))],
)  # fmt: skip
def test_what_systemd_says_of_the_service(patient, told, check, state, words):
    patient.systemd(**told)
    patient.doctor().says(check, state, *words)


def test_one_that_was_started_by_hand_on_another_bus_than_the_systems_needs_no_service(patient):
    patient.start().ready()
    patient.systemd(LoadState="not-found", ActiveState="inactive")
    verdict = patient.doctor()
    verdict.says("service", ABSENT, "nobody starts it again")
    assert "watchdog" not in verdict.checks
    assert verdict.code == 0, verdict.checks
    patient.doctor(bus="system").says("service", WARN, "not installed")


def test_another_process_than_that_of_the_service_has_the_name(patient):
    daemon = patient.start().ready()
    patient.systemd(MainPID=1)
    patient.doctor().says("service", WARN, "another one has its name", f"end process {daemon.process.pid}")


def test_the_policy_is_looked_for_where_the_bus_reads_it(tmp_path):
    shipped = os.path.join(os.path.dirname(HERE), "data", "dbus")
    assert policy((str(tmp_path), shipped)) == os.path.join(shipped, "org.healthd.Health1.conf")
    (tmp_path / "org.healthd.Health1.conf").write_text("<busconfig/>")
    assert policy((str(tmp_path),)) == ""
    assert diagnosis.policy("", None).state == FAIL
    assert diagnosis.policy("", Owner(1, "healthd")).state == OK


def test_a_publisher_that_loses_is_degraded_and_the_recorder_that_can_not_write_is_broken():
    rows = {
        "bus": {"available": True, "lost": 0}, "console": {"available": False, "reason": "nobody reads", "lost": 3},
        "recorder": {"available": True, "lost": 7},
    }  # fmt: skip
    found = {finding.check: finding for finding in diagnosis.publishers(rows)}
    assert [found[f"publisher {name}"].state for name in rows] == [OK, WARN, WARN]
    assert "has lost 7 since start" in found["publisher recorder"].text
    assert next(diagnosis.publishers({"recorder": {"available": False, "reason": "full"}})).state == FAIL


def told(reading: dict[str, Any]) -> Told:
    row = {"available": True, "source": "a, b or c", "instances": 1}
    metrics = {f"power.{name}": {} for name in reading}
    return Told({"readings": {"power": reading}, "unavailable": {}}, {"power": row}, metrics)


def test_a_worse_source_than_could_be_is_degraded_only_where_something_is_unknown_for_it():
    (least,) = findings(told({"capped": None, "source": "c", "passed_over": "a is closed: open it"}))
    assert (least.state, least.remedy) == (WARN, "a is closed: open it")
    assert least.text == "2 metrics from c; unknown here: capped"
    (most,) = findings(told({"capped": False, "source": "b", "passed_over": "there is no a"}))
    assert (most.state, most.text) == (OK, "3 metrics from b; passed over: there is no a")
    (only,) = findings(told({"capped": False, "source": "a", "passed_over": ""}))
    assert (only.state, only.text) == (OK, "3 metrics from a")


def test_on_a_terminal_a_text_is_broken_between_words_and_a_command_never():
    remedy = "see who holds it: systemctl status healthd --no-pager --lines=100 --output=cat"
    found = [Finding("family cpu", WARN, "11 metrics from /proc/stat, /sys/devices/system/cpu/cpufreq", remedy)]
    assert draw(found, Style(), 60) == [
        "warn  family cpu  11 metrics from /proc/stat,",
        "                  /sys/devices/system/cpu/cpufreq",
        f"                  → {remedy}",
        "",
        "healthd: 1 degraded",
    ]
    assert len(draw(found, Style())) == len(draw(found, Style(), 40)) == 4
    metrics = {"cpu.busy": {"state": "ok", "source": "/proc/stat, /sys/fs/cgroup, and what else there is"}}
    assert draw_metrics(metrics, Style(), 50) == [
        "ok    cpu.busy  /proc/stat, /sys/fs/cgroup, and",
        "                what else there is",
    ]


def test_a_family_that_is_observed_less_often_than_it_should_be_is_stale():
    told_of = told({"capped": True})
    row = {**told_of.collectors["power"], "every_usec": 5_000_000, "sampled_at_usec": 1_000_000_000_000_000}
    described = {**told_of.described, "time": "2001-09-09T01:47:40.000Z"}
    (late,) = findings(told_of._replace(described=described, collectors={"power": row}))
    assert (late.state, late.text) == (WARN, "stale: last observed 1 min ago, and due every 5 s")
    described["time"] = "2001-09-09T01:46:50.000Z"
    (on_time,) = findings(told_of._replace(described=described, collectors={"power": row}))
    assert on_time.state == OK
