"""The catalog: what `journalctl -x` tells of an entry, by a real journald and a real journalctl."""

import contextlib
import os
import re
import shutil
import subprocess

import pytest
from journald import Journald
from private_bus import eventually

from healthd import protocol
from healthd.clock import Instant
from healthd.model import Cycle, Event, Sample
from healthd.publish.journal import MESSAGES, Journal
from healthd.state.store import Store

CATALOG = os.path.join(os.path.dirname(__file__), "..", "..", "data", "systemd", "healthd.catalog")
NOW = Instant(1767268800.0, 12.345, 0.0)
NOTHING = Store().accept(Sample(NOW, "boot", 1, ()))
TRANSITION = {
    "condition": "memory_available",
    "instance": "",
    "from": "ok",
    "to": "warning",
    "summary": "Little memory is left.",
    "metric": "memory.percent",
    "value": 93.0,
    "threshold": 90.0,
    "remedy": "See who uses the memory; stop or limit it.",
}
# What each event holds in any case, so that its text may name it.
FIELDS = {
    # Value and threshold are no numbers of each rule.
    protocol.HEALTH_TRANSITION: set(TRANSITION) - {"value", "threshold"},
    protocol.HEALTH_ACKNOWLEDGED: {"condition", "instance", "who"},
    protocol.COLLECTOR_FAILED: {"family", "instance", "problem", "reason", "remedy"},
    protocol.COLLECTOR_RECOVERED: {"family", "instance"},
    protocol.COLLECTOR_DISABLED: {"family", "instance", "problem", "reason", "remedy"},
    protocol.COLLECTOR_ENABLED: {"family", "instance"},
    protocol.RUNTIME_GAP: {"reason", "seconds"},
    protocol.RUNTIME_STARTED: {"version", "interval"},
}


def entries() -> dict[str, str]:
    """Return the text of each entry of the catalog by its id."""
    with open(CATALOG, encoding="utf-8") as file:
        _, *parts = re.split(r"^-- ([0-9a-f]{32})$", file.read(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Give a root in which the catalog is installed and taken up."""
    if not shutil.which("journalctl"):
        pytest.skip("journalctl is not installed (apt install systemd)")
    root = tmp_path_factory.mktemp("root")
    there = root / "usr" / "lib" / "systemd" / "catalog"
    there.mkdir(parents=True)
    shutil.copy(CATALOG, there)
    (root / "var" / "lib" / "systemd" / "catalog").mkdir(parents=True)
    ended = subprocess.run(
        ["journalctl", f"--root={root}", "--update-catalog"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return root


def test_every_entry_of_the_journal_is_explained_and_nothing_else():
    assert set(entries()) == {message.id for message in MESSAGES.values()}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_an_explanation_has_its_head_a_text_and_names_only_what_the_event_holds(name):
    head, _, text = entries()[MESSAGES[name].id].strip().partition("\n\n")
    keys = [line.partition(": ")[0] for line in head.splitlines()]
    assert keys == ["Subject", "Defined-By"]
    assert "Defined-By: healthd" in head
    assert len(text) > 100
    assert all(len(line) <= 80 for line in [*head.splitlines(), *text.splitlines()])
    named = {field.lower() for field in re.findall(r"@HEALTHD_(\w+?)@", head + text)}
    assert named <= FIELDS.get(name, set())
    assert not re.search(r"@(?!HEALTHD_\w+@)[A-Z_]+@", head + text)


def test_journalctl_takes_the_catalog(installed):
    listed = subprocess.run(
        ["journalctl", f"--root={installed}", "--dump-catalog"], capture_output=True, text=True, timeout=60, check=True
    )
    assert listed.stderr == ""
    known = dict(re.findall(r"^-- ([0-9a-f]{32})\n((?:(?!^-- ).*\n?)+)", listed.stdout, re.MULTILINE))
    assert {name: text.strip() for name, text in known.items()} == {
        name: text.strip() for name, text in entries().items()
    }


@pytest.fixture(scope="module")
def journald():
    made = Journald()
    try:
        made.start()
        yield made
    finally:
        made.remove()


def explained(journald: Journald, root, *matches: str) -> str:
    """Return what `journalctl -x` shows; the place of its database is fixed, so it is another one for it alone."""
    script = (
        f"mount --bind {root}/var/lib/systemd /var/lib/systemd && "
        f'exec journalctl -x --quiet --no-pager --directory={journald.directory}/log/journal "$@"'
    )
    shown = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *matches],
        capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    return shown.stdout


def published(journald: Journald, monkeypatch, name: str, data: dict, seq: int) -> None:
    there = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
    with contextlib.closing(Journal(path=journald.path)) as journal:
        journal.publish(Cycle(NOTHING, NOTHING, (Event(NOW, name, data, "boot", seq),)))
    eventually(lambda: journald.entries(f"HEALTHD_SEQ={seq}"))


def test_journalctl_x_shows_what_a_transition_means_and_what_to_do(journald, installed, monkeypatch):
    published(journald, monkeypatch, protocol.HEALTH_TRANSITION, TRANSITION, 1)
    shown = explained(journald, installed, "HEALTHD_SEQ=1")
    assert "memory_available is warning (was ok): Little memory is left.\n" in shown
    assert "Subject: memory_available went from ok to warning\n" in shown
    assert "What to do:   See who uses the memory; stop or limit it.\n" in shown
    assert "healthctl why memory_available" in shown
    assert "HEALTHD_" not in shown, "journalctl shows the name of a field that an entry does not have"


def test_journalctl_x_names_the_instance_and_needs_no_value(journald, installed, monkeypatch):
    lost = {**TRANSITION, "condition": "link_lost", "instance": "eth0", "value": None, "threshold": None}
    published(journald, monkeypatch, protocol.HEALTH_TRANSITION, lost, 2)
    shown = explained(journald, installed, "HEALTHD_SEQ=2")
    assert re.search(r"Which one: +eth0\n", shown)
    assert "HEALTHD_" not in shown


def test_journalctl_x_shows_why_something_is_unavailable(journald, installed, monkeypatch):
    failed = {
        "family": "sensor",
        "instance": "nvme",
        "problem": "permission",
        "reason": "it may not be read",
        "remedy": "Add healthd to the group.",
    }
    published(journald, monkeypatch, protocol.COLLECTOR_FAILED, failed, 3)
    shown = explained(journald, installed, "HEALTHD_SEQ=3")
    assert "Subject: sensor nvme is unavailable (permission)\n" in shown
    assert "What to do:   Add healthd to the group.\n" in shown
    assert "HEALTHD_" not in shown
