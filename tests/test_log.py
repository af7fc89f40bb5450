"""The log on whatever standard error is."""

import logging
import os
import pty
import socket
import subprocess
import sys

import pytest

from healthd import log

START = "import logging, sys; from healthd import log; log.configure(); say = logging.getLogger('x'); "
LEVELS = "[say.log(level, 'level %d', level) for level in (10, 20, 25, 30, 40, 50)]"
TRACEBACK = """
try:
    1 / 0
except ZeroDivisionError:
    say.exception('odd')
"""


def run(script: str, stderr: int, **options) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", START + script], stderr=stderr, timeout=60, check=False, **options)


def written(script: str) -> list[str]:
    """Return the lines that arrive through a pipe."""
    ended = run(script, subprocess.PIPE)
    assert ended.returncode == 0
    return ended.stderr.decode().splitlines()


def test_a_person_reads_who_says_it(tmp_path):
    with open(tmp_path / "log", "w+b") as file:
        assert run(LEVELS + TRACEBACK, file.fileno()).returncode == 0
        file.seek(0)
        lines = file.read().decode().splitlines()
    assert lines[:6] == [*(f"healthd: level {level}" for level in (20, 25, 30, 40, 50)), "healthd: odd"]
    assert lines[6] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_a_terminal_is_a_person():
    leader, follower = pty.openpty()
    try:
        assert run("say.warning('w')", follower).returncode == 0
        assert os.read(leader, 100) == b"healthd: w\r\n"
    finally:
        os.close(leader)
        os.close(follower)


def test_a_pipe_gets_priorities():
    assert written(LEVELS) == [
        "<6>healthd: level 20",
        "<5>healthd: level 25",
        "<4>healthd: level 30",
        "<3>healthd: level 40",
        "<2>healthd: level 50",
    ]


def test_every_line_of_a_record_has_its_priority():
    lines = written(TRACEBACK)
    assert lines[0] == "<3>healthd: odd"
    assert lines[-1] == "<3>healthd: ZeroDivisionError: division by zero"
    assert len(lines) == 4
    assert all(line.startswith("<3>healthd: ") for line in lines)


def test_no_text_can_pass_for_another_line():
    assert written(r"say.warning('a\n<0>b\0<0>c')") == ["<4>healthd: a", "<4>healthd: <0>b", "<4>healthd: <0>c"]


def test_what_is_no_text_harms_nothing():
    assert written(r"say.warning('/caf\udce9'); say.warning('%d', 'x'); say.warning('on')") == [
        r"<4>healthd: /caf\udce9",
        "<4>healthd: on",
    ]


def test_a_long_line_arrives_whole():
    assert written("say.warning('x' * 20000)") == ["<4>healthd: " + "x" * 20000]


def test_a_disk_that_is_full_harms_nothing():
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        assert run("say.warning('w'); sys.exit(3)", descriptor).returncode == 3
    finally:
        os.close(descriptor)


def test_a_reader_that_is_gone_harms_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run("say.warning('w'); sys.exit(3)", writing).returncode == 3
    finally:
        os.close(writing)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_standard_error_that_is_closed_harms_nothing(when):
    closes = "import os; os.close(2); "
    script = START + "say.warning('w')"
    script = closes + script if when == "before" else START + closes + "say.warning('w')"
    ended = subprocess.run([sys.executable, "-c", f"{script}; sys.exit(3)"], timeout=60, check=False)
    assert ended.returncode == 3


def test_a_reader_that_stalls_loses_whole_lines_and_stops_nobody():
    reading, writing = os.pipe()
    try:
        assert run("[say.warning('%05d %s', n, 'x' * 100) for n in range(5000)]; sys.exit(3)", writing).returncode == 3
        os.set_blocking(reading, False)
        content = os.read(reading, 1 << 20).decode()
    finally:
        os.close(reading)
        os.close(writing)
    assert content.endswith("\n")
    lines = content.splitlines()
    assert 100 < len(lines) < 5000
    assert lines == [f"<4>healthd: {number:05} {'x' * 100}" for number in range(len(lines))]


def test_nothing_more_is_loaded_than_it_needs():
    assert written("say.warning('logging.handlers' in sys.modules)") == ["<4>healthd: False"]


def test_levels_between_those_that_have_names_count_as_the_one_below():
    assert [log.priority(level) for level in (0, 10, 19, 20, 24, log.NOTICE, 29, 30, 45, 50, 99)] == [
        7, 7, 7, 6, 6, 5, 5, 4, 3, 2, 2,
    ]  # fmt: skip
    assert log.priority(logging.WARNING) == 4


def test_the_journal_is_known_by_device_and_inode(monkeypatch):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        there = os.fstat(ours.fileno())
        assert not log.is_journal(ours.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        assert log.is_journal(ours.fileno())
        assert not log.is_journal(theirs.fileno())
        for other in ("", "nonsense", f"{there.st_dev}:{there.st_ino}0", f"{there.st_ino}:{there.st_dev}"):
            monkeypatch.setenv("JOURNAL_STREAM", other)
            assert not log.is_journal(ours.fileno())
    assert not log.is_journal(ours.fileno())
    assert not log.is_journal(10**6)


def test_each_level_has_one_name_and_what_lies_between_counts_as_the_one_below(monkeypatch):
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging, "getLogger", lambda: root)
    for name in log.LEVELS:
        log.set_level(name)
        assert log.level() == name
    for level, name in ((0, "debug"), (5, "debug"), (24, "info"), (log.NOTICE, "notice"), (99, "emerg")):
        root.setLevel(level)
        assert log.level() == name
    with pytest.raises(KeyError):
        log.set_level("loud")


def test_the_target_is_the_journal_where_standard_error_leads_there():
    reading, writing = os.pipe()
    there = os.fstat(writing)
    script = (
        "first = log.target(); log.set_target('null'); say.error('lost'); "
        "second = log.target(); log.set_target('auto'); say.error('%s %s %s', first, second, log.targets())"
    )
    environment = {**os.environ, "JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}
    try:
        assert run(script, writing, env=environment).returncode == 0
        assert os.read(reading, 1000) == b"<3>journal null ('auto', 'journal', 'null')\n"
    finally:
        os.close(reading)
        os.close(writing)
