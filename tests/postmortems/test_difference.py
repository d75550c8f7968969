"""What is different between two texts, in parts that give both texts back."""

import random
import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from postmortems.difference import DELETE, EQUAL, INSERT, difference

LINES = st.lists(st.sampled_from(["The mail waited.", "The mail came.", "", "a b a b", "x", "- one", "ß ☃\u2028z"]))
TEXTS = st.one_of(st.text(max_size=200), LINES.map("\n".join), st.text("ab \n", max_size=300))


@given(TEXTS, TEXTS)
@example("", "")
@example("a\r\nb", "a\nb")
@settings(deadline=None)
def test_the_parts_give_both_texts_back(old, new):
    parts = difference(old, new)
    assert "".join(text for op, text in parts if op != INSERT) == old
    assert "".join(text for op, text in parts if op != DELETE) == new
    assert all(text for _, text in parts)
    assert all(op == EQUAL for op, _ in parts) == (old == new)


@given(TEXTS)
def test_nothing_is_different_from_itself(text):
    assert difference(text, text) == ([(EQUAL, text)] if text else [])


def test_one_word_that_changed_is_marked_and_its_line_stands():
    old = "It began.\nThe certificate expired on Monday.\nIt ended.\n"
    assert difference(old, old.replace("Monday", "Tuesday")) == [
        (EQUAL, "It began.\nThe certificate expired on "),
        (DELETE, "Monday"),
        (INSERT, "Tuesday"),
        (EQUAL, ".\nIt ended.\n"),
    ]


def test_a_line_that_has_nothing_in_common_is_marked_as_a_whole():
    assert difference("Nobody knows.\n", "Certificate: expired\n") == [
        (DELETE, "Nobody knows.\n"),
        (INSERT, "Certificate: expired\n"),
    ]


def test_a_new_paragraph_between_two_others_leaves_them_alone():
    assert difference("one two\n\nthree four\n", "one two\n\nnew words here\n\nthree four\n") == [
        (EQUAL, "one two\n\n"),
        (INSERT, "new words here\n\n"),
        (EQUAL, "three four\n"),
    ]


def test_the_longest_texts_take_no_time_however_they_are_made():
    dice = random.Random(7)
    pairs = [
        ("a\n" * 25_000, "b\na\n" * 12_500),
        ("".join(dice.choice("ab\n") for _ in range(50_000)), "".join(dice.choice("ab\n") for _ in range(50_000))),
        (
            " ".join(dice.choice("abcdefgh") for _ in range(25_000)),
            " ".join(dice.choice("hgf") for _ in range(25_000)),
        ),
        ("\n".join(map(str, range(9000))), "\n".join(map(str, range(9000, 0, -1)))),
        ("x" * 50_000, "y" * 50_000),
    ]
    for old, new in pairs:
        started = time.process_time()
        parts = difference(old, new)
        assert time.process_time() - started < 3
        assert "".join(text for op, text in parts if op != DELETE) == new
