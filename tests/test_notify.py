"""systemd is told by a datagram that is whole, or not at all; never by waiting."""

import os
import re
import socket
import subprocess
import sys
import threading
import time

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
    notifier.alive("The bus is gone \u2013 looking for it")
    notifier.stopping()
    assert systemd.recv(4096).decode() == "STATUS=The bus is gone \u2013 looking for it"
    assert systemd.recv(4096).startswith(b"STOPPING=1\n")


def test_a_status_is_told_once_and_a_watchdog_each_time(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = Notifier()
    assert notifier.watchdog == 30.0
    notifier.ready("ok")
    notifier.alive("ok")
    notifier.alive("warning: load")
    told = [systemd.recv(4096) for _ in range(4)]
    assert told == [b"READY=1\nSTATUS=ok", b"WATCHDOG=1", b"STATUS=warning: load", b"WATCHDOG=1"]
    notifier._notifier.socket.close()


@pytest.mark.parametrize(("usec", "pid"), [("", ""), ("30000000", "1"), ("soon", ""), ("-3", "")])
def test_the_watchdog_of_another_process_or_none_is_not_fed(systemd, monkeypatch, usec, pid):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    notifier = Notifier()
    assert notifier.watchdog == 0.0
    notifier.alive("ok")
    assert systemd.recv(4096) == b"STATUS=ok"
    with pytest.raises(BlockingIOError):
        systemd.recv(4096)
    notifier._notifier.socket.close()


def test_a_reload_says_when_it_begins_in_the_same_datagram(systemd, notifier):
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    found = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", systemd.recv(4096))
    assert found
    assert before <= int(found[1]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_long_start_asks_for_time(systemd, notifier):
    notifier.starting("Judging", 35.0)
    assert systemd.recv(4096) == b"STATUS=Judging\nEXTEND_TIMEOUT_USEC=35000000"


def test_a_manager_that_does_not_read_delays_nothing(systemd, notifier):
    def tell() -> None:
        for number in range(5000):
            notifier.alive(f"{number}")

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
        "notifier.ready('on'); notifier.alive('on'); notifier.stopping(); "
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
