"""The tree and the difference of two trees are pure functions of snapshots."""

from healthd.clock import Instant
from healthd.model import Observation, Sample
from healthd.observe.load import Load
from healthd.observe.network import Network
from healthd.publish.bus.manager import Manager
from healthd.publish.bus.tree import Added, Changed, Removed, difference, object_path, tree
from healthd.state.store import Store


def load(one: float | None) -> Load:
    return Load(load1=one, load5=1.0, load15=1.0)


def network(rate: float | None, counter: int = 0) -> Network:
    values = dict.fromkeys((metric.name for metric in Network.metrics), None)
    return Network(**values | {"rx_bytes_per_second": rate, "rx_bytes": counter})


class Machine:
    """A store that is fed by hand."""

    def __init__(self) -> None:
        self._store = Store()
        self._seq = 0

    def sample(self, interval: float = 5.0, **families: dict) -> dict:
        self._seq += 1
        now = Instant(1000.0 + self._seq, float(self._seq), 0.0)
        readings = {"load": Load, "network": Network}
        observations = tuple(
            Observation(readings[name].family, now, found, {}, 0.0, 0) for name, found in families.items()
        )
        return tree(self._store.accept(Sample(now, "boot", self._seq, observations, interval)))


def test_a_single_family_has_one_object_and_others_one_per_instance():
    found = Machine().sample(load={"": load(1.0)}, network={"eth0": network(1.0), "wlan0": network(2.0)})
    assert set(found) == {
        "/org/healthd/Health1",
        "/org/healthd/Health1/load",
        "/org/healthd/Health1/network/eth0",
        "/org/healthd/Health1/network/wlan0",
    }
    reading, status = found["/org/healthd/Health1/network/eth0"]
    assert (reading.rx_bytes_per_second, status.instance, status.available) == (1.0, "eth0", True)


def test_instances_are_escaped_as_systemd_escapes_labels():
    assert object_path("filesystem", "/home") == "/org/healthd/Health1/filesystem/_2fhome"
    assert object_path("filesystem", "/") == "/org/healthd/Health1/filesystem/_2f"
    assert object_path("network", "0a_b") == "/org/healthd/Health1/network/_30a_5fb"
    assert object_path("network", "é") == "/org/healthd/Health1/network/_c3_a9"


def test_nothing_is_signalled_where_nothing_was_accepted():
    machine = Machine()
    before = machine.sample(load={"": load(1.0)}, network={"eth0": network(5000.0)})
    # 0.04 and 1 KiB/s are inside their deadbands.
    after = machine.sample(load={"": load(1.04)}, network={"eth0": network(6000.0)})
    assert list(difference(before, after)) == []


def test_one_change_holds_only_what_changed():
    machine = Machine()
    before = machine.sample(load={"": load(1.0)})
    after = machine.sample(load={"": load(2.0)})
    (change,) = difference(before, after)
    assert isinstance(change, Changed)
    assert (change.path, change.table.interface) == ("/org/healthd/Health1/load", "org.healthd.Health1.Load")
    assert list(change.names) == ["Load1"]


def test_counters_are_never_signalled():
    machine = Machine()
    before = machine.sample(network={"eth0": network(1.0, counter=1)})
    after = machine.sample(network={"eth0": network(9000.0, counter=2)})
    (change,) = difference(before, after)
    assert list(change.names) == ["RxBytesPerSecond"]


def test_added_comes_before_changed_and_removed_last():
    machine = Machine()
    before = machine.sample(load={"": load(1.0)}, network={"eth0": network(1.0)})
    after = machine.sample(load={"": load(2.0)}, network={"wlan0": network(1.0)})
    assert [type(change) for change in difference(before, after)] == [Added, Changed, Removed]


def test_unknown_differs_from_a_value_and_not_from_itself():
    machine = Machine()
    known, unknown = machine.sample(load={"": load(1.0)}), machine.sample(load={"": load(None)})
    assert [list(change.names) for change in difference(known, unknown)] == [["Load1"]]
    assert list(difference(unknown, machine.sample(load={"": load(None)}))) == []


def test_the_root_is_there_before_anything_is_observed_and_changes_with_the_interval():
    machine = Machine()
    before = machine.sample()
    assert list(before) == ["/org/healthd/Health1"]
    assert list(difference(before, machine.sample())) == []
    (change,) = difference(before, machine.sample(interval=2.5))
    assert isinstance(change, Changed)
    assert isinstance(change.table, Manager)
    assert (change.path, list(change.names)) == ("/org/healthd/Health1", ["SampleIntervalUSec"])
    assert change.table.sample_interval_usec == 2_500_000


def test_many_cycles_at_once_differ_by_their_sum():
    machine = Machine()
    first = machine.sample(load={"": load(1.0)})
    machine.sample(load={"": load(2.0)}, network={"eth0": network(1.0)})
    last = machine.sample(load={"": load(3.0)}, network={})
    assert [(type(change), change.path) for change in difference(first, last)] == [
        (Changed, "/org/healthd/Health1/load")
    ]
