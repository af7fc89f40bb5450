"""A configuration is a file, or a directory of files that are put one over the other."""

import os
import subprocess
import sys
import tomllib

import pytest
from plugins import install

from healthd.errors import ConfigError
from healthd.settings import Settings, files, load, show


@pytest.fixture
def place(tmp_path):
    """Return a function that fills a directory, and returns its path."""

    def write(**contents: str) -> str:
        (tmp_path / "conf.d").mkdir(exist_ok=True)
        for name, content in contents.items():
            path = tmp_path / "healthd.toml" if name == "main" else tmp_path / "conf.d" / f"{name}.toml"
            path.write_text(content)
        return str(tmp_path)

    return write


def faults(place: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(place)
    return [fault.replace(f"{place}/", "") for fault in raised.value.faults]


def told(settings: Settings) -> list[tuple[str, ...]]:
    return [(rule.name, rule.form, *[level.enter.text for level in rule.levels]) for rule in settings.rules]


def test_without_a_place_and_in_an_empty_directory_there_are_the_defaults(place):
    alone, empty = load(None), load(place())
    assert (alone.config, told(alone), alone.digest) == (empty.config, told(empty), empty.digest)
    assert (alone.files, alone.origins) == ((), {})
    assert alone.config.interval == 5.0
    assert "filesystem_space" in {rule.name for rule in alone.rules}


def test_a_file_is_read_alone_and_a_directory_in_the_order_of_names(place, tmp_path):
    directory = place(main="interval = 1", b="interval = 3", a="interval = 2")
    (tmp_path / "conf.d" / "c.toml.bak").write_text("interval = 9")
    (tmp_path / "conf.d" / ".d.toml").write_text("interval = 9")
    assert [os.path.relpath(file, directory) for file in files(directory)] == [
        "healthd.toml", "conf.d/a.toml", "conf.d/b.toml",
    ]  # fmt: skip
    assert load(directory).config.interval == 3.0
    assert load(f"{directory}/healthd.toml").config.interval == 1.0


def test_tables_are_merged_key_by_key_and_all_else_is_replaced(place):
    tiers = '[[history.tiers]]\nstep = "1s"\nkeep = "1h"\n'
    settings = load(
        place(
            main=f'[record]\nbatch = "1min"\nmax_age = "2d"\n[collectors]\ndisabled = ["disk", "load"]\n{tiers}',
            x='[record]\nbatch = "2min"\n[collectors]\ndisabled = ["cpu"]\n[[history.tiers]]\nstep="5s"\nkeep="2h"',
        )
    )
    assert (settings.config.record.batch, settings.config.record.max_age) == (120.0, 172800.0)
    assert settings.config.collectors.disabled == ("cpu",)
    assert [tier.step for tier in settings.config.history.tiers] == [5.0]
    assert os.path.basename(settings.origins["record.batch"]) == "x.toml"
    assert os.path.basename(settings.origins["record.max_age"]) == "healthd.toml"


def test_rules_of_several_files_override_each_other_by_name_and_key(place):
    one = '[rules.mine]\nmetric = "load.load1"\nwarning = { enter = "> 3" }\nsummary = "One."'
    settings = load(place(main=one, x='[rules.mine]\nsummary = "Two."\n[rules.filesystem_space]\nenabled = false'))
    rules = {rule.name: rule for rule in settings.rules}
    assert (rules["mine"].summary, rules["mine"].levels[0].enter.text) == ("Two.", "> 3")
    assert "filesystem_space" not in rules


def test_the_faults_of_all_files_are_told_at_once_each_with_its_file(place):
    found = faults(
        place(
            main="interval = 0\n[rules.mine]\nmetric = 'load.laod1'",
            x="[collectors]\ndisabled = ['disc']",
            y="= 3",
            z="[rules.filesystem_space]\nenabled = 3",
        )
    )
    starts = ["healthd.toml: interval: expected", "conf.d/x.toml: collectors.disabled: expected some of ",
              "conf.d/y.toml: no TOML: ", "conf.d/z.toml: rules.filesystem_space.enabled: expected"]  # fmt: skip
    for start in starts:
        assert [fault for fault in found if fault.startswith(start)], (start, found)


def test_a_place_that_is_not_there_and_one_that_can_not_be_listed_are_faults(tmp_path):
    assert "can't be read: No such file" in faults(str(tmp_path / "absent.toml"))[0]
    (tmp_path / "conf.d").write_text("")
    assert faults(str(tmp_path)) == ["conf.d: can't be read: Not a directory"]


def test_other_rules_have_another_digest_and_the_same_ones_the_same(place):
    usual = load(None).digest
    assert load(place(main="interval = 3")).digest == usual
    assert load(place(main="[rules.filesystem_space]\nenabled = false")).digest != usual


def test_what_is_shown_is_in_force_when_it_is_read_again(place, tmp_path):
    directory = place(
        main='interval = "10s"\n[record]\nbatch = "1min"\n[[history.tiers]]\nstep = "10s"\nkeep = "3h"',
        x='[collectors]\ndisabled = ["disk"]\n[rules.mine]\nmetric = "load.load1"\nnotice = { enter = "> 3" }',
    )
    settings = load(directory)
    text = show(settings)
    again = tmp_path / "shown.toml"
    again.write_text(text)
    assert load(str(again)).config == settings.config
    assert told(load(str(again))) == told(settings)
    lines = text.splitlines()
    assert f'interval = "10s"  # {directory}/healthd.toml' in lines
    assert f'batch = "1min"  # {directory}/healthd.toml' in lines
    assert f"disabled = [  # {directory}/conf.d/x.toml" in lines
    assert f"tiers = [  # {directory}/healthd.toml" in lines
    assert f'metric = "load.load1"  # {directory}/conf.d/x.toml' in lines
    assert 'segment = "2h"' in lines


def test_the_defaults_shown_are_the_defaults(tmp_path):
    shown = tmp_path / "shown.toml"
    shown.write_text(show(load(None)))
    assert load(str(shown)).config == load(None).config
    assert tomllib.loads(shown.read_text())["collectors"] == {"disabled": [], "plugins": []}


@pytest.fixture
def broken(tmp_path_factory, monkeypatch):
    """Install a plug-in that can't be imported: there is nothing to be known of its family."""
    site = tmp_path_factory.mktemp("site")
    install(str(site), "tide", "broken_tide:TideCollector", "import nothing_of_that_name")
    monkeypatch.syspath_prepend(str(site))


ABOUT = {
    "metric": 'metric = "tide.level"\nwarning = { enter = "> 5" }',
    "sum": 'metric = ["load.load1", "tide.level"]\nwarning = { enter = "> 5" }',
    "per": 'metric = "load.load1"\nper = "tide.level"\nwarning = { enter = "> 5" }',
    "requires": 'metric = "load.load1"\nrequires = "tide.level"\nwarning = { enter = "> 5" }',
    "unless": 'metric = "load.load1"\nunless = ["tide.level"]\nwarning = { enter = "> 5" }',
    "where": 'metric = "load.load1"\nwhere = { "tide.kind" = "spring" }\nwarning = { enter = "> 5" }',
    "limit": 'metric = "load.load1"\nlimit = { metric = "tide.level", from = 1, to = 2, else = 5 }\n'
             'warning = { enter = ">= limit" }',
    "threshold": 'metric = "load.load1"\nwarning = { enter = "> 5 and tide.level>3" }',
}  # fmt: skip


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("about", ABOUT)
def test_whatever_a_rule_names_of_a_plugin_that_can_not_be_used_it_waits_for_that_and_nothing_else_does(place, about):
    text = f"""
        [collectors]
        plugins = ["tide"]
        [rules.about]
        {ABOUT[about]}
        [rules.mine]
        metric = "load.load1"
        warning = {{ enter = "> 3" }}
        why = "As tide.level was not known."
        inhibits = ["about", "filesystem_space"]
    """
    settings = load(place(main=text))
    known = {rule.name: rule for rule in settings.rules}
    assert known.keys() == {rule.name for rule in load(None).rules} | {"mine"}
    assert known["mine"].inhibits == ("about", "filesystem_space")
    assert faults(place(main=text.replace('"filesystem_space"]', '"filesystem_spice"]')))


def test_a_plugin_that_is_not_installed_is_a_fault_but_does_not_keep_healthd_from_starting(place):
    text = f'[collectors]\nplugins = ["tide"]\ndisabled = ["tide"]\n[rules.about]\n{ABOUT["metric"]}'
    assert "collectors.plugins: expected " in faults(place(main=text))[0]
    settings = load(place(main=text), starting=True)
    assert settings.collectors[-1].reading.family.name == "tide"
    assert "about" not in {rule.name for rule in settings.rules}
    # What is wrong otherwise is a fault for who starts, too.
    with pytest.raises(ConfigError):
        load(place(main="interval = 0"), starting=True)


def healthd(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "healthd", *options],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_the_command_checks_and_shows_a_configuration_without_a_bus(place):
    directory = place(main="interval = 3")
    done = healthd("--check-config", "--config", directory)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{directory}/healthd.toml: fine\n", "")
    done = healthd("--show-config", "--config", directory)
    assert done.returncode == 0
    assert done.stdout.startswith(f"interval = 3  # {directory}/healthd.toml\n")
    place(x="interval = -3\nq = 1")
    done = healthd("--check-config", "--config", directory)
    assert (done.returncode, done.stdout) == (78, "")
    assert len(done.stderr.splitlines()) == 2
    done = healthd("--check-config", "--show-config")
    assert (done.returncode, len(done.stderr.splitlines())) == (64, 1)


def test_the_systems_own_configuration_is_what_is_checked_without_a_place_and_may_be_absent():
    if os.path.exists("/etc/healthd"):
        pytest.skip("/etc/healthd exists here")
    done = healthd("--check-config", HEALTHD_BUS="unix:path=/nowhere")
    assert (done.returncode, done.stdout) == (0, "/etc/healthd: fine\n")
