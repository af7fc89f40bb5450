"""What systemd is told (sd_notify(3)), by sdnotify with two cures: it takes any text, and never blocks."""

import os


class Notifier:
    """Tells the service manager; without one it does nothing, and loads nothing."""

    def __init__(self) -> None:
        self._notifier = None
        if os.environ.get("NOTIFY_SOCKET"):
            import sdnotify  # noqa: PLC0415  # nobody pays for it outside a service

            self._notifier = sdnotify.SystemdNotifier()
            if self._notifier.socket:
                self._notifier.socket.setblocking(False)

    def ready(self, status: str) -> None:
        """Say that the daemon serves."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """Say how it is, for `systemctl status`."""
        self._send(f"STATUS={status}")

    def stopping(self) -> None:
        """Say that the daemon ends."""
        self._send("STOPPING=1")

    def _send(self, *assignments: str) -> None:
        if self._notifier:
            # sdnotify encodes latin-1, and drops the whole datagram where it can't: hand it UTF-8 in that disguise.
            text = "\n".join(assignment.replace("\n", " ") for assignment in assignments)
            self._notifier.notify(text.encode().decode("latin-1"))
