import fcntl
import os
import pty
import sys
import termios
from concurrent.futures import ThreadPoolExecutor

import pytest
from private_bus import eventually

from healthctl.keys import Keys
from healthctl.render.dashboard_state import COLLAPSED, EXPANDED, USUAL, Ui, press
from healthctl.screen import Screen

UI = Ui(sections=("CPU", "Memory", "Disks"), overflow=25)


def after(ui, *keys):
    for key in keys:
        ui = press(ui, key)
    return ui


@pytest.mark.parametrize(
    ("typed", "keys"),
    [("q", ["q"]), ("sp", ["s", "p"]), (" ", ["space"]), ("\r", ["enter"]), ("\n", ["enter"]), ("\t", ["tab"]),
     ("\x1b[A", ["up"]), ("\x1bOB", ["down"]), ("\x1b[C\x1b[D", ["right", "left"]), ("\x1b[Z", ["backtab"]),
     ("\x1b[5~", ["pageup"]), ("\x1b[6~", ["pagedown"]), ("\x1b[H", ["home"]), ("\x1b[4~", ["end"]),
     ("\x1b", ["escape"]),
     ("\x1b[1;5A", ["up"]), ("\x1b[6;2~", ["pagedown"]), ("\x1b[200~", [""]), ("\x1b[<0;1;1M", [""]),
     ("\x1bq", ["escape", "q"]), ("\x1b\x1b[A", ["escape", "up"]), ("", [])],
)  # fmt: skip
def test_what_a_terminal_sends_is_a_key(typed, keys):
    assert Keys().of(typed) == keys


@pytest.mark.parametrize("sequence", ["\x1b[A", "\x1bOA", "\x1b[1;5A"])
def test_a_sequence_may_come_in_pieces(sequence):
    for cut in range(2, len(sequence)):
        keys = Keys()
        assert keys.of(sequence[:cut]) == []
        assert keys.of(sequence[cut:] + "q") == ["up", "q"]


@pytest.fixture
def keyboard(monkeypatch):
    """Return a screen on a terminal of its own, and the descriptors of the two sides of that."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "r+b", buffering=0) as keys, open(os.ttyname(slave), "w", encoding="utf-8") as output:
        monkeypatch.setattr(sys, "stdin", keys)
        monkeypatch.setattr(sys, "stdout", output)
        screen = Screen()
        monkeypatch.undo()
        screen.enter()
        yield screen, master, slave
    os.close(master)


def test_an_arrow_whose_bytes_come_apart_is_no_escape(keyboard, monkeypatch):
    screen, person, program = keyboard
    monkeypatch.setattr("healthctl.screen._MOMENT", 20.0, raising=False)
    with ThreadPoolExecutor() as pool:
        os.write(person, b"\x1b")
        typed = pool.submit(screen.typed)
        eventually(lambda: fcntl.ioctl(program, termios.FIONREAD, bytes(4)) == bytes(4))
        os.write(person, b"[A")
        assert Keys().of(typed.result(10)) == ["up"]


def test_escape_alone_is_told_soon(keyboard):
    screen, person, _ = keyboard
    os.write(person, b"\x1b")
    assert Keys().of(screen.typed()) == ["escape"]


def test_q_ends_it_and_nothing_else_does():
    assert press(UI, "q").ended
    assert press(after(UI, "h"), "q").ended
    for key in ("x", "", "escape", "enter", "space", "Q"):
        assert not press(UI, key).ended


@pytest.mark.parametrize("key", ["space", "p"])
def test_pause_is_on_and_off(key):
    assert press(UI, key).paused
    assert not after(UI, key, key).paused


@pytest.mark.parametrize("key", ["h", "?"])
def test_after_help_any_key_goes_back_and_does_nothing_else(key):
    assert press(UI, key).help
    assert after(UI, key, "s") == UI


def test_the_selection_goes_round():
    assert after(UI, "down").selected == "CPU"
    assert after(UI, "up").selected == "Disks"
    assert after(UI, "tab", "j", "down").selected == "Disks"
    assert after(UI, "tab", "tab", "tab", "tab").selected == "CPU"
    assert after(UI, "down", "backtab").selected == "Disks"
    assert after(UI, "down", "k").selected == "Disks"


def test_a_section_that_is_gone_is_selected_no_more():
    gone = UI._replace(selected="Battery")
    assert press(gone, "down").selected == "CPU"
    assert press(Ui(), "down").selected == ""


def test_a_section_is_expanded_and_collapsed():
    ui = after(UI, "down")
    assert ui.fold("CPU") == USUAL
    assert press(ui, "enter").fold("CPU") == EXPANDED
    assert after(ui, "enter", "enter") == ui
    assert press(ui, "left").fold("CPU") == COLLAPSED
    assert after(ui, "-", "-", "right").fold("CPU") == USUAL
    assert after(ui, "+", "l", "right").fold("CPU") == EXPANDED
    assert after(ui, "left", "enter").fold("CPU") == EXPANDED
    assert after(ui, "enter", "down", "left").folds == (("CPU", EXPANDED), ("Memory", COLLAPSED))


def test_without_a_selection_the_first_section_is_selected_before_it_is_changed():
    assert press(UI, "enter") == press(UI, "down")


def test_scrolling_stays_within_the_lines_and_leaves_the_selection_out_of_sight():
    assert press(UI, "pagedown").top == 10
    assert after(UI, *["pagedown"] * 5).top == 25
    assert after(UI, "end", "pageup").top == 15
    assert after(UI, "end", "home").top == 0
    assert press(UI, "pageup").top == 0
    assert not press(UI, "end").follows
    assert after(UI, "end", "down").follows


def test_escape_makes_all_as_usual():
    changed = after(UI, "down", "enter", "s", "end")
    assert press(changed, "escape") == UI
