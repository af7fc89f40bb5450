"""The page: written whole by the server, and kept current part by part where the browser runs scripts."""

import asyncio
from collections import deque
from contextlib import suppress
from html import unescape
from time import CLOCK_BOOTTIME, clock_gettime, localtime, strftime, time_ns
from typing import NamedTuple

from healthctl.errors import Unavailable
from healthctl.render.axis import Window
from healthctl.render.described import Described, number, seconds, text
from healthctl.render.style import Style
from healthctl.web.charts import POINTS, RANGES, charts, draw, strip
from healthctl.web.door import heeded
from healthctl.web.machine import KEPT, STRIP, Machine, Seen, histories
from healthctl.web.markup import Content, Markup, element, join
from healthctl.web.problem import STYLE
from healthctl.web.sections import sections
from healthd import protocol

DEFAULT = "1h"
_TITLES = {"cpu.busy": "CPU", "memory.percent": "Memory", "pressure.io_some_avg10": "Waiting for disks"}

Parts = dict[str, Markup]
"""What is shown, by the name of its element."""

_KEPT = 8
"""How many of the last states of a range are remembered: a browser goes on from the one that it has."""


class State(NamedTuple):
    """What is shown, and its number: another one for any other, also of a bridge that is started anew."""

    number: int
    parts: Parts


class _Past(NamedTuple):
    """How the metrics of charts went, drawn."""

    at: float
    charts: Markup


class Page:
    """Writes the page; what is the same for all is written once."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._past: dict[str, _Past] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._now: tuple[str, Parts] = ("", {})
        self._states: dict[str, deque[State]] = {}
        self._versions: dict[str, object] = {}
        """By range: of which version of what is known the last state is."""
        self._number = time_ns()

    async def whole(self, range_: str, *, leave: bool) -> Markup:
        """Return the page with the charts of a range of `RANGES`; `leave`: who looks may log out."""
        with suppress(Unavailable):
            await self._machine.now()
            await self.renew(range_)
        state = self.state(range_)
        return document(unescape(state.parts["name"]), _body(state, range_, leave=leave))

    def state(self, range_: str) -> State:
        """Return what is shown now: the same object as long as nothing has changed."""
        past = self._past.get(range_)
        version = self._machine.version, past and past.at
        known = self._states.setdefault(range_, deque(maxlen=_KEPT))
        if not known or self._versions[range_] != version:
            self._versions[range_] = version
            parts = {**self._present(), "charts": past.charts if past else Markup()}
            if not known or known[-1].parts != parts:
                self._number += 1
                known.append(State(self._number, parts))
        return known[-1]

    def before(self, range_: str, number: int) -> State:
        """Return a state that was shown; one of nothing where it is not remembered."""
        return next((state for state in self._states.get(range_, ()) if state.number == number), State(0, {}))

    def _present(self) -> Parts:
        seen = self._machine.last
        if seen and self._now[0] != seen.tag:
            known = Described(seen.described, Style())
            name = text(known.single("host"), "hostname")
            self._now = seen.tag, {**({"name": join(name)} if name else {}), **sections(known), **_told(seen)}
        return {
            "name": join("healthd"),
            **self._now[1],
            "problem": _problem(self._machine.problem, known=seen is not None),
            "strips": self._strips(),
        }

    def _strips(self) -> Markup:
        """Draw the samples of the watch: they are as observed, and so the page says."""
        samples = self._machine.samples
        if len(samples) < 2:
            return Markup()
        drawn = []
        for address in STRIP:
            if all(sample.values.get(address) is None for sample in samples):
                continue
            values = [sample.values.get(address) for sample in samples]
            shown = [None] * (KEPT - len(values)) + [
                float(value) if isinstance(value, int | float) else None for value in values
            ]
            last = "?" if shown[-1] is None else f"{shown[-1]:.1f} %"
            title = _TITLES[address]
            drawn.append(
                element(
                    "li",
                    element("span", title, class_="aside"),
                    strip(f"{title}, the last minute", shown, 0.0, 100.0),
                    element("b", last),
                )
            )
        return element("ul", *drawn)

    async def renew(self, range_: str) -> None:
        """Have the charts follow, as often as a point comes to them; all wait for the same. Raises Unavailable."""
        past, length = self._past.get(range_), RANGES[range_]
        interval = number(self._machine.last.described, "interval") if self._machine.last else None
        if past and _now() - past.at < max(length / POINTS, interval or 0.0):
            return
        if range_ not in self._loading:
            self._loading[range_] = asyncio.create_task(self._load(range_, length))
            self._loading[range_].add_done_callback(heeded)
        await asyncio.shield(self._loading[range_])

    async def _load(self, range_: str, length: float) -> None:
        try:
            described = Described((await self._machine.now()).described, Style())
            now = described.time or 0.0
            wanted = charts(described)
            addresses = [address for chart in wanted for _, address in chart.lines]
            points = await histories(self._machine, addresses, now - length, None, POINTS)
            window = Window(now - length, now, now)
            self._past[range_] = _Past(_now(), join(*(draw(chart, points, window) for chart in wanted)))
        finally:
            del self._loading[range_]


def _now() -> float:
    """Return a time that goes on while the machine is suspended, seconds."""
    return clock_gettime(CLOCK_BOOTTIME)


def document(title: str, body: Content, *, live: bool = True) -> Markup:
    """Return a document of HTML; all that it loads comes from the same server."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        # In the page itself: nothing is painted before it, and to ask for it would take another round trip.
        element("style", Markup(STYLE)),
        element("script", src="/static/live.js", type="module") if live else None,
    )
    return Markup(f"<!doctype html>{element('html', head, element('body', body), lang='en')}")


def _body(state: State, range_: str, *, leave: bool) -> Markup:
    def part(name: str, tag: str = "section", **more: str | int) -> Markup:
        return element(tag, state.parts.get(name), id_=name, **more)

    ranges = [
        element("a", name, href=f"/?range={name}", aria_current="true" if name == range_ else None) for name in RANGES
    ]
    cards = ("cpu", "memory", "load", "pressure", "sensors", "upkeep", "host")
    tables = ("filesystems", "disks", "networks")
    return join(
        element("a", "To the verdict", href="#verdict", class_="skip"),
        element(
            "header",
            part("name", "h1"),
            element("p", part("told", "span"), " ", element("span", id_="live", role="status"), class_="aside"),
            element("button", "Pause", id_="pause", type="button", hidden=True),
            element("form", element("button", "Log out"), action="/logout", method="post") if leave else None,
        ),
        element(
            "main",
            part("problem", "div", role="alert"),
            part("verdict"),
            element("section", element("h2", "Live, as observed"), part("strips", "div"), class_="strips"),
            element(
                "div",
                *(part(name, class_="card") for name in cards),
                *(part(name, class_="card broad") for name in tables),
                class_="cards",
            ),
            element(
                "section",
                element("h2", "How it went"),
                element("nav", *ranges, aria_label="range of the charts"),
                part("charts", "div", class_="charts", data_range=range_, data_state=state.number),
                id_="went",
            ),
        ),
        element(
            "footer",
            element("a", "Conditions", href="/conditions"), " ",
            element("a", "API", href="/api/v1/openapi.json"), " ",
            element("a", "Metrics", href="/metrics"), " ",
            f"healthd {protocol.VERSION}",
        ),
    )  # fmt: skip


def _told(seen: Seen) -> Parts:
    """Return of when it is what is shown."""
    told = text(seen.described, "time")
    number_ = number(seen.described, "seq")
    moment = seconds(told)
    # As the axes of the charts: in the time zone of the bridge.
    said = strftime("%Y-%m-%d %H:%M:%S %Z", localtime(moment)) if moment is not None else ""
    words = element("time", said, datetime=told)
    return {"told": element("span", words, data_seq=f"{number_ or 0:.0f}", id_="seq")}


def _problem(problem: str, *, known: bool) -> Markup:
    said = "These are the last known figures" if known else "Nothing is known yet"
    return element("p", f"{said}: {problem}", class_="problem") if problem else Markup()
