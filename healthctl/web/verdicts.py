"""The pages beside the first: what is judged, what a verdict rests on, and the question for the token."""

from collections.abc import Mapping, Sequence
from typing import Any

from healthctl.client import described
from healthctl.render import condition
from healthctl.render.described import cleaned, text
from healthctl.render.event import event
from healthctl.render.style import Style
from healthctl.render.why import Explained, why
from healthctl.series import Series
from healthctl.web.machine import Machine, histories
from healthctl.web.markup import Content, Markup, element, join
from healthctl.web.sections import told

_STYLE = Style()
_WIDTHS = {"wide": 100, "narrow": 36}
"""Columns of the evidence, of which a page shows what it has room for."""
_POINTS = 60


def conditions(known: Mapping[str, dict[str, Any]], changes: Sequence[str], now: float) -> Markup:
    """Return all that is judged, the worst first, and what has become of it (lines of JSON), the newest first."""
    return _page(
        element("h1", "Conditions"),
        element(
            "section",
            element(
                "ul",
                *(told(_STYLE.clean(name), cleaned(row, _STYLE), now) for name, row in condition.ordered(known)),
                class_="conditions",
            ),
        ),
        element("h2", "What has changed"),
        element(
            "pre",
            "\n".join(event(line, {}, _STYLE) for line in reversed(changes)) or "Nothing, as far as is known.",
            class_="lines",
        ),
    )


async def explain(machine: Machine, name: str) -> Explained:
    """Ask for what is known of a condition, by its name or as a page shows it. Raises UnknownCondition, Unavailable."""
    names = await machine.door.conditions()
    if name not in names:
        name = next((each for each in names if _STYLE.clean(each) == name), name)
    known = described(await machine.door.explain(name))
    # Of another machine, or of what is played again, it is not ours.
    now = (await machine.now()).time
    addresses = condition.addresses(known)
    metrics = await machine.door.metrics()
    points = await histories(machine, addresses, condition.told_from(known, now), None, _POINTS)
    rows = {address: metrics.get(address.partition("@")[0], {}) for address in addresses}
    series = [
        Series(address, text(row, "unit"), text(row, "summary"), points.get(address, []))
        for address, row in rows.items()
    ]
    return Explained(_STYLE.clean(name), known, now, series, ())


def evidence(explained: Explained) -> Markup:
    """Return what the verdict on a condition rests on, in words."""
    drawn = {name: "\n".join(why(explained, width, _STYLE)) for name, width in _WIDTHS.items()}
    shown = [element("pre", lines, class_=name, tabindex=0) for name, lines in drawn.items()]
    return _page(element("h1", explained.name), *shown)


def sorry(reason: str) -> Markup:
    """Return what is said where there is nothing to show."""
    return _page(element("h1", "healthd"), element("p", reason, class_="problem"))


def login(problem: str = "") -> Markup:
    """Return the question for the token."""
    return element(
        "main",
        element("h1", "healthd"),
        element("p", problem, class_="problem", role="alert") if problem else None,
        element(
            "form",
            element("label", "Token", for_="token"), " ",
            element("input", id_="token", name="token", type="password", required=True), " ",
            element("button", "Look"),
            element("p", "It is in the file that healthctl web named when it began.", class_="aside"),
            method="post", action="/login",
        ),
    )  # fmt: skip


def _page(*content: Content) -> Markup:
    return join(element("header", element("a", "← This machine", href="/")), element("main", *content))
