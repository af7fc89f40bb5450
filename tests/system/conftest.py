import functools

import machine
import pytest
from installed import USERS, Service, install, oven

hindrance = functools.cache(machine.hindrance)


@pytest.fixture(scope="session", autouse=True)
def _machines_can_be_had() -> None:
    if reason := hindrance():
        pytest.skip(f"no machine can be booted: {reason}")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A machine with healthd, shared by the tests of one module."""
    over_sys = str(tmp_path_factory.mktemp("sys"))
    oven(over_sys)
    with machine.Machine(over_sys) as made:
        made.do("systemd-sysusers", "-", send=USERS)
        install(made)
        made.do("systemctl", "enable", "healthd")
        yield Service(made, over_sys)


@pytest.fixture
def service(installed):
    """Healthd as it is installed, running at a fast pace, and with nothing wrong."""
    installed.heat(21)
    installed.fresh()
    return installed
