"""What was raised while observing becomes a problem that a user can act on."""

import logging
import os

from healthd import protocol
from healthd.errors import Unobserved
from healthd.model import Problem

_log = logging.getLogger(__name__)


def problem(error: Exception, what: str) -> Problem:
    """Return the problem behind an error that came of observing `what`; unexpected ones are logged whole."""
    if isinstance(error, Unobserved):
        return Problem(error.problem, error.reason, error.remedy)
    if isinstance(error, OSError):
        return _system(error)
    _log.error("observing %s failed", what, exc_info=error)
    return Problem(protocol.FAILED, f"the collector failed: {type(error).__name__}", "report it, with the log")


def _system(error: OSError) -> Problem:
    where = f"{error.filename}: " if error.filename else ""
    reason = f"{where}{error.strerror or error}"
    if isinstance(error, PermissionError):
        return Problem(protocol.PERMISSION, reason, f"let uid {os.geteuid()} read it")
    if isinstance(error, FileNotFoundError):
        return Problem(protocol.UNSUPPORTED, reason, "")
    return Problem(protocol.FAILED, reason, "")
