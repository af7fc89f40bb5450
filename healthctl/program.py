"""The `healthd` program: where it is, and what it says of a configuration. It alone knows what may stand there."""

import os
import re
import subprocess
import sys
from shutil import which

from healthctl.errors import BadConfig, Unavailable
from healthd import protocol

_LONGEST = 30.0
"""The longest wait for its answer, seconds."""
# It writes for a log: priority, and its name for a person (sd-daemon(3)).
_PRIORITY = re.compile("^<[0-7]>", re.MULTILINE)


def ask(option: str, config: str | None) -> str:
    """Return what healthd prints for `--check-config` or `--show-config`; `None`: of the configuration of the system.

    Raises BadConfig with its faults, and Unavailable where there is no such healthd.
    """
    program = _program()
    # Another bus would be a private affair, for which nothing is read.
    environment = {name: value for name, value in os.environ.items() if name != protocol.BUS_VARIABLE}
    command = [program, option, *(["--config", config] if config else [])]
    try:
        done = subprocess.run(  # noqa: S603  # healthd alone, which is beside us or on PATH
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
            timeout=_LONGEST, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{program} has not answered for {_LONGEST:.0f} s") from error
    except OSError as error:
        raise Unavailable(f"{program} can't be run: {error.strerror}") from error
    said = _PRIORITY.sub("", done.stderr).splitlines()
    if done.returncode == protocol.EXIT_CONFIG:
        raise BadConfig(f"the configuration has {_count(said)}", *said)
    if done.returncode != protocol.EXIT_OK:
        raise Unavailable(f"{program} {option} failed: {' '.join(said[-1:]) or f'exit code {done.returncode}'}")
    return done.stdout


def _count(faults: list[str]) -> str:
    return "a fault" if len(faults) == 1 else f"{len(faults)} faults"


def _program() -> str:
    """Return the path of healthd: the one that is installed with this healthctl, else that on PATH.

    Raises Unavailable.
    """
    beside = [os.path.dirname(path) for path in (sys.argv[0], os.path.realpath(sys.argv[0]), sys.executable) if path]
    found = which("healthd", path=os.pathsep.join(filter(None, beside))) or which("healthd")
    if not found:
        raise Unavailable("healthd is not installed here: it is neither beside healthctl nor on PATH")
    return found
