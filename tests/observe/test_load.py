from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.observe._files import Roots, roots
from healthd.observe.load import COLLECTOR, Load, parse

NOW = Instant(1767254500.0, 100.0, 0.0)


@pytest.mark.parametrize(("name", "means"), [("laptop", (0.81, 0.94, 1.07)), ("raspberry-pi-4", (0.08, 0.15, 0.10))])
def test_the_three_means_are_the_first_numbers_of_the_file(
    machine: Callable[[str], Roots], name: str, means: tuple[float, float, float]
) -> None:
    load1, load5, load15 = means
    assert COLLECTOR(machine(name)).collect(NOW) == {"": Load(load1=load1, load5=load5, load15=load15)}


def test_a_new_content_is_read_through_the_file_that_is_open(tmp_path: Path) -> None:
    file = tmp_path / "loadavg"
    file.write_text("1.00 2.00 3.00 1/100 1000\n")
    collector = COLLECTOR(roots(proc=str(tmp_path)))
    collector.collect(NOW)
    file.write_text("4.00 5.00 6.00 1/100 1001\n")
    assert collector.collect(NOW)[""] == Load(load1=4.0, load5=5.0, load15=6.0)


def test_the_load_of_a_machine_in_trouble_is_read() -> None:
    assert parse(b"1024.55 512.25 0.00 1025/4000 99\n").load1 == 1024.55


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"0.81",
        b"0.81 0.94 1.0",
        b"0.81 0.94 1.07",
        b"-0.81 0.94 1.07 2/1834 214833\n",
        b"nan inf 1e400 2/1834 214833\n",
        b"1_0.00 0.94 1.07 2/1834 214833\n",
        b"0,81 0,94 1,07 2/1834 214833\n",
        b"9999999999.00 0.94 1.07 2/1834 214833\n",
        b"\xff\xfe\x00",
    ],
)
def test_what_the_kernel_does_not_write_is_malformed(content: bytes) -> None:
    with pytest.raises(Unobserved) as raised:
        parse(content)
    assert raised.value.problem == protocol.MALFORMED


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        COLLECTOR(roots(proc=str(tmp_path))).collect(NOW)


def test_a_directory_in_place_of_the_file_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "loadavg").mkdir()
    with pytest.raises(IsADirectoryError):
        COLLECTOR(roots(proc=str(tmp_path))).collect(NOW)


@given(st.binary() | st.from_regex(rb"[0-9. ]{0,40}", fullmatch=True))
def test_no_bytes_give_a_load_that_can_not_be(content: bytes) -> None:
    try:
        load = parse(content)
    except Unobserved:
        return
    for value in (load.load1, load.load5, load.load15):
        assert 0.0 <= value < 1e9
        assert value == round(value, 2)
