"""Long text goes through a pager, as with git: on a terminal alone, and only where it is longer than the screen.

The pager is `HEALTHD_PAGER`, else `PAGER`, else `less -FRX`; `cat` and "" are none. One that is missing, or dies, costs
nothing: then all is written as if there were none. One that is left early ends nothing but itself.
"""

import os
import signal
import sys
from collections.abc import Iterable

from healthctl import terminal
from healthctl.render.style import columns
from healthctl.settings import Settings

VARIABLE = "HEALTHD_PAGER"
_DEFAULT = "less -FRX"
# For a pager that goes by them, unless the user has set them: quit where all fits, show colours, leave the text there.
_ENVIRONMENT = {"LESS": "FRX", "LV": "-c"}
# What makes a command of it that was not the user's own (sudo(8), pkexec(1), doas(1)).
_ELEVATED = ("SUDO_UID", "PKEXEC_UID", "DOAS_USER")


def page(lines: Iterable[str], settings: Settings) -> None:
    """Write lines that a person reads; a Ctrl-C that has ended the pager ends us too."""
    text = list(lines)
    command = [] if settings.no_pager or not _is_long(text) else _command()
    if not command or not _piped(text, command):
        terminal.write(text)


def _is_long(lines: list[str]) -> bool:
    """Tell whether lines are more than a screen can show at once, the prompt after them too."""
    if not sys.stdout.isatty() or os.environ.get("TERM") in (None, "", "dumb"):
        return False
    width = terminal.width()
    return sum(max(1, -(-columns(line) // width)) for line in lines) >= terminal.height()


def _command() -> list[str]:
    """Return the pager and its arguments; none where there is none."""
    import shlex  # noqa: PLC0415  # only for what is long

    # A pager can start others: not with rights that were lent for this command.
    wanted = None if _is_elevated() else os.environ.get(VARIABLE, os.environ.get("PAGER"))
    try:
        command = shlex.split(_DEFAULT if wanted is None else wanted)
    except ValueError:
        return []
    return [] if command == ["cat"] else command


def _is_elevated() -> bool:
    return any(name in os.environ for name in _ELEVATED)


def _piped(lines: list[str], command: list[str]) -> bool:
    """Show lines through the pager; tell whether it has served."""
    import subprocess  # noqa: PLC0415  # only for what is long
    import termios  # noqa: PLC0415  # as above

    modes = termios.tcgetattr(sys.stdout)
    secure = {"LESSSECURE": "1"} if _is_elevated() else {}
    try:
        process = subprocess.Popen(  # noqa: S603  # what the user has chosen
            command, stdin=subprocess.PIPE, env={**_ENVIRONMENT, **os.environ, **secure}
        )
    except OSError:
        return False
    # Ctrl-C is the pager's: it stops a search there. Whoever waits for it heeds none.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        encoding = sys.stdout.encoding or "ascii"
        process.communicate("".join(f"{line}\n" for line in lines).encode(encoding, "replace"))
    finally:
        signal.signal(signal.SIGINT, before)
    if process.returncode < 0:
        # It had no time to give the terminal back.
        termios.tcsetattr(sys.stdout, termios.TCSADRAIN, modes)
    if process.returncode == -signal.SIGINT:
        signal.raise_signal(signal.SIGINT)
    return process.returncode == 0
