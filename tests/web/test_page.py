"""The page as the server writes it: whole without a script, and by the figures of one sample."""

import gzip
import html.parser
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from private_bus import Bus, Healthd, eventually
from recorded_healthd import RecordedHealthd
from web_bridge import Bridge, Events

from healthctl.render.units import age

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDING = os.path.join(HERE, "..", "recordings", "busy")
VOID = {"meta", "link", "input", "br"}
SEVERITIES = ("ok", "notice", "warning", "critical", "unknown")
RULES = """
[rules.used]
metric = "memory.percent"
summary = "Memory is in <use> & more."
warning = { enter = "> 0.001%", clear = "< 0.0001%", hold = "0s" }
"""


class Page(html.parser.HTMLParser):
    """What is in a page; an element that is not closed in its place is a fault."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.data: dict[str, str] = {}
        self.ids: list[str] = []
        self.text: dict[str, str] = {}
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "id" in given:
            self.ids.append(given["id"] or "")
        if tag == "data":
            self.data[str(given["data-metric"])] = str(given["value"])
        if "data-seq" in given:
            self.seq = int(str(given["data-seq"]))
        if tag not in VOID:
            self.open.append((tag, given))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, given in self.open:
            if name := given.get("id"):
                self.text[name] = self.text.get(name, "") + data


def value(snapshot: dict[str, Any], address: str) -> Any:
    name, at, instance = address.partition("@")
    family, _, field = name.partition(".")
    content = snapshot["readings"][family]
    return (content[instance] if at else content)[field]


def state(page: str) -> str:
    """Return the number of what a page shows."""
    found = re.search('data-state="([0-9]+)"', page)
    assert found
    return found[1]


def test_every_figure_is_the_snapshots_of_the_same_sample(web):
    def both() -> object:
        page, snapshot = Page(web.ask("/").text), web.ask("/api/v1/snapshot").json
        return page.seq == snapshot["seq"] and (page, snapshot)

    page, snapshot = eventually(both)
    assert len(page.data) > 20
    for address, shown in page.data.items():
        known = value(snapshot, address)
        assert (None if shown == "" else float(shown)) == known, address


def test_it_is_whole_without_a_script(web):
    page = Page(eventually(lambda: "<svg" in (text := web.ask("/?range=5min").text) and text))
    assert len(page.ids) == len(set(page.ids))
    parts = "verdict cpu memory load pressure filesystems disks networks host charts"
    assert set(parts.split()) <= set(page.ids)
    assert page.text["severity"] in SEVERITIES
    assert "GiB" in page.text["memory"]
    assert all(page.text[name].strip() for name in ("cpu", "load", "host", "charts"))


@pytest.fixture
def large(bus: Bus, bridges: Callable[..., Bridge]) -> Iterator[Bridge]:
    """Give a bridge to a server of 64 CPUs, all of whose charts are full."""
    with open(os.path.join(os.path.dirname(HERE), "healthctl", "describe", "server-64.json")) as file:
        described = {**json.load(file), "interval": 2.0}
    with RecordedHealthd(bus.address, described):
        yield bridges(bus.address)


def test_all_that_a_browser_loads_is_small_and_the_first_figures_are_in_one_round_trip(large):
    paths = ("/?range=5min", "/static/live.js", "/static/icon.svg")
    answers = [large.ask(path, Accept_Encoding="gzip") for path in paths]
    assert [answer.status for answer in answers] == [200] * 3
    page = gzip.decompress(answers[0].body).decode()
    assert page.count("<figure") == 8
    assert 'rel="stylesheet"' not in page
    # Ten segments: what a server sends before the first acknowledgement (RFC 6928).
    assert len(answers[0].body) <= 10 * 1460
    stream = Events(large, f"/live?range=5min&since={state(page)}")
    first = stream.next("parts")
    stream.close()
    sizes = [*(len(answer.body) for answer in answers), len(first)]
    assert sum(sizes) <= 60_000


def test_the_stream_goes_on_from_what_the_page_has(large):
    shown = state(large.ask("/?range=5min").text)
    for known, whole in ((shown, False), ("1", True), ("x", True)):
        stream = Events(large, f"/live?range=5min&since={known}")
        assert ("host" in json.loads(stream.next("parts"))) is whole
        stream.close()
    stream = Events(large, "/live?range=5min", **{"Last-Event-ID": shown})
    assert "host" not in json.loads(stream.next("parts"))
    stream.close()


def test_a_condition_is_there_with_its_evidence_and_nothing_of_it_is_markup(
    tmp_path, bus: Bus, healthd: Callable[..., Healthd], bridges: Callable[..., Bridge]
):
    rules = tmp_path / "healthd.toml"
    rules.write_text(RULES)
    healthd("--interval", "0.25", "--config", str(rules)).ready()
    bridge = bridges(bus.address)
    text = eventually(lambda: 'data-condition="used"' in (found := bridge.ask("/").text) and found)
    page = Page(text)
    assert page.text["severity"] == "warning"
    assert "Memory is in <use> & more." in page.text["verdict"]
    assert "&lt;use&gt; &amp; more" in text
    evidence = bridge.ask("/condition/used")
    assert "memory.percent" in evidence.text
    conditions = bridge.ask("/conditions").text
    assert re.search(r"ok → warning|ok -> warning", conditions) or "warning" in conditions
    # Of what is ok the page does not say that it is wrong.
    assert "If not: Memory is in" not in conditions
    assert re.search(r"oom_kill</a>[^<]*If not: The kernel killed a process", conditions)
    assert bridge.ask("/condition/nothing").status == 404


def test_of_what_is_played_again_the_evidence_is_of_its_own_time(
    tmp_path, bus: Bus, healthd: Callable[..., Healthd], bridges: Callable[..., Bridge]
):
    rules = tmp_path / "healthd.toml"
    rules.write_text(RULES)
    healthd("--replay", RECORDING, "--speed", "max", "--config", str(rules)).ready()
    bridge = bridges(bus.address)

    def lasts():
        told = bridge.ask("/api/v1/snapshot").json
        used = told["health"]["conditions"].get("used")
        return used and age(datetime.fromisoformat(told["time"]).timestamp() - used["since_usec"] / 1e6)

    eventually(lambda: (known := lasts()) and f"for {known}\n" in bridge.ask("/condition/used").text)
    # And so are the points of the last hour.
    found = bridge.ask("/api/v1/history?metric=memory.percent").json
    assert len(found["metrics"]["memory.percent"]["points"]) > 10


def test_parts_come_as_they_change_and_only_these(
    bus: Bus, healthd: Callable[..., Healthd], bridges: Callable[..., Bridge]
):
    healthd("--interval", "0.25").ready()
    bridge = bridges(bus.address)
    stream = Events(bridge, "/live?range=5min")
    first = json.loads(stream.next("parts"))
    assert "host" in first
    eventually(lambda: "told" in json.loads(stream.next("parts")))
    later: set[str] = set()
    while not {"told", "strips"} <= later:
        changed = json.loads(stream.next("parts"))
        assert "host" not in changed
        later |= changed.keys()
    stream.close()
