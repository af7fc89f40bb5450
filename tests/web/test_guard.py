"""Who is kept out: strangers' names, who has no token, who asks too much, and who says nothing."""

import base64
import hashlib
import os
import re
import socket
import stat

import pytest
from private_bus import eventually
from web_bridge import Bridge, Events


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "attacker.example:8086", "localhost.attacker.example", "", "[::1", "127.0.0.1.nip.example"],
)
def test_a_name_that_is_not_ours_is_refused(web, host):
    answer = web.ask("/api/v1/snapshot", Host=host)
    assert answer.status == 421
    assert "--name" in answer.json["detail"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8086", "127.0.0.1:1", "[::1]:8086", "::1", socket.gethostname()]
)
def test_our_own_names_and_addresses_are_known(web, host):
    assert web.ask("/api/v1/status", Host=host).status == 200


def test_a_further_name_can_be_given_and_asks_for_the_token(healthd_bus, bridges, tmp_path):
    file = tmp_path / "token"
    bridge = bridges(healthd_bus.address, "--name", "Pi4.lan", "--token-file", str(file))
    bearer = f"Bearer {file.read_text().strip()}"
    assert bridge.ask("/api/v1/status", Host="pi4.lan:8086").status == 401
    assert bridge.ask("/api/v1/status", Host="pi4.lan:8086", Authorization=bearer).status == 200
    assert bridge.ask("/api/v1/status", Host="pi5.lan:8086", Authorization=bearer).status == 421


@pytest.mark.parametrize("path", ["/", "/api/v1/snapshot", "/metrics", "/static/live.js", "/nothing", "/conditions"])
def test_every_answer_says_what_a_browser_may_do_with_it(web, path):
    headers = web.ask(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


def test_no_page_holds_a_script_and_none_a_style_but_the_one_that_is_allowed(web):
    for path in ("/", "/conditions", "/condition/cpu_busy"):
        answer = web.ask(path)
        text = answer.text
        (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
        hash_ = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{hash_}';" in answer.headers["content-security-policy"]
        assert "<script" not in text.replace('<script src="/static/live.js" type="module"></script>', "")
        assert "style=" not in text
        assert "http://" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "https://" not in text


class TestToken:
    @pytest.fixture
    def file(self, tmp_path) -> str:
        return str(tmp_path / "state" / "token")

    @pytest.fixture
    def guarded(self, healthd_bus, bridges, file) -> Bridge:
        return bridges(healthd_bus.address, "--token-file", file)

    def test_it_is_made_for_its_owner_alone_and_kept(self, healthd_bus, bridges, guarded, file):
        with open(file) as opened:
            token = opened.read().strip()
        assert len(token) >= 32
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        assert file in guarded.log
        assert token not in guarded.log
        again = bridges(healthd_bus.address, "--token-file", file)
        assert again.ask("/api/v1/status", Authorization=f"Bearer {token}").status == 200

    def test_who_shows_none_sees_nothing(self, guarded):
        for path in ("/api/v1/snapshot", "/metrics", "/live", "/api/v1/events", "/nothing", "/static/live.js"):
            answer = guarded.ask(path)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        browser = guarded.ask("/", Accept="text/html")
        assert (browser.status, browser.headers["location"]) == (303, "/login")
        assert 'name="token"' in guarded.ask("/login").text

    def test_after_one_login_the_browser_has_a_cookie_that_is_not_the_token(self, guarded, file):
        with open(file) as opened:
            token = opened.read().strip()
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        answer = guarded.ask("/login", "POST", f"token={token}".encode(), **form)
        assert (answer.status, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert token not in cookie
        pair = cookie.partition(";")[0]
        assert "Log out" in guarded.ask("/", Cookie=pair).text
        assert guarded.ask("/metrics", Cookie=pair).status == 200
        left = guarded.ask("/logout", "POST", b"", Cookie=pair)
        assert 'healthd-token=""' in left.headers["set-cookie"]

    def test_the_cookie_of_another_bridge_is_none(self, healthd_bus, bridges, guarded, tmp_path):
        other = bridges(healthd_bus.address, "--token-file", str(tmp_path / "other"))
        token = (tmp_path / "other").read_text().strip().encode()
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        pair = other.ask("/login", "POST", b"token=" + token, **form).headers["set-cookie"].partition(";")[0]
        assert other.ask("/metrics", Cookie=pair).status == 200
        assert guarded.ask("/metrics", Cookie=pair).status == 401

    def test_who_guesses_locks_nobody_out(self, guarded, file):
        for _ in range(20):
            assert guarded.ask("/api/v1/status", Authorization="Bearer guess").status == 401
        with open(file) as opened:
            right = opened.read().strip()
        assert guarded.ask("/api/v1/status", Authorization=f"Bearer {right}").status == 200
        assert (
            guarded.ask("/login", "POST", b"token=guess", Content_Type="application/x-www-form-urlencoded").status
            == 403
        )

    def test_a_file_that_others_read_is_refused(self, healthd_bus, file):
        os.makedirs(os.path.dirname(file))
        with open(file, "w") as opened:
            opened.write("a-token-that-is-long-enough\n")
        os.chmod(file, 0o644)
        bridge = Bridge(healthd_bus.address, "--token-file", file)
        eventually(lambda: bridge.process.poll() is not None)
        assert (
            bridge.log
            == f"healthctl: others may read the token in {file}; chmod 600 it, or remove it to have a new one\n"
        )
        assert bridge.stop() == 74

    def test_another_address_than_loopback_asks_for_it(self, healthd_bus, bridges, tmp_path):
        bridge = bridges(healthd_bus.address, "--listen", "0.0.0.0:0", XDG_STATE_HOME=str(tmp_path))
        assert f"the token in {tmp_path}/healthd/web-token" in bridge.log
        assert bridge.ask("/api/v1/status").status == 401


def test_a_port_that_is_taken_is_said_with_its_holder(healthd_bus, web):
    second = Bridge(healthd_bus.address, "--listen", f"127.0.0.1:{web.port}")
    eventually(lambda: second.process.poll() is not None)
    assert f"127.0.0.1:{web.port} is taken by python" in second.log
    assert f"process {web.process.pid}" in second.log
    assert "--listen" in second.log
    assert second.log.count("\n") == 1
    assert second.stop() == 75


@pytest.mark.parametrize(
    "place", ["nowhere.example", "127.0.0.1:http", "127.0.0.1:99999", "300.1.1.1", "[::1", "127.0.0.1:" + 5000 * "9"]
)
def test_a_place_that_is_none_is_said(place):
    bridge = Bridge("unix:path=/nowhere", "--listen", place)
    eventually(lambda: bridge.process.poll() is not None)
    assert bridge.log.startswith(f"healthctl: '{place}' ")
    assert bridge.log.count("\n") == 1
    assert bridge.stop() == 64


@pytest.mark.parametrize(
    "options",
    [("--name", "pi4.lan:443"), ("--name", "http://pi4.lan/"), ("--name", ""), ("--token-file", "")],
    ids=" ".join,
)
def test_a_name_or_a_file_that_is_none_is_said(options, tmp_path):
    bridge = Bridge("unix:path=/nowhere", *options, XDG_STATE_HOME=str(tmp_path))
    eventually(lambda: bridge.process.poll() is not None)
    assert bridge.log.count("\n") == 1
    assert bridge.stop() == 64


def test_a_token_that_is_no_text_shows_nothing_of_itself(tmp_path):
    file = tmp_path / "token"
    file.write_bytes(b"\xff\xfe secret")
    file.chmod(0o600)
    bridge = Bridge("unix:path=/nowhere", "--token-file", str(file))
    eventually(lambda: bridge.process.poll() is not None)
    assert "shorter than 16" in bridge.log
    assert "secret" not in bridge.log
    assert bridge.stop() == 74


def test_what_is_too_large_is_refused_and_harms_nobody(web):
    assert web.ask("/" + "a" * 9000).status == 400
    assert web.ask("/api/v1/status", X_Long="a" * 20000).status == 400
    assert web.ask("/api/v1/status").status == 200


def test_who_connects_and_says_nothing_is_let_go(healthd_bus, bridges):
    bridge = bridges(healthd_bus.address)
    silent = [socket.create_connection((bridge.address, bridge.port), 30) for _ in range(50)]
    half = socket.create_connection((bridge.address, bridge.port), 30)
    half.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    assert bridge.ask("/api/v1/status").status == 200
    for each in (*silent, half):
        # Reset or closed: nobody keeps it.
        try:
            while each.recv(4096):
                pass
        except ConnectionResetError:
            pass
        each.close()


def test_one_address_has_so_many_streams_and_no_more(healthd_bus, bridges):
    bridge = bridges(healthd_bus.address)
    streams = [Events(bridge, "/api/v1/events") for _ in range(128)]
    assert {stream.answer.status for stream in streams} == {200}
    assert bridge.ask("/api/v1/events").status == 429
    assert bridge.ask("/api/v1/status").status == 200
    streams.pop().close()
    # Its end is seen when something is sent.
    eventually(lambda: status_of(bridge) == 200)
    for stream in streams:
        stream.close()


def status_of(bridge: Bridge) -> int:
    stream = Events(bridge, "/api/v1/events")
    stream.close()
    return stream.answer.status
