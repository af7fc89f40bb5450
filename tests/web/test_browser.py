"""The page in a real Chromium, driven by WebDriver."""

import gc
import json
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest
from private_bus import Bus, Healthd, eventually
from recorded_healthd import RecordedHealthd
from web_bridge import Bridge

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (pip install selenium)")
HERE = os.path.dirname(os.path.abspath(__file__))
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not DRIVER, reason="chromedriver is not installed (apt install chromium-driver)")

FIGURES = """
const shown = {};
for (const data of document.querySelectorAll("data[data-metric]")) shown[data.dataset.metric] = data.value;
return [document.querySelector("[data-seq]").dataset.seq, shown];
"""
# Of what is text: the contrast of its colour with what is behind it (WCAG 2.2, 1.4.3).
CONTRAST = """
const light = (colour) => {
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
  }
  return "rgb(255, 255, 255)";
};
const poor = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  const ink = element.closest("svg") ? style.fill : style.color;
  const pair = [light(ink), light(behind(element))].sort((a, b) => b - a);
  const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (ratio < 4.5) poor.push([walker.currentNode.data, ink, behind(element), ratio]);
}
return poor;
"""
# What is wider than the window or the card that it is in.
OUTSIDE = """
const right = (element) => element.getBoundingClientRect().right - 1;
return [...document.body.querySelectorAll("*:not(.skip, svg *, pre *)")].filter((element) => {
  const card = element.closest(".card, main > section, figure") ?? document.documentElement;
  const isCut = element.matches("pre") && element.scrollWidth > element.clientWidth;
  return element.checkVisibility() && (isCut || right(element) > right(card));
}).map((element) => element.outerHTML.slice(0, 200));
"""
RULES = """
[rules.full]
metric = "memory.percent"
summary = "Memory is in use."
warning = { enter = "> 0.001%", clear = "< 0.0001%", hold = "0s" }
"""


class Browser:
    def __init__(self, width: int = 1280, height: int = 2000, *, dark: bool = False, scripts: bool = True) -> None:
        options = webdriver.ChromeOptions()
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})

    def run(self, script: str):
        return self.driver.execute_script(script)

    def text(self, name: str) -> str:
        return str(self.run(f"return document.getElementById('{name}').innerText"))

    def live(self) -> bool:
        return bool(self.run("return document.body.dataset.live === 'live'"))

    def tab(self) -> tuple[str, str, float]:
        """Go on by the keyboard: what is focused then, the style of its outline, and its height."""
        webdriver.ActionChains(self.driver).send_keys("\ue004").perform()
        found = "const one = document.activeElement; return [one.innerText, getComputedStyle(one).outlineStyle,"
        text, outline, height = self.run(f"{found} one.getBoundingClientRect().height]")
        return text, outline, height

    def shoot(self, name: str) -> None:
        """Keep a picture where somebody wants them."""
        if directory := os.environ.get("HEALTHD_TEST_PICTURES"):
            self.driver.save_screenshot(os.path.join(directory, f"{name}.png"))

    def requested(self) -> set[str]:
        """Return what was asked for over the network, and by whatever means."""
        found = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.add(message["params"]["request"]["url"])
        return found


class Lively(Healthd):
    """healthd on a Raspberry Pi 5 that works, with an hour before now."""

    def __init__(self, bus: str, root: str, recorded: str) -> None:
        options = ["--bus", bus, "--interval", "2", "--record", recorded]
        self.start([sys.executable, os.path.join(HERE, "lively_healthd.py"), "raspberry-pi-5", root, *options])

    def ready(self) -> "Lively":
        eventually(lambda: "serving" in self.log, 120.0)
        return self


@pytest.fixture
def browsers() -> Iterator[Callable[..., Browser]]:
    started = []

    def start(**options) -> Browser:
        started.append(Browser(**options))
        return started[-1]

    yield start
    while started:
        started.pop().driver.quit()
    # Connections to the driver that selenium has left open are its own.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_the_figures_are_the_snapshots_and_go_on(browsers, bus: Bus, healthd: Callable[..., Healthd], bridges, told):
    healthd("--interval", "1").ready()
    bridge = bridges(bus.address)
    browser = browsers()
    browser.driver.get(bridge.url + "/?range=5min")
    eventually(browser.live)

    def both() -> object:
        (seq, shown), status = browser.run(FIGURES), told(bus, "status")
        return int(seq) == status["seq"] and (shown, status)

    shown, status = eventually(both)
    assert len(shown) > 20
    for address, value in shown.items():
        name, at, instance = address.partition("@")
        family, _, field = name.partition(".")
        content = status["readings"][family]
        known = (content[instance] if at else content)[field]
        assert (None if value == "" else float(value)) == known, address

    first = int(browser.run(FIGURES)[0])
    eventually(lambda: int(browser.run(FIGURES)[0]) >= first + 3)
    assert "as observed" in browser.run("return document.querySelector('.strips').innerText")
    eventually(lambda: browser.run("return document.querySelectorAll('#strips svg').length") == 3)
    browser.shoot("wide")
    assert browser.driver.get_log("browser") == []
    assert all(url.startswith(bridge.url) for url in browser.requested() if not url.startswith(("data:", "chrome:")))


def test_what_is_focused_stays_so_while_figures_change(browsers, web):
    browser = browsers()
    browser.driver.get(web.url)
    eventually(browser.live)
    browser.run("document.querySelector('nav a').focus(); window.kept = document.querySelector('#cpu .figure data')")
    before = int(browser.run(FIGURES)[0])
    eventually(lambda: int(browser.run(FIGURES)[0]) > before + 1)
    assert browser.run("return document.activeElement === document.querySelector('nav a')")
    assert browser.run("return window.kept.isConnected")


def test_a_condition_appears_and_healthd_may_go_and_come(
    tmp_path, browsers, bus: Bus, healthd, bridges: Callable[..., Bridge]
):
    rules = tmp_path / "healthd.toml"
    rules.write_text("")
    daemon = healthd("--interval", "0.25", "--config", str(rules)).ready()
    bridge = bridges(bus.address)
    browser = browsers()
    browser.driver.get(bridge.url)
    eventually(browser.live)
    assert "full" not in browser.text("verdict")
    rules.write_text(RULES)
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: "Memory is in use." in browser.text("verdict"))
    assert browser.run("return document.getElementById('severity').textContent") == "warning"
    browser.shoot("warning")
    daemon.stop(signal.SIGKILL)
    eventually(lambda: "last known figures" in browser.text("problem"))
    assert browser.text("live") == "not live"
    assert browser.run("return document.title").startswith("warning: ")
    healthd("--interval", "0.25").ready()
    eventually(lambda: browser.text("problem") == "" and "Memory is in use." not in browser.text("verdict"))
    browser.driver.find_element("css selector", "footer a").click()
    eventually(lambda: "memory_available" in browser.run("return document.body.innerText"))


def test_it_is_there_before_healthd_and_comes_alive_with_it(
    browsers, bus: Bus, healthd, bridges: Callable[..., Bridge]
):
    browser = browsers()
    browser.driver.get(bridges(bus.address).url)
    assert "Nothing is known yet" in browser.text("problem")
    assert browser.text("name") == "healthd"
    assert browser.run("return document.getElementById('verdict').checkVisibility()") is False
    healthd("--interval", "0.25").ready()
    eventually(browser.live)
    assert browser.text("name") == os.uname().nodename
    assert browser.text("verdict")


def test_the_bridge_may_go_and_come(browsers, healthd_bus: Bus, bridges: Callable[..., Bridge]):
    first = bridges(healthd_bus.address)
    browser = browsers()
    browser.driver.get(first.url)
    eventually(browser.live)
    first.process.send_signal(signal.SIGTERM)
    eventually(lambda: "does not answer" in browser.text("live"))
    bridges(healthd_bus.address, "--listen", f"127.0.0.1:{first.port}")
    eventually(browser.live)


def test_without_scripts_it_is_whole(browsers, web):
    browser = browsers(scripts=False)
    browser.driver.get(web.url + "/?range=5min")
    # What WebDriver runs is not the page's.
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "GiB" in browser.text("memory")
    assert browser.text("live") == ""
    assert browser.run("return document.querySelectorAll('#charts svg').length") > 2


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 970, 1280], ids=["enlarged", "phone", "tablet", "wide"])
def test_it_fits_and_can_be_read(browsers, web, width, dark):
    """320 pixels are what is left of 1280 where all is enlarged four times (WCAG 2.2, 1.4.10)."""
    browser = browsers(width=width, dark=dark)
    for name, path in (("", "/?range=5min"), ("-conditions", "/conditions"), ("-condition", "/condition/cpu_busy")):
        browser.driver.get(web.url + path)
        assert browser.run(OUTSIDE) == []
        assert browser.run(CONTRAST) == []
        browser.shoot(f"{'dark' if dark else 'light'}-{width}{name}")
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(18, 21, 20)") is dark


def test_a_screen_reader_has_names_for_all_that_is_drawn(browsers, web):
    browser = browsers()
    browser.driver.get(web.url + "/?range=5min")
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    told = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    for role in ("image", "button", "link", "navigation", "heading", "columnheader", "rowheader"):
        names = [name for found, name in told if found == role]
        assert names, role
        assert all(names), role
    assert {role for role, _ in told} >= {"banner", "main", "contentinfo", "status", "alert", "table"}
    # Its figure is beside it, and the dot before a severity is for the eye alone.
    assert "meter" not in {role for role, _ in told}
    assert not any("●" in name for _, name in told)
    assert browser.run("return document.querySelectorAll('svg[role=img]').length") > 2
    assert browser.run("return document.documentElement.lang") == "en"
    assert browser.run("return document.querySelectorAll('h1').length") == 1


def test_a_keyboard_is_enough_and_where_it_is_can_be_seen(browsers, web):
    browser = browsers()
    browser.driver.get(web.url + "/?range=5min")
    eventually(browser.live)
    conditions = browser.run("return [...document.querySelectorAll('#verdict a')].map((one) => one.innerText)")
    known = ["To the verdict", "Pause", *conditions, "5min", "1h", "24h", "7d", "Conditions", "API"]
    found = [browser.tab() for _ in known]
    assert [text for text, _, _ in found] == known
    assert {outline for _, outline, _ in found} == {"solid"}
    # WCAG 2.2, 2.5.8.
    assert min(size for text, _, size in found if text not in conditions) >= 24
    browser.run("document.getElementById('pause').focus()")
    browser.driver.switch_to.active_element.send_keys(" ")
    assert browser.text("live") == "paused"
    browser.driver.switch_to.active_element.send_keys(" ")
    eventually(browser.live)


@pytest.mark.parametrize("width", [320, 1024, 1440])
def test_long_names_stay_in_their_cards(browsers, bus: Bus, bridges: Callable[..., Bridge], width):
    with open(os.path.join(os.path.dirname(HERE), "healthctl", "describe", "server-64.json")) as file:
        described = json.load(file)
    readings, long = described["readings"], "x" * 60
    for family in ("disk", "network", "filesystem", "sensor"):
        name, row = next(iter(readings[family].items()))
        readings[family] = {f"{name}{long}": {**row, "label": long, "model": long}, **readings[family]}
    readings["host"] = {**readings["host"], "hostname": long, "model": long}
    with RecordedHealthd(bus.address, described):
        browser = browsers(width=width)
        browser.driver.get(bridges(bus.address).url)
        assert browser.run(OUTSIDE) == []
        browser.shoot(f"long-{width}")


@pytest.mark.skipif(
    "HEALTHD_TEST_PICTURES" not in os.environ, reason="nobody wants pictures (HEALTHD_TEST_PICTURES=DIR)"
)
def test_a_machine_at_work(tmp_path, browsers, bus: Bus, bridges: Callable[..., Bridge]):
    """The pictures of the README, which are these with fewer colours (`convert +dither -colors 64`)."""
    (tmp_path / "root").mkdir()
    healthd = Lively(bus.address, str(tmp_path / "root"), str(tmp_path / "recorded")).ready()
    bridge = bridges(bus.address)
    for name, width, height, dark in (("web-wide", 1440, 1745, False), ("web-phone", 390, 1840, True)):
        browser = browsers(width=width, height=height, dark=dark)
        browser.driver.get(bridge.url + "/?range=1h")
        full = "return document.querySelector('#strips path')?.getTotalLength() > 90"
        eventually(lambda browser=browser, full=full: browser.run(full) and "?" not in browser.text("strips"), 120.0)
        browser.shoot(name)
    healthd.stop()
