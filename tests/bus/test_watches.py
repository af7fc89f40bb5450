"""Watches on a real bus: who is told, what, how often, and what it costs those who are not."""

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection
from panel import MANAGER, Panel
from private_bus import Healthd, eventually
from puppet import Puppet
from raw import Client

from healthd import protocol
from healthd.publish.bus.watcher import WINDOW

ERROR = "org.freedesktop.DBus.Error."
QUARTER = 250_000


@pytest.fixture
def panel(healthd_bus):
    with Panel(healthd_bus.address) as client:
        yield client


@pytest.fixture
def lazy(healthd):
    """Give a healthd that has no reason of its own to wake up."""
    daemon = healthd("--interval", "3600").ready()
    yield daemon
    assert "Traceback" not in daemon.log


def woken(daemon):
    with open(f"/proc/{daemon.process.pid}/status") as file:
        return int(next(line for line in file if line.startswith("voluntary_ctxt_switches")).split()[1])


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def threads(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))


def resident(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def test_the_watcher_is_told_at_the_multiples_of_its_interval(panel):
    number = panel.watched("cpu.busy", "memory.available_bytes", usec=500_000)
    samples = [panel.sample() for _ in range(4)]
    # What was taken before this moment may have waited to be read.
    clocks = time.CLOCK_BOOTTIME, time.CLOCK_REALTIME
    before = [time.clock_gettime_ns(clock) // 1000 for clock in clocks]
    while (last := panel.sample()).boot_usec < before[0]:
        samples.append(last)
    samples.append(last)
    after = [time.clock_gettime_ns(clock) // 1000 for clock in clocks]
    # Each is a sum of at most two times that were rounded to milliseconds.
    for early, told, late in zip(before, (last.boot_usec, last.time_usec), after, strict=True):
        assert early - 2000 <= told <= late + 2000
    assert {sample.watch for sample in samples} == {number}
    assert all(set(sample.values) == {"cpu.busy", "memory.available_bytes"} for sample in samples)
    # The first one came at once; the others by the clock, which other work may delay, but by no multiple.
    multiples = [sample.boot_usec // 500_000 for sample in samples[1:]]
    assert multiples == sorted(set(multiples))
    assert sorted(sample.boot_usec % 500_000 for sample in samples[1:])[1] < 150_000


def test_nobody_else_is_told(healthd_bus, panel):
    with Panel(healthd_bus.address) as other:
        other.driver("AddMatch", "s", f"type='signal',interface='{MANAGER}'")
        panel.watched("load.load1", usec=QUARTER)
        for _ in range(3):
            panel.sample()
        other.driver("GetId")
        assert not [signal for signal in other.kept if signal.fields["member"] == "Sample"]


def test_values_are_those_of_the_properties_in_their_types(healthd_bus):
    manager = DBusAddress(protocol.ROOT, bus_name=protocol.BUS_NAME, interface=protocol.MANAGER)
    with open_dbus_connection(healthd_bus.address) as connection, connection.filter(_samples()) as queue:
        (rows,) = connection.send_and_get_reply(new_method_call(manager, "ListMetrics")).body
        asked = (list(rows), {"interval_usec": ("t", QUARTER)})
        connection.send_and_get_reply(new_method_call(manager, "Watch", "asa{sv}", asked))
        values = connection.recv_until_filtered(queue, timeout=20).body[3]
        (read,) = connection.send_and_get_reply(new_method_call(manager, "Read", "as", (list(rows),))).body
    for address, (signature, _) in values.items():
        assert signature == rows[address.partition("@")[0]]["signature"][1]
    assert {address.partition(".")[0] for address in values} >= {"cpu", "host", "load", "memory", "network"}
    fixed = [address for address, row in rows.items() if row["kind"][1] == "state" and address in values]
    assert len(fixed) > 10
    assert {address: values[address] for address in fixed if address.startswith("host.")} == {
        address: read[address] for address in fixed if address.startswith("host.")
    }


def _samples():
    from jeepney import MatchRule

    return MatchRule(type="signal", interface=protocol.MANAGER, member="Sample")


@pytest.mark.parametrize(
    ("asked", "given"),
    [(1, QUARTER), (QUARTER, QUARTER), (374_999, QUARTER), (376_000, 500_000), (3_000_000, 3_000_000),
     (0, 1_000_000), (None, 1_000_000), (2**64 - 1, 1_000_000), (2**64 - 2, 3_600_000_000)],
)  # fmt: skip
def test_the_interval_is_rounded_to_the_grid_and_told(panel, asked, given):
    number, accepted = panel.watch("load.load1", usec=asked).body
    assert accepted == {"interval_usec": given}
    assert not panel.call("Unwatch", "u", number).error


@pytest.mark.parametrize(
    ("metrics", "options", "error"),
    [(["cpu.bsy"], {}, protocol.UNKNOWN_METRIC),
     (["cpu.busy", "nothing"], {}, protocol.UNKNOWN_METRIC),
     (["cpu.busy@cpu0"], {}, protocol.NOT_AVAILABLE),
     ([], {}, ERROR + "InvalidArgs"),
     (["cpu.busy"] * 1025, {}, ERROR + "InvalidArgs"),
     (["cpu.busy"], {"interval": ("t", 1)}, ERROR + "InvalidArgs"),
     (["cpu.busy"], {"interval_usec": ("u", 1)}, ERROR + "InvalidArgs"),
     (["cpu.busy"], {"interval_usec": ("d", math.nan)}, ERROR + "InvalidArgs"),
     (["cpu.busy"], {"interval_usec": ("d", math.inf)}, ERROR + "InvalidArgs"),
     (["cpu.busy"], {"interval_usec": ("x", -250_000)}, ERROR + "InvalidArgs"),
     (["cpu.busy"], {"interval_usec": ("s", "1")}, ERROR + "InvalidArgs"),
     (["cpu.busy"], {"interval_usec": ("a{sv}", {})}, ERROR + "InvalidArgs"),
     (["cpu.busy"], {"one\nand\x1btwo": ("t", 1)}, ERROR + "InvalidArgs"),
     (["cpu.busy"], {"o" * 60_000: ("t", 1)}, ERROR + "InvalidArgs"),
     (["cpu\nbusy"], {}, protocol.UNKNOWN_METRIC),
     (["\U000e0001" * 15_000], {}, protocol.UNKNOWN_METRIC),
     ([""], {}, protocol.UNKNOWN_METRIC),
     (["cpu.busy@"], {}, protocol.NOT_AVAILABLE),
     (["network.rx_bytes@"], {}, protocol.NOT_AVAILABLE),
     (["host.kernel@" + "\n" * 60_000], {}, protocol.NOT_AVAILABLE),
     (["cpu.busy"] * 100_000, {}, ERROR + "LimitsExceeded")],
)  # fmt: skip
def test_what_can_not_be_watched_is_an_error_of_a_line_and_no_watch(panel, metrics, options, error):
    answer = panel.call("Watch", "asa{sv}", metrics, options)
    assert answer.error == error
    (text,) = answer.body
    assert text.isprintable()
    assert len(text) < 200
    assert panel.property("WatchCount") == 0


def test_what_is_named_twice_is_told_once(panel):
    panel.watched("load.load1", "load.load1", "network.rx_bytes@lo", "network.rx_bytes", usec=QUARTER)
    told = panel.told()
    assert told.body[3].keys() >= {"load.load1", "network.rx_bytes@lo"}
    assert told.size < 1 << 14


def test_what_is_offered_is_told(panel):
    assert panel.property("Features") == ["watches"]
    assert panel.property("MinWatchIntervalUSec") == QUARTER
    assert panel.property("WatchCount") == 0


def test_a_watch_ends_by_its_own_client_alone(healthd_bus, panel):
    number = panel.watched("load.load1", usec=QUARTER)
    panel.sample()
    with Panel(healthd_bus.address) as other:
        assert other.call("Unwatch", "u", number).error == protocol.UNKNOWN_WATCH
    panel.sample()
    assert not panel.call("Unwatch", "u", number).error
    assert panel.call("Unwatch", "u", number).error == protocol.UNKNOWN_WATCH
    panel.kept.clear()
    with Panel(healthd_bus.address) as other:
        other.watched("load.load1", usec=QUARTER)
        for _ in range(3):
            other.sample()
    panel.property("WatchCount")
    assert not panel.kept


def test_only_what_is_asked_for_is_observed_faster_and_nobody_else_hears_of_it(bus, lazy):
    with Panel(bus.address) as client:
        client.driver("AddMatch", "s", f"type='signal',sender='{protocol.BUS_NAME}'")
        before = {name: row["sampled_at_usec"][1] for name, row in _collectors(client).items()}
        client.watched("cpu.busy", usec=QUARTER)
        for _ in range(5):
            client.sample()
        assert {name: row["sampled_at_usec"][1] for name, row in _collectors(client).items()} == before
        assert not [kept for kept in client.kept if kept.fields["member"] != "Sample"]
        files = {os.readlink(f"/proc/{lazy.process.pid}/fd/{number}") for number in _numbers(lazy)}
        opened = [
            os.readlink(f"/proc/{lazy.process.pid}/fd/{number}")
            for number in _numbers(lazy)
            if os.readlink(f"/proc/{lazy.process.pid}/fd/{number}").startswith("/proc/")
        ]
        assert "/proc/stat" in files
        assert [path for path in set(opened) if opened.count(path) > 1] == ["/proc/stat"]


def _collectors(client):
    found = client.call("ListCollectors").body[0]
    return {name: {key: ("", value) for key, value in row.items()} for name, row in found.items()}


def _numbers(daemon):
    return os.listdir(f"/proc/{daemon.process.pid}/fd")


def test_without_a_watch_there_is_no_wake_up(bus, lazy):
    pause = threading.Event()
    with Panel(bus.address) as client:
        number = client.watched("load.load1", "filesystem.percent", usec=QUARTER)
        for _ in range(5):
            client.sample()
        assert not client.call("Unwatch", "u", number).error
        client.property("WatchCount")
        pause.wait(0.5)
        before = woken(lazy)
        pause.wait(2.0)
        # One more call is made of it, so that it is known to be there.
        assert woken(lazy) - before <= 1


def test_what_a_client_leaves_behind_is_given_back(bus, lazy):
    families = ["cpu.busy", "filesystem.percent", "sensor.celsius", "network.rx_bytes"]
    with Panel(bus.address) as observer:
        observer.property("WatchCount")
        before = descriptors(lazy), threads(lazy)
        with Panel(bus.address) as client:
            for usec in (QUARTER, 1_000_000):
                client.watched(*families, usec=usec)
            client.sample()
            assert observer.property("WatchCount") == 2
            assert (descriptors(lazy), threads(lazy)) > before
        eventually(lambda: observer.property("WatchCount") == 0)
        eventually(lambda: threads(lazy) == before[1])
        for _ in range(50):
            with Panel(bus.address) as client:
                client.watched(*families, usec=QUARTER)
                client.sample()
        eventually(lambda: observer.property("WatchCount") == 0)
        eventually(lambda: threads(lazy) == before[1])
        eventually(lambda: descriptors(lazy) == before[0])


@pytest.mark.usefixtures("lazy")
def test_a_connection_has_so_many_watches_and_a_user_so_many(bus):
    with Panel(bus.address) as client:
        for _ in range(16):
            client.watched("load.load1")
        assert client.watch("load.load1").error == protocol.TOO_MANY_WATCHES
    if os.geteuid():
        pytest.skip("needs root, to be another user as well")
    with Puppet(bus, connections=5) as puppet, Panel(bus.address) as client:
        for which in [number // 16 for number in range(64)]:
            puppet.send("Watch", "asa{sv}", ["load.load1"], {}, which=which)
            error, body = puppet.answer(which)
            assert not error, body
        puppet.send("Watch", "asa{sv}", ["load.load1"], {}, which=4)
        error, (text,) = puppet.answer(4)
        assert (error, text) == (protocol.TOO_MANY_WATCHES, "there can't be more than 64 watches of this user")
        client.watched("load.load1")
        assert client.property("WatchCount") == 65
        puppet.leave()
        eventually(lambda: client.property("WatchCount") == 1)


@pytest.mark.usefixtures("lazy")
def test_a_user_has_so_many_intervals(bus):
    with Panel(bus.address) as client:
        numbers = [client.watched("load.load1", usec=QUARTER * step) for step in range(1, 9)]
        assert client.watch("load.load1", usec=QUARTER * 9).error == protocol.TOO_MANY_WATCHES
        for metric in ("cpu.busy", "memory.percent", "network.rx_bytes", "load.load5"):
            client.watched(metric, usec=QUARTER)
        client.call("Unwatch", "u", numbers[-1])
        client.watched("load.load1", usec=QUARTER * 9)


@pytest.mark.usefixtures("lazy")
def test_a_user_has_so_many_metrics_in_all_watches(bus):
    with Panel(bus.address) as client:
        many = [f"disk.read_bytes@{number}" for number in range(1024)]
        for _ in range(4):
            client.watched(*many)
        assert client.watch("disk.read_bytes").error == protocol.TOO_MANY_WATCHES
        assert client.sample().values == {}


@pytest.mark.usefixtures("lazy")
def test_a_second_client_of_the_same_is_told_at_once_of_what_is_known(bus):
    with Panel(bus.address) as first, Panel(bus.address) as second:
        first.watched("cpu.busy", usec=60_000_000)
        known = first.sample()
        begun = time.monotonic()
        second.watched("cpu.busy", usec=60_000_000)
        assert second.sample()[1:] == known[1:]
        assert time.monotonic() - begun < 2


@pytest.mark.usefixtures("lazy")
def test_watchers_of_the_same_are_told_the_same(bus):
    with contextlib.ExitStack() as stack:
        panels = [stack.enter_context(Panel(bus.address)) for _ in range(5)]
        numbers = [each.watched("cpu.busy", "memory.percent", usec=QUARTER) for each in panels]
        assert len(set(numbers)) == 5
        told = [{sample.boot_usec: sample for sample in (each.sample() for _ in range(6))} for each in panels]
        common = set.intersection(*map(set, told))
        assert len(common) > 2
        for moment in common:
            assert len({str(samples[moment].values) for samples in told}) == 1
        assert [next(iter(samples.values())).watch for samples in told] == numbers


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and ip, for a network namespace")
def test_what_is_yet_to_come_may_be_named_and_is_told_of_once_it_is_there(bus):
    daemon = Healthd.__new__(Healthd)
    command = [sys.executable, "-m", "healthd", "--bus", bus.address, "--interval", "3600"]
    mounted = f"mount -t sysfs sysfs /sys && exec {' '.join(command)}"
    daemon.start(["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", mounted])

    def ip(*arguments):
        inside = ["nsenter", f"--net=/proc/{daemon.process.pid}/ns/net", "ip", "link", *arguments]
        return subprocess.run(inside, capture_output=True, text=True, timeout=20, check=False)

    try:
        daemon.ready()
        with Panel(bus.address) as client:
            client.watched("network.kind@hp0", "network.rx_bytes", usec=QUARTER)
            assert set(client.sample().values) == {"network.rx_bytes@lo"}
            made = ip("add", "hp0", "type", "veth", "peer", "name", "hp1")
            if made.returncode:
                pytest.skip(f"this kernel makes no interfaces: {made.stderr.strip()}")
            both = {f"network.rx_bytes@{name}" for name in ("lo", "hp0", "hp1")} | {"network.kind@hp0"}
            values = next(sample.values for sample in iter(client.sample, None) if set(sample.values) == both)
            assert values["network.kind@hp0"] == "virtual"
            assert ip("delete", "hp0").returncode == 0
            while set(client.sample().values) != {"network.rx_bytes@lo"}:
                """It goes as it came."""
    finally:
        daemon.stop()


@pytest.mark.usefixtures("lazy")
def test_what_is_switched_off_is_not_observed_for_a_watch_either(bus):
    with Panel(bus.address) as client:
        client.watched("load.load1", "cpu.busy", usec=QUARTER)
        assert set(client.sample().values) == {"load.load1", "cpu.busy"}
        assert not client.call("SetCollectorEnabled", "sb", "load", False).error
        while set(client.sample().values) != {"cpu.busy"}:
            """It is left out from the next sample on."""
        client.watched("load.load1", usec=500_000)
        assert client.told().body[3] in ({}, {"cpu.busy": pytest.approx(50, abs=50)})
        assert not client.call("SetCollectorEnabled", "sb", "load", True).error
        while "load.load1" not in client.sample().values:
            """It is back."""


def test_clients_of_one_interval_share_what_is_observed_for_it(bus, lazy):
    """Whatever families they ask for: it wakes once for all of them, and opens a file once."""
    pause = threading.Event()
    with contextlib.ExitStack() as stack:
        before = descriptors(lazy)
        panels = []
        for metric in ("load.load1", "load.load5", "pressure.cpu_some_avg10", "memory.percent", "cpu.busy") * 2:
            panels.append(stack.enter_context(Panel(bus.address)))
            panels[-1].watched(metric, usec=QUARTER)
            assert panels[-1].sample().values.keys() == {metric}
        # Files of load and cpu, two of memory and three of pressure; and one for the first files of lists, if any.
        assert descriptors(lazy) - before <= 8
        woken_before, begun = woken(lazy), time.monotonic()
        pause.wait(3.0)
        passed = time.monotonic() - begun
        # Four times a second, and a little for what else the kernel has for it.
        assert woken(lazy) - woken_before <= 4 * passed + 4
        numbers = {each.sample().watch for each in panels}
        assert len(numbers) == 10


RATES = ("cpu.busy", "network.rx_bytes_per_second@lo", "disk.read_bytes_per_second")


@pytest.mark.usefixtures("lazy")
def test_who_comes_later_to_an_interval_is_told_of_rates_at_once(bus):
    with Panel(bus.address) as first, Panel(bus.address) as second:
        first.watched("load.load1", usec=3_600_000_000)
        first.sample()
        for metric in RATES:
            second.watched(metric, usec=3_600_000_000)
            values = second.sample().values
            assert {address.partition("@")[0] for address in values} <= {metric.partition("@")[0]}
            assert not any(map(math.isnan, values.values()))
        # Nothing of that is for the first one.
        first.property("WatchCount")
        assert not first.kept


@pytest.mark.usefixtures("lazy")
def test_who_comes_and_goes_costs_the_others_of_an_interval_no_sample(bus):
    with Panel(bus.address) as first, Panel(bus.address) as second:
        first.watched("load.load1", usec=1_000_000)
        first.sample()
        told = [first.sample()]
        for metric in RATES * 2:
            number = second.watched(metric, usec=1_000_000)
            second.sample()
            second.call("Unwatch", "u", number)
            second.kept.clear()
            told.append(first.sample())
        turns = [round(sample.boot_usec / 1e6 - 0.45) for sample in told]
        assert turns == sorted(set(turns))
        # One may be left out for other work on this machine.
        assert turns[-1] - turns[0] <= len(turns)


def test_a_watch_goes_on_over_a_reload_by_what_is_in_force_then(bus, healthd, tmp_path):
    (tmp_path / "healthd.toml").write_text("interval = 1.0\n")
    daemon = healthd("--config", str(tmp_path), "--no-record").ready()
    with Panel(bus.address) as client:
        number = client.watched("load.load1", "memory.percent", usec=QUARTER)
        assert client.sample().values.keys() == {"load.load1", "memory.percent"}
        (tmp_path / "healthd.toml").write_text("interval = 60.0\n[collectors]\ndisabled = ['load']\n")
        daemon.process.send_signal(signal.SIGHUP)
        sample = next(sample for sample in iter(client.sample, None) if sample.values.keys() == {"memory.percent"})
        assert sample.watch == number
        eventually(lambda: client.property("SampleIntervalUSec") == 60_000_000)
        # Its interval is its own.
        later = [client.sample() for _ in range(4)][-1]
        assert later.boot_usec - sample.boot_usec < 5_000_000
        (tmp_path / "healthd.toml").write_text("interval = no\n")
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: client.property("ConfigurationProblem"))
        assert client.sample().watch == number
        (tmp_path / "healthd.toml").write_text("interval = 60.0\n")
        daemon.process.send_signal(signal.SIGHUP)
        while "load.load1" not in client.sample().values:
            """It is back."""
    assert daemon.stop() == 0


def test_a_client_that_is_stopped_loses_samples_and_nobody_memory(bus, lazy):
    """A real one, in a terminal of somebody who has pressed Ctrl-Z."""
    command = [sys.executable, "-m", "healthctl", "--bus", bus.address, "watch", "-n", "0.25", "--json"]
    with Panel(bus.address) as other:
        every = list(other.call("ListMetrics").body[0])
        client = subprocess.Popen([*command, *every], stdout=subprocess.PIPE, text=True)
        try:
            assert client.stdout
            assert client.stdout.readline()
            client.send_signal(signal.SIGSTOP)
            other.watched("load.load1", usec=QUARTER)
            before = resident(lazy.process.pid), resident(bus.process.pid)
            for _ in range(12):
                assert "lost" not in other.sample().values
            assert resident(lazy.process.pid) - before[0] < 1 << 20
            assert resident(bus.process.pid) - before[1] < 2 * WINDOW
            assert other.property("WatchCount") == 2
            client.send_signal(signal.SIGCONT)
            assert client.stdout.readline()
            client.kill()
            eventually(lambda: other.property("WatchCount") == 1)
        finally:
            client.kill()
            client.wait()
            client.stdout.close()


def test_whoever_watches_is_told_when_healthd_ends(bus, healthd):
    daemon = healthd().ready()
    with Panel(bus.address) as client:
        number = client.watched("load.load1", usec=QUARTER)
        daemon.process.send_signal(signal.SIGTERM)
        assert client.told("WatchClosed").body == [number, "stopping"]


def test_a_new_bus_has_no_watches_and_takes_new_ones(bus, healthd):
    daemon = healthd("--interval", "0.5").ready()
    with Panel(bus.address) as client:
        client.watched("load.load1", "filesystem.percent", usec=QUARTER)
        client.sample()
    with Panel(bus.address) as client:
        client.watched("load.load1", "filesystem.percent", usec=QUARTER)
        client.sample()
        before = threads(daemon)
        bus.stop()
    eventually(lambda: threads(daemon) < before)
    bus.start()
    eventually(lambda: "the bus is back" in daemon.log)
    with Panel(bus.address) as client:
        assert client.property("WatchCount") == 0
        client.watched("load.load1", usec=QUARTER)
        client.sample()
    assert daemon.stop() == 0


def test_a_replay_observes_nothing_that_could_be_watched(bus, healthd, tmp_path):
    recording = healthd("--interval", "0.25", "--record", str(tmp_path)).ready()
    assert recording.stop() == 0
    healthd("--replay", str(tmp_path), "--speed", "max").ready()
    with Panel(bus.address) as client:
        assert client.watch("cpu.busy").error == protocol.NOT_AVAILABLE
        assert client.call("Unwatch", "u", 1).error == protocol.NOT_AVAILABLE
        assert client.property("Features") == []


def test_a_reader_that_stalls_loses_samples_and_nobody_memory(bus, lazy):
    """The bus would keep 127 MiB for it; it is sent what the window holds, and the rest is counted."""
    pause = threading.Event()
    with Panel(bus.address) as stalled, Panel(bus.address) as other:
        every = list(stalled.call("ListMetrics").body[0])
        numbers = [stalled.watched(*every, usec=QUARTER) for _ in range(16)]
        other.watched("load.load1", usec=QUARTER)
        size = stalled.told().size
        # Nothing is read from here on.
        pause.wait(2 * WINDOW / (size * len(numbers) * 4) + 1.0)
        assert bus.process
        before = resident(lazy.process.pid), resident(bus.process.pid)
        until = time.monotonic() + 3
        ours = [other.sample() for _ in iter(lambda: time.monotonic() < until, False)]
        after = resident(lazy.process.pid), resident(bus.process.pid)
        assert len(ours) > 8
        assert all("lost" not in sample.values for sample in ours)
        assert after[0] - before[0] < 1 << 20
        assert after[1] - before[1] < WINDOW
        # What comes first was sent before; after the Ping that it answers now, it is told again, and of what it lost.
        taken = 0
        while True:
            signal_ = stalled.told()
            if lost := signal_.body[3].get("lost"):
                break
            taken += signal_.size
        assert lost > 3
        assert stalled.pings
        assert taken < WINDOW + 2 * len(numbers) * size
        assert stalled.property("WatchCount") == 17


@pytest.mark.usefixtures("lazy")
def test_who_answers_no_ping_is_sent_what_the_window_holds(bus):
    """Not even by reading everything: that nobody can see."""
    with Client(bus.address) as client, Panel(bus.address) as other:
        every = list(client.call("ListMetrics").body[0])
        for _ in range(16):
            client.call("Watch", "asa{sv}", every, {"interval_usec": ("t", QUARTER)})
        client._socket.settimeout(1.5)
        received = 0
        with contextlib.suppress(TimeoutError):
            while True:
                received += client.receive().size
        client._socket.settimeout(30)
        assert WINDOW / 2 < received < 3 * WINDOW
        numbers = [client.call("Watch", "asa{sv}", ["load.load1"], {}).error for _ in range(2)]
        assert numbers == [protocol.TOO_MANY_WATCHES] * 2
        assert other.property("WatchCount") == 16


def test_a_signal_of_the_library_and_ours_are_the_same_to_the_bus(healthd_bus):
    """What is marshalled beside the library is read by another one."""
    manager = DBusAddress(protocol.ROOT, bus_name=protocol.BUS_NAME, interface=protocol.MANAGER)
    with open_dbus_connection(healthd_bus.address) as connection, connection.filter(_samples()) as queue:
        asked = (["host.kernel", "cpu.core_busy", "host.booted_at"], {})
        reply = connection.send_and_get_reply(new_method_call(manager, "Watch", "asa{sv}", asked))
        assert reply.header.message_type is MessageType.method_return, reply.body
        watch, boot, moment, values = connection.recv_until_filtered(queue, timeout=20).body
    assert watch == reply.body[0]
    assert boot < moment
    assert values["host.kernel"] == ("s", os.uname().release)
    assert len(values["cpu.core_busy"][1]) == len(os.sched_getaffinity(0)) or values["cpu.core_busy"][1]
