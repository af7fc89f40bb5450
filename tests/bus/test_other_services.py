"""What another service on the system bus tells, while healthd is on a bus of its own."""

import json

from private_bus import Healthd, eventually, private_bus
from service_manager import POLICY, Manager, machine

from healthd import protocol

CALL = ["--json=short", "call", protocol.BUS_NAME, protocol.ROOT, protocol.MANAGER]


def described(bus):
    return json.loads(json.loads(bus.busctl(*CALL, "Describe").stdout)["data"][0])


def test_units_that_failed_are_told_of_and_without_systemd_why_not(bus):
    with private_bus(POLICY) as system:
        started = Healthd(
            bus.address, "--interval", "0.25", environment={"DBUS_SYSTEM_BUS_ADDRESS": system.address}
        ).ready()
        # Its answers may come after those two samples before which nobody is served.
        lacking = eventually(lambda: described(bus)["unavailable"].get("services"))
        with Manager(system.address, machine(["web.service"], "degraded")):
            again = bus.busctl("call", *CALL[2:], "SetCollectorEnabled", "sb", "services", "false")
            assert again.returncode == 0, again.stderr
            eventually(lambda: described(bus)["unavailable"]["services"]["problem"] == protocol.DISABLED)
            bus.busctl("call", *CALL[2:], "SetCollectorEnabled", "sb", "services", "true")
            eventually(lambda: described(bus)["readings"]["services"]["failed_units"] is not None)
            found = described(bus)["readings"]["services"]
            assert found == {"failed_units": 1, "failed": "web.service", "system_state": "degraded"}
            shown = bus.busctl("get-property", protocol.BUS_NAME, f"{protocol.ROOT}/services",
                               f"{protocol.INTERFACE}.Services", "FailedUnits", "Failed").stdout  # fmt: skip
            assert shown.split() == ["t", "1", "s", '"web.service"']
            log = started.log
            assert started.stop() == 0, log
    assert lacking["problem"] == protocol.UNSUPPORTED
    assert "org.freedesktop.systemd1" in lacking["reason"]
    assert "Traceback" not in log
