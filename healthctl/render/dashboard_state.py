"""What a person has made of the dashboard with keys."""

from collections.abc import Callable
from typing import NamedTuple

COLLAPSED, USUAL, EXPANDED = 0, 1, 2
"""How much of a section is shown: its head, what there is room for, everything."""
_PAGE = 10
"""Lines that page up and down move."""


class Ui(NamedTuple):
    """What is shown how, and what the last screen had, by which keys go."""

    sections: tuple[str, ...] = ()
    """Those that are on the screen, from top to bottom."""
    overflow: int = 0
    """Lines for which there is no room."""
    selected: str = ""
    """The section that keys are about; "" is none."""
    folds: tuple[tuple[str, int], ...] = ()
    """The sections that are not as usual, and how much of them is shown."""
    top: int = 0
    """Lines that are scrolled out at the top."""
    follows: bool = True
    """Whether the selected section is to be on the screen; not any more when somebody has scrolled."""
    busiest: bool = False
    """Whether the busiest comes first, or all is in the order of its names."""
    paused: bool = False
    help: bool = False
    ended: bool = False

    def fold(self, section: str) -> int:
        """Return how much of a section is shown."""
        return dict(self.folds).get(section, USUAL)


def press(ui: Ui, key: str) -> Ui:
    """Return what is shown after a key."""
    if key == "q":
        return ui._replace(ended=True)
    if ui.help:
        # Whatever it is: who has read it goes on.
        return ui._replace(help=False)
    act = _KEYS.get(key)
    return act(ui) if act else ui


def _move(ui: Ui, step: int) -> Ui:
    if not ui.sections:
        return ui
    if ui.selected not in ui.sections:
        return ui._replace(selected=ui.sections[0 if step > 0 else -1], follows=True)
    at = (ui.sections.index(ui.selected) + step) % len(ui.sections)
    return ui._replace(selected=ui.sections[at], follows=True)


def _folded(ui: Ui, much: int) -> Ui:
    if not ui.selected:
        return _move(ui, 1)
    others = tuple(fold for fold in ui.folds if fold[0] != ui.selected)
    return ui._replace(folds=others if much == USUAL else (*others, (ui.selected, much)), follows=True)


def _scroll(ui: Ui, top: int) -> Ui:
    return ui._replace(top=min(max(top, 0), ui.overflow), follows=False)


def _same(keys: str, act: Callable[[Ui], Ui]) -> dict[str, Callable[[Ui], Ui]]:
    return dict.fromkeys(keys.split(), act)


_KEYS = {
    **_same("h ?", lambda ui: ui._replace(help=True)),
    **_same("space p", lambda ui: ui._replace(paused=not ui.paused)),
    **_same("s", lambda ui: ui._replace(busiest=not ui.busiest)),
    **_same("escape", lambda ui: ui._replace(selected="", folds=(), top=0, busiest=False, follows=True)),
    **_same("down j tab", lambda ui: _move(ui, 1)),
    **_same("up k backtab", lambda ui: _move(ui, -1)),
    **_same("enter", lambda ui: _folded(ui, USUAL if ui.fold(ui.selected) == EXPANDED else EXPANDED)),
    **_same("right l +", lambda ui: _folded(ui, min(ui.fold(ui.selected) + 1, EXPANDED))),
    **_same("left -", lambda ui: _folded(ui, max(ui.fold(ui.selected) - 1, COLLAPSED))),
    **_same("pagedown", lambda ui: _scroll(ui, ui.top + _PAGE)),
    **_same("pageup", lambda ui: _scroll(ui, ui.top - _PAGE)),
    **_same("home", lambda ui: _scroll(ui, 0)),
    **_same("end", lambda ui: _scroll(ui, ui.overflow)),
}
