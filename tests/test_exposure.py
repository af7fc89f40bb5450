"""What the unit leaves open is what the README says, with the reason of each."""

import json
import os
import re
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UNITS = os.path.join(ROOT, "data", "systemd")
with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as _readme:
    SECURITY = re.search(r"^## Security\n(.*?)^## ", _readme.read(), re.MULTILINE | re.DOTALL)[1]
# Of what systemd looks at, and how it counts, each of its releases has more.
RELEASE = "252"


@pytest.fixture
def security(tmp_path):
    """Give a function that has systemd judge the unit with drop-ins, and returns what it prints."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed (apt install systemd)")
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    if version.split()[1] != RELEASE:
        pytest.skip(f"this is no systemd {RELEASE}")

    def judged(*options, drop_ins=()):
        text = ""
        for path in ("healthd.service", *(f"drop-ins/{name}" for name in drop_ins)):
            with open(os.path.join(UNITS, path), encoding="utf-8") as file:
                text += file.read()
        (tmp_path / "healthd.service").write_text(text)
        command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", *options]
        return subprocess.run(
            [*command, str(tmp_path / "healthd.service")], capture_output=True, text=True, check=True
        ).stdout

    return judged


def test_every_exposure_is_in_the_table_with_its_points_and_its_reason(security):
    rows = re.findall(r"^\| `([\w=/~:-]+)` \| ([0-9.]+) \| (.+) \|$", SECURITY, re.MULTILINE)
    assert all(reason.endswith(".") for _, _, reason in rows)
    told = {(name.partition("=")[0], points) for name, points, _ in rows}
    found = [each for each in json.loads(security("--json=short")) if each["exposure"]]
    assert told == {(each["name"].partition("=")[0], each["exposure"]) for each in found}
    assert len(rows) == len(found)


def test_the_exposure_is_what_is_said_with_each_drop_in_too(security):
    said = re.search(r"gives ([0-9.]+) of 10 \(with (.*?)\)", SECURITY, re.DOTALL)
    of = {"": said[1], **dict(re.findall(r"`([\w-]+\.conf)`\s+([0-9.]+)", said[2]))}
    assert of.keys() == {"", *os.listdir(os.path.join(UNITS, "drop-ins"))}
    for name, level in of.items():
        assert f"for healthd.service: {level} " in security(drop_ins=[name] if name else [])
