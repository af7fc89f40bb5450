import json
import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import pytest
from raw import Writer, message, parse

from healthd import _dbus_library as library
from healthd._dbus_address import sockets
from healthd.dbus import connect
from healthd.errors import BusUnreachable, UsageError

# What the choice was, and what it left behind.
REPORT = """
import json, sys, typing
{before}
from healthd import _dbus_library as library
print(json.dumps({{
    "name": library.NAME, "version": library.VERSION, "gi": sys.modules.get("gi", "absent") != "absent",
    "decorator": hasattr(typing, "no_type_check_decorator"),
}}))
"""


needs_next = pytest.mark.skipif(not find_spec("dbus_next"), reason="dbus-next is not installed")
needs_fast = pytest.mark.skipif(not find_spec("dbus_fast"), reason="dbus-fast is not installed")


def report(before: str = "", *paths: str, insist: str = "") -> dict[str, Any]:
    """Import the library in a process of its own, with `paths` before everything else."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, *filter(None, sys.path)])}
    environment.pop(library.VARIABLE, None)
    if insist:
        environment[library.VARIABLE] = insist
    done = subprocess.run(
        [sys.executable, "-c", REPORT.format(before=before)],
        capture_output=True, text=True, timeout=30, check=False, env=environment,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def package(tmp_path):
    """Return a function that makes a package out of sources and gives the path it can be imported from."""

    def make(name: str, **modules: str) -> str:
        (tmp_path / name).mkdir()
        for module, source in modules.items():
            (tmp_path / name / f"{module}.py").write_text(source)
        return str(tmp_path)

    return make


each_library = pytest.mark.parametrize(
    "name", [pytest.param("dbus_next", marks=needs_next), pytest.param("dbus_fast", marks=needs_fast)]
)


@each_library
def test_the_variable_insists_on_a_library(name):
    assert report(insist=name)["name"] == name


@needs_fast
@needs_next
def test_dbus_fast_is_taken_where_its_version_is_covered():
    major_minor = tuple(map(int, version("dbus-fast").split(".")[:2]))
    covered = library.COVERED[0] <= major_minor < library.COVERED[1]
    assert report()["name"] == ("dbus_fast" if covered else "dbus_next")


def test_text_that_is_not_ascii_is_marshalled_right():
    """Versions of dbus-fast that can't are not taken."""
    data = library.Message(
        message_type=library.MessageType.SIGNAL, serial=1, path="/a", interface="a.b", member="A",
        signature="sas", body=["µs °C", ["ä", ""]],
    )._marshall(False)  # fmt: skip
    found = parse(bytes(data))
    assert found
    assert found.body == ["µs °C", ["ä", ""]]


@needs_next
@pytest.mark.parametrize("other", ["99.0.0", "6.0", "2.20.9", "1.84.2"])
def test_a_version_that_the_tests_do_not_cover_is_left_alone(package, other):
    path = package("dbus_fast", __init__="", __version__=f"__version__ = {other!r}")
    assert report("", path)["name"] == "dbus_next"


def test_a_library_that_is_insisted_on_and_absent_is_named():
    with pytest.raises(AssertionError, match="no D-Bus library 'dbus_nothing'"):
        report(insist="dbus_nothing")


@each_library
def test_the_import_works_where_typing_lost_no_type_check_decorator(name):
    found = report("vars(typing).pop('no_type_check_decorator', None)", insist=name)
    assert found["name"] == name
    assert not found["decorator"]


@each_library
def test_the_import_loads_no_gi_where_there_is_one_and_leaves_no_trace(package, tmp_path, name):
    package("gi", __init__="raise SystemExit('gi was loaded')", repository="")
    assert report("", str(tmp_path), insist=name)["gi"] is False


@each_library
def test_a_gi_that_was_loaded_before_stays(package, tmp_path, name):
    package("gi", __init__="def require_version(*_): raise ValueError", repository="")
    assert report("import gi", str(tmp_path), insist=name)["gi"] is True


def unmarshalled(data: bytes) -> Any:
    import io

    return library.Unmarshaller(io.BytesIO(data)).unmarshall()


def test_the_cache_of_signatures_is_emptied_when_it_has_grown():
    library.trim_signatures()
    for number in range(20):
        body = Writer()
        # Each a struct of another row of types.
        kinds = ["".join("ybnqiuxtd"[int(digit)] for digit in f"{number * 100 + each:o}") for each in range(100)]
        body.write("a(v)", [((f"({kind})", (0,) * len(kind)),) for kind in kinds])
        unmarshalled(message(1, 1, "a(v)", body=bytes(body.data), path="/a", member="A"))
    assert library.trim_signatures() > 1024
    assert library.trim_signatures() < 10


UNIX = "unix:path=/run/a"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (UNIX, ["/run/a"]),
        (f"{UNIX},guid=0123456789abcdef0123456789abcdef", ["/run/a"]),
        (f"{UNIX};unix:path=/run/b;", ["/run/a", "/run/b"]),
        (f"tcp:host=localhost,port=1;{UNIX}", ["/run/a"]),
        ("unix:abstract=/tmp/dbus-1", ["\0/tmp/dbus-1"]),
        ("unix:path=/run/a%20b%2c%3b", ["/run/a b,;"]),
    ],
)
def test_an_address_gives_its_sockets_in_order(address, expected):
    assert sockets(address) == expected


@pytest.mark.parametrize(
    "address",
    [
        "", ";", "unix", "unix:", "unix:path", "unix:path=", "unix:abstract=", "unix:path=/a b", "unix:tmpdir=/tmp",
        "unix:guid=0123456789abcdef0123456789abcdef", "tcp:host=localhost,port=1", "unixexec:path=ssh", "systemm",
    ],
)  # fmt: skip
def test_a_bad_address_is_one_line_that_names_it(address):
    with pytest.raises(UsageError) as fault:
        sockets(address)
    assert repr(address) in str(fault.value)
    assert "\n" not in str(fault.value)


def test_system_is_where_the_specification_or_the_environment_says(monkeypatch):
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    assert sockets("system") == ["/run/dbus/system_bus_socket"]
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", UNIX)
    assert sockets("system") == ["/run/a"]


def test_session_is_where_the_environment_says_and_never_guessed(monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", UNIX)
    assert sockets("session") == ["/run/a"]
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert sockets("session") == ["/run/user/7/bus"]
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with pytest.raises(UsageError, match="no session bus"):
        sockets("session")


def test_an_address_where_nobody_listens_says_what_to_do(tmp_path):
    import asyncio

    for address in [f"unix:path={tmp_path}/none", "unix:abstract=healthd-none", f"unix:path=/{'a' * 200}"]:
        with pytest.raises(BusUnreachable, match=r"there is no bus at .*--bus"):
            asyncio.run(connect(address))
