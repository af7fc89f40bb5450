import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from private_bus import Bus
from web_bridge import Bridge

for module in ("aiohttp", "prometheus_client"):
    pytest.importorskip(module, reason=f"{module} is not installed (pip install '.[web]')")


@pytest.fixture
def told() -> Callable[..., Any]:
    """Return what `healthctl … --json` writes."""

    def of(bus: Bus, *arguments: str) -> Any:
        command = [sys.executable, "-m", "healthctl", "--bus", bus.address, *arguments, "--json"]
        return json.loads(subprocess.run(command, capture_output=True, timeout=30, check=False).stdout)

    return of


@pytest.fixture
def bridges() -> Iterator[Callable[..., Bridge]]:
    """Give a function that starts a bridge to the healthd on a bus."""
    started: list[Bridge] = []

    def start(bus: str, *options: str, **environment: str) -> Bridge:
        started.append(Bridge(bus, *options, **environment))
        return started[-1].ready()

    yield start
    for bridge in started:
        log = bridge.log
        assert bridge.stop() == 0, log
        assert "Traceback" not in log
        assert "Warning" not in log


@pytest.fixture(scope="session")
def web(healthd_bus: Bus) -> Iterator[Bridge]:
    """Give a bridge to a healthd that serves this machine at 1 s; for tests that only read."""
    bridge = Bridge(healthd_bus.address).ready()
    yield bridge
    log = bridge.log
    assert bridge.stop() == 0, log
    assert "Traceback" not in log
    assert "Warning" not in log
