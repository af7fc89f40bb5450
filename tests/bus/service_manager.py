"""systemd's manager for tests: it tells of units that failed as a test wants, or hangs, or lies."""

from played import Answer, Played, policy
from raw import Message

NAME = "org.freedesktop.systemd1"
POLICY = policy(NAME)
UNITS = "a(ssssssouso)"


def unit(name: str) -> tuple[str, str, str, str, str, str, str, int, str, str]:
    """Return a row of ListUnitsFiltered."""
    return name, "Something", "loaded", "failed", "failed", "", "/org/freedesktop/systemd1/unit/x", 0, "", "/"


def machine(failed: list[str], state: str = "running") -> dict[str, Answer]:
    """Return the answers of a manager some of whose units failed."""
    return {
        "NFailedUnits": ("v", ("u", len(failed))),
        "SystemState": ("v", ("s", state)),
        "ListUnitsFiltered": (UNITS, [unit(name) for name in failed]),
    }


class Manager(Played):
    """Stands in for systemd: notes what it is asked, and answers by property or method."""

    def __init__(self, bus: str, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        super().__init__(bus, NAME, self._tell)

    def _tell(self, call: Message) -> Answer:
        member = call.fields["member"]
        asked = call.body[1] if member == "Get" else member
        if member == "ListUnitsFiltered":
            assert call.body == [["failed"]]
        else:
            assert call.body[0] == f"{NAME}.Manager"
        self.asked.append(asked)
        return self.answers[asked]
