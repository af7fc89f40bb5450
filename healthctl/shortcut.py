"""The way past click for the command lines that scripts, prompts and panels repeat, who would wait longest for it.

    [status]            [--json] [--short]
    get METRIC...       [--json] [-q]

Whatever is not exactly one of these goes the long way, by `group.py`; both ways lead to the same functions.
"""

import gc
import os

from healthctl.settings import ASKED, Settings
from healthd import protocol

_OPTIONS = {
    "status": {"--json": "json", "--short": "short"},
    "get": {"--json": "json", "-q": "bare", "--quiet": "bare"},
}


def run(arguments: list[str]) -> int | None:
    """Run a command line and return the exit code; `None` where it is none of these.

    Raises HealthctlError.
    """
    command, *rest = arguments or ["status"]
    options = [each for each in rest if each.startswith("-")]
    words = [each for each in rest if not each.startswith("-")]
    known = _OPTIONS.get(command, {})
    # Words are wrong for status, and missing for get.
    if not known or not known.keys() >= set(options) or bool(words) != (command == "get") or os.environ.get(ASKED):
        return None
    chosen = {known[each] for each in options}
    if {"json", "bare"} <= chosen:
        return None
    # So short a life leaves nothing that would be worth a search.
    gc.disable()
    settings = Settings()
    settings.json = "json" in chosen
    if command == "get":
        from healthctl import values  # noqa: PLC0415  # only one of the two is needed

        values.get(settings, words, bare="bare" in chosen)
        return protocol.EXIT_OK
    from healthctl import health  # noqa: PLC0415  # as above

    return health.glance(settings) if "short" in chosen else health.show(settings)
