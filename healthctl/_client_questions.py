"""Calls behind `client.py` that nobody waits for, and their answers."""

from typing import Any

from jeepney import HeaderFields, MatchRule

from healthctl._client_connection import Connection


class Questions:
    """What was asked on a connection, until its answer is taken."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._awaited: set[int] = set()
        self._answers: dict[int, Any] = {}
        # They come here also while something else is called, and waited for.
        for kind in ("method_return", "error"):
            connection.filter(MatchRule(type=kind), queue=self)

    @property
    def has_answers(self) -> bool:
        """Whether an answer has come that nobody has taken."""
        return bool(self._answers)

    def append(self, message: Any) -> None:
        """Keep what came, where it is an answer that is awaited."""
        serial = message.header.fields.get(HeaderFields.reply_serial)
        if serial in self._awaited:
            self._awaited.discard(serial)
            self._answers[serial] = message

    def put(self, call: Any) -> int:
        """Send a call, and return the number of the question."""
        serial = int(next(self._connection.outgoing_serial))
        self._awaited.add(serial)
        self._connection.send(call, serial=serial)
        return serial

    def forget(self, number: int) -> None:
        """Keep no answer to a question, whenever it comes."""
        self._awaited.discard(number)
        self._answers.pop(number, None)

    def take(self, number: int) -> Any | None:
        """Return the answer to a question, once; `None` while there is none."""
        try:
            while number not in self._answers:
                self._connection.recv_messages(timeout=0)
        except TimeoutError:
            return None
        return self._answers.pop(number)
