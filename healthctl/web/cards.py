"""What the parts of the page are made of: figures, bars, lists, tables, and a heading with what is wrong."""

from collections.abc import Callable, Iterable, Sequence

from healthctl.render import units
from healthctl.render.described import Described, Values
from healthctl.web.markup import Content, Markup, element, join

LIMIT = 12
"""Rows of a part at most; the rest is counted."""


def shown(address: str, value: object, write: Callable[[float], str]) -> Markup:
    """Return a value as a person reads it, and beside it as it is; "?" where it is unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return element("data", units.UNKNOWN, value="", data_metric=address)
    return element("data", write(value), value=repr(value), data_metric=address)


def of(values: Values, family: str, used: str, total: str, at: str = "") -> Markup:
    """Return how many bytes of how many; `at` is the end of the addresses, `@instance`."""
    return join(
        shown(f"{family}.{used}{at}", values.get(used), units.iec),
        " of ",
        shown(f"{family}.{total}{at}", values.get(total), units.iec),
    )


def bar(share: float | None) -> Markup:
    """Return a share of a whole, percent, as a bar, for the eye alone: the figure is beside it."""
    return Markup() if share is None else element("meter", min=0, max=100, value=share, aria_hidden="true")


def card(title: str, content: Content, problem: str, more: int = 0) -> Markup:
    """Return a part with its heading, and what is wrong with it; empty where there is nothing to say."""
    if content is None and not problem:
        return Markup()
    return join(
        element("h2", title),
        content,
        element("p", f"{more} more", class_="aside") if more > 0 else None,
        element("p", f"unavailable: {problem}" if content is None else f"not up to date: {problem}", class_="problem")
        if problem
        else None,
    )


def problems(described: Described, family: str) -> str:
    """Return what of a family can't be observed."""
    said = [f"{name}: {described.problem(family, name)}" for name in described.problems(family)[:LIMIT]]
    return "; ".join(filter(None, [described.problem(family), *said]))


def headline(address: str, share: float | None, about: str) -> Markup:
    """Return a share in large figures, as a bar, and words about it."""
    value = shown(address, share, units.percent)
    return element("p", element("span", value, class_="figure"), bar(share), aside(about), class_="headline")


def listed(rows: Iterable[tuple[str, Content]]) -> Markup:
    """Return figures with their names."""
    return element("dl", *(element("div", element("dt", label), element("dd", said)) for label, said in rows))


def table(heads: Sequence[str], rows: Iterable[Sequence[Content]]) -> Markup:
    """Return a table; the first cell of a row names it."""
    cells = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    ]
    titles = (element("th", head, scope="col") for head in heads)
    return element("table", element("thead", element("tr", *titles)), element("tbody", *cells))


def aside(words: str) -> Markup | None:
    """Return words that matter less."""
    return element("span", words, class_="aside") if words else None
