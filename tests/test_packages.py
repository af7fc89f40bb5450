"""What is built and installed holds every file, at its place: wheel, sdist, `make install` and the Debian package."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

from healthd.protocol import VERSION

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
with open(os.path.join(ROOT, "pyproject.toml"), "rb") as declaration:
    PROJECT = tomllib.load(declaration)
WHEEL = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
COMMANDS = set(PROJECT["project"]["scripts"])


def below(directory):
    """Return the files below a directory by their paths in it."""
    found = (
        (os.path.relpath(path, directory), names) for path, _, names in os.walk(directory) if "__pycache__" not in path
    )
    return {os.path.normpath(os.path.join(path, name)) for path, names in found for name in names}


def placed():
    """Return each data file's path and its place below a prefix."""
    for source, place in WHEEL["shared-data"].items():
        path = os.path.join(ROOT, source)
        if os.path.isdir(path):
            yield from ((os.path.join(source, name), os.path.join(place, name)) for name in below(path))
        else:
            yield source, place


SOURCES = {source for source, _ in placed()}
PLACES = {place for _, place in placed()}
MODULES = {os.path.join(package, name) for package in WHEEL["packages"] for name in below(os.path.join(ROOT, package))}


def run(*command, cwd=ROOT, **environment):
    ended = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def build(target, directory, root=ROOT):
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(directory), cwd=root)
    (name,) = os.listdir(directory)
    return os.path.join(directory, name)


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


WHEEL_CONTENTS = MODULES | {f"healthd-{VERSION}.data/data/{place}" for place in PLACES}


def test_every_file_of_data_has_a_place_and_every_place_its_file():
    data = {os.path.join("data", name) for name in below(os.path.join(ROOT, "data"))}
    # What man pages are made from stays at home, and so do the pictures of the README.
    assert {name for name in data if not name.endswith(".in") and "pictures" not in name} <= SOURCES
    assert {source for source in WHEEL["shared-data"] if not os.path.exists(os.path.join(ROOT, source))} == set()


def test_what_the_system_reads_is_where_it_looks():
    assert {
        "lib/systemd/catalog/healthd.catalog",
        "lib/systemd/system/healthd.service",
        "lib/systemd/system/healthd-web.service",
        "lib/systemd/system/healthd-web.socket",
        "lib/systemd/user/healthd-notify.service",
        "lib/sysusers.d/healthd.conf",
        "lib/sysusers.d/healthd-web.conf",
        "share/bash-completion/completions/healthctl",
        "share/dbus-1/interfaces/org.healthd.Health1.Manager.xml",
        "share/dbus-1/system-services/org.healthd.Health1.service",
        "share/dbus-1/system.d/org.healthd.Health1.conf",
        "share/fish/vendor_completions.d/healthctl.fish",
        "share/man/man1/healthctl.1",
        "share/man/man5/healthd.toml.5",
        "share/man/man5/org.healthd.Health1.5",
        "share/man/man7/healthd-rules.7",
        "share/man/man8/healthd.8",
        "share/polkit-1/actions/org.healthd.health1.policy",
        "share/zsh/site-functions/_healthctl",
    } < PLACES


def test_the_wheel_holds_the_modules_and_every_file_at_its_place(tmp_path):
    assert contents(build("wheel", tmp_path)) == WHEEL_CONTENTS


def test_the_sdist_holds_all_that_a_wheel_and_a_debian_package_are_made_of(tmp_path):
    run("tar", "-x", "-C", str(tmp_path), "-f", build("sdist", tmp_path / "sdist"))
    root = tmp_path / f"healthd-{VERSION}"
    tools = {"Makefile", "LICENSE", ".make/deb", ".make/install"}
    assert tools | {f"debian/{name}" for name in below(os.path.join(ROOT, "debian"))} <= below(root)
    assert os.access(root / ".make/deb", os.X_OK)
    assert contents(build("wheel", tmp_path / "wheel", root)) == WHEEL_CONTENTS


@pytest.fixture
def python():
    """Give an interpreter that a service can run on."""
    for path in ("/usr/bin/python3", "/usr/local/bin/python3"):
        new = "import sys; sys.exit(sys.version_info < (3, 11))"
        if os.path.exists(path) and subprocess.run([path, "-c", new], check=False).returncode == 0:
            return path
    pytest.skip("there is no Python 3.11 or newer in /usr")


@pytest.mark.parametrize("prefix", ["/usr", "/usr/local"])
def test_make_install_places_every_file_and_make_uninstall_takes_all_of_them_away(tmp_path, python, prefix):
    run(python, ".make/install", "install", prefix, str(tmp_path))
    outside = {"share/dbus-1/system.d": "/etc/dbus-1/system.d", "share/polkit-1/actions": "/usr/share/polkit-1/actions"}
    expected = {
        f"{outside.get(os.path.dirname(place), f'{prefix}/{os.path.dirname(place)}')}/{os.path.basename(place)}"
        for place in PLACES
    }
    if prefix == "/usr":
        expected = {f"/usr/{place}" for place in PLACES}
    expected |= {f"{prefix}/lib/healthd/{module}" for module in MODULES}
    expected |= {f"{prefix}/bin/{command}" for command in COMMANDS}
    assert {f"/{name}" for name in below(tmp_path)} == expected
    run(python, ".make/install", "uninstall", prefix, str(tmp_path))
    assert below(tmp_path) == set()


def test_the_commands_that_make_install_places_run_on_its_modules(tmp_path, python):
    run(python, ".make/install", "install", "/opt/healthd", str(tmp_path))
    for command in COMMANDS:
        assert VERSION in run(
            str(tmp_path / "opt/healthd/bin" / command), "--version", PYTHONPATH=os.pathsep.join(sys.path)
        )
    shown = run(
        python,
        "-c",
        "import healthd.protocol as p; print(p.__file__, p.__cached__)",
        PYTHONPATH=f"{tmp_path}/opt/healthd/lib/healthd",
        cwd=str(tmp_path),
    )
    assert all(os.path.exists(path) and path.startswith(str(tmp_path)) for path in shown.split())


def test_the_unit_that_make_install_places_starts_the_daemon_of_its_prefix(tmp_path, python):
    run(python, ".make/install", "install", "/opt/healthd", str(tmp_path))
    unit = (tmp_path / "usr/local/lib/systemd/system/healthd.service").read_text()
    assert re.search(r"^ExecStart=(\S+)", unit, re.MULTILINE)[1] == "/opt/healthd/bin/healthd"


@pytest.mark.parametrize("prefix", ["/usr", "/opt/healthd"])
def test_what_make_install_places_says_where_its_documentation_is(tmp_path, python, prefix):
    run(python, ".make/install", "install", prefix, str(tmp_path))
    said = {
        place.decode()
        for name in below(tmp_path)
        for place in re.findall(
            rb"/[a-z/]+/share/doc/healthd(?:/examples(?:/[a-z.-]+[a-z])*)?", (tmp_path / name).read_bytes()
        )
    }
    assert f"{prefix}/share/doc/healthd/examples/drop-ins" in said
    assert [place for place in said if not os.path.exists(f"{tmp_path}{place}")] == []


def test_make_install_takes_no_interpreter_that_is_closed_to_a_service(tmp_path, python):
    subprocess.run([python, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    refused = subprocess.run(
        [str(tmp_path / "venv/bin/python"), ".make/install", "install", "/usr/local", str(tmp_path / "root")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "PYTHON=/usr/bin/python3" in refused.stderr
    assert not os.path.exists(tmp_path / "root")


BUILT = "data/examples/c/health"


def copied(place):
    """Copy what is released, with what make builds in it, and return where it is."""
    for name in ("data", "debian", "healthctl", "healthd", ".make"):
        shutil.copytree(os.path.join(ROOT, name), place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(os.path.join(ROOT, name), place / name)
    (place / BUILT).write_bytes(b"\x7fELF\xff")
    return place


def test_what_was_built_from_the_examples_is_not_installed_and_bytes_are_as_they_are(tmp_path, python):
    root = copied(tmp_path / "copy")
    (root / "data/examples/c/bytes").write_bytes(b"\xff\r\n")
    run(python, ".make/install", "install", "/usr/local", str(tmp_path / "to"), cwd=root)
    placed = {os.path.basename(name): tmp_path / "to" / name for name in below(tmp_path / "to") if "/c/" in name}
    assert "health.c" in placed
    assert "health" not in placed
    assert placed["bytes"].read_bytes() == b"\xff\r\n"


def test_make_uninstall_takes_the_lock_of_healthctl_away_and_leaves_what_is_the_users(tmp_path, python):
    run(python, ".make/install", "install", "/usr/local", str(tmp_path))
    for name in (".90-healthctl.lock", "50-own.toml"):
        (tmp_path / "etc/healthd/conf.d" / name).touch()
    run(python, ".make/install", "uninstall", "/usr/local", str(tmp_path))
    assert below(tmp_path) == {"etc/healthd/conf.d/50-own.toml"}


@pytest.mark.parametrize("fails", ["update", "install"])
@pytest.mark.parametrize("wish", [True, False])
def test_what_apt_does_not_have_is_said_and_a_wish_is_no_more_than_that(tmp_path, fails, wish):
    for name, script in (("id", "echo 0"), ("apt-get", f'for each; do [ "$each" != {fails} ] || exit 100; done')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    ended = subprocess.run(
        [os.path.join(ROOT, ".make/packages"), *["--wish"][: int(wish)], "no-such-command=no-such-package"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode == 0) == wish
    assert "could not be installed: no-such-package" in ended.stderr


@pytest.mark.parametrize("download", [True, False])
def test_prometheus_is_unpacked_where_it_is_not_installed(tmp_path, download):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "mkdir", "mktemp", "mv", "rm", "touch", "id"):
        os.symlink(shutil.which(name), tools / name)
    scripts = {
        "apt-get": f'[ "${{*%%download*}}" = "$*" ] || {"touch prometheus_1.deb" if download else "exit 100"}',
        "dpkg-deb": 'mkdir -p "$3/usr/bin" && touch "$3/usr/bin/prometheus"',
    }
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    (tmp_path / ".make").mkdir()
    shutil.copy(os.path.join(ROOT, ".make/prometheus"), tmp_path / ".make")
    ended = subprocess.run(
        [tmp_path / ".make/prometheus"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "")
    assert below(tmp_path / ".build") == ({"prometheus/usr/bin/prometheus"} if download else set())
    assert ("could not be downloaded" in ended.stderr) is not download


def test_what_the_page_is_made_of_is_in_the_modules():
    static = os.path.join(ROOT, "healthctl/web/static")
    assert {f"healthctl/web/static/{name}" for name in os.listdir(static)} <= MODULES
    assert any(name.endswith(".css") for name in os.listdir(static))


@pytest.fixture(scope="module")
def debs(tmp_path_factory):
    """Give the Debian packages by their names, built once."""
    if not shutil.which("dpkg-checkbuilddeps"):
        pytest.skip("dpkg-dev is not installed")
    needed = subprocess.run(
        ["dpkg-checkbuilddeps", "-I", "debian/control"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if needed.returncode:
        pytest.skip(needed.stderr.strip())
    directory = tmp_path_factory.mktemp("deb")
    root = copied(tmp_path_factory.mktemp("deb") / "copy")
    before = below(root)
    run(str(root / ".make/deb"), str(directory))
    assert below(root) == before
    return {name.partition("_")[0]: os.path.join(directory, name) for name in os.listdir(directory)}


@pytest.fixture
def deb(debs):
    """Give the path of the package healthd."""
    return debs["healthd"]


def test_the_debian_packages_hold_every_file_at_debians_place(debs, tmp_path):
    assert debs.keys() == {"healthd", "healthd-web"}
    for package in debs.values():
        run("dpkg-deb", "-x", package, str(tmp_path))
    # Compressed, or not; and some releases have not merged /lib and /usr/lib.
    found = {re.sub(r"^lib/", "usr/lib/", name.removesuffix(".gz")) for name in below(tmp_path)}
    renamed = {
        "share/zsh/site-functions/_healthctl": "share/zsh/vendor-completions/_healthctl",
        "share/doc/healthd/CHANGELOG.md": "share/doc/healthd/changelog",
    }
    expected = {f"usr/{renamed.get(place, place)}" for place in PLACES}
    expected |= {f"usr/lib/python3/dist-packages/{module}" for module in MODULES}
    expected |= {f"usr/bin/{command}" for command in COMMANDS}
    for package in debs:
        expected |= {f"usr/share/doc/{package}/{name}" for name in ("changelog", "changelog.Debian", "copyright")}
        expected.add(f"usr/share/lintian/overrides/{package}")
    assert {name for name in found if ".dist-info/" not in name} == expected


def test_the_debian_package_depends_on_debians_packages_for_all_that_healthd_requires(deb):
    required = {f"python3-{re.match('[a-z-]+', name)[0]}" for name in PROJECT["project"]["dependencies"]}
    depends = run("dpkg-deb", "-f", deb, "Depends")
    assert set(re.findall(r"python3-[a-z-]+", depends)) == required
    assert "dbus-system-bus" in depends


def test_the_debian_package_of_the_bridge_brings_what_that_alone_requires(debs, tmp_path):
    run("dpkg-deb", "-x", debs["healthd-web"], str(tmp_path))
    names = {os.path.basename(name) for name in below(tmp_path) if "share" not in name}
    assert names == {"healthd-web.service", "healthd-web.socket", "healthd-web.conf"}
    required = {
        f"python3-{name.replace('>=', ' (>= ')})" for name in PROJECT["project"]["optional-dependencies"]["web"]
    }
    depends = set(run("dpkg-deb", "-f", debs["healthd-web"], "Depends").strip().split(", "))
    version = run("dpkg-deb", "-f", debs["healthd"], "Version").strip()
    assert depends == required | {f"healthd (= {version})"}


def test_the_debian_packages_are_of_this_version(debs):
    for package in debs.values():
        assert run("dpkg-deb", "-f", package, "Version").split("-")[0] == VERSION


def test_the_user_is_there_before_the_bus_reloads_and_the_service_starts(deb, tmp_path):
    run("dpkg-deb", "-e", deb, str(tmp_path))
    script = (tmp_path / "postinst").read_text()
    steps = [
        script.index(step) for step in ("systemd-sysusers", "reload dbus.service", "deb-systemd-invoke $_dh_action")
    ]
    assert steps == sorted(steps)


def test_lintian_finds_nothing_to_say(debs):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed")
    assert (
        run("lintian", "--fail-on", "error,warning", "--tag-display-limit", "0", "--allow-root", *debs.values()) == ""
    )
