"""What the command line and the configuration chose, as the daemon takes it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from healthd import protocol
from healthd.health.rule import Rule
from healthd.observe import CollectorType
from healthd.publish.jsonl import Keeping
from healthd.state.history import TIERS, Tier


class Replaying(NamedTuple):
    """What is replayed, and how: see `Replay`."""

    directory: str
    since: float = -math.inf
    until: float = math.inf
    speed: float = 1.0


class Options(NamedTuple):
    """What the command line and the configuration chose."""

    bus: str = "system"
    """"" for none, which only a replay can do without."""
    interval: float = protocol.INTERVAL
    console: bool = False
    record: str = ""
    """Directory of the recording; "" for none."""
    keeping: Keeping = Keeping()
    tiers: Sequence[Tier] = TIERS
    series: int = 512
    disabled: frozenset[str] = frozenset()
    """Families that are not observed."""
    collectors: Sequence[CollectorType] = ()
    """What observes, those of plug-ins included."""
    plugins: Sequence[str] = ()
    """The families that other packages observe."""
    rules: Sequence[Rule] = ()
    digest: str = ""
    """Stands for the rules."""
    files: Sequence[str] = ()
    """What the configuration was read from."""
    replay: Replaying | None = None
