"""The doctor beside a real systemd: it finds what hinders the service, and nothing where nothing does."""

import json

import pytest
from installed import Service
from private_bus import eventually


def doctor(service: Service, user: str = "") -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code, and the first finding of each check."""
    done = service.machine.run("healthctl", "doctor", "--json", user=user)
    found: dict[str, dict[str, str]] = {}
    for check in json.loads(done.stdout)["checks"]:
        found.setdefault(check["check"], check)
    return done.returncode, found


def state(found: dict[str, dict[str, str]], *checks: str) -> list[str]:
    return [found[check]["state"] for check in checks]


def test_the_service_as_it_is_installed_is_well_for_whoever_asks(service):
    for user in ("", "bob"):
        _, found = doctor(service, user)
        checks = ("program", "library", "configuration", "bus", "policy", "daemon", "activation", "service", "watchdog",
                  "version", "publisher bus", "publisher journal", "publisher recorder", "family memory")  # fmt: skip
        assert state(found, *checks) == ["ok"] * len(checks), found


def test_a_service_that_is_stopped_is_told_with_the_command_that_starts_it_and_is_not_started(service):
    service.systemctl("stop")
    code, found = doctor(service)
    assert (code, state(found, "daemon", "service", "activation")) == (2, ["fail", "fail", "ok"])
    assert found["service"]["remedy"] == "systemctl enable --now healthd"
    assert not service.running()


def test_a_service_that_is_masked_is_told(service):
    service.systemctl("stop")
    service.machine.do("systemctl", "mask", "--runtime", "healthd")
    try:
        code, found = doctor(service)
    finally:
        service.machine.do("systemctl", "unmask", "--runtime", "healthd")
    assert code == 2
    assert "systemctl unmask healthd" in found["service"]["remedy"]


def test_a_configuration_with_faults_is_the_reason_that_is_told(service):
    service.configure("fault", "intervall = 3\n")
    service.systemctl("restart")
    code, found = doctor(service)
    assert code == 2
    assert "its configuration has faults" in found["service"]["text"]
    assert "intervall" in found["configuration"]["text"]


@pytest.mark.parametrize("text", ["[Service]\nWatchdogSec=0\n"])
def test_a_watchdog_that_is_off_is_told(service, text):
    service.change("dog", text)
    service.restart()
    eventually(service.running)
    _, found = doctor(service)
    assert state(found, "watchdog", "service") == ["warn", "ok"]
