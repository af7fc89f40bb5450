"""A command of the user's own, run for each transition: one at a time, not for ever, and not too often."""

import json
import os
import signal
import subprocess
import sys
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from healthctl.errors import complaint, plain
from healthctl.notify.transitions import Transition

_GRACE = 5.0
"""How long a command may take to end once it was told to, seconds."""
_KEPT = 1000
"""Transitions that wait at most; of more, the newest."""


class Rate(NamedTuple):
    """So often within so many seconds, and no more."""

    most: int
    seconds: float


class _Run(NamedTuple):
    """A command while it runs."""

    process: "subprocess.Popen[bytes]"
    descriptor: int
    """Becomes readable when it ends (pidfd_open(2))."""
    about: str
    deadline: float
    is_late: bool = False


class Errands:
    """Runs a line of shell for each transition, with it as JSON on stdin and in the environment (`environment`)."""

    def __init__(self, command: str, timeout: float, at_most: Rate) -> None:
        self._command = command
        self._timeout = timeout
        self._at_most = at_most
        self._queue: deque[Transition] = deque(maxlen=_KEPT)
        self._begun: deque[float] = deque(maxlen=at_most.most)
        """When it was run the last times."""
        self._is_held = False
        """Whether what waits does so because it was run too often."""
        self._run: _Run | None = None

    def close(self) -> None:
        """Let go of what runs: it ends by itself."""
        if self._run:
            os.close(self._run.descriptor)
        self._run = None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something happened; -1 while nothing can."""
        return self._run.descriptor if self._run else -1

    @property
    def wait(self) -> float | None:
        """How long there is nothing to do unless the descriptor becomes readable, seconds; `None`: for ever."""
        if self._run:
            return max(0.0, self._run.deadline - monotonic())
        return max(0.0, self._opens - monotonic()) if self._queue else None

    @property
    def _opens(self) -> float:
        """When it may be run again."""
        return self._begun[0] + self._at_most.seconds if len(self._begun) == self._at_most.most else 0.0

    def tell(self, transition: Transition) -> None:
        """Have the command run for a transition, when it is its turn."""
        self._queue.append(transition)
        self.advance()

    def advance(self) -> None:
        """See to what has ended or is late, and begin what is next."""
        if self._run:
            self._look(self._run)
        while self._queue and not self._run:
            now = monotonic()
            if now < self._opens:
                self._is_held = True
                return
            self._begun.append(now)
            # What has waited for that is told in one: it would only wait ever longer.
            left_out = [self._queue.popleft() for _ in range(len(self._queue) - 1)] if self._is_held else []
            self._is_held = False
            self._begin(self._queue.popleft(), left_out)

    def _begin(self, transition: Transition, left_out: list[Transition]) -> None:
        content = {**transition.data, "left_out": [each.data for each in left_out]}
        given = os.memfd_create("transition")
        try:
            # A file: nobody waits for a command that does not read.
            with open(given, "w", encoding="utf-8", closefd=False) as file:
                file.write(f"{json.dumps(content)}\n")
            os.lseek(given, 0, os.SEEK_SET)
            process = subprocess.Popen(  # noqa: S602  # the user's own line; what came from the bus is no part of it
                self._command, shell=True, stdin=given, env={**os.environ, **environment(content)},
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._complain(transition.words, f"can't be run: {error.strerror}")
            return
        finally:
            os.close(given)
        try:
            descriptor = os.pidfd_open(process.pid)
        except OSError as error:
            process.kill()
            process.wait()
            self._complain(transition.words, f"can't be waited for: {error.strerror}")
            return
        self._run = _Run(process, descriptor, transition.words, monotonic() + self._timeout)

    def _look(self, run: _Run) -> None:
        code = run.process.poll()
        if code is None:
            if monotonic() >= run.deadline:
                with suppress(ProcessLookupError):
                    os.killpg(run.process.pid, signal.SIGKILL if run.is_late else signal.SIGTERM)
                self._run = run._replace(is_late=True, deadline=monotonic() + _GRACE)
            return
        os.close(run.descriptor)
        self._run = None
        if run.is_late:
            self._complain(run.about, f"was ended: it took longer than {self._timeout:g} s")
        elif code:
            self._complain(run.about, f"failed with {f'exit code {code}' if code > 0 else f'signal {-code}'}")

    def _complain(self, about: str, reason: str) -> None:
        sys.stderr.write(complaint(f"the command for '{about}' {reason}"))


def environment(content: dict[str, object]) -> dict[str, str]:
    """Return the variables that tell of a transition: HEALTHD_ and the key, and of what was left out the number."""
    return {f"HEALTHD_{key.upper()}": _text(value) for key, value in content.items()}


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case list():
            return str(len(value))
    # A line, and none of the characters that no variable can hold.
    return plain(str(value).replace("\n", " "))
