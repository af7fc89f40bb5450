"""What another machine's healthd tells may be anything: the bridge goes on, and says what it can't use."""

import html
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jeepney import new_method_return
from private_bus import Bus, eventually
from stand_in import Answering, member
from test_harm import resident
from web_bridge import Bridge, Events

from healthctl.client import Client
from healthd import protocol


@pytest.fixture(scope="module")
def told(healthd_bus: Bus) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a real healthd describes, and the metrics that it lists."""
    with Client(healthd_bus.address) as client:
        return client.describe(), client.line.call("ListMetrics")


@pytest.fixture
def odd(bus: Bus, told) -> Iterator[Callable[..., Answering]]:
    """Give a function that plays a healthd whose description differs from a real one's."""
    played = []

    def play(**changes: Any) -> Answering:
        text = json.dumps({**told[0], **changes})

        def answer(call: Any) -> Any:
            signature, *body = {
                "Describe": lambda: ("s", text),
                "ListMetrics": lambda: ("a{sa{sv}}", told[1]),
                "Watch": lambda: ("ua{sv}", 7, {}),
                "Unwatch": lambda: (None,),
                "Read": lambda: ("a{sv}", dict.fromkeys(call.body[0], ("d", 1.0))),
                "GetHistory": lambda: (
                    "a(tddd)",
                    [(second * 10**6, 1.25, 2.5, 3.75) for second in range(call.body[3])],
                ),
            }[member(call)]()
            return new_method_return(call, signature, tuple(body))

        played.append(Answering(bus.address, protocol.BUS_NAME, answer))
        return played[-1]

    yield play
    for each in played:
        each.close()


@pytest.mark.parametrize(
    "changes",
    [{"interval": "soon"}, {"interval": [1]}, {"interval": -1e9}, {"since_boot": "x"}, {"interval": None}],
    ids=str,
)
def test_a_time_that_is_none_ends_no_watch(bus: Bus, odd: Callable[..., Answering], bridges, changes):
    healthd = odd(**changes)
    bridge = bridges(bus.address)
    stream = Events(bridge, "/live")
    stream.next("parts")
    eventually(lambda: any(name == "Watch" for name, *_ in healthd.calls))
    asked = [bridge.ask("/api/v1/status").status for _ in range(100)]
    assert asked == [200] * 100
    # Neither in a hurry, nor with a traceback: `bridges` looks.
    assert sum(name == "Describe" for name, *_ in healthd.calls) < 10
    stream.close()


@pytest.mark.parametrize("changes", [{"readings": "x"}, {"health": [1]}, {"unavailable": None}, {"time": 5}], ids=str)
def test_what_can_not_be_exported_is_said(bus: Bus, odd: Callable[..., Answering], bridges, changes):
    odd(**changes)
    bridge = bridges(bus.address)
    answer = bridge.ask("/metrics")
    assert answer.status in (200, 503)
    assert answer.status == 200 or "can't be exported" in answer.json["detail"]
    assert bridge.ask("/").status == 200
    assert "bug" not in bridge.log


@pytest.mark.parametrize("path", ["/api/v1/status", "/metrics", "/conditions"])
def test_what_is_nested_too_deep_can_not_be_read(bus: Bus, odd: Callable[..., Answering], bridges, path):
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    odd(configuration=deep)
    bridge = bridges(bus.address)
    answer = bridge.ask(path)
    assert answer.status == 503
    assert "healthd's description can't be read" in answer.json["detail"]
    assert "healthd's description can't be read" in html.unescape(bridge.ask("/").text)


def test_a_name_that_is_markup_stays_text(bus: Bus, odd: Callable[..., Answering], bridges, told):
    name = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
    readings = {**told[0]["readings"], "host": {"hostname": name, "model": name}}
    for family in ("filesystem", "disk", "network", "sensor"):
        [values, *_] = [*told[0]["readings"].get(family, {}).values(), {}]
        readings[family] = {name: {**values, "percent": 5.0, "busy": 5.0, "celsius": 50.0, "uplink": True}}
    unavailable = {name: {"problem": name, "detail": name}}
    health = {**told[0]["health"], "reasons": [name], "conditions": {name: {"severity": name, "summary": name}}}
    odd(readings=readings, unavailable=unavailable, health=health, configuration=name)
    bridge: Bridge = bridges(bus.address)
    stream = Events(bridge, "/live")
    for text in (bridge.ask("/").text, *json.loads(stream.next("parts")).values()):
        for markup in ("<script>", "<img", "\"'>"):
            assert markup not in text
    stream.close()
    assert "&lt;script&gt;" in bridge.ask("/").text


def test_many_who_ask_for_much_have_it_one_after_the_other(bus: Bus, odd: Callable[..., Answering], bridges):
    odd()
    bridge: Bridge = bridges(bus.address)
    two = "/api/v1/history?metric=cpu.busy&metric=load.load1"
    refused = bridge.ask(f"{two}&metric=load.load5&points=10000")
    assert refused.status == 400
    assert "6666 points" in refused.json["detail"]
    assert bridge.ask(f"{two}&points=10000").status == 200
    before = resident(bridge)
    with ThreadPoolExecutor(16) as pool:
        statuses = set(pool.map(lambda _: bridge.ask(f"{two}&points=10000").status, range(16)))
    assert statuses == {200}
    assert resident(bridge) - before < 48 * 2**20
