import json
import os

from installed import CONFIG, NAME, ROOT, RULE
from private_bus import eventually


def test_it_runs_as_a_user_of_its_own_without_any_capability(service):
    status = service.machine.run("cat", f"/proc/{service.pid}/status").printed
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    uid = service.machine.run("id", "-u", "healthd").printed
    assert fields["Uid"].split() == [uid] * 4
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")


def test_it_is_ready_once_the_name_is_owned(service):
    service.systemctl("stop")
    # Type=notify: systemctl returns when it says so.
    assert service.systemctl("start").returncode == 0
    assert service.manager("Health")


def test_the_status_tells_the_verdict(service):
    eventually(lambda: service.manager("Health") in service.shown("StatusText"))
    service.heat(70)
    eventually(lambda: "warning" in service.shown("StatusText"))
    assert "oven" in service.systemctl("status").stdout


def test_a_restart_gives_another_process_that_goes_on_with_the_record(service):
    service.heat(70)
    eventually(lambda: "oven" in str(service.manager("Reasons")))
    since, pid = service.manager("HealthSinceUSec"), service.pid
    service.restart()
    assert service.pid != pid
    assert "oven" in str(service.manager("Reasons"))
    assert service.manager("HealthSinceUSec") == since


def test_a_stop_is_clean_and_takes_the_name_off_the_bus(service):
    assert service.systemctl("stop").returncode == 0
    assert (service.shown("ActiveState"), service.shown("Result")) == ("inactive", "success")
    assert service.shown("ExecMainStatus") == "0"
    assert NAME not in service.machine.run("busctl", "list", "--no-pager", "--acquired").stdout
    assert service.entries("HEALTHD_EVENT=runtime.stopped")


def test_the_first_call_of_anyone_starts_it(service):
    service.systemctl("stop")
    described = service.call("Describe", user="bob")
    assert '\\"readings\\"' in described.printed
    assert service.running()


def test_it_starts_with_the_machine(service):
    wants = service.shown("WantedBy")
    assert "multi-user.target" in wants


def test_a_hang_is_ended_by_the_watchdog_and_it_comes_back(service):
    service.change("watchdog", "[Service]\nWatchdogSec=2\n")
    service.restart()
    pid, restarts = service.pid, int(service.shown("NRestarts"))
    service.machine.do("kill", "-STOP", str(pid))
    eventually(lambda: int(service.shown("NRestarts")) > restarts and service.running())
    assert service.pid != pid
    assert "watchdog" in service.log().lower()
    service.goes_on()


def test_the_watchdog_leaves_a_healthy_daemon_alone(service):
    service.change("watchdog", "[Service]\nWatchdogSec=2\n")
    service.restart()
    pid, seq = service.pid, service.described()["seq"]
    eventually(lambda: service.described()["seq"] >= seq + 10)
    assert (service.pid, service.shown("NRestarts")) == (pid, "0")


def test_it_comes_back_after_a_kill_with_what_it_recorded(service):
    service.heat(70)
    eventually(lambda: "oven" in str(service.manager("Reasons")))
    pid = service.pid
    service.machine.do("kill", "-KILL", str(pid))
    eventually(lambda: service.running() and service.pid != pid)
    assert "oven" in str(service.manager("Reasons"))
    assert any(event["condition"] == "oven" for event in service.events("health.transition"))


def test_it_does_not_start_again_and_again_with_a_bad_configuration(service):
    service.configure("bad", 'interval = "soon"\n')
    service.machine.do("systemctl", "daemon-reload")
    assert service.systemctl("restart").returncode != 0
    assert (service.shown("ActiveState"), service.shown("ExecMainStatus")) == ("failed", "78")
    assert f"{CONFIG}/bad.toml" in service.log()


def test_it_records_to_its_own_directory_alone(service):
    state = service.machine.root + "/var/lib/healthd"
    eventually(lambda: any(files for _, _, files in os.walk(f"{state}/record")))
    assert os.stat(state).st_mode & 0o7777 == 0o750
    mine = str(os.stat(state).st_uid)
    assert service.machine.run("find", "/var/lib/healthd", "!", "-uid", mine).printed == ""


def test_a_reload_takes_what_changed_and_keeps_process_and_conditions(service):
    service.heat(70)
    eventually(lambda: "oven" in str(service.manager("Reasons")))
    pid, since = service.pid, service.manager("HealthSinceUSec")
    service.configure("fast", f"interval = 1\n{RULE}")
    assert service.systemctl("reload").returncode == 0
    eventually(lambda: service.manager("SampleIntervalUSec") == 1_000_000)
    assert (service.pid, service.manager("HealthSinceUSec")) == (pid, since)
    assert service.entries("HEALTHD_EVENT=config.loaded")


def test_a_reload_of_a_bad_configuration_keeps_the_one_in_force_and_says_so(service):
    service.configure("bad", 'interval = "soon"\n')
    service.systemctl("reload")
    problem = eventually(lambda: service.manager("ConfigurationProblem"))
    assert f"{CONFIG}/bad.toml" in problem
    assert service.manager("SampleIntervalUSec") == 500_000
    assert "configuration" in service.shown("StatusText")
    [refused] = service.entries("HEALTHD_EVENT=config.refused")
    assert refused["PRIORITY"] == "3"
    asked = service.call("Reload")
    assert asked.returncode != 0
    assert "bad.toml" in asked.stderr
    assert service.machine.run("healthctl", "config", "check").returncode == 78

    service.machine.remove(f"{CONFIG}/bad.toml")
    assert service.systemctl("reload").returncode == 0
    eventually(lambda: service.manager("ConfigurationProblem") == "")
    service.goes_on()


def test_objects_are_found_again_by_a_client_that_outlives_a_restart(service):
    before = service.machine.run("busctl", "tree", "--list", NAME).printed
    service.restart()
    assert service.machine.run("busctl", "tree", "--list", NAME).printed == before
    assert f"{ROOT}/memory" in before
    assert json.loads(json.dumps(service.described()))["health"]
