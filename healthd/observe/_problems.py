"""What was raised while observing becomes a problem that a user can act on."""

import asyncio
import errno
import os
import traceback

from healthd import protocol
from healthd.errors import Unobserved
from healthd.model import Problem
from healthd.observe._files import printable

RAISED = (Exception, asyncio.CancelledError, SystemExit)
"""What a collector can raise that stays with its family: by the other two the daemon would end."""


def problem(error: BaseException) -> Problem:
    """Return the problem behind an error; the reason for an unexpected one tells where it was raised."""
    if isinstance(error, Unobserved):
        return Problem(error.problem, error.reason, error.remedy)
    if isinstance(error, OSError):
        return _system(error)
    files = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    way = " > ".join(f"{os.path.basename(file)}:{line}" for file, line in files[1:])
    return Problem(protocol.FAILED, f"the collector failed: {error!r:.200} ({way})", "report it")


def _system(error: OSError) -> Problem:
    where = f"{printable(os.fsencode(str(error.filename)))}: " if error.filename else ""
    reason = f"{where}{error.strerror or error}"
    if isinstance(error, PermissionError):
        return Problem(protocol.PERMISSION, reason, f"let uid {os.geteuid()} read it")
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return Problem(protocol.VANISHED, reason, "")
    return Problem(protocol.FAILED, reason, "")
