"""Colour is for terminals, unless somebody has said otherwise (https://no-color.org)."""

import sys

import pytest

STATUS = [sys.executable, "-m", "healthctl", "status"]


def shown(terminal, address, *settings, options=()):
    found = terminal(address, command=["env", *settings, *STATUS, *options])
    found.ended()
    assert "Memory" in found.text
    return b"\x1b[" in found.raw


def test_a_terminal_gets_colour(healthd_bus, terminal):
    assert shown(terminal, healthd_bus.address)


@pytest.mark.parametrize(
    ("settings", "options", "coloured"),
    [(["NO_COLOR=1"], [], False), (["NO_COLOR=0"], [], False), (["NO_COLOR="], [], True), (["TERM=dumb"], [], False),
     (["-u", "TERM"], [], False), (["NO_COLOR=1"], ["--color", "always"], True), ([], ["--color=never"], False)],
)  # fmt: skip
def test_who_wants_none_gets_none(healthd_bus, terminal, settings, options, coloured):
    assert shown(terminal, healthd_bus.address, *settings, options=options) is coloured


@pytest.mark.parametrize("command", ["metrics", "conditions", "collectors", "why", "log", "check"])
def test_no_other_command_colours_where_none_is_wanted(judged_bus, terminal, command):
    options = ["--all"] if command == "conditions" else []
    base = [sys.executable, "-m", "healthctl", "--no-pager"]
    found = terminal(judged_bus.address, command=["env", "NO_COLOR=1", *base, command, *options])
    found.ended()
    assert found.raw.strip()
    assert b"\x1b" not in found.raw
