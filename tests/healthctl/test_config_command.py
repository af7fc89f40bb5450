import fcntl
import json
import os
import re
import stat
import subprocess
import sys
import threading
import tomllib

import pytest

import healthd
from healthctl import dropin, program
from healthctl.commands import config as command
from healthctl.dropin import HEADER, LOCK, NAME, DropIn, files
from healthctl.errors import Unavailable, Unwritten, UsageError
from healthd import protocol
from healthd.config import reference
from healthd.daemon import _ANEW

pytestmark = pytest.mark.timeout(60)

NOWHERE = "unix:path=/nowhere"
UNIT = os.path.join(os.path.dirname(healthd.__file__), "..", "data", "systemd", "healthd.service")


@pytest.fixture
def place(tmp_path):
    return tmp_path / "healthd"


@pytest.fixture
def config(healthctl, place):
    """Run `healthctl config` on a place of this test's own, without a bus."""

    def run(command, *arguments, **changes):
        return healthctl(NOWHERE, "config", command, *arguments, "--config", str(place), **changes)

    return run


def drop_in(place):
    return place / "conf.d" / NAME


def beside(place):
    """Return what is in the directory of the drop-in, but for the lock."""
    return sorted(set(os.listdir(place / "conf.d")) - {LOCK})


def holds(place):
    return tomllib.loads(drop_in(place).read_text())


def refused(done, code, *words):
    """Check that a command failed by its last line, and return those before: the faults."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    *faults, last = done.stderr.splitlines()
    assert last.startswith("healthctl: ")
    for word in words:
        assert word in last
    return faults


def fine(done):
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_what_is_set_is_written_and_shown_and_can_be_used(config, place):
    said = fine(config("set", "record.max_age", "60d"))
    assert said == f"record.max_age is set in {drop_in(place)}.\nTo have healthd go by it: healthctl reload\n"
    assert drop_in(place).read_text() == f'{HEADER}\n[record]\nmax_age = "60d"\n'
    shown = fine(config("show"))
    assert tomllib.loads(shown)["record"]["max_age"] == "60d"
    (line,) = [line for line in shown.splitlines() if line.startswith("max_age")]
    assert line.endswith(f"# {drop_in(place)}")
    assert fine(config("check")) == f"{drop_in(place)}: fine\n"
    assert fine(config("path")) == f"{drop_in(place)}\n"


def test_a_bus_that_is_none_is_refused_before_anything_is_written(healthctl, place):
    done = healthctl("ssh://pi4/system", "config", "set", "interval", "5", "--reload", "--config", str(place))
    refused(done, 64, "HEALTHD_BUS: 'ssh://pi4/system' is none of ")
    assert not place.exists()


def test_a_directory_that_is_made_can_be_read_by_another_user_whatever_the_umask_is(config, place):
    before = os.umask(0o077)
    try:
        fine(config("set", "interval", "2s"))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (place, place / "conf.d", drop_in(place))]
    assert modes == [0o755, 0o755, 0o644]
    assert beside(place) == [NAME]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", 5), ("false", False), ('["disk"]', ["disk"]), ('"2s"', "2s"), ("2s", "2s"), ("", ""), (">= 95%", ">= 95%"),
     ("Busy = bad", "Busy = bad"), ("a\nb = 1", "a\nb = 1"), ("1\nb = 1", "1\nb = 1"), ("9" * 5000, "9" * 5000),
     ("[" * 5000, "[" * 5000), ("{a = {b = 1}}", {"a": {"b": 1}})],
)  # fmt: skip
def test_a_value_is_toml_where_it_is_toml_and_else_text(text, expected):
    assert command._value(text) == expected
    assert type(command._value(text)) is type(expected)


def test_a_rule_is_changed_key_by_key_and_made_as_a_table(config, place):
    fine(config("set", "rules.'filesystem_space'.\"warning\".enter", ">= 95%"))
    fine(config("set", "rules.slow", '{metric = "cpu.iowait", warning = {enter = "> 30%"}}'))
    fine(config("set", "rules.slow.enabled", "false"))
    assert holds(place)["rules"] == {
        "filesystem_space": {"warning": {"enter": ">= 95%"}},
        "slow": {"metric": "cpu.iowait", "warning": {"enter": "> 30%"}, "enabled": False},
    }


def test_keys_stand_beside_each_other_and_go_one_by_one(config, place):
    for key, value in (("record.max_age", "60d"), ("record.batch", "5min"), ("interval", "2s")):
        fine(config("set", key, value))
    assert holds(place) == {"record": {"max_age": "60d", "batch": "5min"}, "interval": "2s"}
    fine(config("unset", "record.max_age"))
    assert holds(place) == {"record": {"batch": "5min"}, "interval": "2s"}
    assert "record.batch, interval are not set" in fine(config("unset", "record.batch", "interval"))
    assert beside(place) == []


def test_what_takes_a_start_is_known():
    keys = [entry.key for entry in reference() if entry.type != "table"]
    at_start = {key for key in keys if command._is_at_start(key)}
    assert at_start == {key for key in keys if key.partition("[")[0] in _ANEW.values()}


def test_what_takes_a_start_says_so(config):
    for key, value in (("history.series", "5"), ("record.directory", "/srv/record")):
        assert fine(config("set", key, value)).endswith("next start on: systemctl restart healthd\n")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("record.max_age", "60x", 'record.max_age: expected a duration from "1h"'),
     ("frob", "1", "frob: expected one of interval"), ("record", "5", "record: expected a table, found 5"),
     ("rules.slow.metric", "cpu.iowait", "rules.slow: expected one of notice"),
     ("rules.nothing.at.all.that.is", "1", "rules.nothing"), ("collectors.disabled", '["disc"]', "found 'disc'"),
     ("interval", "9" * 5000, "interval: ")],
)  # fmt: skip
def test_a_change_that_healthd_refuses_is_not_made_and_its_own_words_are_shown(config, place, key, value, words):
    (place / "conf.d").mkdir(parents=True)
    drop_in(place).write_text(f'{HEADER}interval = "2s"\n')
    before = drop_in(place).read_bytes(), os.stat(drop_in(place)).st_ino
    (fault, *_) = refused(config("set", key, value), protocol.EXIT_CONFIG, "nothing was changed")
    assert words in fault
    assert str(drop_in(place)) in fault
    assert (drop_in(place).read_bytes(), os.stat(drop_in(place)).st_ino) == before
    assert beside(place) == [NAME]


def test_a_refused_change_leaves_no_file_where_there_was_none(config, place):
    refused(config("set", "frob", "1"), protocol.EXIT_CONFIG, "nothing was changed")
    assert beside(place) == []


def test_faults_in_files_of_ones_own_hinder_too_and_are_said_with_their_file(config, place):
    (place / "conf.d").mkdir(parents=True)
    (place / "healthd.toml").write_text('interval = "5x"\n')
    (place / "conf.d" / "50-own.toml").write_text("frob = 1\n")
    wrong = refused(config("set", "record.max_age", "60d"), protocol.EXIT_CONFIG, "nothing was changed")
    assert [fault.split(": ")[1:3] for fault in wrong] == [
        [str(place / "healthd.toml"), "interval"],
        [str(place / "conf.d" / "50-own.toml"), "frob"],
    ]
    assert refused(config("check"), protocol.EXIT_CONFIG, "2 faults") == wrong
    done = config("check", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (protocol.EXIT_CONFIG, {"faults": wrong})
    assert not drop_in(place).exists()


def test_files_of_ones_own_are_never_touched(config, place):
    (place / "conf.d").mkdir(parents=True)
    own = {place / "healthd.toml": '# mine\ninterval = "9s"\n', place / "conf.d" / "99-mine.toml": "# mine too\n"}
    for path, text in own.items():
        path.write_text(text)
    before = {path: os.stat(path) for path in own}
    fine(config("set", "interval", "2s"))
    assert tomllib.loads(fine(config("show")))["interval"] == "2s"
    assert {path: path.read_text() for path in own} == own
    assert {path: os.stat(path).st_ino for path in own} == {path: each.st_ino for path, each in before.items()}
    assert fine(config("path")).splitlines() == list(map(str, files(str(place))))
    assert len(files(str(place))) == 3


def test_what_a_later_file_says_wins_and_that_is_said(config, place):
    (place / "conf.d").mkdir(parents=True)
    (place / "conf.d" / "95-mine.toml").write_text('interval = "9s"\n')
    done = config("set", "interval", "2s")
    assert done.returncode == 0
    assert f"no effect: {place / 'conf.d' / '95-mine.toml'} is read later" in done.stderr
    assert fine(config("set", "record.max_age", "60d"))


@pytest.mark.parametrize(
    ("text", "words"),
    [("interval = \n", "is no TOML"), ("\xff", "is no TOML"), ('interval = "3s"\n', "was not written by healthctl")],
)
def test_a_drop_in_that_is_no_toml_or_somebody_elses_is_left_as_it_is(config, place, text, words):
    (place / "conf.d").mkdir(parents=True)
    drop_in(place).write_bytes(text.encode("latin-1"))
    for arguments in (["set", "interval", "2s"], ["unset", "interval"]):
        assert refused(config(*arguments), protocol.EXIT_CONFIG, words, str(drop_in(place))) == []
    assert drop_in(place).read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize("key", ["", "a b", "record.", ".record", "a=1 #", "record\n.x", '"a\nb"', "a.'b", "a\udcff"])
def test_a_key_that_is_none_can_not_be_used(key):
    with pytest.raises(UsageError, match="is no key like"):
        command._parts(key)


def test_a_key_that_is_none_is_64_and_makes_no_directory(config, place):
    assert refused(config("set", "a b", "1"), protocol.EXIT_USAGE, "'a b' is no key like record.max_age") == []
    assert not place.exists()


def test_what_was_not_set_can_not_be_unset(config):
    refused(config("unset", "interval"), protocol.EXIT_USAGE, "interval is not set in")
    fine(config("set", "interval", "2s"))
    refused(config("unset", "interval.x"), protocol.EXIT_USAGE, "interval.x is not set in")
    refused(config("unset", "interval", "record.max_age"), protocol.EXIT_USAGE, "record.max_age is not set in")
    assert fine(config("check"))


def test_a_file_is_no_place_for_a_drop_in(config, place):
    place.write_text('interval = "3s"\n')
    refused(config("set", "interval", "2s"), protocol.EXIT_USAGE, "is no directory")
    assert tomllib.loads(fine(config("show")))["interval"] == "3s"
    assert fine(config("path")) == f"{place}\n"
    assert place.read_text() == 'interval = "3s"\n'


def test_a_place_that_can_not_be_made_is_74(healthctl, tmp_path):
    done = healthctl(NOWHERE, "config", "set", "interval", "2s", "--config", str(tmp_path / "a" / "b"))
    assert refused(done, protocol.EXIT_IO_ERROR, "can't be changed: No such file or directory") == []


# What another user can run, wherever Python and the checkout are: all is imported before.
AS_NOBODY = """
import sys
sys.path[:0] = {path!r}
import os
from healthctl import cli, program
from healthctl.commands import config
config._parts("interval")
program.ask = lambda option, place: ""
os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.exit(cli.run({arguments!r}))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("is_there", [False, True])
def test_who_may_not_write_is_told_so(tmp_path, place, is_there):
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    if is_there:
        (place / "conf.d").mkdir(parents=True)

    def run(*arguments):
        script = AS_NOBODY.format(path=sys.path, arguments=["config", *arguments, "--config", str(place)])
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)

    assert refused(run("set", "interval", "2s"), protocol.EXIT_NOT_ALLOWED, "only root may change", "sudo") == []
    assert place.exists() == is_there
    if is_there:
        assert beside(place) == []
        (place / "conf.d").chmod(0o700)
        assert refused(run("path"), protocol.EXIT_NOT_ALLOWED, "only root may look into", "sudo") == []


def test_changes_at_once_are_all_made(config, place):
    keys = ["interval", "record.batch", "record.segment", "record.max_age"]
    values = {"interval": "2s"}
    threads = [threading.Thread(target=config, args=("set", key, values.get(key, "1h"))) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert holds(place) == {"interval": "2s", "record": {"batch": "1h", "segment": "1h", "max_age": "1h"}}


def test_nobody_who_may_only_read_the_directory_hinders_a_change(config, place):
    (place / "conf.d").mkdir(parents=True)
    held = os.open(place / "conf.d", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        fine(config("set", "interval", "2s"))
    finally:
        os.close(held)
    assert stat.S_IMODE(os.stat(place / "conf.d" / LOCK).st_mode) == 0o600


def test_a_change_that_does_not_end_is_waited_for_no_longer_than_is_told(place, monkeypatch):
    monkeypatch.setattr(dropin, "_PATIENCE", 0.1)
    place.mkdir()
    with (
        DropIn(str(place)).held(),
        pytest.raises(Unwritten, match="somebody else is changing the configuration"),
        DropIn(str(place)).held(),
    ):
        """Never."""


def test_an_interval_that_the_watchdog_does_not_allow_is_set_and_told(config, place):
    with open(UNIT) as file:
        (seconds,) = re.findall(r"^WatchdogSec=(\d+)$", file.read(), re.MULTILINE)
    assert int(seconds) == command._WATCHDOG
    for value in ("15s", '"14s999ms"', "250ms"):
        fine(config("set", "interval", value))
    for value in ("16s", '"1min"', "15 s 1 ms"):
        done = config("set", "interval", value)
        assert (done.returncode, holds(place)["interval"]) == (0, value.strip('"'))
        (line,) = done.stderr.splitlines()
        assert "(WatchdogSec=30) allows 15 s: raise it by systemctl edit healthd" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read what the service can't")
def test_root_is_told_of_a_file_that_the_service_can_not_read(config, place):
    (place / "conf.d").mkdir(parents=True)
    own = place / "conf.d" / "50-own.toml"
    own.write_text("")
    assert fine(config("check"))
    for path, mode in ((own, 0o640), (place / "conf.d", 0o700)):
        before = path.stat().st_mode
        path.chmod(mode)
        for arguments in (["check"], ["set", "interval", "2s"]):
            done = config(*arguments)
            line = f"The service's user can't read {path}: chmod o+rX {path}"
            assert (done.returncode, done.stderr.splitlines()) == (0, [line])
        path.chmod(before)
    assert fine(config("check"))


def test_a_write_that_fails_leaves_what_was_there(place, monkeypatch):
    place.mkdir()
    mine = DropIn(str(place))
    with mine.held():
        mine.write({"interval": "2s"})
    before = drop_in(place).read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exception, match="can't be changed: No space left on device"), mine.held():
        mine.write({"interval": "3s"})
    assert drop_in(place).read_bytes() == before
    assert beside(place) == [NAME]


def test_without_a_configuration_the_defaults_hold_and_json_is_one_object(config, place):
    place.mkdir()
    shown = json.loads(fine(config("show", "--json")))
    assert shown == tomllib.loads(fine(config("show")))
    assert shown["record"]["max_age"] == "30d"
    done = config("path")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"There is no file in {place}: healthd goes by its defaults.\n"
    assert json.loads(fine(config("path", "--json"))) == {"directory": str(place), "files": []}
    said = json.loads(fine(config("set", "interval", "2s", "--json")))
    assert said == {"file": str(drop_in(place)), "keys": ["interval"], "reloaded": False}


def test_the_files_of_a_place_that_there_is_not_are_not_the_defaults(config, place):
    done = config("path")
    assert (done.returncode, done.stdout) == (protocol.EXIT_USAGE, "")
    assert done.stderr == f"healthctl: there is no {place}; see: healthctl config path --help\n"


def test_config_alone_shows_the_configuration_of_the_system(healthctl):
    done = healthctl(NOWHERE, "config")
    assert done.stdout == healthctl("session", "config", "show").stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert tomllib.loads(done.stdout)["interval"]


def test_the_program_beside_healthctl_comes_before_that_on_the_path(tmp_path, monkeypatch):
    for name in ("beside", "path"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "healthd").write_text(f"#!/bin/sh\necho {name}\n")
        (tmp_path / name / "healthd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "empty" / "python3"))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "beside" / "healthctl")])
    assert program.ask("--show-config", None) == "beside\n"
    (tmp_path / "beside" / "healthctl").touch()
    (tmp_path / "link").symlink_to(tmp_path / "beside" / "healthctl")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "link")])
    assert program.ask("--show-config", None) == "beside\n"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "elsewhere" / "healthctl")])
    assert program.ask("--show-config", None) == "path\n"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="healthd is not installed here"):
        program.ask("--show-config", None)
    (tmp_path / "healthd").write_text("#!/bin/sh\necho '<3>healthd: no such option' >&2\nexit 64\n")
    (tmp_path / "healthd").chmod(0o755)
    with pytest.raises(Unavailable, match="failed: healthd: no such option"):
        program.ask("--show-config", None)


def test_a_change_can_be_put_in_force_at_once(bus, healthd, healthctl, place):
    place.mkdir()
    healthd("--interval", "1", "--config", str(place)).ready()
    said = healthctl(
        bus.address, "config", "set", "collectors.disabled", '["load"]', "--config", str(place), "--reload"
    )
    # What it goes by may be said elsewhere: by other files, or an option of its start.
    assert fine(said).endswith("healthd has read its configuration.\n")
    collectors = json.loads(healthctl(bus.address, "collectors", "--json").stdout)
    assert collectors["load"]["problem"] == protocol.DISABLED
    fine(healthctl(bus.address, "config", "unset", "collectors.disabled", "--config", str(place), "--reload"))
    assert json.loads(healthctl(bus.address, "collectors", "--json").stdout)["load"]["problem"] != protocol.DISABLED


@pytest.mark.parametrize("as_json", [False, True])
def test_a_change_stays_where_there_is_no_healthd_to_go_by_it_and_is_said(config, place, as_json):
    done = config("set", "interval", "2s", "--reload", *["--json"][:as_json])
    assert done.returncode == protocol.EXIT_UNAVAILABLE
    assert "there is no bus at" in done.stderr
    assert holds(place) == {"interval": "2s"}
    if as_json:
        assert json.loads(done.stdout) == {"file": str(drop_in(place)), "keys": ["interval"], "reloaded": False}
    else:
        assert done.stdout == f"interval is set in {drop_in(place)}.\n"
