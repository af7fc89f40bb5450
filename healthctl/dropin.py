"""The drop-in of the configuration that is healthctl's own: one file, written whole or not at all."""

import fcntl
import os
import pwd
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory, mkstemp
from time import monotonic, sleep
from typing import Any

from healthctl.errors import BadConfig, HealthctlError, NotAllowed, Unwritten, UsageError

NAME = "90-healthctl.toml"
LOCK = ".90-healthctl.lock"
"""Held for a change: a file of its own, for whoever may open one may hold it."""
HEADER = (
    "# Written by healthctl config set, whole each time: comments and settings of your own belong into another file.\n"
)
"""How it begins; a file that does not is somebody else's."""
_USER = "healthd"
"""The service's (healthd.service)."""
_PATIENCE, _RETRY = 10.0, 0.05
"""The longest wait for somebody else's change, and that between two looks, seconds."""


def files(directory: str) -> list[str]:
    """Return the files of a configuration that are there, in the order in which they are read.

    Raises NotAllowed where this user may not look.
    """
    below = os.path.join(directory, "conf.d")
    try:
        names = sorted(name for name in os.listdir(below) if name.endswith(".toml") and not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        names = []
    except PermissionError as error:
        raise NotAllowed(f"only root may look into {below}; try it with sudo") from error
    paths = [os.path.join(directory, "healthd.toml"), *(os.path.join(below, name) for name in names)]
    return [path for path in paths if os.path.lexists(path)]


def closed(place: str) -> list[str]:
    """Return what of a configuration the service's user can't read, by the modes: files, and directories of them."""
    below = os.path.join(place, "conf.d")
    paths = [place, below, *files(place)] if os.path.isdir(place) else [place]
    return [path for path in paths if not _open_to_service(path)]


def _open_to_service(path: str) -> bool:
    try:
        status = os.stat(path)
    except OSError:  # what is not there is closed to nobody
        return True
    bits = status.st_mode
    with suppress(KeyError):
        user = pwd.getpwnam(_USER)
        if status.st_uid == user.pw_uid:
            bits >>= 6
        elif status.st_gid in os.getgrouplist(_USER, user.pw_gid):
            bits >>= 3
    needed = 0o5 if stat.S_ISDIR(status.st_mode) else 0o4
    return bits & needed == needed


class DropIn:
    """The drop-in of a directory, held for one change: nobody else changes it meanwhile."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._below = os.path.join(directory, "conf.d")
        self.path = os.path.join(self._below, NAME)

    @contextmanager
    def held(self) -> Iterator[dict[str, Any]]:
        """Give what it holds, to be changed; the directories are there then.

        Raises NotAllowed, Unwritten, UsageError where there is no directory, and BadConfig for a file that is no TOML
        or somebody else's.
        """
        with _faults(self._directory):
            _make(self._directory)
            _make(self._below)
            path = os.path.join(self._below, LOCK)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _lock(lock, path)
            yield self._read()
        finally:
            os.close(lock)

    def known(self) -> dict[str, Any]:
        """Return what it holds as far as that can be had."""
        try:
            return self._read()
        except HealthctlError:
            return {}

    def _read(self) -> dict[str, Any]:
        with _faults(self.path):
            try:
                with open(self.path, encoding="utf-8") as file:
                    text = file.read()
            except FileNotFoundError:
                return {}
            except UnicodeDecodeError as error:
                raise BadConfig(f"{self.path} is no TOML: it is not in UTF-8; correct or remove it") from error
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise BadConfig(f"{self.path} is no TOML: {error}; correct or remove it") from error
        if text.strip() and not text.startswith(HEADER.rstrip()):
            raise BadConfig(f"{self.path} was not written by healthctl, and is left as it is; rename it")
        return table

    @contextmanager
    def tried(self, table: Mapping[str, Any]) -> Iterator[str]:
        """Give a directory in which the configuration is as it would be with these settings in the drop-in.

        The real one is untouched until it was found to be right, whatever happens meanwhile.
        """
        with TemporaryDirectory(prefix="healthctl-") as copy:
            below = os.path.join(copy, "conf.d")
            os.mkdir(below)
            for path in files(self._directory):
                if path != self.path:
                    os.symlink(os.path.abspath(path), os.path.join(copy, os.path.relpath(path, self._directory)))
            if table:
                with open(os.path.join(below, NAME), "w", encoding="utf-8") as file:
                    file.write(_text(table))
            yield copy

    def write(self, table: Mapping[str, Any]) -> None:
        """Put settings in the place of those that it holds; without any it is removed.

        Raises NotAllowed and Unwritten, and then it is as it was.
        """
        with _faults(self.path):
            if table:
                _replace(self.path, _text(table).encode())
            else:
                os.unlink(self.path)
            _sync(self._below)

    def overridden(self, key: tuple[str, ...]) -> str:
        """Return the file that is read after the drop-in and has the same key, "" where there is none."""
        later = [path for path in files(self._directory) if path > self.path and os.path.dirname(path) == self._below]
        for path in reversed(later):
            with suppress(OSError, ValueError), open(path, "rb") as file:
                if found(tomllib.load(file), key) is not None:
                    return path
        return ""


def found(table: Any, key: tuple[str, ...]) -> Any:
    """Return what stands at a key, `None` where nothing does."""
    for name in key:
        if not isinstance(table, dict) or name not in table:
            return None
        table = table[name]
    return table


def put(table: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    """Put a value at a key, and make the tables that lead there."""
    for name in key[:-1]:
        if not isinstance(table.get(name), dict):
            table[name] = {}
        table = table[name]
    table[key[-1]] = value


def take(table: dict[str, Any], key: tuple[str, ...]) -> None:
    """Take a key out, and the tables that are empty then."""
    name, *rest = key
    if rest:
        take(table[name], tuple(rest))
    if not rest or not table[name]:
        del table[name]


def _text(table: Mapping[str, Any]) -> str:
    # Only here: nobody pays for it who reads.
    import tomli_w  # noqa: PLC0415

    return f"{HEADER}\n{tomli_w.dumps(table)}"


@contextmanager
def _faults(path: str) -> Iterator[None]:
    """Tell what can't be done with a file."""
    try:
        yield
    except PermissionError as error:
        raise NotAllowed(f"only root may change {path}; try it with sudo") from error
    except (NotADirectoryError, FileExistsError) as error:
        raise UsageError(f"{path} is no directory; name the one that holds healthd.toml and conf.d") from error
    except HealthctlError:
        raise
    except OSError as error:
        raise Unwritten(f"{path} can't be changed: {error.strerror}") from error


def _lock(descriptor: int, path: str) -> None:
    """Take a lock that somebody else may have for a moment; raises Unwritten where they keep it."""
    end = monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if monotonic() > end:
                raise Unwritten(f"somebody else is changing the configuration; who: fuser -v {path}") from error
        sleep(_RETRY)


def _make(directory: str) -> None:
    """Make a directory that healthd, which is another user, can read, whatever the umask is."""
    if os.path.isdir(directory):
        return
    try:
        os.mkdir(directory)
    except FileExistsError:
        if os.path.isdir(directory):  # by another change, in this moment
            return
        raise
    os.chmod(directory, 0o755)  # noqa: S103  # nothing in a configuration is secret
    _sync(os.path.dirname(os.path.abspath(directory)))


def _replace(path: str, content: bytes) -> None:
    """Put a file in the place of another at once: after a power loss there is one of the two, whole."""
    descriptor, new = mkstemp(prefix=f".{NAME}.", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(new, path)
    except BaseException:  # Ctrl-C as well: nothing may be left beside the files that are read
        os.unlink(new)
        raise


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
