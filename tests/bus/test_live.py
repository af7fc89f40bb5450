"""What `make run` starts ends with it, however it is ended."""

import os
import signal
import subprocess

import pytest
from private_bus import eventually

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def members(session):
    """Return the processes of a session that are still there."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(name))
    return found


@pytest.mark.skipif(not os.path.exists(f"{ROOT}/.venv/bin/healthd"), reason="this checkout was not set up by make")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_everything_that_was_started(number):
    with subprocess.Popen([f"{ROOT}/.make/live", "watch"], stdout=subprocess.PIPE, start_new_session=True) as live:
        assert live.stdout
        assert any(b"Memory" in line for line in live.stdout)
        assert len(members(live.pid)) >= 4
        live.stdout.close()

        def ended():
            # A terminal that goes away says so, and make to its children once more.
            live.send_signal(number)
            return live.poll() is not None

        eventually(ended)
        eventually(lambda: not members(live.pid))
