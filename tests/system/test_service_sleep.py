"""The service hears of sleep in its sandbox, under the policies of a real system bus."""

import pytest
from private_bus import eventually

# logind, of a machine that wakes twice a second.
RESTLESS = """
import time
from login_manager import Login
with Login("unix:path=/run/dbus/system_bus_socket") as logind:
    while True:
        logind.wakes()
        time.sleep(0.5)
"""


@pytest.fixture
def restless(service):
    imports = "--setenv=PYTHONPATH=/run/checkout/tests/bus"
    service.machine.do("systemd-run", "--quiet", "--unit=restless", imports, "/usr/bin/python3", "-c", RESTLESS)
    yield
    service.machine.do("systemctl", "stop", "restless")


@pytest.mark.usefixtures("restless")
def test_a_service_that_samples_rarely_does_so_at_once_when_the_machine_wakes(service):
    # As rarely as the watchdog lets it.
    service.configure("fast", "interval = 14\n")
    service.restart()
    first = service.described()["seq"]
    eventually(lambda: service.described()["seq"] >= first + 5)
