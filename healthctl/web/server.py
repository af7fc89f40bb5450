"""Where the bridge listens, from its beginning to its end."""

import asyncio
import errno
import os
import pwd
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from glob import iglob
from ipaddress import ip_address
from typing import NamedTuple

from aiohttp import web

from healthctl.errors import HealthctlError, Taken, UsageError
from healthctl.web import guard
from healthctl.web.connection import Connection
from healthctl.web.machine import Machine
from healthctl.web.site import Site

PORT = 8086
_FIRST = 3
"""The first descriptor that systemd hands over (sd_listen_fds(3))."""
_BACKLOG = 128
_LISTEN = "0A"
"""The state of a socket that listens, as the kernel numbers it."""


class Place(NamedTuple):
    """An address to listen on."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        """How a browser writes it."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"


def place(text: str) -> Place:
    """Return where `HOST:PORT`, `HOST`, `:PORT` or `[IPv6]:PORT` is; raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(PORT)
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    host = {"localhost": "127.0.0.1", "*": "0.0.0.0"}.get(host, host)  # noqa: S104  # asked for by name, and behind a token
    try:
        ip_address(host)
    except ValueError as error:
        raise UsageError(f"'{text}' is no address to listen on; write 127.0.0.1:{PORT} or [::1]:{PORT}") from error
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise UsageError(f"'{text}' names no port from 0 to 65535")
    return Place(host, int(port))


def sockets(places: Sequence[Place]) -> list[socket.socket]:
    """Return the sockets that systemd hands over, or new ones. Raises Taken and UsageError."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and count.isdigit() and int(count):
        return [_handed_over(number) for number in range(_FIRST, _FIRST + int(count))]
    made: list[socket.socket] = []
    for where in places:
        try:
            made.append(_listen(where))
        except OSError as error:
            for other in made:
                other.close()
            raise _refused(where, error) from error
    return made


def _handed_over(number: int) -> socket.socket:
    try:
        made = socket.socket(fileno=number)
        listens = made.type == socket.SOCK_STREAM and made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        listens = False
    if not listens:
        raise UsageError("what systemd hands over is no stream that listens; see: systemctl cat healthd-web.socket")
    return made


def _listen(where: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((where.host, where.port))
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _refused(where: Place, error: OSError) -> HealthctlError:
    if error.errno == errno.EADDRINUSE:
        other = f"choose another with --listen {where.host}:PORT"
        return Taken(f"{where.host}:{where.port} is taken by {_holder(where.port)}; {other}")
    if error.errno == errno.EACCES:
        return UsageError(f"only root may listen on port {where.port}; choose one above 1023 with --listen")
    return UsageError(f"{where.host}:{where.port} can't be listened on: {error.strerror}; see: ip address")


def _holder(port: int) -> str:
    """Say who listens on a port, as far as we may know."""
    listeners = dict(_listeners(port))
    links = {f"socket:[{inode}]" for inode in listeners}
    for path in iglob("/proc/[0-9]*/fd/*"):
        # Of others' processes nothing is told, and some end meanwhile.
        with suppress(OSError):
            if os.readlink(path) in links:
                pid = path.split("/")[2]
                with open(f"/proc/{pid}/comm", errors="replace") as file:
                    return f"{file.read().strip()} (process {pid})"
    others = " and ".join(sorted({_user(int(uid)) for uid in listeners.values()})) or "another user"
    return f"a process of {others}" + (" (healthd-web.socket's port, and InfluxDB's)" if port == PORT else "")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _listeners(port: int) -> Iterator[tuple[str, str]]:
    """Yield inode and user of each socket that listens on a port (proc(5))."""
    for name in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/net/{name}") as file:
            for line in file:
                _, local, _, state, *more = line.split()
                if state == _LISTEN and local.endswith(f":{port:04X}"):
                    yield more[5], more[3]


def is_open(made: Sequence[socket.socket]) -> bool:
    """Tell whether others than this machine reach one of the sockets."""
    return any(each.family != socket.AF_UNIX and not ip_address(each.getsockname()[0]).is_loopback for each in made)


def _shown(made: socket.socket) -> str:
    """Return where a socket is reached; one that systemd hands over may be a file, or a name."""
    name = made.getsockname()
    if made.family in (socket.AF_INET, socket.AF_INET6):
        return Place(*name[:2]).url
    return name.replace(b"\0", b"@", 1).decode(errors="replace") if isinstance(name, bytes) else str(name)


async def serve(bus: str, made: Sequence[socket.socket], token: str, names: Sequence[str]) -> None:
    """Serve until a signal ends it."""
    loop = asyncio.get_running_loop()
    machine = Machine(bus)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    app = Site(machine, guard.Guard(token, {*guard.names(), *names})).application()
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    server = runner.server
    assert server is not None
    listening = [await loop.create_server(lambda: Connection(server, loop), sock=each) for each in made]
    _tell("READY=1")
    for each in made:
        sys.stderr.write(f"healthctl: {_shown(each)}\n")
    sys.stderr.flush()
    await ended.wait()
    _tell("STOPPING=1")
    for listener in listening:
        listener.close()
    # Streams never end by themselves.
    await server.shutdown(1.0)
    await machine.close()
    await runner.cleanup()


def _tell(state: str) -> None:
    """Tell systemd how far it is, where it wants to know (sd_notify(3))."""
    if os.environ.get("NOTIFY_SOCKET"):
        from sdnotify import SystemdNotifier  # noqa: PLC0415  # only here: who starts it by hand does without

        SystemdNotifier().notify(state)
