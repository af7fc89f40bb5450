#!/usr/bin/env python3
"""Let a LED follow the health of the machine: through the kernel's LED class, without a library for GPIO.

    ok        steady             warning   slow blinking
    critical  fast blinking      unknown   two flashes every two seconds (healthd is not there, or does not know)

As a service:

    sudo apt install python3-dbus-next
    sudo install -m 755 health_led.py /usr/local/bin/health-led
    sudo install -m 644 health-led.service /etc/systemd/system/
    sudo systemctl enable --now health-led

By hand: sudo ./health_led.py [/sys/class/leds/ACT]      `ls /sys/class/leds` shows which there are.

When it ends, the LED does again what it did before. It waits for a healthd that is not there, and never starts one.
HEALTHD_BUS chooses the bus: system (which is the default), session, or an address like unix:path=/run/bus.
"""

import asyncio
import contextlib
import itertools
import os
import re
import signal
import sys

from dbus_next import BusType, Message, MessageFlag, MessageType
from dbus_next.aio import MessageBus

NAME = "org.healthd.Health1"
ROOT = "/org/healthd/Health1"
MANAGER = "org.healthd.Health1.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
BUS = "org.freedesktop.DBus"

SIGNALS = (
    f"type='signal',sender='{NAME}',path='{ROOT}',interface='{PROPERTIES}',member='PropertiesChanged'",
    f"type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{NAME}'",
)

BLINKING = {"warning": 1000, "critical": 100}
"""Milliseconds on, and as many off."""
FLASHES = ((1, 0.1), (0, 0.2), (1, 0.1), (0, 1.6))
"""On or off, and for how many seconds: the kernel's timer knows even blinking alone."""


class Led:
    """One LED of the kernel's LED class (kernel: leds/leds-class, sysfs-class-led-trigger-timer)."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        (self._trigger,) = re.findall(r"\[(.+)\]", self._read("trigger"))
        self._brightness = self._read("brightness")
        self._full = self._read("max_brightness")

    def _read(self, name: str) -> str:
        with open(f"{self._directory}/{name}", encoding="ascii") as file:
            return file.read().strip()

    def _write(self, name: str, text: object) -> None:
        with open(f"{self._directory}/{name}", "w", encoding="ascii") as file:
            file.write(str(text))

    def steady(self) -> None:
        """Be on."""
        self._write("trigger", "none")
        self._write("brightness", self._full)

    def blink(self, milliseconds: int) -> None:
        """Be on and off for so long each: the kernel does it, and no process wakes up for it."""
        self._write("trigger", "timer")
        self._write("delay_on", milliseconds)
        self._write("delay_off", milliseconds)

    async def flash(self, until: asyncio.Event) -> None:
        """Flash twice, again and again, until something happens."""
        self._write("trigger", "none")
        for on, seconds in itertools.cycle(FLASHES):
            self._write("brightness", self._full if on else 0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), seconds)
                return

    def restore(self) -> None:
        """Do again what it did before."""
        self._write("trigger", self._trigger)
        if self._trigger == "none":
            self._write("brightness", self._brightness)


async def connect() -> MessageBus:
    """Return a connection to the bus that is wanted."""
    chosen = os.environ.get("HEALTHD_BUS", "system")
    if chosen in ("system", "session"):
        return await MessageBus(bus_type=BusType[chosen.upper()]).connect()
    return await MessageBus(bus_address=chosen).connect()


async def severity(bus: MessageBus) -> str:
    """Return how the machine is; unknown where nobody is there to say it."""
    answer = await bus.call(
        Message(
            destination=NAME,
            path=ROOT,
            interface=PROPERTIES,
            member="Get",
            signature="ss",
            body=[MANAGER, "Health"],
            flags=MessageFlag.NO_AUTOSTART,
        )
    )
    return "unknown" if answer.message_type is MessageType.ERROR else answer.body[0].value


async def follow(bus: MessageBus, led: Led) -> None:
    """Ask after each signal that may mean another verdict: what is asked is always the present one."""
    changed = asyncio.Event()

    def heard(message: Message) -> None:
        if message.message_type is MessageType.SIGNAL:
            changed.set()

    bus.add_message_handler(heard)
    for rule in SIGNALS:
        await bus.call(Message(destination=BUS, path="/", interface=BUS, member="AddMatch", signature="s", body=[rule]))
    shown = ""
    while True:
        changed.clear()
        health = await severity(bus)
        if health != shown:
            print(f"health {health}", flush=True)
            if health == "ok":
                led.steady()
            elif health in BLINKING:
                led.blink(BLINKING[health])
        shown = health
        await (led.flash(changed) if health == "unknown" else changed.wait())


async def main(directory: str) -> None:
    """Follow until SIGTERM or Ctrl-C; fail where the bus is gone, so that systemd starts this again."""
    led = Led(directory)
    bus = await connect()
    following = asyncio.create_task(follow(bus, led))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, following.cancel)
    gone = asyncio.create_task(bus.wait_for_disconnect())
    try:
        await asyncio.wait((following, gone), return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            sys.exit(f"health-led: the bus is gone: {gone.exception() or 'it ended'}")
        with contextlib.suppress(asyncio.CancelledError):
            following.result()
    finally:
        led.restore()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "/sys/class/leds/ACT"))
    except OSError as error:
        sys.exit(f"health-led: {error}")
