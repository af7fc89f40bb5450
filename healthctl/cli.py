"""The edge of the `healthctl` command: whatever happens becomes an exit code, and at most one line of error.

A configuration that has faults gets a line more for each. click comes with `group`, which is imported last, and not at
all for what `shortcut` can do: it takes most of the start-up, and Ctrl-C is quiet by then.
"""

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from healthctl.errors import HealthctlError, complaint, plain
from healthd import protocol

_INTERRUPTED = 128 + signal.SIGINT
_PIPE_CLOSED = 128 + signal.SIGPIPE


def main() -> NoReturn:
    """Be the process."""
    # Who closed them wants to hear nothing; they stay open as long as the process lives.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    signal.signal(signal.SIGINT, _interrupt)
    code = run(sys.argv[1:])
    # All is written and closed: to take the interpreter down piece by piece would only let the user wait.
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run a command line and return the exit code."""
    try:
        code: int | None = import_module("healthctl.shortcut").run(arguments)
        if code is None:
            code = int(import_module("healthctl.group").run(arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader has what it wanted.
        return _PIPE_CLOSED
    except HealthctlError as error:
        return _complain(error, error.exit_code, error.faults)
    except OSError as error:
        return _complain(f"the output can't be written: {error.strerror}", protocol.EXIT_IO_ERROR)
    except Exception as error:  # noqa: BLE001  # a fault of ours is no traceback for the user, and no verdict
        return _complain(f"this is a bug of healthctl: {error!r}", protocol.EXIT_SOFTWARE)


def _complain(reason: object, code: int, faults: tuple[str, ...] = ()) -> int:
    with suppress(OSError):
        sys.stderr.write("".join(f"{plain(fault)}\n" for fault in faults) + complaint(reason))
    return code


def _interrupt(*_: object) -> NoReturn:
    os._exit(_INTERRUPTED)
