import pytest

from healthctl.render import units


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "?"), (0, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "0.98 KiB"), (1024, "1.00 KiB"), (1536, "1.50 KiB"),
     (10 * 1024, "10.0 KiB"), (100 * 1024, "100 KiB"), (999.4 * 1024, "999 KiB"), (1023 * 1024, "1.00 MiB"),
     (2**40, "1.00 TiB"), (2**63, "8.00 EiB")],
)  # fmt: skip
def test_bytes_have_three_digits_and_a_binary_unit(value, expected):
    assert units.iec(value) == expected


def test_bytes_fit_their_column_at_every_size():
    assert max(len(units.iec(1.07**power)) for power in range(600)) == 8


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "?"), (0, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (86400, "1 day 0 h"),
     (3 * 86400 + 7200, "3 days 2 h"), (-1, "0 s")],
)  # fmt: skip
def test_durations_have_their_two_largest_units(seconds, expected):
    assert units.duration(seconds) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [(units.hertz(1_500_000_000), "1.50 GHz"), (units.hertz(600e6), "600 MHz"), (units.bits(125_000_000), "1 Gbit/s"),
     (units.bits(12_500_000), "100 Mbit/s"), (units.bits(312_500_000), "2.5 Gbit/s"), (units.rate(2048), "2.00 KiB/s"),
     (units.percent(12.34), "12.3 %"), (units.rate(None), "?"), (units.percent(None), "?"), (units.hertz(None), "?")],
)  # fmt: skip
def test_other_values_carry_their_unit(written, expected):
    assert written == expected


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("size_bytes", 2048, "2.00 KiB"), ("rx_bytes_per_second", 0.0, "0 B/s"), ("clock_hertz", 1e6, "1.00 MHz"),
     ("offset_seconds", 90, "1 min 30 s"), ("percent", 5.0, "5.0 %"), ("charging", True, "yes"), ("label", "x", "x"),
     ("count", 3, "3"), ("core_hertz", [1e6, None], "1.00 MHz, ?"), ("anything", None, "?")],
)  # fmt: skip
def test_a_field_tells_the_unit_of_its_value(field, value, expected):
    assert units.by_name(field, value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (725, "12 min"),
        (3 * 3600 + 300, "3 h"),
        (86400, "1 day"),
        (2e6, "23 days"),
    ],
)
def test_an_age_is_told_by_its_largest_unit(seconds, expected):
    assert units.age(seconds) == expected
