import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.observe._files import Roots, roots
from healthd.observe.battery import Battery, BatteryCollector, observed, parse

NOW = Instant(1767225600.0, 1000.0, 0.0)
SUPPLIES = "sys/class/power_supply"


def known(reading: Battery | None) -> dict[str, Any]:
    """Return the fields of a reading that are known."""
    assert reading is not None
    return {name: value for name, value in asdict(reading).items() if value is not None}


def read(of: Roots | BatteryCollector) -> dict[str, dict[str, Any]]:
    collector = of if isinstance(of, BatteryCollector) else BatteryCollector(of)
    found = {name: probe() for name, probe in collector.probes(NOW).items()}
    return {name: known(reading) for name, reading in found.items() if reading}


def told(**properties: str | int) -> dict[str, Any]:
    """Return what is known of a supply that tells this."""
    return known(observed({name: str(value) for name, value in properties.items()}))


@pytest.fixture
def laptop(machine: Callable[[str], Roots], tmp_path) -> Roots:
    """Return a laptop that can be changed."""
    shutil.copytree(machine("laptop").sys.root, tmp_path / "sys", symlinks=True)
    return roots(f"{tmp_path}/proc", f"{tmp_path}/sys", f"{tmp_path}/etc", str(tmp_path))


def test_a_laptop_has_a_battery_a_plug_and_a_mouse(machine):
    assert read(machine("laptop")) == {
        "AC": {"kind": "mains", "on_mains": False},
        "BAT0": {
            "kind": "battery",
            "model": "SMP DELL 722KK13",
            "status": "discharging",
            "percent": 76.0,
            "together_percent": 76.0,
            "full_percent": 90.2,  # 6050 of 6710 mAh
            "energy_watt_hours": 34.94,  # 4.598 Ah at 7.6 V
            "energy_full_watt_hours": 45.98,  # 6.05 Ah at 7.6 V
            "power_watts": 8.83,  # 1.102 A at 8.012 V
            "volts": 8.012,
            "cycles": 142,
            "empty_seconds": 14248.0,  # 34.9448 Wh / 8.829224 W
        },
        "4082-1c-2f-aa-07": {
            "kind": "device",
            "model": "Logitech Wireless Mouse MX Master 3",
            "status": "discharging",
            "percent": 15.0,
        },
    }


def test_a_board_with_an_empty_usb_plug_has_no_power_from_it(machine):
    found = read(machine("rk3588"))
    assert found == {"tcpm-source-psy-6-0022": {"kind": "usb", "on_mains": False, "power_watts": 0.0, "volts": 0.0}}


@pytest.mark.parametrize("name", ["server-64", "raspberry-pi-4", "container"])
def test_a_machine_without_supplies_has_none_of_the_family(machine, name):
    with pytest.raises(Unobserved) as caught:
        BatteryCollector(machine(name)).probes(NOW)
    assert caught.value.problem == protocol.UNSUPPORTED


def test_energy_is_taken_as_it_is_told_and_a_charge_at_the_voltage_by_design():
    assert told(TYPE="Battery", ENERGY_NOW=20000000, ENERGY_FULL=50000000) == {
        "kind": "battery", "percent": 40.0, "energy_watt_hours": 20.0, "energy_full_watt_hours": 50.0,
    }  # fmt: skip
    by_charge = told(TYPE="Battery", CHARGE_NOW=2000000, VOLTAGE_NOW=12000000, VOLTAGE_MIN_DESIGN=11100000)
    assert by_charge["energy_watt_hours"] == 22.2


@pytest.mark.parametrize("power", [10000000, -10000000])
def test_power_has_no_sign_for_drivers_do_not_agree_on_it(power):
    found = told(TYPE="Battery", STATUS="Discharging", ENERGY_NOW=5000000, POWER_NOW=power)
    assert (found["power_watts"], found["empty_seconds"]) == (10.0, 1800.0)


def test_the_kernels_own_estimate_goes_before_ours():
    found = told(TYPE="Battery", STATUS="Discharging", ENERGY_NOW=5000000, POWER_NOW=10000000, TIME_TO_EMPTY_AVG=2400)
    assert found["empty_seconds"] == 2400.0
    found = told(TYPE="Battery", STATUS="Charging", ENERGY_NOW=5000000, TIME_TO_FULL_NOW=600, TIME_TO_EMPTY_NOW=9)
    assert found["full_seconds"] == 600.0
    assert "empty_seconds" not in found


def test_how_long_charging_takes_is_what_lacks_over_the_power():
    found = told(TYPE="Battery", STATUS="Charging", ENERGY_NOW=40000000, ENERGY_FULL=50000000, POWER_NOW=20000000)
    assert found["full_seconds"] == 1800.0


@pytest.mark.parametrize("status", ["Full", "Not charging", "Unknown"])
def test_a_battery_that_rests_has_no_time_left(status):
    found = told(TYPE="Battery", STATUS=status, ENERGY_NOW=40000000, ENERGY_FULL=50000000, POWER_NOW=20000000)
    assert found["status"] == status.lower()
    assert not {"empty_seconds", "full_seconds"} & set(found)


@pytest.mark.parametrize("power", [0, 1])
def test_without_power_there_is_no_end(power):
    found = told(TYPE="Battery", STATUS="Discharging", ENERGY_NOW=50000000, POWER_NOW=power)
    assert "empty_seconds" not in found


@pytest.mark.parametrize(("capacity", "percent"), [(0, 0.0), (101, 100.0), (-3, 0.0)])
def test_a_share_is_from_0_to_100_whatever_firmware_says(capacity, percent):
    assert told(TYPE="Battery", CAPACITY=capacity)["percent"] == percent


def test_a_battery_says_how_it_is():
    found = told(TYPE="Battery", HEALTH="Overheat", TEMP=512, CYCLE_COUNT=0, ENERGY_FULL=51000000,
                 ENERGY_FULL_DESIGN=50000000)  # fmt: skip
    assert found == {
        "kind": "battery", "health": "overheat", "celsius": 51.2, "energy_full_watt_hours": 51.0, "full_percent": 100.0,
    }  # fmt: skip


def test_a_ups_is_a_battery_and_a_charger_is_not():
    assert told(TYPE="UPS", STATUS="Discharging", CAPACITY=50)["kind"] == "ups"
    assert told(TYPE="USB", STATUS="Charging", ONLINE=1) == {"kind": "usb", "on_mains": True}
    # Two phases, and a programmable voltage.
    assert told(TYPE="Mains", ONLINE=2)["on_mains"] is True


def test_a_bay_without_a_battery_and_what_is_no_supply_are_left_out():
    assert observed({"TYPE": "Battery", "PRESENT": "0"}) is None
    assert observed({"TYPE": "BMS"}) is None
    assert observed({}) is None


def test_a_battery_that_is_taken_out_goes_and_comes_back(laptop):
    collector = BatteryCollector(laptop)
    assert "BAT0" in read(collector)
    link = laptop.sys.path("class/power_supply/BAT0")
    target = os.readlink(link)
    os.unlink(link)
    assert "BAT0" not in read(collector)
    os.symlink(target, link)
    assert read(collector)["BAT0"]["percent"] == 76.0


def test_a_battery_that_goes_between_look_and_read_is_none_of_the_family(laptop):
    probes = BatteryCollector(laptop).probes(NOW)
    os.unlink(laptop.sys.path("class/power_supply/BAT0"))
    assert probes["BAT0"]() is None


def second(laptop: Roots, **properties: str | int) -> str:
    """Put a second battery into a laptop; return its file."""
    os.makedirs(laptop.sys.path("class/power_supply/BAT1"))
    path = laptop.sys.path("class/power_supply/BAT1/uevent")
    with open(path, "w") as file:
        file.writelines(f"POWER_SUPPLY_{name}={value}\n" for name, value in properties.items())
    return path


def shares(laptop: Roots) -> dict[str, tuple[float | None, float | None]]:
    found = read(laptop)
    return {name: (each.get("percent"), each.get("together_percent")) for name, each in found.items()}


def test_two_batteries_know_what_is_in_both(laptop):
    second(laptop, TYPE="Battery", STATUS="Discharging", CAPACITY=8, ENERGY_NOW=1840000, ENERGY_FULL=23000000)
    # 76 % of 45.98 Wh and 8 % of 23 Wh: 36.78 of 68.98 Wh.
    assert shares(laptop) == {
        "AC": (None, None), "BAT0": (76.0, 53.3), "BAT1": (8.0, 53.3), "4082-1c-2f-aa-07": (15.0, None),
    }  # fmt: skip


@pytest.mark.parametrize("full", [{}, {"ENERGY_FULL": "unknown"}])
def test_batteries_that_do_not_tell_what_they_hold_are_taken_for_alike(laptop, full):
    second(laptop, TYPE="Battery", STATUS="Discharging", CAPACITY=8, **full)
    assert shares(laptop)["BAT1"] == (8.0, 42.0)


@pytest.mark.parametrize(
    "properties",
    [{"TYPE": "UPS", "CAPACITY": 8}, {"TYPE": "Battery", "CAPACITY": 8, "PRESENT": 0}, {"TYPE": "Battery"}],
)
def test_what_is_another_kind_or_an_empty_bay_or_does_not_tell_is_no_part_of_what_is_in_them(laptop, properties):
    second(laptop, **properties)
    assert shares(laptop)["BAT0"] == (76.0, 76.0)


def test_what_is_in_both_is_unknown_while_one_can_not_be_read(laptop):
    path = second(laptop, TYPE="Battery", STATUS="Discharging", CAPACITY=8)
    os.unlink(path)
    os.mkdir(path)
    probes = BatteryCollector(laptop).probes(NOW)
    assert known(probes["BAT0"]())["percent"] == 76.0
    assert "together_percent" not in known(probes["BAT0"]())
    with pytest.raises(IsADirectoryError):
        probes["BAT1"]()


def test_a_mouse_is_not_asked_for_what_is_in_the_machines_batteries(laptop):
    collector = BatteryCollector(laptop)
    probes = collector.probes(NOW)
    probes["BAT0"]()
    assert [name for name, file in collector._files.items() if file._fd < 0] == ["4082-1c-2f-aa-07"]


def test_a_device_keeps_its_name_when_it_is_counted_anew(laptop):
    before = read(laptop)
    path = laptop.sys.path("class/power_supply/hidpp_battery_")
    os.rename(f"{path}0", f"{path}7")
    assert read(laptop) == before


def test_the_plug_is_seen_at_the_next_look(laptop):
    collector = BatteryCollector(laptop)
    assert read(collector)["AC"]["on_mains"] is False
    path = laptop.sys.path("class/power_supply/AC/uevent")
    with open(path) as file:
        content = file.read().replace("ONLINE=0", "ONLINE=1")
    with open(path, "w") as file:
        file.write(content)
    assert read(collector)["AC"]["on_mains"] is True


@pytest.mark.parametrize("content", ["", "1.5", "0x10", "--5", "9" * 400, "²"])
def test_what_is_no_number_is_unknown(content):
    assert told(TYPE="Battery", CAPACITY=content, ENERGY_NOW=content, TEMP=content) == {"kind": "battery"}


_NAMES = st.sampled_from(
    ["CAPACITY", "ENERGY_NOW", "ENERGY_FULL", "ENERGY_FULL_DESIGN", "CHARGE_NOW", "CHARGE_FULL", "VOLTAGE_NOW",
     "VOLTAGE_MIN_DESIGN", "CURRENT_NOW", "POWER_NOW", "TEMP", "CYCLE_COUNT", "ONLINE", "TIME_TO_EMPTY_NOW"]
)  # fmt: skip


@given(
    st.sampled_from(["Battery", "UPS", "Mains"]),
    st.sampled_from(["Charging", "Discharging", "Full"]),
    st.dictionaries(_NAMES, st.integers(-(10**19), 10**19) | st.integers(0, 10**8)),
)
def test_whatever_firmware_says_the_values_are_as_declared(kind, status, numbers):
    reading = observed({"TYPE": kind, "STATUS": status} | {name: str(number) for name, number in numbers.items()})
    for metric in Battery.metrics:
        value = getattr(reading, metric.name)
        if isinstance(value, float):
            assert metric.minimum <= value <= metric.maximum, metric.name
            assert value == round(value, metric.digits)


@given(st.binary())
def test_any_bytes_are_a_supply_or_none(content):
    observed(parse(content))
    told_more = observed(parse(b"POWER_SUPPLY_TYPE=Battery\nPOWER_SUPPLY_MODEL_NAME=" + content))
    assert told_more is None or told_more.model is None or told_more.model.isprintable()
