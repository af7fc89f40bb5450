"""What systemd is told (sd_notify(3)), by sdnotify with two cures: it takes any text, and never blocks."""

import os
import time

ENDING = 20.0
"""How long the end may take, seconds: a disk and a bus that do not answer are waited for in turn."""


class Notifier:
    """Tells the service manager; without one it does nothing, and loads nothing."""

    def __init__(self) -> None:
        self._notifier = None
        self._status = ""
        self.watchdog = 0.0
        """Within how many seconds it wants to hear `alive`; 0 where nobody watches (sd_watchdog_enabled(3))."""
        if os.environ.get("NOTIFY_SOCKET"):
            import sdnotify  # noqa: PLC0415  # nobody pays for it outside a service

            self._notifier = sdnotify.SystemdNotifier()
            if self._notifier.socket:
                self._notifier.socket.setblocking(False)
            self.watchdog = _watchdog()

    def starting(self, status: str, seconds: float) -> None:
        """Say what takes so long before the daemon serves, and how long that may be."""
        self._send(f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}")

    def ready(self, status: str) -> None:
        """Say that the daemon serves, from start or again."""
        self._status = status
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is read again; `ready` ends that."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def alive(self, status: str) -> None:
        """Say that the daemon works, and how the machine is, for `systemctl status`."""
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")
        if self.watchdog:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the daemon ends."""
        self._send("STOPPING=1", "STATUS=Writing what is recorded", f"EXTEND_TIMEOUT_USEC={ENDING * 1e6:.0f}")

    def _send(self, *assignments: str) -> None:
        if self._notifier:
            # sdnotify encodes latin-1, and drops the whole datagram where it can't: hand it UTF-8 in that disguise.
            text = "\n".join(assignment.replace("\n", " ") for assignment in assignments)
            self._notifier.notify(text.encode().decode("latin-1"))


def _watchdog() -> float:
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    watched = usec.isdecimal() and pid in ("", str(os.getpid()))
    return int(usec) / 1e6 if watched else 0.0
