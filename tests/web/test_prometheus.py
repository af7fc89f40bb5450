"""A real Prometheus asks the bridge of a real healthd, by the configuration that ships as an example."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from monitoring import DATA, command
from private_bus import eventually, stopped


class Process:
    """A process that is ended with the test; what it says is kept."""

    def __init__(self, *line):
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said)

    @property
    def log(self):
        return os.pread(self.said.fileno(), 1 << 20, 0).decode()

    def is_there(self):
        assert self.process.poll() is None, self.log
        return True

    def end(self):
        stopped(self.process)
        self.said.close()


@pytest.fixture
def started():
    """Give a function that starts a process."""
    made = []

    def start(*line):
        made.append(Process(*line))
        return made[-1]

    yield start
    for process in reversed(made):
        process.end()


class Prometheus:
    """Debian's, with a configuration, data and a port of its own."""

    def __init__(self, start, directory, url, job=""):
        target = url.removeprefix("http://")
        with open(os.path.join(DATA, "prometheus", "prometheus.yml"), encoding="utf-8") as file:
            example = file.read()
        config = example.replace("15s", "1s").replace("127.0.0.1:8086", target)
        config = config.replace("    static_configs:", f"{job}    static_configs:", 1)
        assert target in config
        (directory / "prometheus.yml").write_text(config)
        shutil.copy(os.path.join(DATA, "prometheus", "healthd.rules.yml"), directory)
        self.process = start(
            command("prometheus"), f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
            "--web.listen-address=127.0.0.1:0",
        )  # fmt: skip
        self._port = eventually(self._listens)
        eventually(self._is_ready)

    def _listens(self):
        self.process.is_there()
        told = subprocess.run([command("ss"), "-Hltnp"], capture_output=True, text=True, check=True).stdout
        found = re.search(rf"127\.0\.0\.1:(\d+) .*\bpid={self.process.process.pid}\b", told)
        return found and int(found[1])

    def _is_ready(self):
        try:
            return self.read("-/ready")
        except URLError:
            return False

    def read(self, path):
        with urlopen(f"http://127.0.0.1:{self._port}/{path}", timeout=20) as answer:
            return answer.read().decode()

    def api(self, path, **query):
        answer = json.loads(self.read(f"api/v1/{path}?{urlencode(query)}"))
        assert answer["status"] == "success"
        return answer["data"]

    def ask(self, query):
        """Return the values of a query by their labels."""
        result = self.api("query", query=query)["result"]
        return {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in result}

    def value(self, query):
        """Return the one value of a query; `None` where there is none."""
        values = [*self.ask(query).values()]
        assert len(values) < 2
        return values[0] if values else None


def test_prometheus_scrapes_the_bridge_and_answers(web, started, tmp_path):
    prometheus = Prometheus(started, tmp_path, web.url)
    eventually(lambda: prometheus.value("count_over_time(healthd_cpu_busy_ratio[1m]) > 2"), 40)

    assert 0 <= prometheus.value("healthd_cpu_busy_ratio") <= 1
    assert prometheus.value("healthd_memory_total_bytes") == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert prometheus.value("sum(healthd_health)") == 1
    assert prometheus.value("healthd_cpu_online") == os.cpu_count()
    assert prometheus.value("rate(healthd_network_rx_bytes_total{network='lo'}[1m])") > 0
    [asked] = prometheus.api("targets")["activeTargets"]
    assert (asked["health"], asked["lastError"]) == ("up", "")
    # Units come with OpenMetrics alone.
    [told] = prometheus.api("metadata", metric="healthd_disk_read_bytes")["healthd_disk_read_bytes"]
    assert (told["type"], told["unit"]) == ("counter", "bytes")
    own = prometheus.read("metrics")
    for fault in ("duplicate_timestamp", "out_of_order", "out_of_bounds"):
        assert f"prometheus_target_scrapes_sample_{fault}_total 0\n" in own
    rules = [rule for group in prometheus.api("rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert "HealthdDown" in {rule["name"] for rule in rules}
    assert "Traceback" not in prometheus.process.log


def test_prometheus_shows_the_token_where_one_is_asked_for(healthd_bus, bridges, started, tmp_path):
    bridge = bridges(healthd_bus.address, "--token-file", str(tmp_path / "token"))
    assert bridge.ask("/metrics").status == 401
    job = f"    authorization:\n      credentials_file: {tmp_path}/token\n"
    prometheus = Prometheus(started, tmp_path, bridge.url, job)
    eventually(lambda: prometheus.value("healthd_cpu_busy_ratio") is not None, 40)


def test_a_healthd_that_is_gone_is_down_until_it_is_back(bus, healthd, bridges, started, tmp_path):
    daemon = healthd("--interval", "1").ready()
    prometheus = Prometheus(started, tmp_path, bridges(bus.address).url)
    eventually(lambda: prometheus.value("up") == 1, 40)
    daemon.stop()
    eventually(lambda: prometheus.value("up") == 0, 40)
    assert "503" in prometheus.api("targets")["activeTargets"][0]["lastError"]
    assert prometheus.value("healthd_cpu_busy_ratio") is None
    healthd("--interval", "1").ready()
    eventually(lambda: prometheus.value("up") == 1, 40)
