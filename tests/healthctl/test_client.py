import json
import math
from contextlib import closing

import pytest
from private_bus import Healthd, eventually, private_bus

from healthctl._client_answers import fault, known, refusal
from healthctl.client import condition_path
from healthctl.errors import NotAllowed, Unavailable, UnknownCondition, UnknownMetric
from healthctl.poll import Poll
from healthctl.stream import Stream
from healthctl.verdicts import Verdicts
from healthd import protocol
from healthd.publish.bus import tree


def test_unknown_on_the_wire_is_none_and_flags_are_flags():
    variants = {
        "d": ("d", math.nan), "never": ("d", math.inf), "t": ("t", 2**64 - 1), "s": ("s", ""), "i": ("i", -1),
        "zero": ("d", 0.0), "none": ("t", 0), "yes": ("i", 1), "no": ("i", 0), "text": ("s", "x"),
        "cores": ("ad", [1.0, math.nan]), "names": ("as", ["a"]), "flag": ("b", False), "count": ("u", 2),
    }  # fmt: skip
    values = known(variants)
    assert values == {
        "d": None, "never": None, "t": None, "s": None, "i": None, "zero": 0.0, "none": 0, "yes": True, "no": False,
        "text": "x", "cores": [1.0, None], "names": ["a"], "flag": False, "count": 2,
    }  # fmt: skip
    assert "NaN" not in json.dumps(values)


STANDARD = "org.freedesktop.DBus.Error."


@pytest.mark.parametrize(
    ("bus", "name", "expected"),
    [("system", STANDARD + "ServiceUnknown", "start it with: systemctl start healthd"),
     ("system", STANDARD + "Spawn.ServiceNotFound", "start it with: systemctl start healthd"),
     ("system", "org.freedesktop.systemd1.NoSuchUnit", "start it with: systemctl start healthd"),
     ("session", STANDARD + "NameHasNoOwner", "start it with: healthd --bus 'session'"),
     ("unix:path=/x", STANDARD + "ServiceUnknown", "start it with: healthd --bus 'unix:path=/x'"),
     ("system", STANDARD + "AccessDenied", "policy refuses"),
     ("system", STANDARD + "NoReply", "ended before it answered"),
     ("system", STANDARD + "UnknownMethod", "healthd refuses: some text"),
     ("system", protocol.NOT_AVAILABLE, "some text")],
)  # fmt: skip
def test_an_error_reply_becomes_advice(bus, name, expected):
    error = fault(bus, name, "some text")
    assert expected in str(error)
    assert error.exit_code == protocol.EXIT_UNAVAILABLE


def test_an_unknown_metric_is_a_usage_error():
    error = fault("system", protocol.UNKNOWN_METRIC, "no such metric")
    assert isinstance(error, UnknownMetric)
    assert error.exit_code == protocol.EXIT_USAGE


def test_an_unknown_condition_is_a_usage_error():
    error = fault("system", protocol.UNKNOWN_CONDITION, "no such condition")
    assert isinstance(error, UnknownCondition)
    assert error.exit_code == protocol.EXIT_USAGE


def test_who_may_not_acknowledge_is_told_to_be_root():
    error = refusal("system", "Acknowledge", STANDARD + "AccessDenied", "only root may acknowledge conditions")
    assert isinstance(error, NotAllowed)
    words = "only root may acknowledge a condition, and whom polkit allows org.healthd.health1.manage; try it with sudo"
    assert (str(error), error.exit_code) == (words, 77)
    assert "policy refuses" in str(refusal("system", "Describe", STANDARD + "AccessDenied", ""))


@pytest.mark.parametrize("method", ["ListConditions", "Explain", "Acknowledge"])
def test_a_healthd_that_does_not_judge_is_to_be_updated(method):
    error = refusal("system", method, STANDARD + "UnknownMethod", "there is no method")
    assert isinstance(error, Unavailable)
    assert str(error) == "this healthd has no conditions; update it"


@pytest.mark.parametrize(
    "instance", ["", "/", "/srv/data", "eth0", "0", "_", "k10temp-pci-00c3", "äöü", "\udcff", "a b"]
)
def test_the_path_of_a_condition_is_that_of_healthd(instance):
    assert condition_path("filesystem_space", instance) == tree.condition_path("filesystem_space", instance)


# Of a type that is activated by the bus itself.
STARTING = "<servicedir>{}</servicedir>"
SERVICE = "[D-BUS Service]\nName=org.healthd.Health1\nExec=/bin/sh -c 'echo >>{0}/starts; exit 1'\nUser=root\n"


@pytest.mark.parametrize(
    "follow",
    [lambda bus: Poll(bus, 0.1), lambda bus: Stream(bus, 0.0, [], 10), Verdicts], ids=["watch", "log -f", "wait"],
)  # fmt: skip
def test_what_goes_on_starts_healthd_at_the_beginning_and_never_one_that_was_ended(follow, tmp_path):
    (tmp_path / "org.healthd.Health1.service").write_text(SERVICE.format(tmp_path))
    starts = tmp_path / "starts"
    # A session's bus, for which no helper is set up.
    extra = f"<type>session</type>{STARTING.format(tmp_path)}"
    with private_bus(extra) as bus, closing(follow(bus.address)) as followed:

        def advanced():
            told = followed.advance()
            return told if told is None or isinstance(told, dict) else list(told)

        with pytest.raises(Unavailable):
            eventually(advanced)
        eventually(starts.exists)
        daemon = Healthd(bus.address, "--interval", "0.5").ready()
        eventually(advanced)
        begun = starts.read_text()
        assert daemon.stop() == 0
        for _ in range(2):  # by the connection that there was, and by a new one
            with pytest.raises(Unavailable, match=r"not running|before it answered"):
                eventually(advanced)
        assert starts.read_text() == begun
