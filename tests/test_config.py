"""What the user chose is taken as it was meant, and what can't be taken is told at once, with file and key."""

import dataclasses
import os
import subprocess
import sys
import tomllib
from itertools import pairwise

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as some

from healthd.config import (
    LARGEST,
    Config,
    History,
    Record,
    Tier,
    parse,
    read,
    reference,
)
from healthd.errors import ConfigError


def load(path: str) -> Config:
    return parse(read(path), path)


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file, and returns its path."""

    def write(content: str | bytes) -> str:
        path = tmp_path / "healthd.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def faults(text: str) -> list[str]:
    """Return the faults of a text, without the file's name that each has."""
    with pytest.raises(ConfigError) as raised:
        parse(tomllib.loads(text), "a.toml")
    assert str(raised.value) == "\n".join(raised.value.faults)
    assert all(fault.startswith("a.toml: ") for fault in raised.value.faults)
    return [fault.removeprefix("a.toml: ") for fault in raised.value.faults]


def test_nothing_chosen_is_the_defaults(file):
    assert load(file("")) == Config()
    assert load(file("[record]\n[history]\n")) == Config()


def test_the_defaults_are_those_of_the_documentation():
    assert Config() == Config(
        interval=5.0,
        record=Record(
            directory="", batch=900.0, segment=7200.0, max_age=30 * 86400.0, max_size=500_000_000, min_free=100_000_000
        ),
        history=History(tiers=(Tier(5.0, 3600.0), Tier(60.0, 86400.0), Tier(900.0, 7 * 86400.0)), series=512),
    )


def test_everything_can_be_chosen(file):
    chosen = load(
        file(
            """
            interval = 0.5

            [record]
            directory = "/var/lib/healthd"
            batch = "1min"
            segment = "1h30min"
            max_age = "2w"
            max_size = "1.5GiB"
            min_free = 0

            [history]
            series = 10000
            tiers = [{step = "500ms", keep = 60}, {step = 1, keep = "5h"}]
            """
        )
    )
    assert chosen == Config(
        interval=0.5,
        record=Record("/var/lib/healthd", 60.0, 5400.0, 14 * 86400.0, 3 * 2**29, 0),
        history=History((Tier(0.5, 60.0), Tier(1.0, 18000.0)), 10000),
    )
    assert type(chosen.history.tiers[1].step) is float


def test_a_list_of_tables_can_be_written_the_long_way():
    chosen = parse(tomllib.loads('[[history.tiers]]\nstep = "1s"\nkeep = "1min"\n'), "a.toml")
    assert chosen.history == History((Tier(1.0, 60.0),), 512)


def test_a_configuration_can_not_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().interval = 1.0


def test_a_byte_order_mark_and_lines_of_another_system_are_taken(file):
    assert load(file(b"\xef\xbb\xbfinterval = 2\r\n[record]\r\n")).interval == 2.0


UNITS = " (w, d, h, min, s, ms)"
BYTES = " (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)"


@pytest.mark.parametrize(
    ("key", "lowest", "highest", "kind"),
    [
        ("interval", "0.25", "3600", 'a duration from "250ms" to "1h"' + UNITS),
        ("record.batch", "1", "3600.0", 'a duration from "1s" to "1h"' + UNITS),
        ("record.segment", "60", "86400", 'a duration from "1min" to "1d"' + UNITS),
        ("record.max_age", "3600", '"3650d"', 'a duration from "1h" to "3650d"' + UNITS),
        ("record.max_size", "1_000_000", '"100TB"', 'a size from "1MB" to "100TB"' + BYTES),
        ("record.min_free", "0", "100_000_000_000_000", 'a size from "0B" to "100TB"' + BYTES),
        ("history.series", "1", "10000", "a whole number from 1 to 10000"),
    ],
)
def test_a_number_within_its_limits_is_taken_and_no_other(key, lowest, highest, kind):
    assert parse(tomllib.loads(f"{key} = {lowest}"), "a.toml")
    assert parse(tomllib.loads(f"{key} = {highest}"), "a.toml")
    refused = {
        "-1": "-1",
        "1e15": "1000000000000000.0",
        "1" + 18 * "0": "1" + 18 * "0",
        "0x" + 20 * "f": "a number of more than 64 bits",
        "nan": "nan",
        "inf": "inf",
        "-inf": "-inf",
        "true": "true",
        "false": "false",
        '"soon"': "'soon'",
        '"7"': "'7'",
        '"-5s"': "'-5s'",
        '"999999999999w"': "'999999999999w'",
        '"999999999TB"': "'999999999TB'",
        "[5]": "a list of 1",
        "{ s = 5 }": "a table",
        "2026-10-03": "2026-10-03",
        "2026-10-03T10:00:00Z": "2026-10-03 10:00:00+00:00",
    }
    for given_, found in refused.items():
        assert faults(f"{key} = {given_}") == [f"{key}: expected {kind}, found {found}"]


@pytest.mark.parametrize(
    ("key", "below", "above"),
    [
        ("interval", '"249ms"', '"1h1ms"'),
        ("record.batch", "0.999", "3601"),
        ("record.segment", '"59s"', '"1d1s"'),
        ("record.max_age", '"59min"', '"3651d"'),
        ("record.max_size", '"999kB"', '"101TB"'),
        ("record.min_free", "-1", '"100.1TB"'),
        ("history.series", "0", "10001"),
    ],
)
def test_the_first_value_beyond_a_limit_is_refused(key, below, above):
    assert len(faults(f"{key} = {below}")) == len(faults(f"{key} = {above}")) == 1


@pytest.mark.parametrize("key", ["record.max_size", "record.min_free", "history.series"])
def test_what_is_counted_is_whole(key):
    assert [fault.rpartition(", ")[2] for fault in faults(f"{key} = 5000000.0")] == ["found 5000000.0"]


@pytest.mark.parametrize("value", ['"var/lib"', '"~/record"', '"./x"', r'"/var\u0000x"', "5", "false", '["/var"]'])
def test_a_directory_is_an_absolute_path_or_empty(value):
    assert parse(tomllib.loads('record.directory = ""'), "a.toml") == Config()
    (fault,) = faults(f"record.directory = {value}")
    assert fault.startswith('record.directory: expected a path that begins with "/", or is empty, found ')


@pytest.mark.parametrize(
    ("tiers", "told"),
    [
        ("[]", [": expected a list of 1 to 4 tables, found a list of 0"]),
        ("[{}, {}, {}, {}, {}]", [": expected a list of 1 to 4 tables, found a list of 5"]),
        ('{step = "5s", keep = "1h"}', [": expected a list of 1 to 4 tables, found a table"]),
        ('["5s"]', ["[0]: expected a table, found '5s'"]),
        ("[{step = 5}]", ['[0].keep: expected a duration from "250ms" to "3650d", found nothing']),
        ("[{step = 5, keep = 4}]", ["[0].keep: expected from 5 s (one step) to 100000 s (20000 steps), found 4 s"]),
        (
            "[{step = 0.25, keep = 5000.25}]",
            ["[0].keep: expected from 0.25 s (one step) to 5000 s (20000 steps), found 5000.25 s"],
        ),
        (
            "[{step = 5, keep = 60}, {step = 12, keep = 60}]",
            ["[1].step: expected a whole multiple of the step before (5 s), at least twice it, found 12 s"],
        ),
        (
            "[{step = 5, keep = 60}, {step = 5, keep = 60}]",
            ["[1].step: expected a whole multiple of the step before (5 s), at least twice it, found 5 s"],
        ),
        (
            "[{step = 60, keep = 60}, {step = 5, keep = 60}]",
            ["[1].step: expected a whole multiple of the step before (60 s), at least twice it, found 5 s"],
        ),
        (
            "[{step = 5, keep = 1}, {step = 9, keep = 60}, {step = 1, keep = true, far = 1}, {keep = 5, step = 1}]",
            [
                '[2].keep: expected a duration from "250ms" to "3650d" (w, d, h, min, s, ms), found true',
                "[2].far: expected one of step, keep, found an unknown key",
                "[0].keep: expected from 5 s (one step) to 100000 s (20000 steps), found 1 s",
                "[1].step: expected a whole multiple of the step before (5 s), at least twice it, found 9 s",
            ],
        ),
    ],
)
def test_tiers_go_from_fine_to_coarse_in_whole_multiples(tiers, told):
    assert faults(f"history.tiers = {tiers}") == [f"history.tiers{text}" for text in told]


def test_one_tier_may_hold_twenty_thousand_rows_and_multiples_may_be_of_fractions():
    tiers = "[{step = 0.4, keep = 8000}, {step = '1s200ms', keep = '1s200ms'}, {step = 8.4, keep = 9}]"
    assert 1.2 / 0.4 != 3
    taken = parse(tomllib.loads(f"history.tiers = {tiers}"), "a.toml").history.tiers
    assert [tier.step for tier in taken] == [0.4, 1.2, 8.4]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("intervall = 5", "intervall: expected one of KEYS, {}; did you mean interval?"),
        ("[recrod]", "recrod: expected one of KEYS, {}; did you mean record?"),
        ("batch = 5", "batch: expected one of KEYS, {}; did you mean record.batch?"),
        ("history.serie = 5", "history.serie: expected one of tiers, series, {}; did you mean history.series?"),
        ("history.interval = 5", "history.interval: expected one of tiers, series, {}; did you mean interval?"),
        ("history.qqq = 5", "history.qqq: expected one of tiers, series, {}"),
        ("history.'a.b\\n' = 5", "history.'a.b\\\\n': expected one of tiers, series, {}"),
        ('"" = 5', "'': expected one of KEYS, {}"),
        ('".\\n" = 5', "'.\\n': expected one of KEYS, {}"),
        (f"{'q' * 500} = 5", f"{'q' * 60}…: expected one of KEYS, {{}}"),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_was_meant(text, told):
    told = told.replace("KEYS", "interval, record, history, collectors, rules")
    assert faults(text) == [told.format("found an unknown key")]


def test_a_table_is_no_value():
    assert faults("record = 5\nhistory = [{series = 5}]") == [
        "record: expected a table, found 5",
        "history: expected a table, found a list of 1",
    ]


def test_all_faults_of_a_file_are_told_at_once(file):
    path = file('interval = "5m"\n[record]\ndirectory = "here"\nbacht = 1\nmax_size = true\n[history]\nseries = 0\n')
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert [fault.split(": expected ")[0] for fault in raised.value.faults] == [
        f"{path}: interval",
        f"{path}: record.directory",
        f"{path}: record.bacht",
        f"{path}: record.max_size",
        f"{path}: history.series",
    ]
    assert str(raised.value).splitlines() == list(raised.value.faults)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("interval = 5s", "no TOML: Expected newline or end of document after a statement (at line 1, column 13)"),
        ("\n[record\n", "no TOML: Expected ']' at the end of a table declaration (at line 2, column 8)"),
        ("\0", "no TOML: Invalid statement (at line 1, column 1)"),
        (b"# \xc3\xa9\n\n# caf\xe9\n", "no UTF-8 (at line 3)"),
        (b"\xef\xbb\xbf\n\xff", "no UTF-8 (at line 2)"),
        ("# " + "x" * LARGEST, f"expected at most {LARGEST} bytes, found more"),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_the_line(file, content, told):
    path = file(content)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert raised.value.faults == (f"{path}: {told}",)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 20_000, "{a=" * 15_000, "0x" + "f" * 20_000])
def test_a_file_that_is_too_much_for_the_interpreter_is_told(file, value):
    with pytest.raises(ConfigError):
        load(file(f"interval = {value}"))


def test_the_largest_file_is_taken(file):
    assert load(file("#" * LARGEST)) == Config()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/nonexistent/a.toml", "/nonexistent/a.toml: can't be read: No such file or directory"),
        ("/", "/: can't be read: Is a directory"),
        ("", "'': can't be read: No such file or directory"),
        ("/nonexistent/a\nb", "'/nonexistent/a\\nb': can't be read: No such file or directory"),
        ("/proc/self/mem", "/proc/self/mem: can't be read: Input/output error"),
        ("/dev/zero", f"/dev/zero: expected at most {LARGEST} bytes, found more"),
    ],
)
def test_a_file_that_can_not_be_read_is_told(path, told):
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert raised.value.faults == (told,)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_told(file):
    path = file("")
    os.chmod(path, 0)
    with pytest.raises(ConfigError, match="can't be read: Permission denied"):
        load(path)


def test_a_pipe_is_as_good_as_a_file():
    reader, writer = os.pipe()
    try:
        os.write(writer, b"interval = 2\n")
        os.close(writer)
        assert load(f"/dev/fd/{reader}").interval == 2.0
    finally:
        os.close(reader)


def test_the_documentation_names_every_key_once_with_a_sentence():
    keys = [entry.key for entry in reference()]
    assert keys == [
        "interval",
        "record",
        "record.directory",
        "record.batch",
        "record.segment",
        "record.max_age",
        "record.max_size",
        "record.min_free",
        "history",
        "history.tiers",
        "history.tiers[].step",
        "history.tiers[].keep",
        "history.series",
        "collectors",
        "collectors.disabled",
        "collectors.plugins",
        "rules",
    ]
    assert all(entry.summary.endswith(".") and entry.type for entry in reference())


def test_a_file_of_what_the_documentation_calls_default_is_the_default(file):
    lines = [f"{entry.key} = {entry.default}" for entry in reference() if entry.default]
    assert len(lines) == 12
    assert load(file("\n".join(lines))) == Config()


def test_without_a_file_nothing_is_loaded_that_reads_one():
    code = "import sys, healthd.config; healthd.config.Config(); print({'tomllib', 'difflib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


NAMES = sorted({entry.key.rpartition(".")[2] for entry in reference()})
VALUES = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.text()
    | some.datetimes()
    | some.dates()
    | some.times()
    | some.binary()
    | some.sampled_from(["5s", "1h30min", "500MB", "", "/var", 5, 60.0]),
    lambda below: (
        some.lists(below, max_size=6) | some.dictionaries(some.sampled_from(NAMES) | some.text(), below, max_size=6)
    ),
    max_leaves=20,
)
TABLES = some.dictionaries(some.sampled_from(NAMES) | some.text(), VALUES, max_size=8)


def holds(config: Config) -> bool:
    """Tell whether what was promised of a configuration is true."""
    tiers = config.history.tiers
    return (
        0.25 <= config.interval <= 3600
        and (config.record.directory == "" or config.record.directory.startswith("/"))
        and 1 <= config.record.batch <= 3600
        and 1 <= len(tiers) <= 4
        and all(tier.step <= tier.keep <= 20_000 * tier.step for tier in tiers)
        and all(finer.step < coarser.step for finer, coarser in pairwise(tiers))
    )


@given(TABLES)
def test_any_table_is_a_configuration_or_faults_of_one_line_each(table):
    told: tuple[str, ...] = ()
    try:
        assert holds(parse(table, "a.toml"))
    except ConfigError as error:
        told = error.faults or ("none",)
    for fault in told:
        assert fault.startswith("a.toml: ")
        assert len(fault.splitlines()) == 1
        assert len(fault) < 400


LIMITED = some.sampled_from([0.25, 0.5, 1, "5s", "1min", "90s", "15min", "1h", "24h", "7d"])


@given(
    some.lists(some.fixed_dictionaries({"step": LIMITED, "keep": LIMITED}), min_size=1, max_size=4),
    some.integers(-5, 10_005),
)
def test_a_configuration_that_is_taken_holds_what_is_promised(tiers, series):
    text = tomli_w.dumps({"history": {"tiers": tiers, "series": series}})
    try:
        config = parse(tomllib.loads(text), "a.toml")
    except ConfigError:
        return
    assert holds(config)
    assert len(config.history.tiers) == len(tiers)
    assert config.history.series == series


@given(some.binary() | some.text().map(str.encode) | some.from_regex(rb'[\[\]{}=."\'a5s\n,]*', fullmatch=True))
def test_any_bytes_are_a_configuration_or_faults(content):
    reader, writer = os.pipe()
    told: tuple[str, ...] = ()
    try:
        os.write(writer, content)
        os.close(writer)
        load(f"/dev/fd/{reader}")
    except ConfigError as error:
        told = error.faults or ("none",)
    finally:
        os.close(reader)
    for fault in told:
        assert fault.startswith(f"/dev/fd/{reader}: ")
        assert len(fault.splitlines()) == 1


@pytest.mark.parametrize("key", ["a." * 500 + "a", "rules." + "a." * 1000 + "a", "rules.x.'" + "a'.b" * 20])
def test_tables_that_lie_too_deep_in_each_other_are_a_fault(file, key):
    path = file(f"{key} = 1")
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert len(raised.value.faults) == 1
