import re
import shutil
import signal
import sys
import time

import pytest

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def watching(healthd_bus, terminal):
    """Start `watch` in a terminal and wait for its first screen."""

    def begin(**size):
        started = terminal(healthd_bus.address, "watch", **size)
        started.shows("Memory")
        return started

    return begin


def test_watch_takes_the_screen_and_draws_each_new_sample(watching):
    terminal = watching()
    assert terminal.screen.cursor.hidden
    assert b"\x1b[?1049h" in terminal.raw
    # The clock moves on in each.
    clocks = set()
    terminal.until(lambda: clocks.add(terminal.screen.display[0][-8:]) or len(clocks) >= 3)


@pytest.mark.parametrize("keys", [b"q", b"\x03"], ids=["q", "ctrl-c"])
def test_q_and_ctrl_c_end_it_and_give_the_terminal_back(watching, keys):
    terminal = watching()
    assert not terminal.given_back()
    terminal.type(keys)
    assert terminal.ended() == 0
    assert terminal.given_back()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_deadly_signal_ends_it_and_gives_the_terminal_back(watching, number):
    terminal = watching()
    terminal.process.send_signal(number)
    assert terminal.ended() == -number
    assert terminal.given_back()


def test_a_fault_of_ours_gives_the_terminal_back_and_is_one_line(healthd_bus, terminal):
    program = """
import healthctl.views
from healthctl.cli import main
draw = healthctl.views.dashboard
def fail_later(*arguments, calls=[]):
    calls.append(1)
    if len(calls) > 1:
        raise RuntimeError("by design")
    return draw(*arguments)
healthctl.views.dashboard = fail_later
import sys
sys.argv = ["healthctl", "watch"]
main()
"""
    started = terminal(healthd_bus.address, command=[sys.executable, "-c", program])
    assert started.ended() == 70
    assert started.given_back()
    assert "healthctl: this is a bug of healthctl: RuntimeError('by design')" in started.text
    assert "Traceback" not in started.text


BELOW = re.compile(r"\d below  every 1 s$")


@pytest.mark.parametrize("columns", [60, 80, 100, 300])
def test_it_follows_the_size_of_the_terminal_at_once(watching, columns):
    terminal = watching()
    terminal.resize(columns, 6)
    # Of what was there before, the screen keeps the last lines: they may look like the new ones.
    terminal.until(lambda: (rows := terminal.screen.display)[0].startswith("● ") and BELOW.search(rows[5].rstrip()))
    terminal.resize(columns, 60)
    terminal.until(lambda: "Network" in terminal.text and terminal.screen.display[59].startswith(" q quit"))
    assert " below" not in terminal.text


@pytest.mark.parametrize(("columns", "lines"), [(20, 3), (5, 2), (1, 1)])
def test_a_terminal_that_is_far_too_small_is_no_fault(watching, columns, lines):
    terminal = watching()
    drawn = len(terminal.raw)
    terminal.resize(columns, lines)
    terminal.until(lambda: len(terminal.raw) > drawn)
    terminal.resize(80, 40)
    terminal.until(lambda: "Memory" in terminal.text)
    terminal.type(b"q")
    assert terminal.ended() == 0


def test_a_line_as_wide_as_the_screen_keeps_its_last_column(watching):
    terminal = watching(columns=60)
    terminal.until(lambda: any(row[59] in "▁▂▃▄▅▆▇█" for row in terminal.screen.display))


@pytest.mark.skipif(not shutil.which("bash"), reason="bash has the job control that this is about")
def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again(healthd_bus, terminal):
    shell = terminal(healthd_bus.address, command=["bash", "--norc", "--noprofile", "-i"])
    shell.until(lambda: "$" in shell.text or "#" in shell.text)
    shell.type(f"{sys.executable} -m healthctl watch\n".encode())
    shell.shows("Memory")
    shell.type(b"\x1a")
    shell.shows("Stopped")
    assert not shell.screen.cursor.hidden
    entered = shell.raw.count(b"\x1b[?1049h")
    assert shell.raw.count(b"\x1b[?1049l") == entered
    shell.type(b"echo the shell has $((40 + 2))\n")
    shell.shows("the shell has 42")
    shell.type(b"clear; fg\n")
    shell.until(lambda: shell.raw.count(b"\x1b[?1049h") > entered and "Memory" in shell.text)
    assert shell.screen.cursor.hidden
    shell.type(b"q")
    shell.until(lambda: shell.raw.rfind(b"\x1b[?1049l") > shell.raw.rfind(b"\x1b[?1049h"))
    shell.type(b"exit\n")
    assert shell.ended() == 0


def test_a_daemon_that_goes_is_told_and_one_that_comes_is_shown(bus, healthd, terminal):
    daemon = healthd("--interval", "0.5").ready()
    started = terminal(bus.address, "watch")
    started.shows("Memory")
    daemon.process.kill()
    daemon.process.wait()
    started.shows("trying again:")
    # Faded, and still there.
    started.until(lambda: b"\x1b[2m Memory" in started.raw and "Memory" in started.text)
    healthd("--interval", "0.5").ready()
    started.until(lambda: "Memory" in started.text and "trying again" not in started.text)
    started.type(b"q")
    assert started.ended() == 0


def test_a_bus_that_goes_is_told_and_one_that_comes_is_used(bus, healthd, terminal):
    healthd("--interval", "0.5").ready()
    started = terminal(bus.address, "watch")
    started.shows("Memory")
    bus.stop()
    started.shows("trying again:")
    bus.start()  # healthd finds it again
    started.until(lambda: "Memory" in started.text and "trying again" not in started.text)


def test_a_daemon_that_hangs_is_told(bus, healthd, terminal):
    daemon = healthd("--interval", "0.5").ready()
    started = terminal(bus.address, "watch")
    started.shows("Memory")
    daemon.process.send_signal(signal.SIGSTOP)
    started.shows("has not answered for 5 s")
    daemon.process.send_signal(signal.SIGCONT)
    started.until(lambda: "trying again" not in started.text)


def test_keys_are_heeded_while_an_answer_is_awaited(bus, healthd, terminal):
    daemon = healthd("--interval", "0.5").ready()
    started = terminal(bus.address, "watch")
    started.shows("Memory")
    daemon.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    started.until(lambda: time.monotonic() > began + 1)  # two intervals: the question is asked by now
    started.type(b"q")
    assert started.ended() == 0
    assert time.monotonic() < began + 4
    assert started.given_back()
    daemon.process.send_signal(signal.SIGCONT)


def test_without_a_daemon_the_terminal_is_not_taken(bus, terminal):
    started = terminal(bus.address, "watch")
    assert started.ended() == 69
    assert b"\x1b[" not in started.raw
    assert "healthd is not running" in started.text


def test_status_on_a_terminal_is_coloured_and_as_wide_as_it(healthd_bus, terminal):
    started = terminal(healthd_bus.address, "status", columns=120)
    started.ended()
    assert b"\x1b[1mMemory" in started.raw
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", started.raw).decode()
    bar = next(line for line in plain.splitlines() if line.startswith("Memory"))[13:45]
    assert set(bar) <= set("█░")
