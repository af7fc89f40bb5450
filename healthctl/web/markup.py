"""HTML and SVG by their elements: what is no Markup is text, and escaped."""

from collections.abc import Iterable
from html import escape

Content = str | int | float | None | Iterable["Content"]

_VOID = frozenset(("br", "hr", "img", "input", "link", "meta"))


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """Return an element; in an attribute's name `_` is `-`, one at its end goes; `None` or `False` leaves it out."""
    given = "".join(
        f" {_name(key)}" if value is True else f' {_name(key)}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{given}>" if name in _VOID else f"<{name}{given}>{join(*content)}</{name}>")


def join(*content: Content) -> Markup:
    """Return content one after the other."""
    return Markup("".join(map(_text, content)))


def _text(content: Content) -> str:
    if content is None:
        return ""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str | int | float):
        return escape(str(content))
    return "".join(map(_text, content))


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
