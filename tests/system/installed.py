"""healthd on a test machine: how it gets there, and what the tests ask of it."""

import json
import os
from typing import Any

from machine import Done, Machine
from private_bus import eventually

NAME, ROOT, MANAGER = "org.healthd.Health1", "/org/healthd/Health1", "org.healthd.Health1.Manager"
MANAGE = "org.healthd.health1.manage"
UNIT = "/etc/systemd/system/healthd.service.d"
CONFIG = "/etc/healthd/conf.d"

# A machine with a temperature that the tests set, and a rule on it that judges at once; and whose board they name.
PLACE = "devices/platform/oven/hwmon/hwmon0"
BOARD = "firmware/devicetree/base"
RULE = """
[rules.oven]
summary = "The oven is hot."
why = "It is there to be hot on demand."
remedy = "Open its door."
metric = "sensor.celsius"
where = { driver = "oven" }
who = "memory"
warning = { enter = "> 60", clear = "< 50", hold = "0s" }
"""
USERS = 'u ana - "may" -\nu bob - "may not" -\n'


def install(machine: Machine) -> None:
    """Have this checkout installed, as on any distribution."""
    machine.do("/usr/bin/python3", "/run/checkout/.make/install", "install", "/usr")


def oven(directory: str) -> None:
    """Make a tree for /sys that has a temperature of its own, and a board without a name."""
    for path in (PLACE, BOARD, "class/hwmon"):
        os.makedirs(f"{directory}/{path}")
    with open(f"{directory}/{BOARD}/model", "w"):
        pass
    os.chmod(directory, 0o755)  # becomes that of /sys
    os.symlink(f"../../{PLACE}", f"{directory}/class/hwmon/hwmon0")
    os.symlink("../../../oven", f"{directory}/{PLACE}/device")
    for name, text in {"name": "oven", "temp1_label": "door", "temp1_input": "21000"}.items():
        with open(f"{directory}/{PLACE}/{name}", "w") as file:
            file.write(f"{text}\n")


class Service:
    """healthd as a service of a machine."""

    def __init__(self, machine: Machine, over_sys: str) -> None:
        self.machine = machine
        self._over_sys = over_sys
        self._changed = True

    def systemctl(self, verb: str, *arguments: str, seconds: float = 30) -> Done:
        """Have systemd do something with healthd."""
        return self.machine.run("systemctl", "--no-pager", verb, "healthd.service", *arguments, seconds=seconds)

    def shown(self, name: str) -> str:
        """Return what systemd knows of healthd."""
        return self.systemctl("show", f"--property={name}", "--value").printed

    @property
    def pid(self) -> int:
        """The main process, as it is known inside; 0 where there is none."""
        return int(self.shown("MainPID"))

    def resident(self) -> int:
        """Return how much memory the main process has, KiB."""
        status = self.machine.do("cat", f"/proc/{self.pid}/status")
        return int(status.partition("VmRSS:")[2].split()[0])

    def running(self) -> bool:
        """Tell whether healthd is there, and ready."""
        return self.shown("ActiveState") == "active"

    def fresh(self) -> None:
        """Start it without what tests have changed, unless it runs so already."""
        if self._changed or not self.running():
            self.machine.remove(UNIT)
            self.machine.remove(CONFIG)
            self.configure("fast", f"interval = 0.5\n{RULE}")
            self.restart()
            self._changed = False

    def restart(self) -> None:
        """Start it anew, with units as they are now."""
        self.machine.do("systemctl", "daemon-reload")
        self.machine.do("systemctl", "reset-failed")
        done = self.systemctl("restart")
        assert done.returncode == 0, done.stderr + self.log()

    def change(self, name: str, text: str) -> None:
        """Lay a drop-in over the unit; in force from the next start."""
        self._changed = True
        self.machine.write(f"{UNIT}/{name}.conf", text)

    def configure(self, name: str, text: str) -> None:
        """Lay a file over the configuration; in force from the next start or reload."""
        self._changed = True
        self.machine.write(f"{CONFIG}/{name}.toml", text)

    def log(self) -> str:
        """Return what healthd, and systemd about it, said lately."""
        return self.machine.run("journalctl", "--no-pager", "--lines=60", "--unit=healthd").stdout

    def entries(self, *matches: str) -> list[dict[str, Any]]:
        """Return entries of the journal, with all their fields."""
        lines = self.machine.run("journalctl", "--output=json", "--all", "SYSLOG_IDENTIFIER=healthd", *matches)
        return [json.loads(line) for line in lines.printed.splitlines()]

    def call(self, method: str, *arguments: str, user: str = "") -> Done:
        """Call a method of the manager on the bus."""
        return self.machine.run("busctl", "call", NAME, ROOT, MANAGER, method, *arguments, user=user)

    def manager(self, name: str) -> Any:
        """Return a property of the manager."""
        done = self.machine.run("busctl", "--json=short", "get-property", NAME, ROOT, MANAGER, name)
        return json.loads(done.printed)["data"]

    def described(self) -> dict[str, Any]:
        """Return the whole snapshot; the exit code, which tells the verdict, does not matter."""
        done = self.machine.run("healthctl", "--json", "status")
        assert done.stdout, done.stderr + self.log()
        return json.loads(done.stdout)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what happened of one kind, the data alone."""
        told = self.machine.run(
            "busctl", "--json=short", "call", NAME, ROOT, MANAGER, "GetEvents", "ttasu", "0", "0", "1", name, "1000"
        )
        return [json.loads(line)["data"] for line in json.loads(told.printed)["data"][0]]

    def heat(self, celsius: int) -> None:
        """Set the temperature of the machine's oven."""
        self._set(f"{PLACE}/temp1_input", f"{celsius * 1000}\n")

    def name_board(self, model: str) -> None:
        """Have the machine be one of a kind."""
        self._changed = True
        self._set(f"{BOARD}/model", model)

    def _set(self, path: str, text: str) -> None:
        with open(f"{self._over_sys}/{path}", "r+") as file:
            file.write(text)
            file.truncate()

    def goes_on(self) -> None:
        """Wait until there is another sample."""
        before = self.described()["seq"]
        eventually(lambda: self.described()["seq"] > before)
