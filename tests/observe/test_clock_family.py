import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.observe._files import Roots, roots
from healthd.observe.clock import Clock, ClockCollector, Timex, account

NOW = Instant(1767254500.0, 100.0, 0.0)
UNSYNC, NANO = 0x40, 0x2000


def kernel(**told: int) -> Callable[[], Timex]:
    return lambda: Timex(**told)


def refuse() -> Timex:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), "adjtimex")


@pytest.fixture
def bare(tmp_path: Path) -> Roots:
    return roots(f"{tmp_path}/proc", f"{tmp_path}/sys", f"{tmp_path}/etc", str(tmp_path))


def look(machine: Roots, asked: Callable[[], Timex]) -> Clock:
    reading = ClockCollector(machine, asked).collect(NOW)[""]
    assert isinstance(reading, Clock)
    return reading


def test_a_clock_that_timesyncd_keeps_has_an_offset_and_errors(machine: Callable[[str], Roots]) -> None:
    assert look(machine("vm"), kernel(offset=-1234567, maxerror=250400, esterror=1200, status=NANO | 1)) == Clock(
        synchronised=True,
        offset_seconds=-0.001235,  # -1234567 ns
        estimated_error_seconds=0.0012,
        maximum_error_seconds=0.25,
        source="systemd-timesyncd",
        rtc=True,
    )


def test_without_the_flag_for_nanoseconds_an_offset_is_of_microseconds(bare: Roots) -> None:
    assert look(bare, kernel(offset=1500, maxerror=1)).offset_seconds == 0.0015


@pytest.mark.parametrize(("most", "kept"), [(15_999_999, True), (16_000_000, False), (16_000_500, False), (-1, False)])
def test_a_clock_that_may_be_sixteen_seconds_wrong_is_kept_by_nobody(bare: Roots, most: int, *, kept: bool) -> None:
    found = look(bare, kernel(maxerror=most, esterror=5))
    assert found.synchronised is kept
    assert (found.maximum_error_seconds is not None) == (found.estimated_error_seconds is not None) == kept


def test_who_keeps_the_kernel_from_the_hardware_clock_keeps_the_clock_all_the_same(bare: Roots) -> None:
    assert look(bare, kernel(maxerror=1000, status=UNSYNC)).synchronised is True


@pytest.mark.parametrize(
    ("trace", "source"),
    [("run/systemd/timesync", "systemd-timesyncd"), ("run/chrony", "chrony"), ("run/ntpd.pid", "ntpd"), ("run", None)],
)
def test_who_keeps_it_shows_below_run(bare: Roots, tmp_path: Path, trace: str, source: str | None) -> None:
    (tmp_path / trace).mkdir(parents=True)
    assert look(bare, kernel()).source == source


def test_a_board_without_a_hardware_clock_says_so_and_without_sysfs_nobody_knows(bare: Roots, tmp_path: Path) -> None:
    assert look(bare, kernel()).rtc is None
    (tmp_path / "sys/class/rtc").mkdir(parents=True)
    assert look(bare, kernel()).rtc is False
    (tmp_path / "sys/class/rtc/rtc0").mkdir()
    assert look(bare, kernel()).rtc is True


def test_in_a_sandbox_timesyncds_word_counts(machine: Callable[[str], Roots], bare: Roots, tmp_path: Path) -> None:
    found = look(machine("vm"), refuse)
    assert (found.synchronised, found.source, found.rtc) == (True, "systemd-timesyncd", True)
    assert (found.offset_seconds, found.estimated_error_seconds, found.maximum_error_seconds) == (None, None, None)
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    assert look(bare, refuse).synchronised is False


def test_in_a_sandbox_without_timesyncd_it_is_said_what_lets_it_ask(bare: Roots) -> None:
    with pytest.raises(Unobserved) as raised:
        look(bare, refuse)
    assert raised.value.problem == protocol.PERMISSION
    drop_in = os.path.join(os.path.dirname(__file__), "../../data/systemd/drop-ins/clock.conf")
    assert os.path.basename(drop_in) in raised.value.remedy
    with open(drop_in) as file:
        assert "SystemCallFilter=adjtimex clock_adjtime clock_adjtime64\n" in file.readlines()


def test_another_error_of_the_kernel_stays_what_it_is(bare: Roots) -> None:
    def fail() -> Timex:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "adjtimex")

    with pytest.raises(OSError, match="adjtimex"):
        look(bare, fail)


def test_this_kernels_account_is_as_the_kernel_has_it() -> None:
    try:
        found = account()
    except PermissionError:
        pytest.skip("adjtimex is refused here")
    assert found.modes == 0
    # All that the kernel writes has room: struct timex has 208 bytes, or 128 where long has four.
    assert ctypes.sizeof(Timex) >= (208 if ctypes.sizeof(ctypes.c_long) == 8 else 128)
    # What follows the status: constant, precision, tolerance, the time, µs of a tick.
    assert found.rest[1] == 1
    assert found.rest[5] == 10000 or 9000 <= found.rest[5] <= 11000
    assert 0 <= found.maxerror <= 16_000_000
