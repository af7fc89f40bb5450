import pytest
from wcwidth import wcswidth

from healthctl.render.line import cells, cut, cut_start, fit, length, pad, wrap


@pytest.mark.parametrize("text", ["", "plain", "é", "漢字", "e\u0301", "한글", "🙂"])
def test_cells_are_counted_as_a_terminal_does(text):
    assert cells(text) == wcswidth(text)


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [("short", 9, "short"), ("exact", 5, "exact"), ("longer", 4, "lon…"), ("漢字漢字", 6, "漢字…"), ("漢字", 3, "漢…"),
     ("x", 0, "")],
)  # fmt: skip
def test_text_is_cut_at_its_end(text, width, expected):
    assert cut(text, width, "…") == expected


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("/short", 9, "/short"),
        ("/srv/storage", 8, "…storage"),
        ("/漢字/漢字", 6, "…/漢字"),
        ("/a/b", 1, "…"),
        ("/a", 0, ""),
    ],
)
def test_a_path_is_cut_at_its_start(text, width, expected):
    assert cut_start(text, width, "…") == expected


def test_padding_gives_exactly_the_width():
    assert pad("漢", 4, "…") == "漢  "
    assert pad("longer", 4, "…") == "lon…"


@pytest.mark.parametrize("width", range(12))
def test_a_line_of_spans_fits_any_width(width):
    fitted = fit([("ab", "bold"), ("漢字", ""), ("cd", "dim")], width, "…")
    # A wide character may have left a column free.
    assert min(width, 8) - 1 <= length(fitted) <= width


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [("", 9, []), ("one two three", 7, ["one two", "three"]), ("one two", 6, ["one", "two"]),
     ("a  b\n c", 9, ["a b c"]),
     ("unbreakable it is", 5, ["unbreakable", "it is"]), ("漢字 漢字", 8, ["漢字", "漢字"]), ("a b", 0, ["a", "b"])],
)  # fmt: skip
def test_text_is_broken_between_words(text, width, expected):
    assert wrap(text, width) == expected
