"""A condition is found by its name whatever that holds, and where a page shows it by the link that it has there."""

import re
from html import unescape
from urllib.parse import quote

import pytest
from plugins import install
from private_bus import eventually

# Mount points, and what a plug-in may call its instances.
NAMES = (
    "/", "//a//", "/a b", "/é日", "..", "a@b", "a#b?c=1&d", "a%2Fb%25", "a+b;c", "{a}", "*|^`~[1]", "<a>\"b'",
    r"a\xffb", "/a\nb", "a\x01b", "\x7f\u2028",
)  # fmt: skip
PLUGIN = f"""
from healthd.model import Band, Reading, Unit, family, gauge

@family("tank", instances="tank", source="nothing")
class Tank(Reading):
    "What is in a tank."
    level: float | None = gauge(Unit.NONE, "How much.", band=Band(absolute=0.01), digits=1, span=(0.0, 9.0))

class TankCollector:
    "Reads nothing."
    reading = Tank

    def __init__(self, roots): ...

    def collect(self, now):
        return {{name: Tank(level=5.0) for name in {NAMES!r}}}
"""
CONFIG = """
collectors.plugins = ["tank"]
[rules.full]
metric = "tank.level"
warning = { enter = "> 2", hold = "0s" }
"""


@pytest.fixture
def bridge(bus, healthd, bridges, tmp_path, monkeypatch):
    """Give a bridge to a healthd with a condition of each name."""
    install(str(tmp_path), "tank", "healthd_tank:TankCollector", PLUGIN)
    (tmp_path / "healthd.toml").write_text(CONFIG)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    healthd("--interval", "0.25", "--config", str(tmp_path / "healthd.toml")).ready()
    made = bridges(bus.address)
    eventually(lambda: "full@" in made.ask("/").text)
    return made


def test_each_is_found_by_its_link_and_by_its_name(bridge):
    for page in ("/", "/conditions"):
        links = re.findall('href="(/condition/full[^"]*)">(.*?)</a>', bridge.ask(page).text)
        assert len(links) == len(NAMES)
        for link, shown in links:
            answer = bridge.ask(unescape(link))
            assert answer.status == 200, link
            assert f"<h1>{shown}</h1>" in answer.text
            assert not re.search(r"[\0-\t\v-\x1f\x7f]", answer.text)
    for name in NAMES:
        path = quote(f"full@{name}", safe="")
        assert bridge.ask(f"/api/v1/conditions/{path}").json["instance"] == name
        assert bridge.ask(f"/condition/{path}").status == 200
