"""The verdict as it changes, over the ends and beginnings of healthd."""

from collections.abc import Iterable
from typing import Any

from healthctl.client import Client
from healthctl.errors import Unavailable
from healthctl.following import Following


class Verdicts(Following):
    """The verdict of now, and again each time when it or a condition has changed: healthd says when."""

    def known(self) -> Iterable[str]:
        """Return the names of all conditions, as long as there is a connection; raises Unavailable."""
        return self._client.conditions() if self._client else ()

    def advance(self) -> dict[str, Any] | None:
        """Return the health as `Describe` has it; `None` where nothing has changed since the last call.

        To be called until it is `None` before anything is waited for. Raises Unavailable where there is no daemon now;
        the next attempt is a second later.
        """
        with self._attempt():
            if self._client:
                return _health(self._client) if self._client.judged() else None
            client = self._connect()
            if client is None:
                return None
            # First, so that nothing is lost between the answer and the first signal.
            client.subscribe_to_health()
            health = _health(client)
            self._answered()
            return health


def _health(client: Client) -> dict[str, Any]:
    health = client.describe().get("health")
    if not isinstance(health, dict) or not isinstance(health.get("conditions"), dict):
        raise Unavailable("this healthd has no conditions; update it")
    return health
