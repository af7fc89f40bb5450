import pytest
from private_bus import eventually

from healthd.publish.journal import MESSAGES

TRANSITION = MESSAGES["health.transition"].id


@pytest.fixture
def transition(service):
    service.heat(70)
    [entry] = eventually(lambda: service.entries("HEALTHD_CONDITION=oven", "HEALTHD_EVENT=health.transition"))
    return entry


def test_a_transition_is_an_entry_with_its_data_as_fields(transition):
    wanted = {
        "MESSAGE_ID": TRANSITION,
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "healthd",
        "HEALTHD_CONDITION": "oven",
        "HEALTHD_INSTANCE": "oven/oven/door",
        "HEALTHD_FROM": "ok",
        "HEALTHD_TO": "warning",
        "HEALTHD_SUMMARY": "The oven is hot.",
        "HEALTHD_REMEDY": "Open its door.",
    }
    assert {name: transition[name] for name in wanted} == wanted
    assert transition["MESSAGE"] == "oven@oven/oven/door is warning (was ok): The oven is hot."


def test_an_entry_is_known_to_be_of_the_service(service, transition):
    assert transition["_TRANSPORT"] == "journal"
    assert transition["_SYSTEMD_UNIT"] == "healthd.service"
    assert transition["_UID"] == service.machine.do("id", "-u", "healthd")
    assert transition["MESSAGE"] in service.machine.do("journalctl", "--no-pager", "--unit=healthd")


@pytest.mark.usefixtures("transition")
def test_the_catalog_says_what_it_means_and_what_to_do(service):
    told = service.machine.do("journalctl", "--no-pager", "-x", f"MESSAGE_ID={TRANSITION}", "HEALTHD_CONDITION=oven")
    assert "oven went from ok to warning" in told
    assert "What to do:   Open its door." in told
    assert "healthctl why oven" in told


@pytest.mark.parametrize("event", ["runtime.started", "config.loaded", "runtime.stopped"])
def test_the_catalog_knows_what_happens_to_the_service(service, event):
    service.restart()
    told = service.machine.do("journalctl", "--no-pager", "--catalog", f"MESSAGE_ID={MESSAGES[event].id}")
    assert "Defined-By: healthd" in told


def test_nothing_is_worse_than_a_warning_while_all_is_well(service):
    # All is well where the clock is kept.
    service.machine.write("/run/systemd/timesync/synchronized", "")
    try:
        service.restart()
        service.goes_on()
    finally:
        service.machine.remove("/run/systemd/timesync")
    pid = f"_PID={service.pid}"
    assert service.machine.do("journalctl", "--no-pager", "--quiet", "--priority=warning", pid) == ""


def test_the_level_of_the_log_is_read_and_set_by_systemctl(service):
    assert service.systemctl("service-log-level").printed == "info"
    assert service.systemctl("service-log-target").printed == "journal"
    assert service.systemctl("service-log-level", "debug").returncode == 0
    assert service.systemctl("service-log-level").printed == "debug"
    service.restart()
    assert service.systemctl("service-log-level").printed == "info"
