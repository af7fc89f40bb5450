"""Which D-Bus library is behind the door, and how it is imported.

dbus-fast is taken where it is installed in a version that the tests cover, else dbus-next; the variable
HEALTHD_DBUS_LIBRARY (`dbus_fast` or `dbus_next`) insists on one.
"""

import importlib
import os
import sys
import typing
from types import ModuleType
from typing import Any

VARIABLE = "HEALTHD_DBUS_LIBRARY"
COVERED = (1, 84), (6, 0)
"""Versions of dbus-fast that are taken: from the first, to before the second."""

_CACHED_SIGNATURES = 1024


def _import(name: str, module: str) -> ModuleType:
    """Import a module of the library without what it does not need here.

    dbus-next loads GLib where python3-gi is installed, and asks `typing` for a decorator that Python 3.15 removed.
    """
    hidden = "gi" not in sys.modules
    if hidden:
        sys.modules["gi"] = None  # type: ignore[assignment]  # None is how an import is made to fail
    lacking = not hasattr(typing, "no_type_check_decorator")
    if lacking:
        typing.no_type_check_decorator = lambda decorator: decorator
    try:
        return importlib.import_module(f"{name}.{module}")
    finally:
        if hidden:
            del sys.modules["gi"]
        if lacking:
            del typing.no_type_check_decorator


def _choose() -> tuple[str, str]:
    """Return the library's name and version."""
    insisted = os.environ.get(VARIABLE)
    for name in [insisted] if insisted else ["dbus_fast", "dbus_next"]:
        try:
            version = str(_import(name, "__version__").__version__)
        except ImportError:
            continue
        major_minor = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if insisted or name == "dbus_next" or COVERED[0] <= major_minor < COVERED[1]:
            return name, version
    raise ImportError(f"no D-Bus library: install {insisted or 'dbus-next'}")


NAME, VERSION = _choose()

_message = _import(NAME, "message")
_constants = _import(NAME, "constants")
_signature = _import(NAME, "signature")

# Any: the libraries carry no types, or types that differ from version to version.
Message: Any = _message.Message
MessageType: Any = _constants.MessageType
Variant: Any = _signature.Variant
Unmarshaller: Any = _import(NAME, "_private.unmarshaller").Unmarshaller
parse_address: Any = _import(NAME, "_private.address").parse_address
InvalidAddressError: Any = _import(NAME, "errors").InvalidAddressError


def trim_signatures() -> int:
    """Empty the library's cache of signatures where it has grown too large; return its size before.

    Peers choose the signatures of the variants they send, and the libraries remember each for ever.
    """
    if NAME == "dbus_next":
        cache = _signature.SignatureTree._cache  # noqa: SLF001  # there is no other way to it
        size = len(cache)
        clear = cache.clear
    else:
        size = _signature.get_signature_tree.cache_info().currsize
        clear = _signature.get_signature_tree.cache_clear
    if size > _CACHED_SIGNATURES:
        clear()
    return size
