"""What a collector gives wrongly stays with its family."""

import asyncio
import math

import pytest

from healthd import protocol
from healthd.clock import Instant
from healthd.errors import Unobserved
from healthd.model import SINGLE, Reading, Unit, family, gauge, state
from healthd.observe import Runner, roots
from healthd.observe._checks import check
from healthd.observe.load import Load, LoadCollector


@family("odd")
class Odd(Reading):
    """What a test gives."""

    level: float | None = gauge(Unit.PERCENT, "A share.")
    name: str | None = state("A text.")
    flag: bool | None = state("A flag.")
    count: int | None = state("A count.", Unit.COUNT)
    cores: tuple[float, ...] | None = gauge(Unit.PERCENT, "Shares.", live=True)


@family("odds", instances="thing")
class Odds(Reading):
    """What a test gives, several times."""

    level: float | None = gauge(Unit.PERCENT, "A share.")


def odd(**values: object) -> Odd:
    return Odd(**dict.fromkeys(("level", "name", "flag", "count", "cores")) | values)


class Plain:
    """A collector that gives what a test says."""

    def __init__(self, reading, given):
        self.reading, self.given = reading, given

    def __call__(self, _):
        return self

    def collect(self, _):
        return self.given


class Several(Plain):
    """The same, instance by instance."""

    collect = None

    def probes(self, _):
        return {instance: lambda made=reading: made for instance, reading in self.given.items()}


def observe(*collectors):
    async def run():
        runner = Runner([*collectors, LoadCollector], roots(), 5.0)
        return await runner.observe(Instant(1.0, 1.0, 0.0), first=True)

    return {found.family.name: found for found in asyncio.run(run())}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "there is only one of it"),
        ({"a": odd()}, "there is only one of it"),
        ({SINGLE: odd(), "a": odd()}, "there is only one of it"),
        ({SINGLE: None}, "gave a NoneType for a Odd"),
        ({SINGLE: Load(load1=1.0, load5=1.0, load15=1.0)}, "gave a Load for a Odd"),
        ({SINGLE: odd(level="high")}, "gave str 'high' for level"),
        ({SINGLE: odd(level=True)}, "gave bool True for level"),
        ({SINGLE: odd(name=7)}, "gave int 7 for name"),
        ({SINGLE: odd(flag=1)}, "gave int 1 for flag"),
        ({SINGLE: odd(count=1.5)}, "gave float 1.5 for count"),
        ({SINGLE: odd(cores=[1.0])}, "gave list [1.0] for cores"),
    ],
)
def test_a_wrong_value_makes_its_family_unavailable_and_no_other(given, said):
    found = observe(Plain(Odd, given))
    assert found["odd"].problem.code == protocol.FAILED
    assert said in found["odd"].problem.reason
    assert not found["odd"].readings
    assert found["odd"].failures == 1
    assert found["load"].readings


@pytest.mark.parametrize("instance", [SINGLE, 3, None])
def test_a_wrong_name_of_an_instance_makes_its_family_unavailable(instance):
    found = observe(Plain(Odds, {instance: Odds(level=1.0)}))
    assert "for the name of an instance" in found["odds"].problem.reason


def test_what_is_right_passes_and_is_not_looked_at_twice():
    right = {SINGLE: odd(level=1, name="x", flag=True, count=3, cores=(1.0, math.nan))}
    check(Odd.family, right)
    check(Odd.family, right)
    with pytest.raises(Exception, match="for count"):
        check(Odd.family, {SINGLE: odd(level=1, name="x", flag=True, count="3", cores=(1.0,))})


def test_another_object_is_looked_at_whatever_its_instance_had_before():
    right, wrong = Odds(level=1.0), Odds(level="high")
    for _ in range(2):
        check(Odds.family, {"a": right, "b": right})
        with pytest.raises(Unobserved, match="for level"):
            check(Odds.family, {"a": right, "b": wrong})


def test_a_wrong_value_of_one_probe_is_that_instance_alone():
    found = observe(Several(Odds, {"good": Odds(level=1.0), "bad": Odds(level="high")}))["odds"]
    assert set(found.readings) == {"good"}
    assert "gave str 'high' for level" in found.problems["bad"].reason


def test_a_collector_that_can_not_be_made_is_unavailable():
    class Unmade(Plain):
        def __call__(self, _):
            raise RuntimeError("no such bus")

    found = observe(Unmade(Odd, {}))
    assert "RuntimeError('no such bus')" in found["odd"].problem.reason
    assert found["load"].readings


@pytest.mark.parametrize("name", ["", "Tide", "tide height", "tide-height", "1tide", "_tide", "reading", "manager"])
def test_a_name_that_can_be_no_family_is_refused(name):
    with pytest.raises(TypeError, match="can't be the name of a family"):
        family(name)(Odd)


def test_a_family_of_two_words_is_one_word_on_the_bus():
    @family("raid_array")
    class RaidArray(Reading):
        """A name of two words."""

        level: float | None = gauge(Unit.PERCENT, "A share.")

    assert RaidArray.interface == "org.healthd.Health1.RaidArray"
