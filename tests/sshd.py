"""A real sshd on the loopback with keys of its own, and hosts by whose names ssh gets there."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator

import pytest
from private_bus import eventually

SERVER = """
ListenAddress 127.0.0.1
Port {port}
HostKey {directory}/host
AuthorizedKeysFile {directory}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
"""
CLIENT = """
User {user}
HostName 127.0.0.1
IdentitiesOnly yes
StrictHostKeyChecking yes
UserKnownHostsFile {directory}/known_hosts
GlobalKnownHostsFile none
"""


def _below(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and those that these have."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        for child in map(int, file.read().split()):
            yield child
            yield from _below(child)


class Sshd:
    """A server that runs what it is told to, as this user; each host is another way to it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.command = f"ssh -F {directory}/ssh_config"
        """What HEALTHD_SSH is for these hosts."""
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self._hosts: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._write("sshd_config", SERVER.format(port=self.port, directory=directory))
        kind, key = self._key("host").split()[:2]
        self._write("known_hosts", f"[127.0.0.1]:{self.port} {kind} {key}\n")
        self.host("pi4")
        self.host("gone", port=1)
        self.host("stranger", options="UserKnownHostsFile none")
        self.host("closed", is_let_in=False)
        self.start()

    def host(
        self, name: str, *, port: int = 0, command: str = "", options: str = "", passphrase: str = "",
        is_let_in: bool = True,
    ) -> None:  # fmt: skip
        """Name a host, with a key of its own, which stands for a command where one is given."""
        public = self._key(name, passphrase)
        self._keys[name] = f'command="{command}",restrict {public}' if command else public
        if not is_let_in:
            del self._keys[name]
        user = pwd.getpwuid(os.geteuid()).pw_name
        every = CLIENT.format(user=user, directory=self.directory)
        self._hosts[name] = (
            f"Host {name}\nPort {port or self.port}\nIdentityFile {self.directory}/{name}\n{options}{every}"
        )
        self._write("authorized_keys", "".join(self._keys.values()))
        self._write("ssh_config", "".join(self._hosts.values()))

    def _key(self, name: str, passphrase: str = "") -> str:
        path = f"{self.directory}/{name}"
        if not os.path.exists(path):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
        with open(f"{path}.pub") as file:
            return file.read()

    def _write(self, name: str, text: str) -> None:
        with open(f"{self.directory}/{name}", "w") as file:
            file.write(text)

    def logins(self) -> int:
        """Return how many there were."""
        with open(f"{self.directory}/log") as file:
            return file.read().count("Accepted publickey")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let none of its sessions do anything for a while, as on a line that was cut."""
        sessions = list(_below(self.process.pid))
        try:
            for each in sessions:
                os.kill(each, signal.SIGSTOP)
            yield
        finally:
            # The first may take the others with it.
            for each in sessions:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)

    def start(self) -> None:
        log = f"{self.directory}/log"
        self.process = subprocess.Popen([PROGRAM, "-D", "-f", f"{self.directory}/sshd_config", "-E", log])
        eventually(self._listens)

    def _listens(self) -> bool:
        assert self.process.poll() is None, "sshd has ended"
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


PROGRAM = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or ""


@contextlib.contextmanager
def running() -> Iterator[Sshd]:
    for program, package in (("ssh", "openssh-client"), ("systemd-stdio-bridge", "systemd")):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (apt install {package})")
    if not PROGRAM:
        # As `make parts` has it for root: else its package would open a port.
        pytest.skip("no sshd (sudo touch /etc/ssh/sshd_not_to_be_run; sudo apt install openssh-server)")
    if not os.geteuid():
        # Its unit makes it, where that runs.
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="healthd-test-")
    sshd = Sshd(directory)
    try:
        done = subprocess.run(
            [*sshd.command.split(), "-oBatchMode=yes", "pi4", "true"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"sshd does not let this user in: {done.stderr.strip()} {done.stdout.strip()}")
        yield sshd
    finally:
        sshd.stop()
        shutil.rmtree(directory)
