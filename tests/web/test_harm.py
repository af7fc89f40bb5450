"""What one client does to the bridge costs no other an answer, and no memory."""

import contextlib
import gzip
import json
import os
import signal
import socket
import zlib
from collections.abc import Callable, Iterator

import pytest
from private_bus import Bus, Healthd, eventually
from web_bridge import Bridge, Events

from healthctl.client import Client

MANAGER = ("org.healthd.Health1", "/org/healthd/Health1", "org.healthd.Health1.Manager")


def resident(bridge: Bridge) -> int:
    with open(f"/proc/{bridge.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak(bridge: Bridge) -> int:
    """Return the most memory that it ever had, bytes."""
    with open(f"/proc/{bridge.process.pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


@contextlib.contextmanager
def connected(bridge: Bridge, request: bytes) -> Iterator[socket.socket]:
    with socket.create_connection((bridge.address, bridge.port), 60) as made:
        made.sendall(request)
        yield made


def ended(made: socket.socket) -> bool:
    """Wait for the end of a connection."""
    try:
        while made.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    "path", ["/condition/%00", "/api/v1/conditions/a%00b", "/api/v1/history?metric=filesystem.percent@%00"]
)
def test_a_nul_costs_nobody_the_connection_to_the_bus(web, path):
    stream = Events(web, "/api/v1/events")
    stream.next("status")
    assert web.ask(path).status in (400, 404)
    assert web.ask("/api/v1/conditions").status == 200
    assert "health" in json.loads(stream.next("status"))
    stream.close()


def test_the_strips_come_back_with_healthd(bus: Bus, healthd: Callable[..., Healthd], bridges: Callable[..., Bridge]):
    def watches() -> str:
        return bus.busctl("get-property", *MANAGER, "WatchCount").stdout.split()[-1]

    first = healthd("--interval", "0.5").ready()
    bridge = bridges(bus.address)
    stream = Events(bridge, "/live?range=5min")
    eventually(lambda: "<svg" in json.loads(stream.next("parts")).get("strips", ""))
    first.stop(signal.SIGKILL)
    # Before anybody has asked in vain.
    healthd("--interval", "0.5").ready()
    eventually(lambda: watches() == "1")
    eventually(lambda: "<svg" in json.loads(stream.next("parts")).get("strips", ""))
    stream.close()


def test_an_answer_that_comes_too_late_is_not_kept(healthd_bus: Bus):
    with Client(healthd_bus.address) as client:
        number = client.line.question("ListMetrics")
        client.line.forget(number)
        client.describe()
        assert not client.has_unread
        other = client.line.question("ListMetrics")
        client.describe()
        assert client.has_unread
        client.line.forget(other)
        assert not client.has_unread


def test_charts_that_could_not_be_had_are_asked_for_again(
    bus: Bus, healthd: Callable[..., Healthd], bridges: Callable[..., Bridge]
):
    first = healthd("--interval", "0.25").ready()
    bridge = bridges(bus.address)
    assert bridge.ask("/api/v1/status").status == 200
    first.stop(signal.SIGKILL)
    assert "<figure" not in bridge.ask("/?range=7d").text
    healthd("--interval", "0.25").ready()
    eventually(lambda: "<figure" in bridge.ask("/?range=7d").text)


def test_a_name_by_which_a_proxy_asks_asks_for_the_token(healthd_bus: Bus, bridges: Callable[..., Bridge], tmp_path):
    bridge = bridges(healthd_bus.address, "--name", "pi4.lan", XDG_STATE_HOME=str(tmp_path))
    assert bridge.ask("/api/v1/status").status == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_can_not_log_in(healthd_bus: Bus, bridges: Callable[..., Bridge], tmp_path, site):
    bridge = bridges(healthd_bus.address, "--token-file", str(tmp_path / "token"))
    kind = {"Content_Type": "application/x-www-form-urlencoded", "Sec_Fetch_Site": site}
    token = (tmp_path / "token").read_text().strip().encode()
    assert bridge.ask("/login", "POST", b"token=" + token, **kind).status == 403


def test_a_body_that_does_not_come_is_not_waited_for_for_ever(
    healthd_bus: Bus, bridges: Callable[..., Bridge], tmp_path
):
    bridge = bridges(healthd_bus.address, "--token-file", str(tmp_path / "token"))
    kind = b"application/x-www-form-urlencoded"
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + kind + b"\r\nContent-Length: 99\r\n\r\ntok"
    with connected(bridge, head) as slow:
        assert bridge.ask("/login").status == 200
        assert ended(slow)


LIVE = b"GET /live HTTP/1.1\r\nHost: localhost\r\n"
BEHIND_A_STREAM = {
    "of an upgrade": (LIVE + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", b"x" * 65536),
    "requests": (LIVE + b"\r\n", (LIVE + b"\r\n") * 1700),
}


@pytest.mark.parametrize(("head", "more"), BEHIND_A_STREAM.values(), ids=BEHIND_A_STREAM)
def test_what_comes_behind_a_stream_is_not_kept(healthd_bus: Bus, bridges: Callable[..., Bridge], head, more):
    bridge = bridges(healthd_bus.address)
    bridge.ask("/")
    before = resident(bridge)
    with connected(bridge, head) as rude, contextlib.suppress(ConnectionError, TimeoutError):
        rude.settimeout(5)
        for _ in range(320):
            rude.sendall(more)
    assert bridge.ask("/api/v1/status").status == 200
    assert resident(bridge) - before < 8 * 2**20


def test_a_bus_that_takes_nothing_stops_nobody(
    bus: Bus, healthd: Callable[..., Healthd], bridges: Callable[..., Bridge]
):
    healthd().ready()
    bridge = bridges(bus.address)
    assert bridge.ask("/api/v1/status").status == 200
    request = b"GET /api/v1/conditions/" + b"a" * 7900 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with contextlib.ExitStack() as opened:
        bus.signal(signal.SIGSTOP)
        opened.callback(bus.signal, signal.SIGCONT)
        for _ in range(70):
            opened.enter_context(connected(bridge, request))
        assert bridge.ask("/static/icon.svg").status == 200
        assert bridge.ask("/api/v1/conditions/more").status == 503
    eventually(lambda: bridge.ask("/api/v1/status").status == 200)


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=a", b"x"),
        (f"{FORM}; charset=nonsense", b"token=x"),
        (f"{FORM}; charset=utf-16", b"token=x"),
        (FORM, b"token=\xff\xfe"),
        (FORM, b"&" * 2000),
    ],
)
def test_a_form_that_is_none_is_no_token(healthd_bus: Bus, bridges: Callable[..., Bridge], tmp_path, kind, body):
    bridge = bridges(healthd_bus.address, "--token-file", str(tmp_path / "token"))
    assert bridge.ask("/login", "POST", body, Content_Type=kind).status == 403
    assert "bug" not in bridge.log


def test_who_leaves_before_the_answer_is_no_bug(healthd_bus: Bus, bridges: Callable[..., Bridge], tmp_path):
    bridge = bridges(healthd_bus.address, "--token-file", str(tmp_path / "token"))
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\ntok"
    for _ in range(20):
        with connected(bridge, head):
            assert bridge.ask("/login").status == 200
    assert bridge.ask("/login").status == 200
    assert "bug" not in bridge.log


@pytest.mark.parametrize("packed", ["deflate", "gzip"])
def test_a_body_is_not_unpacked(healthd_bus: Bus, bridges: Callable[..., Bridge], tmp_path, packed):
    bridge = bridges(healthd_bus.address, "--token-file", str(tmp_path / "token"))
    bridge.ask("/login")
    before = peak(bridge)
    content = {"deflate": zlib.compress, "gzip": gzip.compress}[packed](bytes(200 * 2**20), 9)
    assert bridge.ask("/login", "POST", content, Content_Encoding=packed).status == 413
    assert peak(bridge) - before < 8 * 2**20


def test_a_body_behind_a_stream_is_refused(web):
    answer = web.ask("/live", "GET", b"x" * 10_000)
    assert answer.status == 400
    assert "body" in answer.json["detail"]


def test_a_target_that_is_none_leaves_no_trace(healthd_bus: Bus, bridges: Callable[..., Bridge]):
    bridge = bridges(healthd_bus.address)
    with connected(bridge, b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n") as odd:
        assert ended(odd)
    assert bridge.ask("/api/v1/status").status == 200
    # Nor a traceback: `bridges` looks.


def test_one_address_has_so_many_connections_and_no_more(healthd_bus: Bus, bridges: Callable[..., Bridge]):
    bridge = bridges(healthd_bus.address)
    with contextlib.ExitStack() as opened:
        silent = [opened.enter_context(connected(bridge, b"")) for _ in range(256)]
        with connected(bridge, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as further:
            assert ended(further)
        # Those who say nothing are let go, and then there is room.
        assert all(map(ended, silent))
        assert bridge.ask("/api/v1/status").status == 200


def test_all_addresses_together_have_so_many_connections_and_no_more(healthd_bus: Bus, bridges: Callable[..., Bridge]):
    bridge = bridges(healthd_bus.address)
    to = bridge.address, bridge.port
    with contextlib.ExitStack() as opened:
        silent = [
            opened.enter_context(socket.create_connection(to, 60, (f"127.0.0.{address}", 0)))
            for address in (2, 3, 4, 5)
            for _ in range(175)
        ]
        with socket.create_connection(to, 60, ("127.0.0.6", 0)) as further:
            assert ended(further)
        assert all(map(ended, silent))
        assert bridge.ask("/api/v1/status").status == 200


def test_a_healthd_that_has_stopped_costs_only_its_own_answer(
    bus: Bus, healthd: Callable[..., Healthd], bridges: Callable[..., Bridge]
):
    daemon = healthd().ready()
    bridge = bridges(bus.address)
    assert bridge.ask("/api/v1/conditions").status == 200
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        answer = bridge.ask("/api/v1/conditions")
        assert answer.status == 503
        assert "has not answered" in answer.json["detail"]
        assert bridge.ask("/static/icon.svg").status == 200
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    eventually(lambda: bridge.ask("/api/v1/conditions").status == 200)


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_what_is_no_http_is_answered_and_let_go(web, sent):
    with connected(web, sent) as odd:
        assert odd.recv(12) == b"HTTP/1.0 400"
        assert ended(odd)


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: xchunked", b"Content-Length: +5"],
)
def test_a_request_within_a_request_is_not_seen(web, head):
    inner = b"0\r\n\r\nGET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(web, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n" + inner) as odd:
        told = b""
        while part := odd.recv(1 << 16):
            told += part
    assert told.startswith(b"HTTP/1.0 400")
    assert told.count(b"HTTP/1.") == 1


def test_who_asks_too_often_is_told_so(healthd_bus: Bus, bridges: Callable[..., Bridge]):
    bridge = bridges(healthd_bus.address)
    connection = bridge.connect()
    found = set()
    for _ in range(3000):
        connection.request("GET", "/static/icon.svg")
        answer = connection.getresponse()
        answer.read()
        found.add(answer.status)
        if answer.status == 429:
            assert answer.getheader("Retry-After") == "1"
            break
    connection.close()
    assert found == {200, 429}


def test_an_address_that_means_nothing_is_404(web):
    for address in ("@/nope", "cpu.busy@", "filesystem.percent@/nowhere"):
        answer = web.ask(f"/api/v1/history?metric={address}")
        assert answer.status in (200, 404), answer.body


def test_a_person_is_told_in_words_what_a_program_is_told_in_json(bus: Bus, bridges: Callable[..., Bridge]):
    bridge = bridges(bus.address)
    page = bridge.ask("/conditions", Accept="text/html")
    assert page.status == 503
    assert "<h1>healthd</h1>" in page.text
    assert "healthd is not running" in page.text
    assert bridge.ask("/conditions").json["status"] == 503
    assert "Nothing is known yet" in bridge.ask("/").text


@pytest.mark.parametrize("expected", ["100-continue", "a miracle"])
def test_who_expects_something_is_judged_like_all_others(web, expected):
    assert web.ask("/api/v1/status", Expect=expected).status == 200
    assert web.ask("/api/v1/status", Expect=expected, Host="attacker.example").status == 421


def test_what_is_nowhere_says_what_a_browser_may_do_too(web):
    answer = web.ask("/nowhere", Expect="a miracle")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
