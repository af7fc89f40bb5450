import os
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from private_bus import Bus, Healthd, private_bus

from healthd.observe import Roots, roots

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")


# How long it takes is for no test to judge: the machine may have other things to do.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples at each run, so that a change is judged by what it changes; `make soak` looks for new ones.
settings.register_profile("repeatable", untimed, derandomize=True)
settings.register_profile("soak", untimed, max_examples=1000)
settings.register_profile("emulated", untimed, derandomize=True, max_examples=30)
settings.load_profile(os.environ.get("HEALTHD_TEST_PROFILE", "repeatable"))


def pytest_configure():
    # A runner in the background (nohup, &) ignores these, and what the tests start would inherit that.
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def machine():
    """Return the roots of a recorded machine by its name."""

    def of(name: str) -> Roots:
        root = os.path.join(FIXTURES, name)
        return roots(f"{root}/proc", f"{root}/sys", f"{root}/etc", root)

    return of


@pytest.fixture
def bus() -> Iterator[Bus]:
    """Give a private bus of this test's own."""
    with private_bus() as made:
        yield made


@pytest.fixture(scope="session")
def shared_bus() -> Iterator[Bus]:
    with private_bus() as made:
        yield made


@pytest.fixture(scope="session")
def healthd_bus(shared_bus: Bus) -> Iterator[Bus]:
    """Give a bus on which healthd serves this machine at 1 s; for tests that only read."""
    daemon = Healthd(shared_bus.address, "--interval", "1").ready()
    yield shared_bus
    log = daemon.log
    assert daemon.stop() == 0, log
    assert "Traceback" not in log


@pytest.fixture
def healthd(bus: Bus) -> Iterator[Callable[..., Healthd]]:
    """Give a function that starts healthd on this test's bus."""
    started = []

    def start(*options: str, **environment: str) -> Healthd:
        started.append(Healthd(bus.address, *options, environment=environment))
        return started[-1]

    yield start
    for daemon in started:
        if not daemon.errors.closed:
            daemon.stop(signal.SIGKILL)
