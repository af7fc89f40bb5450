"""The JSON of the bridge: the same as healthctl's, and errors that say what to do."""

import gzip
import json
import signal
from collections.abc import Callable

import pytest
from private_bus import Bus, Healthd, eventually
from web_bridge import Bridge, Events

MANAGER = ("org.healthd.Health1", "/org/healthd/Health1", "org.healthd.Health1.Manager")


def test_the_snapshot_is_what_status_writes_of_the_same_sample(web, healthd_bus, told):
    def both() -> object:
        status, snapshot = told(healthd_bus, "status"), web.ask("/api/v1/snapshot").json
        return status["seq"] == snapshot["seq"] and (status, snapshot)

    status, snapshot = eventually(both)
    # Its own figures are those of the moment that asks.
    for content in (status, snapshot):
        content["readings"].pop("self")
    assert snapshot == status


def test_the_status_is_the_snapshot_without_what_was_measured(web):
    def both() -> object:
        status, snapshot = web.ask("/api/v1/status").json, web.ask("/api/v1/snapshot").json
        return status["seq"] == snapshot["seq"] and (status, snapshot)

    status, snapshot = eventually(both)
    assert status == {name: value for name, value in snapshot.items() if name not in ("readings", "unavailable")}


def test_the_list_of_metrics_and_the_conditions_are_healthctls(web, healthd_bus, told):
    found = web.ask("/api/v1/metrics-list").json
    assert found.keys() == told(healthd_bus, "metrics").keys()
    assert found["cpu.busy"]["unit"] == "percent"
    every = web.ask("/api/v1/conditions?all=true").json
    assert every.keys() == told(healthd_bus, "conditions", "--all").keys()
    assert every["memory_available"]["rule"] == "memory_available"
    explained = web.ask("/api/v1/conditions/memory_available").json
    assert explained["rule"]["name"] == "memory_available"


def test_history_has_points_of_each_metric(web):
    def points() -> object:
        answer = web.ask("/api/v1/history?metric=cpu.busy&metric=memory.percent&since=-5min&points=20").json
        return all(len(metric["points"]) > 1 for metric in answer["metrics"].values()) and answer

    answer = eventually(points)
    assert set(answer["metrics"]) == {"cpu.busy", "memory.percent"}
    assert answer["metrics"]["cpu.busy"]["unit"] == "percent"
    assert all(set(point) == {"time", "min", "mean", "max"} for point in answer["metrics"]["cpu.busy"]["points"])


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/v1/history", 400, "name one to 32 metrics"),
        ("/api/v1/history?metric=cpu.bsy", 404, "there is no metric 'cpu.bsy'"),
        ("/api/v1/history?metric=host.hostname", 404, "no number that goes up and down"),
        ("/api/v1/history?metric=cpu.busy&since=soon", 400, "since is no time"),
        ("/api/v1/history?metric=cpu.busy&points=0", 400, "points is no whole number"),
        ("/api/v1/history?metric=cpu.busy&points=9e9", 400, "points is no whole number"),
        ("/api/v1/history?" + "metric=cpu.busy&" * 2 + "&".join(f"metric=a.b{n}" for n in range(40)), 400, "one to 32"),
        ("/api/v1/conditions/nothing", 404, "there is no condition 'nothing'"),
        ("/api/v1/snapshot?fast=1", 400, "there is no parameter 'fast'"),
        ("/api/v1/nothing", 404, "Not Found"),
        ("/?range=1y", 400, "5min, 1h, 24h, 7d"),
        ("/static/../guard.py", 404, "Not Found"),
    ],
)
def test_what_can_not_be_answered_is_a_problem_in_one_line(web, path, status, said):
    answer = web.ask(path)
    assert answer.status == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json["status"] == status
    assert said in answer.json["detail"]
    assert "\n" not in answer.json["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/api/v1/snapshot", "/metrics", "/live"])
def test_nothing_can_be_changed(web, method, path):
    answer = web.ask(path, method)
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]


def test_what_has_not_changed_is_not_sent_again(web):
    first = web.ask("/api/v1/metrics-list")
    again = web.ask("/api/v1/metrics-list", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert web.ask("/api/v1/metrics-list", If_None_Match='"other"').status == 200


def test_what_is_long_is_packed_where_that_is_wanted(web):
    plain = web.ask("/api/v1/metrics-list")
    packed = web.ask("/api/v1/metrics-list", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert web.ask("/api/v1/metrics-list", Accept_Encoding="gzip;q=0, deflate").body == plain.body
    assert len(packed.body) * 4 < len(plain.body)
    assert "content-encoding" not in plain.headers


def test_what_an_answer_goes_by_is_said(web):
    assert web.ask("/metrics").headers["vary"] == "Accept, Accept-Encoding, Cookie, Authorization"


def test_head_is_get_without_the_content(web):
    answer = web.ask("/api/v1/metrics-list", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 1000


def test_events_come_as_they_happen(bus: Bus, healthd: Callable[..., Healthd], bridges: Callable[..., Bridge]):
    healthd("--interval", "0.25").ready()
    bridge = bridges(bus.address)
    # A name is taken as on the bus: it may end in `.*`, and is no pattern otherwise.
    stream, named = (Events(bridge, f"/api/v1/events{names}") for names in ("", "?name=conf*.*&name=collector.*"))
    assert json.loads(stream.next("status"))["health"]["severity"]
    bus.busctl("call", *MANAGER, "Reload")
    while json.loads(stream.next("event"))["name"] != "config.loaded":  # the machine may have something to say too
        pass
    bus.busctl("call", *MANAGER, "SetCollectorEnabled", "sb", "load", "false")
    event = json.loads(named.next("event"))
    assert (event["name"], event["data"]["family"]) == ("collector.disabled", "load")
    stream.close()
    named.close()


def test_it_waits_for_healthd_and_comes_back_with_it(
    bus: Bus, healthd: Callable[..., Healthd], bridges: Callable[..., Bridge]
):
    bridge = bridges(bus.address)
    answer = bridge.ask("/api/v1/snapshot")
    assert answer.status == 503
    assert "healthd is not running" in answer.json["detail"]
    assert answer.headers["retry-after"] == "1"
    assert "healthd is not running" in bridge.ask("/").text
    first = healthd("--interval", "0.25").ready()
    eventually(lambda: bridge.ask("/api/v1/snapshot").status == 200)
    stream = Events(bridge, "/api/v1/events")
    assert "health" in json.loads(stream.next("status"))
    first.stop(signal.SIGKILL)
    while "unavailable" not in json.loads(stream.next("status")):
        pass
    assert "last known" in bridge.ask("/").text
    healthd("--interval", "0.25").ready()
    while "health" not in json.loads(stream.next("status")):
        pass
    stream.close()


def test_one_watch_serves_all_and_none_is_kept_when_nobody_looks(bus, healthd, bridges):
    healthd("--interval", "0.25").ready()
    bridge = bridges(bus.address)

    def watches() -> str:
        return bus.busctl("get-property", *MANAGER, "WatchCount").stdout.split()[-1]

    assert bridge.ask("/").status == 200
    assert watches() == "0"
    streams = [Events(bridge, "/live") for _ in range(5)]
    for stream in streams:
        assert "verdict" in json.loads(stream.next("parts"))
    eventually(lambda: watches() == "1")
    for stream in streams:
        stream.close()
    eventually(lambda: watches() == "0")
