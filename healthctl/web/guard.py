"""Who may ask, under which name, and how often.

The page changes nothing and asks nobody; yet what it shows is for those who may see it. Another site's script reaches a
server on loopback through its own name (DNS rebinding): so a name that is none of ours is refused.
"""

import os
import secrets
import socket
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from time import monotonic

from healthctl.errors import Unwritten

COOKIE = "healthd-token"
_RATE, _BURST = 200.0, 1000.0
"""Requests of one address a second, and at once."""
_ADDRESSES = 4096
"""Addresses that are remembered at most."""


def token(path: str) -> str:
    """Return the token in a file, which is made where it is missing, for its owner alone. Raises Unwritten."""
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w") as file:
            file.write(f"{secrets.token_urlsafe(24)}\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise Unwritten(
            f"the token can't be written to {path}: {error.strerror}; name another file with --token-file"
        ) from error
    try:
        with open(path, errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o077
            found = file.read(4096).strip()
    except OSError as error:
        raise Unwritten(f"the token can't be read from {path}: {error.strerror}") from error
    if mode:
        raise Unwritten(f"others may read the token in {path}; chmod 600 it, or remove it to have a new one")
    if len(found) < 16:
        raise Unwritten(f"the token in {path} is shorter than 16 characters; remove it to have a new one")
    return found


class Guard:
    """Decides on requests; `token` is "" where everybody who gets here may look."""

    def __init__(self, token: str, names: Iterable[str]) -> None:
        self._token = token.encode()
        # A browser keeps no token that opens other doors.
        self.cookie = sha256(b"healthd cookie " + self._token).hexdigest()
        self._names = {name.lower().rstrip(".") for name in names} | {"localhost"}
        self._asked = Allowance(_RATE, _BURST)

    @property
    def asks(self) -> bool:
        """Whether there is a token to show."""
        return bool(self._token)

    def knows(self, host: str) -> bool:
        """Tell whether a request for `host`, as in its header, is meant for us: by an address, or a name of ours."""
        name = host.strip().lower()
        if name.startswith("["):
            name, closed, _ = name[1:].partition("]")
            name = name if closed else ""
        elif name.count(":") <= 1:
            name = name.partition(":")[0]
        if name.rstrip(".") in self._names:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True

    def hurried(self, address: str) -> bool:
        """Tell whether an address asks too often; each call is a question."""
        return not self._asked.take(address)

    def takes(self, shown: str) -> bool:
        """Tell whether a token is ours, or the cookie that stands for it. It is too long to be guessed."""
        given = shown.encode("utf-8", "replace")
        return compare_digest(given, self._token) | compare_digest(given, self.cookie.encode())

    def admits(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        """Tell whether a request may see what there is: it shows the token, or there is none to show."""
        if not self.asks:
            return True
        scheme, _, bearer = headers.get("Authorization", "").partition(" ")
        return self.takes(bearer.strip() if scheme.lower() == "bearer" else cookies.get(COOKIE, ""))


class Allowance:
    """How often each address may do something: `rate` a second, and `burst` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Count once; tell whether it was allowed."""
        left = self._now(address)
        allowed = left >= 1.0
        self._left[address] = left - allowed, monotonic()
        self._left.move_to_end(address)
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)
        return allowed

    def _now(self, address: str) -> float:
        left, at = self._left.get(address, (self._burst, 0.0))
        return min(self._burst, left + self._rate * (monotonic() - at))


def names() -> set[str]:
    """Return what this machine is called."""
    own = socket.gethostname()
    short = own.partition(".")[0]
    return {own, short, f"{short}.local"}
