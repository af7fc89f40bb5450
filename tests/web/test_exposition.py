import json
import math
from collections import Counter

import pytest
from monitoring import described, everything, promtool
from replica import FAMILIES, MACHINES, answered

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as classic_metrics

from healthctl.web.exposition import expose, form

CLASSIC, OPEN = "text/plain", "application/openmetrics-text"
# What Prometheus 2.42 and 3 send.
SCRAPE = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
SCRAPE_OF_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Give a function that returns what a recorded machine's healthd describes, and its metrics."""
    known = {}

    def ask(name):
        if name not in known:
            answers = answered(name, str(tmp_path_factory.mktemp(name)))
            known[name] = json.loads(answers.described), answers.metrics
        return known[name]

    return ask


def row(address, kind="gauge", unit="", signature="d"):
    family, field = address.split(".")
    return {
        "family": family, "field": field, "kind": kind, "unit": unit, "signature": signature, "summary": "A number.",
    }  # fmt: skip


def rows(*made):
    return {f"{each['family']}.{each['field']}": each for each in made}


def samples(content, parse=open_metrics):
    """Return each sample's value by its name and labels; none may be there twice."""
    found = [
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for metric in parse(content.decode())
        for sample in metric.samples
    ]
    assert max(Counter((name, labels) for name, labels, _ in found).values()) == 1
    return {(name, labels): value for name, labels, value in found}


def value(found, name, /, **labels):
    return found[name, frozenset(labels.items())]


@pytest.mark.parametrize("name", MACHINES)
def test_prometheus_has_nothing_to_say_against_the_metrics_of_a_machine(asked, name):
    content, kind = expose(*asked(name), "")
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert promtool("check", "metrics", send=content) == ""


@pytest.mark.parametrize("name", MACHINES)
def test_both_forms_say_the_same_and_nothing_twice(asked, name):
    in_open, kind = expose(*asked(name), OPEN)
    assert kind.startswith(f"{OPEN}; version=")
    in_classic, _ = expose(*asked(name), CLASSIC)
    assert in_open.endswith(b"\n# EOF\n")
    assert samples(in_open) == samples(in_classic, classic_metrics)


@pytest.mark.parametrize("name", MACHINES)
def test_every_number_that_is_known_is_exported_but_for_rates_of_counters(asked, name):
    told, metrics = asked(name)
    found = samples(expose(told, metrics, OPEN)[0])
    exported = Counter(name for name, _ in found)
    for address, each in metrics.items():
        content = told["readings"][each["family"]]
        several = {"": content} if FAMILIES[each["family"]].single else content
        values = [values[each["field"]] for values in several.values()]
        known = [part for one in values for part in (one if isinstance(one, list) else [one])]
        numbers = sum(isinstance(part, int | float) for part in known)
        exposed, _, _ = form(each["family"], each["field"], each["unit"])
        if each["kind"] == "counter":
            exposed += "_total"
        is_counted = metrics.get(address.removesuffix("_per_second"), {}).get("kind") == "counter"
        assert exported[exposed] == (0 if is_counted and each["kind"] != "counter" else numbers), address
    assert all(math.isfinite(value) for value in found.values())


def test_names_and_units_follow_from_the_declarations(asked):
    found = samples(expose(*asked("laptop"), OPEN)[0])
    told = asked("laptop")[0]["readings"]
    assert value(found, "healthd_cpu_busy_ratio") == 0.3
    assert value(found, "healthd_cpu_core_busy_ratio", core="7") == 0.3
    assert value(found, "healthd_cpu_core_frequency_hertz", core="3") == 2.8e9
    assert value(found, "healthd_cpu_online") == 8
    # 34.94 Wh.
    assert value(found, "healthd_battery_energy_joules", battery="BAT0") == 125784
    assert value(found, "healthd_battery_on_mains", battery="AC") == 0
    texts = {"kind": "battery", "model": "SMP DELL 722KK13", "status": "discharging"}
    assert value(found, "healthd_battery_info", battery="BAT0", **texts) == 1
    assert value(found, "healthd_host_booted_timestamp_seconds") == told["host"]["booted_at"]
    assert value(found, "healthd_pressure_io_some_seconds_total") == told["pressure"]["io_some_usec"] / 1e6
    [disk] = [name for name in told["disk"] if name == "nvme0n1"]
    assert value(found, "healthd_disk_read_bytes_total", disk=disk) == told["disk"][disk]["read_bytes"]
    root = told["filesystem"]["/"]
    assert value(found, "healthd_filesystem_inodes", filesystem="/") == root["inodes_total"]
    assert value(found, "healthd_filesystem_ratio", filesystem="/") == pytest.approx(root["percent"] / 100)
    names = {name for name, _ in found}
    assert "healthd_disk_read_bytes_per_second" not in names


def test_units_are_declared_and_end_the_names(asked):
    content = expose(*asked("laptop"), OPEN)[0]
    units = {metric.name: metric.unit for metric in open_metrics(content.decode())}
    assert units["healthd_cpu_busy_ratio"] == "ratio"
    assert units["healthd_host_booted_timestamp_seconds"] == "seconds"
    assert units["healthd_disk_read_bytes"] == "bytes"
    assert units["healthd_load_load1"] == ""
    assert all(name.endswith(f"_{unit}") for name, unit in units.items() if unit)


def test_prometheus_has_nothing_to_say_against_any_metric_that_is_declared():
    assert promtool("check", "metrics", send=expose(*everything(), "")[0]) == ""
    found = samples(expose(*everything(), OPEN)[0])
    assert value(found, "healthd_services_failed_units") == 1
    assert value(found, "healthd_filesystem_read_only", filesystem="other") == 1


def test_the_verdict_and_what_it_rests_on():
    told = described(cpu={"busy": None}, battery={})
    told["health"] = {
        "severity": "critical",
        "reasons": ["filesystem_space@/srv"],
        "conditions": {
            "filesystem_space@/srv": {"severity": "critical"},
            "memory_pressure": {"severity": "warning"},
        },
    }
    told["unavailable"] = {
        "battery": {"problem": "unsupported"},
        "filesystem@/mnt": {"problem": "timeout"},
        "sensor": {"problem": "permission"},
    }
    found = samples(expose(told, rows(row("cpu.busy", unit="percent")), OPEN)[0])
    assert value(found, "healthd_health", healthd_health="critical") == 1
    assert value(found, "healthd_health", healthd_health="ok") == 0
    labels = {"severity": "critical", "counted": "1"}
    assert value(found, "healthd_condition", rule="filesystem_space", subject="/srv", **labels) == 1
    labels = {"severity": "warning", "counted": "0"}
    assert value(found, "healthd_condition", rule="memory_pressure", subject="", **labels) == 1
    assert value(found, "healthd_family_available", family="cpu", problem="") == 1
    assert value(found, "healthd_family_available", family="battery", problem="unsupported") == 0
    assert value(found, "healthd_family_available", family="sensor", problem="permission") == 0
    assert value(found, "healthd_sample_timestamp_seconds") == 1767268800
    assert value(found, "healthd_build_info", version="1.2.3") == 1
    # What is unknown is left out, with its name.
    assert {name for name, _ in found if "cpu" in name} == set()


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ('/a "quoted" one', '/a "quoted" one'),
        ("/back\\slash\\n", "/back\\slash\\n"),
        ("/übung/演習", "/übung/演習"),
        ("/line\nfeed\ttab\x00", "/line\\nfeed\\ttab\\x00"),
        ("/not utf-8 \udcff", "/not utf-8 \\udcff"),
        ("}", "}"),
        ("/" + "x" * 4000, "/" + "x" * 4000),
    ],
)
def test_any_name_is_a_label(name, label):
    told = described(filesystem={name: {"type": name, "percent": 50.0}})
    told["health"]["conditions"] = {f"filesystem_space@{name}": {"severity": "warning"}}
    metrics = rows(row("filesystem.percent", unit="percent"), row("filesystem.type", signature="s"))
    content, _ = expose(told, metrics, OPEN)
    found = samples(content)
    assert value(found, "healthd_filesystem_ratio", filesystem=label) == 0.5
    assert value(found, "healthd_filesystem_info", filesystem=label, type=label) == 1
    labels = {"rule": "filesystem_space", "severity": "warning", "counted": "0"}
    assert value(found, "healthd_condition", subject=label, **labels) == 1
    assert promtool("check", "metrics", send=expose(told, metrics, "")[0]) == ""


def test_what_a_plug_in_names_is_no_duplicate():
    told = described(
        cpu={"core_busy": [10.0]},
        cpu_core={"busy": 20.0},
        build={"info": 1.0},
        core={"a": {"core_busy": [1.0, 2.0], "core": "text"}},
        tide={"höhe": 1.0, "level_total": 2.0, "level": 3.0, "name": "Ebbe", "größe": "x"},
    )
    metrics = rows(
        row("cpu.core_busy", unit="percent", signature="ad"), row("cpu_core.busy", unit="percent"),
        row("build.info"), row("core.core_busy", unit="percent", signature="ad"), row("core.core", signature="s"),
        row("tide.höhe"), row("tide.level_total"), row("tide.level", "counter"), row("tide.name", signature="s"),
        row("tide.größe", signature="s"),
    )  # fmt: skip
    found = samples(expose(told, metrics, OPEN)[0])
    assert value(found, "healthd_cpu_core_busy_ratio", core="0") == 0.1
    assert value(found, "healthd_core_core_busy_ratio", core="a", core_number="1") == 0.02
    assert value(found, "healthd_build_info", version="1.2.3") == 1
    assert value(found, "healthd_tide_level") == 2
    assert value(found, "healthd_tide_info", name="Ebbe") == 1
    assert not {name for name, _ in found} & {"healthd_tide_level_total", "healthd_build_info_info"}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", CLASSIC),
        ("*/*", CLASSIC),
        ("text/html,application/xhtml+xml,*/*;q=0.8", CLASSIC),
        ("application/openmetrics-text", OPEN),
        ("Application/OpenMetrics-Text ; version=1.0.0", OPEN),
        (SCRAPE, OPEN),
        (SCRAPE_OF_3, OPEN),
        ("text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5", CLASSIC),
        ("application/openmetrics-text;q=0", CLASSIC),
        ("application/openmetrics-text;version=none;q=much", OPEN),
        (",;=,;;q=", CLASSIC),
    ],
)
def test_the_form_is_the_one_that_is_preferred(accept, kind):
    content, found = expose(described(), {}, accept)
    assert found.startswith(kind)
    assert content.endswith(b"# EOF\n") == (kind == OPEN)
