"""What ships for Prometheus and Grafana asks for what is exported, and is well-formed."""

import json
import os
import re

import pytest
from monitoring import DATA, everything, promtool

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from healthctl.web.exposition import expose

RULES = os.path.join(DATA, "prometheus", "healthd.rules.yml")
TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "healthd.rules.test.yml")
with open(os.path.join(DATA, "grafana", "healthd.json"), encoding="utf-8") as file:
    BOARD = json.load(file)
PANELS = BOARD["panels"]
ASKED = [target["expr"] for panel in PANELS for target in panel["targets"]]


@pytest.fixture(scope="module")
def exported():
    """Give the labels of each metric by its name in queries."""
    content, _ = expose(*everything(), "application/openmetrics-text")
    families = text_string_to_metric_families(content.decode())
    return {sample.name: set(sample.labels) for metric in families for sample in metric.samples}


def test_the_rules_and_the_example_are_well_formed():
    assert "SUCCESS" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("check", "config", os.path.join(DATA, "prometheus", "prometheus.yml"))


def test_the_rules_alert_when_they_should():
    assert "SUCCESS" in promtool("test", "rules", TESTS)


def test_the_rules_ask_for_what_is_exported(exported):
    with open(RULES, encoding="utf-8") as file:
        asked = re.findall(r"^ +expr: (.*)$", file.read(), re.MULTILINE)
    names = {name for expression in asked for name in re.findall(r"healthd_\w+", expression)}
    assert len(names) > 4
    assert names <= exported.keys()


def test_the_dashboard_asks_for_what_is_exported(exported):
    names = {name for expression in ASKED for name in re.findall(r"healthd_\w+", expression)}
    assert len(names) > 20
    assert names <= exported.keys()


def test_the_dashboard_names_lines_by_labels_that_are_there(exported):
    for panel in PANELS:
        for target in panel["targets"]:
            labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"])) - {"instance"}
            for name in re.findall(r"healthd_\w+", target["expr"]):
                assert labels <= exported[name], (panel["title"], target)


def test_prometheus_understands_what_the_dashboard_asks(tmp_path):
    expressions = [each.replace("$__rate_interval", "5m").replace("$instance", "pi4:8086") for each in ASKED]
    assert not [each for each in expressions if "$" in each]
    rules = [{"record": f"asked:{number}", "expr": each} for number, each in enumerate(expressions)]
    # JSON is YAML.
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(tmp_path / "rules.yml"))


def test_the_dashboard_has_a_place_for_each_panel():
    assert len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS}) == len(PANELS)
    taken = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        assert panel["description"]


def test_the_dashboard_asks_which_machines_by_what_is_always_exported(exported):
    by_name = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert by_name.keys() == {"datasource", "instance"}
    assert re.fullmatch(r"label_values\((\w+), instance\)", by_name["instance"]["definition"])[1] in exported
