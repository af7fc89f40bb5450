import pytest

from healthctl.render.rule import bounds, looks_at

RULE = {"metric": "cpu.steal", "per": "", "operator": "", "window": 0.0, "clear_after": 300.0}


@pytest.mark.parametrize(
    ("rule", "instance", "words"),
    [({}, "", "cpu.steal"), ({"metric": "filesystem.percent"}, "/home", "filesystem.percent of /home"),
     ({"metric": "cpu.user + cpu.system", "operator": "mean", "window": 600.0}, "",
      "mean of cpu.user + cpu.system over 10 min"),
     ({"metric": "memory.oom_kills", "operator": "increase", "window": 1800.0}, "",
      "growth of memory.oom_kills within 30 min"),
     ({"metric": "network.carrier", "operator": "changes", "window": 600.0}, "eth0",
      "how often network.carrier of eth0 changed within 10 min"),
     ({"metric": "network.carrier", "operator": "lost"}, "eth0",
      "whether network.carrier of eth0 became false while healthd watched"),
     ({"metric": "filesystem.available_bytes", "operator": "seconds_to_limit", "window": 21600.0}, "/",
      "time until nothing is left of filesystem.available_bytes of /, as it went in 6 h"),
     ({"metric": "a.b + a.c", "per": "a.d + a.e"}, "", "(a.b + a.c) / (a.d + a.e)"),
     ({"metric": "a.b", "per": "a.c", "operator": "share", "window": 600.0}, "x",
      "a.b / a.c of x, of what came within 10 min"),
     ({"metric": "load.load5", "per": "cpu.online"}, "", "load.load5 / cpu.online"),
     ({"operator": "median", "window": 60.0}, "", "median of cpu.steal over 1 min"),
     ({"metric": "a.{b}", "operator": "mean", "window": 5.0}, "{}", "mean of a.{b} of {} over 5 s")],
)  # fmt: skip
def test_what_a_rule_looks_at(rule, instance, words):
    assert looks_at(RULE | rule, instance) == words


@pytest.mark.parametrize(
    ("level", "rule", "words"),
    [({"enter": "> 10%", "clear": "< 5%", "hold": 1200.0}, {}, "> 10% for 20 min; over after 5 min of < 5%"),
     ({"enter": "> 10%", "clear": "< 5%", "hold": 0.0}, {"clear_after": 0.0}, "> 10%; over when < 5%"),
     ({"enter": ">= 6", "clear": "", "hold": 0.0}, {}, ">= 6; over 5 min after that ended"),
     ({"enter": "== true"}, {"clear_after": None}, "== true; over when that ends")],
)  # fmt: skip
def test_from_when_on_and_until_when(level, rule, words):
    assert bounds(level, RULE | rule) == words
