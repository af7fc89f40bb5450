"""systemd is told by a datagram that is whole, or not at all; never by waiting."""

import os
import socket
import subprocess
import sys
import threading

import pytest

from healthd.notify import Notifier


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """Be the service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield receiver


@pytest.fixture
def notifier(systemd):  # noqa: ARG001
    made = Notifier()
    yield made
    made._notifier.socket.close()


def test_readiness_and_a_status_of_any_text_are_one_whole_datagram_in_utf_8(systemd, notifier):
    notifier.ready("Sampling every 5 s \u2013 3 µs\nREADY=0\né 日本 😀")
    assert systemd.recv(4096).decode() == "READY=1\nSTATUS=Sampling every 5 s \u2013 3 µs READY=0 é 日本 😀"
    with pytest.raises(BlockingIOError):
        systemd.recv(4096)


def test_a_status_and_the_end_are_told(systemd, notifier):
    notifier.status("The bus is gone \u2013 looking for it")
    notifier.stopping()
    assert systemd.recv(4096).decode() == "STATUS=The bus is gone \u2013 looking for it"
    assert systemd.recv(4096) == b"STOPPING=1"


def test_a_manager_that_does_not_read_delays_nothing(systemd, notifier):
    def tell() -> None:
        for number in range(5000):
            notifier.status(f"{number}")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    thread.join(20.0)
    stalled = thread.is_alive()
    # Whatever was lost, what arrived is whole, from the first on.
    arrived = []
    while len(arrived) < 5000:
        try:
            arrived.append(systemd.recv(4096))
        except BlockingIOError:
            break
    thread.join(20.0)
    assert not stalled
    assert arrived == [b"STATUS=%d" % number for number in range(len(arrived))]
    assert 0 < len(arrived) < 5000
    notifier.ready("again")
    assert systemd.recv(4096) == b"READY=1\nSTATUS=again"


def test_a_manager_that_is_gone_harms_nothing(systemd, notifier):
    systemd.close()
    notifier.ready("on")
    notifier.stopping()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # sdnotify forgets the socket that it could not connect
def test_a_socket_that_is_not_there_harms_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "absent"))
    notifier = Notifier()
    notifier.ready("on")
    notifier.stopping()


@pytest.mark.parametrize("address", [None, ""])
def test_outside_a_service_it_does_nothing_and_loads_nothing(address):
    code = (
        "import sys, healthd.notify; notifier = healthd.notify.Notifier(); "
        "notifier.ready('on'); notifier.status('on'); notifier.stopping(); "
        "sys.exit('sdnotify' in sys.modules or 'socket' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    if address is not None:
        environment["NOTIFY_SOCKET"] = address
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_an_abstract_socket_is_reached(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("")  # the kernel chooses an abstract name
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + receiver.getsockname()[1:].decode())
        notifier = Notifier()
        notifier.ready("on")
        receiver.setblocking(False)
        assert receiver.recv(4096) == b"READY=1\nSTATUS=on"
        notifier._notifier.socket.close()
