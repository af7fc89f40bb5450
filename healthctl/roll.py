"""Some metrics, line after line: as columns below a head, or as JSON."""

import json
from contextlib import closing
from datetime import UTC, datetime

from healthctl import terminal
from healthctl.address import explained
from healthctl.client import Sample
from healthctl.errors import UnknownMetric
from healthctl.live import Watch, follow
from healthctl.options import Settings
from healthctl.render.columns import Columns


def roll(settings: Settings, metrics: tuple[str, ...], seconds: float | None, count: int | None) -> None:
    """Write so many samples of metrics, or all of them until a signal ends it."""
    with closing(Watch(settings.bus, metrics, seconds)) as watch:
        show = _write_json if settings.json else _Text(settings, watch, metrics).write
        try:
            follow(watch, show, count)
        except UnknownMetric as error:
            raise explained(error, metrics, watch.known()) from error


def _write_json(sample: Sample) -> None:
    """Write a sample as an object of its own: time, since_boot (s), lost (samples until now), values by address."""
    moment = datetime.fromtimestamp(sample.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {"time": moment, "since_boot": sample.since_boot, "lost": sample.lost, "values": sample.values}
    terminal.write([json.dumps(told)])


class _Text:
    """Samples as lines."""

    def __init__(self, settings: Settings, watch: Watch, metrics: tuple[str, ...]) -> None:
        self._style = terminal.style(settings.color)
        self._watch = watch
        self._metrics = metrics
        self._columns: Columns | None = None

    def write(self, sample: Sample) -> None:
        """Write a line, below a head where it is time for one."""
        if self._columns is None:
            units = {name: str(row.get("unit") or "") for name, row in self._watch.known().items()}
            # The cursor stands on the last line.
            self._columns = Columns(self._metrics, units, self._style, terminal.height() - 1)
        terminal.write(self._columns.draw(sample.time, sample.values, terminal.width(bounded=False)))
