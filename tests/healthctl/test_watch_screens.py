"""`healthctl watch` in a real terminal: of recorded machines, and of this one."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest
from private_bus import eventually
from recorded_healthd import RecordedHealthd

from healthctl.feed import AT_ONCE, Feed, History
from healthctl.render.dashboard_series import FAST
from healthd._dbus_answers import MOST_OF_ONE

pytestmark = pytest.mark.timeout(120)

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden")
SCREENS = [
    ("troubled", 40, 12), ("desktop", 80, 24), ("troubled", 80, 24), ("raspberry-pi", 100, 30), ("desktop", 160, 48),
    ("server-64", 300, 80),
]  # fmt: skip
MANAGER = ("org.healthd.Health1", "/org/healthd/Health1", "org.healthd.Health1.Manager")


def agreed(columns, lines, machine="desktop"):
    with open(golden(machine, columns, lines)) as file:
        return file.read().rstrip("\n")


def golden(machine, columns, lines):
    return os.path.join(GOLDEN, f"watch-{machine}-{columns}x{lines}.txt")


def rewrite(screen, path):
    """Write what is on the screen once nothing has been drawn for a second."""
    seen = [len(screen.raw), time.monotonic()]

    def is_quiet():
        if len(screen.raw) != seen[0]:
            seen[:] = len(screen.raw), time.monotonic()
        return screen.raw and time.monotonic() > seen[1] + 1

    screen.until(is_quiet)
    with open(path, "w") as file:
        file.write(screen.text + "\n")


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("COLORTERM", raising=False)


@pytest.fixture
def desktop(bus, described):
    with closing(RecordedHealthd(bus.address, described("desktop"))) as healthd:
        yield healthd


@pytest.fixture
def screen(bus, desktop, terminal):  # noqa: ARG001  # it is shown
    """Show the recorded desktop on 80 columns, with all that is known of it."""
    started = terminal(bus.address, "watch", lines=24)
    started.until(lambda: started.text == agreed(80, 24))
    return started


def leave(screen):
    screen.type(b"q")
    assert screen.ended() == 0
    assert screen.given_back()


@pytest.mark.parametrize("shown", SCREENS, ids="{0[0]}-{0[1]}x{0[2]}".format)
def test_a_recorded_machine_at_every_size_looks_as_agreed(bus, described, terminal, shown):
    machine, columns, lines = shown
    with closing(RecordedHealthd(bus.address, described(machine))) as healthd:
        started = terminal(bus.address, "watch", columns=columns, lines=lines)
        if "HEALTHCTL_WRITE_GOLDEN" in os.environ:
            rewrite(started, golden(machine, columns, lines))
        started.until(lambda: started.text == agreed(columns, lines, machine), seconds=40)
        leave(started)
        # Once each, and of what is on the screen alone.
        assert len(set(healthd.histories)) == len(healthd.histories)


def test_the_readme_has_the_screens_of_80_columns():
    with open(os.path.join(HERE, "..", "..", "README.md"), encoding="utf-8") as file:
        readme = file.read()
    for machine, columns, lines in SCREENS:
        assert columns != 80 or agreed(columns, lines, machine) in readme


@pytest.mark.usefixtures("desktop")
@pytest.mark.parametrize(
    ("variable", "code"),
    [("TERM=xterm", rb"\x1b\[32m"), ("TERM=xterm-256color", rb"\x1b\[38;5;\d+m"),
     ("COLORTERM=truecolor", rb"\x1b\[38;2;\d+;\d+;\d+m")],
)  # fmt: skip
def test_it_has_as_many_colours_as_the_terminal(bus, terminal, variable, code):
    started = terminal(bus.address, command=["env", variable, sys.executable, "-m", "healthctl", "watch"], lines=24)
    started.until(lambda: started.text == agreed(80, 24))
    # Before the steps of a strip, or a bar.
    assert re.search(code + rb"\xe2\x96[\x82-\x88]", started.raw)
    assert (b"\x1b[38;" in started.raw) == (variable != "TERM=xterm")
    leave(started)


@pytest.mark.usefixtures("desktop")
@pytest.mark.parametrize(
    "arguments", [["NO_COLOR=1"], ["TERM=vt220"], ["--color", "never"]], ids=["NO_COLOR", "vt220", "--color"]
)
def test_without_colour_all_is_still_there(bus, terminal, arguments):
    variables = [each for each in arguments if "=" in each]
    options = [each for each in arguments if "=" not in each]
    command = ["env", *variables, sys.executable, "-m", "healthctl", "watch", *options]
    started = terminal(bus.address, command=command, lines=24)
    started.until(lambda: started.text == agreed(80, 24))
    assert not re.search(rb"\x1b\[[0-9;]*m", started.raw)
    leave(started)


@pytest.mark.usefixtures("desktop")
@pytest.mark.parametrize("variable", ["LC_ALL=C", "TERM=linux"])
def test_a_terminal_of_ascii_gets_ascii(bus, terminal, variable):
    started = terminal(bus.address, command=["env", variable, sys.executable, "-m", "healthctl", "watch"], lines=24)
    started.until(lambda: re.search(r"Memory +[#.]+ +55\.0 % .*[_.:=+*#-]{20}$", started.text, re.MULTILINE))
    assert started.raw.isascii()
    leave(started)


def test_a_healthd_that_has_too_much_to_answer_is_asked_again(bus, described, terminal):
    with closing(RecordedHealthd(bus.address, described("desktop"), busy=True)) as healthd:
        started = terminal(bus.address, "watch", lines=24)

        def is_filled():
            healthd.go_on()
            return started.text == agreed(80, 24)

        started.until(is_filled, seconds=60)
        assert len(set(healthd.histories)) == len(healthd.histories)
        leave(started)


def test_all_histories_come_and_no_more_are_asked_for_than_healthd_answers(healthd_bus):
    metrics = [f"cpu.{field}" for field in ("busy", "user", "system", "iowait", "steal", "idle", "nice", "irq")]
    metrics += [f"memory.{field}" for field in ("percent", "used_bytes", "available_bytes", "free_bytes")]
    with closing(Feed(healthd_bus.address, None, ())) as feed:
        filled = {}

        def is_filled():
            for news in feed.news():
                if isinstance(news, History):
                    filled[news.address] = news.points
            feed.load([address for address in metrics if address not in filled], 0.0, 256)
            return len(filled) == len(metrics)

        eventually(is_filled)
        assert all(filled.values())
        assert AT_ONCE <= MOST_OF_ONE


def test_keys_do_what_help_says(screen):
    screen.type(b"h")
    screen.shows("Any key goes back.")
    screen.type(b"x")
    screen.until(lambda: screen.text == agreed(80, 24))
    screen.type(b"\t")
    screen.shows("▸CPU")
    screen.type(b"\r")
    screen.until(lambda: "core 7" in screen.text and "iowait" in screen.text)
    screen.type(b"\x1b[D\x1b[D")
    screen.until(lambda: "▸CPU +12" in screen.text and "core" not in screen.text.replace("coretemp", ""))
    screen.type(b"\x1b[A")
    screen.until(lambda: "▸Battery" in screen.text and "▸CPU" not in screen.text)
    screen.type(b"s")
    screen.shows("s by name")
    screen.until(lambda: screen.text.index("\n  /home ") < screen.text.index("\n  / "))
    screen.type(b"\x1b")
    screen.until(lambda: screen.text == agreed(80, 24))
    leave(screen)


def test_pause_holds_the_picture_and_goes_on_with_the_present(screen, desktop):
    screen.type(b" ")
    screen.shows("paused")
    held = screen.text
    told = desktop.told
    desktop.go_on(1.0, percent=77.7)
    screen.until(lambda: desktop.told >= told + 3)
    assert screen.text == held
    screen.type(b"p")
    screen.until(lambda: "77.7 %" in screen.text and "paused" not in screen.text)
    leave(screen)


def test_what_is_unfolded_during_a_pause_has_its_strips(screen):
    screen.type(b" \t\r")
    screen.until(lambda: re.search(r"\n  iowait .*[▁▂▃▄▅▆▇█]{25}\n", screen.text) and "paused" in screen.text)
    leave(screen)


def test_what_somebody_else_has_written_goes_with_ctrl_l(screen):
    drawn = len(screen.raw)
    screen.type(b"\x0c")
    screen.until(lambda: len(re.findall(rb"\x1b\[\d+H", screen.raw[drawn:])) >= 24)
    screen.until(lambda: screen.text == agreed(80, 24))
    leave(screen)


def test_on_a_console_that_has_no_second_screen_the_shell_goes_on_below(screen):
    assert b"\x1b[?1049h" in screen.raw  # and this one takes no notice
    leave(screen)
    assert (screen.screen.cursor.x, screen.screen.cursor.y) == (0, 23)
    assert screen.screen.display[-1].strip() == ""


def test_a_strip_grows_with_each_sample(screen, desktop):
    def strip():
        return next(line for line in screen.text.splitlines() if line.startswith(" Memory"))[-25:]

    before = strip()
    desktop.go_on(1.0, percent=100.0)
    screen.until(lambda: strip() == before[1:] + "█")
    desktop.go_on(1.0, percent=0.0)
    screen.until(lambda: strip() == before[2:] + "█▁")
    leave(screen)


def test_conditions_come_and_go(screen, desktop, described):
    calm = desktop.described
    desktop.described = {**calm, "health": described("troubled")["health"], "seq": calm["seq"] + 1}
    screen.until(lambda: re.match(r"● critical for .*\n  memory_pressure +41\.3 % ", screen.text))
    assert "\n Battery" in screen.text
    desktop.described = {**calm, "seq": calm["seq"] + 2}
    screen.until(lambda: screen.text == agreed(80, 24))
    leave(screen)


def test_only_lines_that_changed_are_written_and_all_at_once(screen, desktop):
    drawn = len(screen.raw)
    desktop.go_on(0.0, percent=77.7)
    screen.shows("77.7 %")
    screen.until(lambda: screen.raw.endswith(b"\x1b[?2026l"))
    written = screen.raw[drawn:]
    assert written.startswith(b"\x1b[?2026h")
    assert len(re.findall(rb"\x1b\[\d+H", written)) == 1
    # What is cleared before it is written flickers.
    assert b"\x1b[2K" not in written
    assert b"\x1b[2J" not in written
    assert len(written) < 600


def test_a_storm_of_sizes_ends_with_the_right_picture(screen):
    for number in range(100):
        screen.resize(30 + number * 37 % 270, 5 + number * 7 % 60)
        if number % 10 == 0:
            screen.until(lambda: not select.select([screen._master], [], [], 0)[0])
    screen.resize(80, 24)
    screen.until(lambda: screen.text == agreed(80, 24))
    leave(screen)


def test_keys_are_heeded_while_history_does_not_come(bus, described, terminal):
    with closing(RecordedHealthd(bus.address, described("desktop"), mute=True)) as healthd:
        started = terminal(bus.address, "watch", lines=24)
        started.shows("Memory")
        asked = healthd.told
        healthd.go_on(1.0, percent=77.7)
        started.shows("77.7 %")
        started.type(b"h")
        started.shows("Any key goes back.")
        started.type(b"q")
        assert started.ended() == 0
        assert started.given_back()
        assert healthd.told > asked


@pytest.mark.usefixtures("desktop")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_is_drawn_gives_the_terminal_back(bus, terminal, number):
    started = terminal(bus.address, "watch", columns=300, lines=80)
    started.until(lambda: b"\x1b[?1049h" in started.raw)
    started.process.send_signal(number)
    assert started.ended() == (0 if number == signal.SIGINT else -number)
    assert started.given_back()


# Oftener than healthd samples.


def watches(bus):
    return bus.busctl("get-property", *MANAGER, "WatchCount").stdout.strip()


def test_oftener_than_healthd_samples_it_watches_and_takes_its_leave(bus, healthd, terminal):
    healthd("--interval", "60").ready()
    started = terminal(bus.address, "watch", "-n", "0.25", lines=24)
    started.shows("every 0.25 s")
    eventually(lambda: watches(bus) == "u 1")
    ends = set()

    def moves():
        row = next(line for line in started.text.splitlines() if line.startswith(" CPU"))
        ends.add(row[-25:].strip())
        return len(ends) >= 4

    started.until(moves)
    leave(started)
    eventually(lambda: watches(bus) == "u 0")


def test_a_daemon_that_comes_again_is_watched_again(bus, healthd, terminal):
    daemon = healthd("--interval", "60").ready()
    started = terminal(bus.address, "watch", "-n", "0.25", lines=24)
    started.shows("every 0.25 s")
    daemon.stop()
    started.shows("trying again: ")
    healthd("--interval", "60").ready()
    started.until(lambda: "trying again" not in started.text)
    eventually(lambda: watches(bus) == "u 1")
    leave(started)


def test_not_oftener_than_healthd_samples_nothing_is_watched(healthd_bus, terminal):
    started = terminal(healthd_bus.address, "watch", "-n", "60", lines=24)
    started.shows("every 1 min")
    eventually(lambda: watches(healthd_bus) == "u 0")
    leave(started)


def test_it_says_the_interval_that_healthd_has_made_of_what_was_asked_for(bus, healthd, terminal):
    healthd("--interval", "60").ready()
    started = terminal(bus.address, "watch", "-n", "0.4", lines=24)
    started.shows("every 0.5 s")
    leave(started)


def test_a_watch_that_healthd_makes_as_slow_as_itself_is_none(bus, healthd):
    healthd("--interval", "0.5").ready()
    with closing(Feed(bus.address, 0.4, FAST)) as feed:
        news = []
        eventually(lambda: news.extend(feed.news()) or len(news) >= 3)
        assert feed.step == 0.5
        assert all(isinstance(each, dict) for each in news)
        assert watches(bus) == "u 0"


def test_where_nothing_can_be_watched_it_asks(bus, described, terminal):
    machine = described("desktop") | {"interval": 2.0}
    with closing(RecordedHealthd(bus.address, machine)) as healthd:
        started = terminal(bus.address, "watch", "-n", "0.5", lines=24)
        started.shows("every 2 s")
        healthd.go_on(2.0, percent=77.7)
        started.shows("77.7 %")
        leave(started)


def test_what_has_brought_nothing_is_not_asked_for_so_often_again(bus, described):
    machine = described("desktop") | {"interval": 8.0}
    with closing(RecordedHealthd(bus.address, machine)) as healthd, closing(Feed(bus.address, 0.25, FAST)) as feed:
        # A replay may be faster than what was recorded.
        for _ in range(3):
            eventually(lambda: list(feed.news()))
            assert feed.wait <= 0.25
            healthd.go_on(8.0)
        eventually(lambda: list(feed.news()))
        told = healthd.told

        def is_told():
            return not list(feed.news()) and healthd.told == told + 1 and feed.fileno() < 0

        eventually(is_told)
        assert 1.5 < feed.wait <= 2.0
        healthd.go_on(8.0)
        eventually(lambda: list(feed.news()))
        assert 7.5 < feed.wait <= 8.0


# A line a sample.


def plain(bus, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "healthctl", "watch", "--plain", *arguments], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HEALTHD_BUS": bus, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "error"},
    )  # fmt: skip


@pytest.mark.parametrize("interval", ["0.25", "1"])
def test_plain_is_a_line_of_words_for_each_sample(healthd_bus, interval):
    process = plain(healthd_bus.address, "-n", interval)
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[1] == ""
    assert process.returncode == 0
    for line in lines:
        assert re.match(r"\d\d:\d\d:\d\d \w+[,:].* cpu [\d.]+ %, memory [\d.]+ %, ", line)
        assert "\x1b" not in line


@pytest.mark.parametrize(
    "command", [["healthctl", "watch", "--plain"], ["healthctl", "watch"]], ids=["asked for", "no cursor"]
)
def test_plain_takes_no_terminal(healthd_bus, terminal, command):
    is_dumb = "--plain" not in command
    whole = ["env", *(["TERM=dumb"] if is_dumb else []), sys.executable, "-m", *command]
    started = terminal(healthd_bus.address, command=whole, columns=300)
    started.until(lambda: started.text.count(", memory ") >= 2)
    assert b"\x1b" not in started.raw
    started.type(b"\x03")
    assert started.ended() == 0


def test_it_ends_soon_when_nobody_reads_any_more(healthd_bus):
    process = plain(healthd_bus.address, "-n", "60")
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 128 + signal.SIGPIPE
    assert process.stderr.read() == ""
    process.stderr.close()
