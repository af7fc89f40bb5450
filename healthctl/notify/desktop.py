"""Bubbles on the desktop, one for each condition (Desktop Notifications Specification 1.2)."""

import sys
from collections import deque
from collections.abc import Iterator
from html import escape
from time import monotonic
from typing import Any, NamedTuple

from jeepney import DBusAddress, HeaderFields, MatchRule, MessageType, message_bus, new_method_call

from healthctl.client import TIMEOUT, connect, source
from healthctl.errors import Loss, Unavailable, complaint, plain
from healthctl.notify.transitions import Transition
from healthd import protocol

_NAME = "org.freedesktop.Notifications"
_PATH = "/org/freedesktop/Notifications"
_BUS = "org.freedesktop.DBus"

_LOW, _NORMAL, _CRITICAL = range(3)
_URGENCIES = {protocol.OK: _LOW, protocol.NOTICE: _LOW, protocol.CRITICAL: _CRITICAL}
"""By severity; whatever else is normal."""
_ICONS = {_LOW: "dialog-information", _NORMAL: "dialog-warning", _CRITICAL: "dialog-error"}
_SERVERS_CHOICE, _NEVER = -1, 0
"""When a bubble goes by itself."""
_PATIENCE = 30.0
"""Between two attempts to have a server started, seconds: one that fails may take as long as any answer."""
_GONE = (_BUS + ".Error.ServiceUnknown", _BUS + ".Error.NameHasNoOwner", _BUS + ".Error.NoReply")


class _Refused(Exception):
    """The server has not done what it was asked for; `is_gone`: because it is none any more."""

    def __init__(self, reason: str, *, is_gone: bool) -> None:
        super().__init__(reason)
        self.is_gone = is_gone


class _Bubble(NamedTuple):
    """What is to be seen of a condition."""

    number: int
    """As the server knows it; 0 as long as it does not."""
    transition: Transition


class Desktop:
    """The session's notification server, over its ends and beginnings.

    Every method raises Unavailable where the session's bus can't be had any more.
    """

    wait = None

    def __init__(self, *, names_host: bool) -> None:
        self._names_host = names_host
        self._signals: deque[Any] = deque()
        self._owner = ""
        """Who the server is, by its unique name: numbers of bubbles are nothing to another one."""
        self._has_markup = False
        self._bubbles: dict[str, _Bubble] = {}
        """By condition; none that somebody has closed."""
        self._loss = Loss()
        self._due = 0.0
        """When the bus is asked again to start one."""
        try:
            self._connection = connect("session", TIMEOUT)
        except Unavailable as error:
            reason = str(error).partition(";")[0]
            raise Unavailable(f"{reason}; without a desktop: healthctl notify --exec CMD") from error
        try:
            self._subscribe()
        except OSError as error:
            raise self._lost(error) from error
        self._greet()

    def close(self) -> None:
        """End the connection; bubbles stay."""
        self._connection.close()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something happened."""
        return int(self._connection.sock.fileno())

    def _subscribe(self) -> None:
        changed = MatchRule(type="signal", sender=_BUS, interface=_BUS, member="NameOwnerChanged")
        changed.add_arg_condition(0, _NAME)
        closed = MatchRule(type="signal", sender=_NAME, interface=_NAME, member="NotificationClosed")
        self._connection.filter(MatchRule(type="signal"), queue=self._signals)
        for rule in (changed, closed):
            self._connection.send_and_get_reply(message_bus.AddMatch(rule))

    def tell(self, transition: Transition) -> None:
        """Show a transition in place of what was shown of its condition; without a server, once there is one."""
        self.advance()
        known = self._bubbles.get(transition.condition)
        self._bubbles[transition.condition] = _Bubble(known.number if known else 0, transition)
        self._show(transition.condition)

    def advance(self) -> None:
        """Take in what the bus has told: a server that came or went, bubbles that were closed."""
        for message in self._come():
            match source(message), message.body:
                case (sender, _, "NameOwnerChanged", "sss"), (name, old, new) if (sender, name) == (_BUS, _NAME):
                    self._changed(old, new)
                case (sender, _, "NotificationClosed", "uu"), (number, _) if sender == self._owner:
                    kept = self._bubbles.items()
                    self._bubbles = {name: bubble for name, bubble in kept if bubble.number != number}

    def _come(self) -> Iterator[Any]:
        while True:
            while self._signals:
                yield self._signals.popleft()
            try:
                self._connection.recv_messages(timeout=0)
            except TimeoutError:
                return
            except OSError as error:
                raise self._lost(error) from error

    def _changed(self, old: str, new: str) -> None:
        if old == self._owner:
            self._forget()
        # One that we have had started has been greeted already.
        if new and new != self._owner and self._greet():
            for name in list(self._bubbles):
                self._show(name)

    def _forget(self) -> None:
        """Take in that the server is gone, and all bubbles with it."""
        self._owner = ""
        kept = self._bubbles.items()
        self._bubbles = {name: bubble._replace(number=0) for name, bubble in kept if not bubble.transition.is_over}

    def _greet(self) -> bool:
        """Tell whether there is a server; the bus may have started one for it. Else it is waited for."""
        try:
            answer = self._call(_NAME, "GetCapabilities")
        except _Refused as refused:
            self._miss(refused)
            return False
        self._owner = str(answer.header.fields.get(HeaderFields.sender, ""))
        self._has_markup = "body-markup" in answer.body[0]
        self._loss.over()
        return True

    def _miss(self, refused: _Refused) -> None:
        """Say once that there is no server, and what to do."""
        self._due = monotonic() + _PATIENCE
        reason = "there is none on the session bus" if refused.is_gone else str(refused)
        hint = "start a desktop or one like dunst, or use --exec CMD; waiting for it"
        self._loss.say(f"no notification server ({_NAME}): {reason}; {hint}")

    def _show(self, name: str) -> None:
        number, transition = self._bubbles[name]
        if self._owner or (monotonic() >= self._due and self._greet()):
            try:
                (number,) = self._call(self._owner, "Notify", "susssasa{sv}i", self._notice(transition, number)).body
                self._bubbles[name] = _Bubble(number, transition)
                return
            except _Refused as refused:
                if refused.is_gone:
                    # One that comes and goes at once is asked again later, not for ever.
                    self._forget()
                    self._due = monotonic() + _PATIENCE
                    return
                sys.stderr.write(complaint(f"{transition.words}, but no bubble shows it: {refused}"))
        # That it is over, nobody need hear later.
        if transition.is_over:
            del self._bubbles[name]

    def _notice(self, transition: Transition, number: int) -> tuple[Any, ...]:
        data, urgency = transition.data, _URGENCIES.get(transition.severity, _NORMAL)
        title = f"{data['host']}: {transition.words}" if self._names_host else transition.words
        body = "" if transition.is_over else "\n".join(filter(None, (data["summary"], data["remedy"])))
        body = "\n".join(map(plain, body.split("\n")))
        hints = {"urgency": ("y", urgency), "transient": ("b", transition.is_over)}
        lasts = _NEVER if urgency == _CRITICAL else _SERVERS_CHOICE
        text = escape(body, quote=False) if self._has_markup else body
        return "healthd", number, _ICONS[urgency], plain(title), text, [], hints, lasts

    def _call(self, to: str, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> Any:
        """Return the server's answer; raises _Refused."""
        address = DBusAddress(_PATH, bus_name=to, interface=_NAME)
        try:
            answer = self._connection.send_and_get_reply(
                new_method_call(address, method, signature, body), timeout=TIMEOUT
            )
        except TimeoutError as error:
            raise _Refused(f"it has not answered for {TIMEOUT:g} s", is_gone=False) from error
        except OSError as error:
            raise self._lost(error) from error
        if answer.header.message_type is MessageType.error:
            name = str(answer.header.fields.get(HeaderFields.error_name, ""))
            raise _Refused(" ".join(map(str, answer.body)) or name, is_gone=name in _GONE)
        return answer

    def _lost(self, error: OSError) -> Unavailable:
        return Unavailable(f"the session's bus is gone, and the desktop with it: {error.strerror or error}")
