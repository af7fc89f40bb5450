import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.observe._files import File, Roots, roots
from healthd.observe.pressure import COLLECTOR, FULL, SOME, Pressure, parse

NOW = Instant(1767254500.0, 100.0, 0.0)
LINES = (
    b"some avg10=0.31 avg60=0.22 avg300=0.19 total=91204410\nfull avg10=0.28 avg60=0.20 avg300=0.15 total=80114208\n"
)


@pytest.fixture
def proc(machine: Callable[[str], Roots], tmp_path: Path) -> Path:
    """Return a directory with the laptop's pressure, to change."""
    (tmp_path / "pressure").mkdir()
    for name in ("cpu", "memory", "io", "irq"):
        content = machine("laptop").proc.text(f"pressure/{name}")
        (tmp_path / "pressure" / name).write_text(content + "\n")
    return tmp_path


def test_each_line_of_the_laptop_goes_into_its_own_fields(machine: Callable[[str], Roots]) -> None:
    assert COLLECTOR(machine("laptop")).collect(NOW) == {
        "": Pressure(
            cpu_some_avg10=1.2,
            cpu_some_avg60=0.8,
            cpu_some_avg300=0.4,
            cpu_some_usec=152003411,
            memory_some_avg10=0.0,
            memory_some_avg60=0.0,
            memory_some_avg300=0.1,
            memory_some_usec=2310448,
            memory_full_avg10=0.0,
            memory_full_avg60=0.0,
            memory_full_avg300=0.1,
            memory_full_usec=1980221,
            io_some_avg10=0.3,
            io_some_avg60=0.2,
            io_some_avg300=0.2,
            io_some_usec=91204410,
            io_full_avg10=0.3,
            io_full_avg60=0.2,
            io_full_avg300=0.1,
            io_full_usec=80114208,
            irq_full_avg10=0.1,
            irq_full_avg60=0.0,
            irq_full_avg300=0.0,
            irq_full_usec=8120447,
        )
    }


def test_the_totals_are_read_though_they_take_no_part_in_equality(machine: Callable[[str], Roots]) -> None:
    reading = COLLECTOR(machine("laptop")).collect(NOW)[""]
    totals = {metric.name: getattr(reading, metric.name) for metric in reading.metrics if metric.live}
    assert totals == {
        "cpu_some_usec": 152003411,
        "memory_some_usec": 2310448,
        "memory_full_usec": 1980221,
        "io_some_usec": 91204410,
        "io_full_usec": 80114208,
        "irq_full_usec": 8120447,
    }


def test_a_kernel_without_pressure_says_what_to_do_and_where(machine: Callable[[str], Roots]) -> None:
    with pytest.raises(Unobserved) as raised:
        COLLECTOR(machine("raspberry-pi-4")).collect(NOW)
    assert raised.value.problem == protocol.UNSUPPORTED
    assert "psi=1" in raised.value.remedy
    assert "cmdline.txt" in raised.value.remedy


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOTSUP])
def test_a_file_that_is_there_but_refuses_to_be_read_is_unsupported(
    proc: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(file: File) -> NoReturn:
        raise OSError(number, os.strerror(number), file.path)

    collector = COLLECTOR(roots(proc=str(proc)))
    monkeypatch.setattr(File, "attribute", refuse)
    with pytest.raises(Unobserved) as raised:
        collector.collect(NOW)
    assert raised.value.problem == protocol.UNSUPPORTED


def test_irq_is_unknown_where_the_kernel_does_not_account_for_interrupts(proc: Path) -> None:
    (proc / "pressure/irq").unlink()
    collector = COLLECTOR(roots(proc=str(proc)))
    for _ in range(2):
        reading = collector.collect(NOW)[""]
        assert (reading.irq_full_avg10, reading.irq_full_usec) == (None, None)
        assert reading.io_full_avg10 == 0.3


@pytest.mark.parametrize("name", ["cpu", "memory", "io", "irq"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00\xfe",
        b"some avg10=0.31 avg60=0.22 avg3",
        LINES.replace(b"=0.", b"=-0."),
        LINES.replace(b"total=", b"total=-"),
        LINES.replace(b"avg10=0.", b"avg10=100."),
        LINES.replace(b"0.2", b"nan"),
        LINES.replace(b"\n", b""),
    ],
)
def test_what_the_kernel_does_not_write_is_malformed(proc: Path, name: str, content: bytes) -> None:
    (proc / "pressure" / name).write_bytes(content)
    with pytest.raises(Unobserved) as raised:
        COLLECTOR(roots(proc=str(proc))).collect(NOW)
    assert raised.value.problem == protocol.MALFORMED


@pytest.mark.parametrize("name", ["cpu", "memory", "io", "irq"])
def test_a_file_that_can_not_be_read_is_an_os_error(proc: Path, name: str) -> None:
    (proc / "pressure" / name).unlink()
    (proc / "pressure" / name).mkdir()
    with pytest.raises(IsADirectoryError):
        COLLECTOR(roots(proc=str(proc))).collect(NOW)


def test_a_total_cut_off_at_the_end_is_not_taken_for_a_number() -> None:
    with pytest.raises(Unobserved):
        parse(LINES[:-3], FULL)
    assert parse(LINES[:-3], SOME)[3] == 91204410


def test_a_cpu_that_was_waited_for_all_the_time_is_at_a_hundred() -> None:
    assert parse(b"some avg10=100.00 avg60=99.94 avg300=9.10 total=0\n", SOME) == (100.0, 99.9, 9.1, 0)


@given(
    st.binary()
    | st.builds(
        lambda a, b, c: LINES[:a] + b + LINES[c:], st.integers(0, 110), st.binary(max_size=4), st.integers(0, 110)
    )
)
def test_no_bytes_give_a_share_that_can_not_be(content: bytes) -> None:
    for line in (SOME, FULL):
        try:
            *shares, total = parse(content, line)
        except Unobserved:
            continue
        assert all(0.0 <= share <= 100.0 and share == round(share, 2) for share in shares)
        assert total >= 0
