"""polkit for tests: the real one with rules of its own, and one that answers as a test wants."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from played import Answer, Played, policy
from private_bus import HERE, Bus, eventually
from raw import Client, Message

NAME = "org.freedesktop.PolicyKit1"
ACTIONS = os.path.join(os.path.dirname(HERE), "data", "dbus", "org.healthd.health1.policy")
POLICY = policy(NAME)

_POLKITD = next(filter(os.path.exists, ("/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd")), "")
# In a mount namespace of its own: its directories can't be named otherwise.
_BEGIN = """
mount --bind {0}/actions /usr/share/polkit-1/actions &&
mount --bind {0}/rules.d /etc/polkit-1/rules.d &&
mount --bind {0}/empty /usr/share/polkit-1/rules.d &&
exec {1} --no-debug
"""

YES, NO, CHALLENGE = (True, False), (False, False), (False, True)


class Authority(Played):
    """Stands in for polkit: notes what it is asked, and gives one answer, or none."""

    def __init__(self, bus: str, answer: tuple[bool, bool] | str | None = None) -> None:
        self.asked: list[list[Any]] = []
        self.cancelled: list[str] = []
        self._verdict = ("(bba{ss})", (*answer, {"a": "b"})) if isinstance(answer, tuple) else answer
        super().__init__(bus, NAME, self._judge)

    def _judge(self, call: Message) -> Answer:
        if call.fields["member"] == "CancelCheckAuthorization":
            self.cancelled.append(call.body[0])
            return None
        assert call.fields["member"] == "CheckAuthorization"
        self.asked.append(call.body)
        return self._verdict


@contextlib.contextmanager
def real(bus: Bus, rules: str) -> Iterator[None]:
    """Run the real polkit on a bus with rules in its own language, and the shipped action."""
    if os.geteuid() or not _POLKITD or not shutil.which("unshare"):
        pytest.skip("polkit can be run by root alone, where it is installed (apt install polkitd)")
    place = f"{bus.directory}/polkit"
    for part in ("actions", "rules.d", "empty"):
        os.makedirs(f"{place}/{part}")
    shutil.copy(ACTIONS, f"{place}/actions")
    with open(f"{place}/rules.d/50-test.rules", "w") as file:
        file.write(rules)
    begin = ["unshare", "--mount", "sh", "-c", _BEGIN.format(place, _POLKITD)]
    process = subprocess.Popen(begin, env=os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": bus.address}, stderr=subprocess.PIPE)

    def there() -> bool:
        if process.poll() is not None:
            pytest.skip(f"polkit does not run here: {process.communicate()[1].decode(errors='replace').strip()}")
        return not client.driver("GetNameOwner", "s", NAME).error

    try:
        with Client(bus.address) as client:
            eventually(there)
        yield
    finally:
        process.kill()
        process.communicate()
