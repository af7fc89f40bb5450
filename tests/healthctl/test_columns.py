"""Columns of samples: aligned, headed, and one for whatever comes."""

import pytest
from time_zone import zone

from healthctl.render.columns import Columns
from healthctl.render.style import Style

UNITS = {"cpu.busy": "percent", "network.rx_bytes_per_second": "bytes_per_second", "sensor.celsius": "celsius"}
PLAIN = Style(colour=False, unicode=True)


@pytest.fixture(autouse=True)
def utc():
    with zone("UTC"):
        yield


def drawn(columns, *samples, width=200):
    return [line for at, values in enumerate(samples) for line in columns.draw(at, values, width)]


def test_values_stand_below_their_heads():
    columns = Columns(["cpu.busy", "sensor.celsius@cpu", "host.os"], UNITS, PLAIN, 20)
    assert drawn(columns, {"cpu.busy": 1.5, "sensor.celsius@cpu": 61.0, "host.os": "Debian"}, {"cpu.busy": 100.0}) == [
        "                 cpu    sensor      host",
        "                busy   celsius        os",
        "                          @cpu",
        "00:00:00.0     1.5 %   61.0 °C    Debian",
        "00:00:01.0   100.0 %         ?         ?",
    ]


def test_a_long_name_takes_lines_and_not_columns():
    columns = Columns(["network.rx_bytes_per_second@eth0", "cpu.busy", "memory.available_bytes"], UNITS, PLAIN, 20)
    assert drawn(columns, {"cpu.busy": 1.5}, width=80) == [
        "               network       cpu      memory",
        "             rx_bytes_      busy  available_",
        "            per_second                 bytes",
        "                 @eth0",
        "00:00:00.0           ?     1.5 %           ?",
    ]


def test_an_instance_that_comes_has_a_column_and_keeps_it():
    columns = Columns(["network.rx_bytes_per_second"], UNITS, PLAIN, 20)
    address = "network.rx_bytes_per_second@{}".format
    lines = drawn(columns, {}, {address("b"): 1.0}, {address("b"): 2.0, address("a"): 3.0}, {address("a"): 4.0})
    assert [line.split() for line in lines] == [
        ["network"],
        ["rx_bytes_"],
        ["per_second"],
        ["00:00:00.0", "?"],
        ["network"],
        ["rx_bytes_"],
        ["per_second"],
        ["@b"],
        ["00:00:01.0", "1", "B/s"],
        ["network", "network"],
        ["rx_bytes_", "rx_bytes_"],
        ["per_second", "per_second"],
        ["@b", "@a"],
        ["00:00:02.0", "2", "B/s", "3", "B/s"],
        ["00:00:03.0", "?", "4", "B/s"],
    ]


def test_what_is_gone_has_no_column_after_the_next_head():
    address = "network.rx_bytes_per_second@{}".format
    columns = Columns(["network.rx_bytes_per_second", "cpu.busy"], UNITS, PLAIN, 7)
    samples = [{address("a"): 1.0, address("b"): 1.0}, *[{address("b"): 1.0}] * 4]
    heads = [line.split() for line in drawn(columns, *samples) if "@" in line]
    assert heads == [["@a", "@b"], ["@b"]]
    # Another one that comes has a head of its own.
    coming = ({address("lo"): 1.0, address(number): 1.0} for number in range(200))
    lines = drawn(columns, *coming, width=10_000)
    assert max(len(line.split()) for line in lines if "@" in line) == 2
    # What was asked for by its name stays.
    assert lines[-1].split() == ["00:03:19.0", "1", "B/s", "1", "B/s", "?"]


def test_the_head_comes_again_after_so_many_lines():
    columns = Columns(["cpu.busy"], UNITS, PLAIN, 5)
    lines = drawn(columns, *[{"cpu.busy": 1.0}] * 7)
    assert [number for number, line in enumerate(lines) if line.endswith("busy")] == [1, 6, 11]


def test_a_value_that_is_wide_widens_its_column():
    columns = Columns(["host.os"], UNITS, PLAIN, 20)
    lines = drawn(columns, {"host.os": "a rather long name"}, {"host.os": "short"})
    assert len({len(line) for line in lines}) == 1


def test_what_can_move_a_cursor_does_not():
    columns = Columns(["disk.model"], {}, PLAIN, 20)
    lines = drawn(columns, {"disk.model@\x1b[2J": "\x1b[2J", "disk.model@b": [True, False]})
    assert "\x1b" not in "".join(lines)
    assert lines[-1].endswith("yes no")


def test_no_line_is_wider_than_it_may_be():
    columns = Columns(["cpu.busy", "host.os"], UNITS, PLAIN, 20)
    assert max(map(len, drawn(columns, {"cpu.busy": 1.0, "host.os": "x" * 50}, width=30))) == 30
