import pytest

from healthctl.errors import UnknownCondition
from healthctl.naming import is_of, meant

KNOWN = ["filesystem_space@/", "filesystem_space@/srv", "filesystem_inodes@/", "swap"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("swap", ["swap"]), ("filesystem_space@/", ["filesystem_space@/"]), ("filesystem_space", KNOWN[:2])],
)
def test_a_name_is_that_of_a_condition_or_of_a_rule(name, expected):
    assert meant(name, KNOWN) == expected


@pytest.mark.parametrize("name", ["filesystem", "filesystem_space@", "swap@", "", "/srv"])
def test_what_is_neither_is_unknown(name):
    with pytest.raises(UnknownCondition, match="see: healthctl conditions --all"):
        meant(name, KNOWN)


def test_a_misspelt_name_brings_the_one_that_was_meant():
    with pytest.raises(UnknownCondition) as caught:
        meant("filesystem_spce@/", KNOWN)
    assert str(caught.value).startswith("there is no condition 'filesystem_spce@/'; did you mean filesystem_space@/")
    assert caught.value.exit_code == 64


def test_a_condition_is_of_its_rule_and_of_no_other():
    assert is_of("swap", "swap")
    assert is_of("link_lost@eth0", "link_lost")
    assert not is_of("link_lost@eth0", "link")
    assert not is_of("link_lost", "link_lost@eth0")
