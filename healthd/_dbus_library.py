"""Which D-Bus library is behind the door, and how it is imported.

dbus-fast is taken where it is installed in a version that the tests cover, else dbus-next; the variable
HEALTHD_DBUS_LIBRARY (`dbus_fast` or `dbus_next`) insists on one.
"""

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

from healthd.errors import UsageError

VARIABLE = "HEALTHD_DBUS_LIBRARY"
COVERED = (2, 21), (6, 0)
"""Versions of dbus-fast that are taken: from the first, to before the second.

Old ones, Debian 12's 1.84 among them, write wrong lengths of strings that are not ASCII, for which the bus ends the
connection.
"""

_CACHED_SIGNATURES = 128
"""Several times those of healthd's own; one as long as can be takes 50 KB."""


def _import(name: str, module: str) -> ModuleType:
    """Import one module of the library, without the package around it.

    What the libraries import by themselves is never used here: services, clients, XML, GLib where python3-gi is
    installed, and a decorator that Python 3.15 removed. It would cost 5 MiB and half of the start-up.
    """
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError(f"there is no package {name}")
        sys.modules[name] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{name}.{module}")


def _choose() -> tuple[str, str]:
    """Return the library's name and version.

    Raises UsageError where there is none.
    """
    insisted = os.environ.get(VARIABLE)
    for name in [insisted] if insisted else ["dbus_fast", "dbus_next"]:
        try:
            version = str(_import(name, "__version__").__version__)
        except ImportError:
            continue
        major_minor = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if insisted or name == "dbus_next" or COVERED[0] <= major_minor < COVERED[1]:
            return name, version
    wanted = f" {insisted!r} ({VARIABLE})" if insisted else ""
    raise UsageError(f"there is no D-Bus library{wanted}: install dbus-next")


NAME, VERSION = _choose()

# First: dbus-next's modules import each other in a circle that can be entered only here.
_errors = _import(NAME, "errors")
_message = _import(NAME, "message")
_constants = _import(NAME, "constants")
_signature: Any = _import(NAME, "signature")
if NAME == "dbus_fast":
    _trees = _signature.get_signature_tree
    _nothing = _signature.SignatureTree("")
    if hasattr(_nothing, "root_type"):
        # Newer compiled decoders look at the type in a variant without asking whether there is one, and crash.
        _nothing.root_type = _signature.SignatureType("?")
        _signature.get_signature_tree = lambda signature: _trees(signature) if signature else _nothing

# Any: the libraries carry no types, or types that differ from version to version.
Message: Any = _message.Message
MessageFlag: Any = _constants.MessageFlag
MessageType: Any = _constants.MessageType
Variant: Any = _signature.Variant
Marshaller: Any = _import(NAME, "_private.marshaller").Marshaller
Unmarshaller: Any = _import(NAME, "_private.unmarshaller").Unmarshaller
parse_address: Any = _import(NAME, "_private.address").parse_address
is_bus_name_valid: Any = _import(NAME, "validators").is_bus_name_valid
InvalidAddressError: Any = _errors.InvalidAddressError


def trim_signatures() -> int:
    """Empty the library's cache of signatures where it has grown too large; return its size before.

    Peers choose the signatures of the variants they send, and the libraries remember each for ever.
    """
    if NAME == "dbus_next":
        cache = _signature.SignatureTree._cache  # noqa: SLF001  # there is no other way to it
        size = len(cache)
        clear = cache.clear
    else:
        size = _trees.cache_info().currsize
        clear = _trees.cache_clear
    if size > _CACHED_SIGNATURES:
        clear()
    return size
