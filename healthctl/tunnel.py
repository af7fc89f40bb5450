"""The way to a bus of another machine: ssh, and there `systemd-stdio-bridge`, which speaks to the bus as that user.

sshd listens there already, and the bridge comes with systemd: nothing is opened or installed for it. On our side it is
a socket like that of a bus. ssh is asked for no more than that, and ends with us, however we end.
"""

import ctypes
import errno
import fcntl
import os
import select
import shlex
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from time import monotonic

from jeepney.auth import BEGIN, AuthenticationError, Authenticator

from healthctl import place
from healthctl.errors import Unavailable, UsageError
from healthctl.place import Place

VARIABLE = "HEALTHD_SSH"
"""Names the ssh to call, with options: `ssh -i KEY`."""

_CONNECT = 5
"""The longest wait for sshd there, its keys included, seconds."""
_ENDING = 1.0
"""How long an ssh may take to end, seconds."""
_SAID = 1 << 16
"""How much of what ssh says is kept, bytes."""
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

# As scp(1) has it: of what the user's configuration adds to a login nothing is needed here. A connection that others
# share is used, but none is shared: it would end with ours. A machine that falls silent is noticed after 15 s.
_OPTIONS = (
    "-xaT", "-oControlMaster=no", "-oClearAllForwardings=yes", "-oPermitLocalCommand=no", "-oRemoteCommand=none",
    "-oLogLevel=ERROR", f"-oConnectTimeout={_CONNECT}", "-oServerAliveInterval=5", "-oServerAliveCountMax=3",
)  # fmt: skip
_NOT_FOUND, _FAILED, _BROKEN = 127, 1, 255
"""What a shell says of a command that is not there, systemd-stdio-bridge of a bus (why, it tells the journal), and ssh
of a connection; of one that fell silent it says no more than that."""
_PERSONAL = ("Host key verification failed", "Permission denied")
"""What ssh itself has more to say about, to a person."""


class Tunnel:
    """An ssh that is on its way, for `limit` seconds at most, or has arrived; raises Unavailable where there is none.

    Without `asks`, nobody is asked for a password or about a host's key. It never waits but in `authenticate` and at
    its end: until then, `fileno` becomes readable when it has arrived, or failed.
    """

    def __init__(self, to: Place, limit: float, *, asks: bool) -> None:
        self._place = to
        self._limit = limit
        self._end = monotonic() + limit
        command = _command(to, asks=asks)
        with ExitStack() as undo:
            try:
                self.socket, theirs = socket.socketpair()
                undo.callback(self.socket.close)
                with theirs:
                    # In memory, where nobody waits for a reader; of what is said, the last line tells why it ended.
                    self._said = os.memfd_create("ssh", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                    undo.callback(os.close, self._said)
                    # The other side says it, too: what is more than that is refused, as by a full disk.
                    os.ftruncate(self._said, _SAID)
                    fcntl.fcntl(self._said, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
                    self._process = subprocess.Popen(  # noqa: S603  # the user's ssh, and no shell
                        command, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=self._said,
                        preexec_fn=_end_with_parent,  # noqa: PLW1509  # there is one thread
                    )  # fmt: skip
            except OSError as error:
                absent = error.errno == errno.ENOENT
                hint = f"; apt install openssh-client, or name it in {VARIABLE}" if absent else ""
                raise Unavailable(f"{command[0]} can't be run: {error.strerror}{hint}") from error
            undo.pop_all()
        self._authenticator = Authenticator()
        # Where it has ended already, there is more to read than to say.
        with suppress(OSError):
            self.socket.sendall(self._authenticator.data_to_send())

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the other side has answered, or is gone."""
        return self.socket.fileno()

    @property
    def patience(self) -> float:
        """How much longer the first answer may take, seconds; 0 when it has come, or it is too late."""
        come = select.select([self.socket], [], [], 0)[0]
        return 0.0 if come else max(0.0, self._end - monotonic())

    def authenticate(self) -> None:
        """Wait until the other side takes messages; raises Unavailable."""
        heard = b""
        try:
            while not self._authenticator.authenticated:
                self.socket.settimeout(max(0.001, self._end - monotonic()))
                if not (data := self.socket.recv(1024)):
                    raise self._mistaken(heard) if heard else Unavailable(self.reason())
                heard += data
                self._authenticator.feed(data)
            self.socket.settimeout(None)
            self.socket.sendall(BEGIN)
        except TimeoutError as error:
            raise Unavailable(self.named(f"it has not answered for {self._limit:.0f} s")) from error
        except AuthenticationError as error:
            raise self._mistaken(heard) from error
        except OSError as error:
            raise Unavailable(self.reason()) from error

    def _mistaken(self, heard: bytes) -> Unavailable:
        said = heard.strip().split(b"\n")[0][:60].decode(errors="replace").strip()
        return Unavailable(self.named(f"no bus but '{said}' answers; does its shell write at a login?"))

    def named(self, words: str) -> str:
        """Return words with the host before them."""
        return f"{self._place.host}: {words}"

    def reason(self) -> str:
        """Say why the connection has ended: in ssh's own words, where it has any."""
        try:
            code = self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            return self.named("the connection is lost")
        lines = os.pread(self._said, _SAID, 0).rstrip(b"\0").decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "").rstrip(".")
        if code == _NOT_FOUND:
            return self.named("it has no systemd-stdio-bridge, which comes with systemd")
        if code == _FAILED:
            words = f": {said}" if said else ""
            return self.named(f"no bus can be reached there ({self._place.bus}){words}; is dbus running?")
        if code == 0:
            return self.named("the bus there has ended the connection")
        hint = f"; see: {place.by_hand(self._place.host)}" if any(words in said for words in _PERSONAL) else ""
        # Ended by a signal, it is below 0.
        unsaid = "the connection is lost" if code == _BROKEN or code < 0 else f"ssh has ended with exit code {code}"
        return self.named(f"{said or unsaid}{hint}")

    def close(self) -> None:
        """End ssh."""
        self.socket.close()
        self._process.terminate()
        try:
            self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._said)


def _command(to: Place, *, asks: bool) -> list[str]:
    try:
        ssh = shlex.split(os.environ.get(VARIABLE, "")) or ["ssh"]
    except ValueError as error:
        raise UsageError(f"{VARIABLE} is no command line: {error}") from error
    host, port = place.parts(to.host)
    batch = [] if asks else ["-oBatchMode=yes"]
    # Their options come first: of two that contradict each other, ssh takes the first.
    return [*ssh, *_OPTIONS, *batch, *(["-p", port] if port else []), "--", host, _bridge(to.bus)]


def _bridge(bus: str) -> str:
    """Return the command for the shell there."""
    options = {"system": "", "session": " --user"}
    return "systemd-stdio-bridge" + options.get(bus, f" --bus-path={shlex.quote(bus)}")


def _end_with_parent() -> None:
    """Have the kernel end this process when healthctl is gone, even where that could not do so itself (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
