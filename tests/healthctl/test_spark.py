from healthctl.render.axis import Window
from healthctl.render.spark import spark
from healthctl.render.style import Style
from healthctl.series import Point

PLAIN, ASCII = Style(), Style(unicode=False)


def drawn(values, columns, style=PLAIN):
    """Draw a value for each 10 s; `None` is a gap."""
    points = [Point(index * 10.0, value, value, value) for index, value in enumerate(values) if value is not None]
    return spark(points, Window(0.0, len(values) * 10.0, len(values) * 10.0), columns, style)


def test_the_least_is_the_lowest_step_and_the_greatest_the_highest():
    assert drawn([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert drawn([0, 1, 2, 3, 4, 5, 6, 7], 8, ASCII) == "_.-:=+*#"
    assert drawn([90.0, 91.0, 90.5], 3) == "▁█▅"


def test_where_nothing_is_known_nothing_is_drawn():
    assert drawn([1, 1, 1, None, None, None, None, 2, 2, 2], 10) == "▁▁▁    ███"
    assert drawn([], 4) == "    "


def test_values_that_are_all_the_same_are_a_line():
    assert drawn([5, 5, 5], 6) == "▁▁▁▁▁▁"


def test_what_falls_into_one_column_is_its_mean():
    assert drawn([0, 0, 0, 8, 8, 8, 16, 16], 4) == "▁▃▅█"
