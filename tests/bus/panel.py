"""A client that watches, from the standard library alone."""

from typing import Any, NamedTuple

from raw import CALL, RETURN, SIGNAL, Client, Message, message

PROPERTIES = "org.freedesktop.DBus.Properties"
MANAGER = "org.healthd.Health1.Manager"


class Sample(NamedTuple):
    """What a watch is told."""

    watch: int
    boot_usec: int
    time_usec: int
    values: dict[str, Any]


class Panel(Client):
    """Keeps what comes besides answers, and answers a Ping in its turn."""

    pings = 0

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self.kept: list[Message] = []
        super().__init__(*arguments, **more)

    def receive(self) -> Message:
        received = super().receive()
        if received.kind == SIGNAL:
            self.kept.append(received)
        elif received.kind == CALL:
            assert received.fields["member"] == "Ping"
            self.pings += 1
            self._serial += 1
            answer = {"reply_serial": received.serial, "destination": received.fields["sender"]}
            self.send(message(RETURN, self._serial, **answer))
        return received

    def watch(self, *metrics: str, usec: int | None = None) -> Message:
        return self.call("Watch", "asa{sv}", list(metrics), {} if usec is None else {"interval_usec": ("t", usec)})

    def watched(self, *metrics: str, usec: int | None = None) -> int:
        """Watch, and return the number."""
        answer = self.watch(*metrics, usec=usec)
        assert not answer.error, answer
        return answer.body[0]

    def told(self, member: str = "Sample") -> Message:
        """Wait for the next signal of a name; those before it are dropped."""
        while True:
            while self.kept:
                signal = self.kept.pop(0)
                if signal.fields["member"] == member and signal.fields["interface"] == MANAGER:
                    return signal
            self.receive()

    def sample(self) -> Sample:
        return Sample(*self.told().body)

    def property(self, name: str, where: str = MANAGER, path: str = "/org/healthd/Health1") -> Any:
        answer = self.call("Get", "ss", where, name, interface=PROPERTIES, path=path)
        assert not answer.error, answer
        return answer.body[0]
