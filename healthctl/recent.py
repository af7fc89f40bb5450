"""What is known, and how it went until now: what the screen is drawn from."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from healthctl.client import Sample
from healthctl.feed import Feed, History, News
from healthctl.render.dashboard_rows import Picture
from healthctl.render.dashboard_series import is_kept, strip_values
from healthctl.render.described import Described, number
from healthctl.render.style import Style
from healthctl.strips import LONGEST, Strips


class Recent:
    """Takes what comes; `picture` is what is known then, `None` while that is nothing."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._boot = ""
        self._sample: Sample | None = None
        self.picture: Picture | None = None

    def take(self, news: News, step: float) -> None:
        """Take what came; each cell of a strip stands for `step` seconds."""
        if isinstance(news, dict):
            self._describe(news, step)
        elif isinstance(news, Sample):
            self._sample = news
        elif self.picture:
            fill(self.picture, news)
            return
        if self.picture:
            self._move_on(self.picture)

    def _describe(self, described: dict[str, Any], step: float) -> None:
        boot = str(described.get("boot_id"))
        interval = number(described, "interval") or step
        strips = self.picture and self.picture.strips
        if not strips or (boot, step, interval) != (self._boot, strips.step, strips.interval):
            strips, self._sample = Strips(step, interval), None
        self.picture = Picture(Described(described, self._style), strips)
        self._boot = boot

    def _move_on(self, picture: Picture) -> None:
        described, strips = picture
        sample = self._sample
        # What is watched is newer than what was accepted as a change.
        if sample and sample.since_boot > (described.since_boot or 0.0) - strips.step:
            values = {self._style.clean(address): value for address, value in sample.values.items()}
            described.take(sample.time, sample.since_boot, values)
        if described.since_boot is not None:
            strips.put(described.since_boot, strip_values(described))

    def frozen(self) -> Picture | None:
        """Return the picture as it is now, and stays."""
        return self.picture and Picture(self.picture.described.copy(), deepcopy(self.picture.strips))

    def load(self, addresses: Iterable[str], feed: Feed) -> None:
        """Have strips filled with what was before, as far as that is not done."""
        if self.picture and (time := self.picture.described.time) is not None:
            strips = self.picture.strips
            feed.load(filter(is_kept, strips.missing(addresses)), time - strips.length, LONGEST)


def fill(picture: Picture, history: History) -> None:
    """Put what was before into a picture."""
    described, strips = picture
    if described.time is not None and described.since_boot is not None:
        strips.fill(history.address, history.points, described.time - described.since_boot)
