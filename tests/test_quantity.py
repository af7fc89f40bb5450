"""Durations and sizes as people write them."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some

from healthd.errors import HealthdError
from healthd.quantity import NoQuantity, duration, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("283ms", 0.283),
        ("5s", 5.0),
        ("0.5s", 0.5),
        ("1min", 60.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("1w", 604800.0),
        ("1h30min", 5400.0),
        ("1h 30 min", 5400.0),
        ("1w1d1h1min1s1ms", 694861.001),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_seconds(text, seconds):
    assert duration(text) == seconds
    assert type(duration(text)) is float


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "5", "s", "5m", "5S", "-5s", "+5s", "1e3s", ".5s", "5.s", "30min1h", "1h1h", "5s!", "5s\n", "nan"),
        *("infs", "5  s", "\N{ARABIC-INDIC DIGIT FIVE}s", "1_000s", "9" * 5000 + "s"),
    ],
)
def test_what_is_no_duration_is_told_with_an_example(text):
    with pytest.raises(NoQuantity) as raised:
        duration(text)
    told = str(raised.value)
    assert told.startswith('expected a duration like "5s" or "1h30min" (w, d, h, min, s, ms), found ')
    assert len(told.splitlines()) == 1
    assert len(told) < 150
    assert isinstance(raised.value, HealthdError)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0B", 0),
        ("1B", 1),
        ("1kB", 1000),
        ("500MB", 500_000_000),
        ("2GB", 2_000_000_000),
        ("1TB", 10**12),
        ("1KiB", 1024),
        ("1 MiB", 2**20),
        ("1.5GiB", 3 * 2**29),
        ("1TiB", 2**40),
        ("1.1kB", 1100),
        ("999999999999B", 999_999_999_999),
    ],
)
def test_a_size_is_bytes(text, amount):
    assert size(text) == amount
    assert type(size(text)) is int


@pytest.mark.parametrize("text", ["", "5", "MB", "5M", "5mb", "5KB", "5kiB", "-5MB", "1GB500MB", "5MB ", "5 %", "1e3B"])
def test_what_is_no_size_is_told_with_an_example(text):
    with pytest.raises(NoQuantity, match=r'expected a size like "500MB" or "1\.5GiB" .*KiB.*, found '):
        size(text)


@given(some.integers(0, 10**12 - 1), some.sampled_from(["ms", "s", "min", "h", "d", "w"]))
def test_a_duration_grows_with_its_number(number, unit):
    assert duration(f"{number}{unit}") == pytest.approx(number * duration(f"1{unit}"))


@given(some.text() | some.from_regex(r"[0-9. ]*(ms|s|min|h|d|w|[kKMGT]?i?B|%)", fullmatch=True))
def test_a_quantity_is_finite_or_none(text):
    for quantity in (duration, size):
        with suppress(NoQuantity):
            assert 0 <= quantity(text) < math.inf
