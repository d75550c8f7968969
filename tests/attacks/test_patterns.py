"""Patterns that never come to an end: those that people write, and our own on text from outside.

Conditions and mappings of people are matched by RE2, which is linear: tests/alerts/test_matching.py. Our own are
Python's, which tries every way there is. Nothing here measures time: one that explodes does not come back at all.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest

import accounts

ROOT = Path(accounts.__file__).resolve().parent.parent
APPS = (
    *("accounts", "alerts", "catalog", "config", "core", "incidents", "notifications", "oncall"),
    *("statuspages", "postmortems", "automation"),
)
PARSER = re._parser if hasattr(re, "_parser") else importlib.import_module("sre_parse")
REPEATS = {PARSER.MAX_REPEAT, PARSER.MIN_REPEAT}
MANY = 30  # a repeat that is bounded lower than this explodes nowhere


def sources():
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, ast.parse(path.read_text())


def patterns():
    """`(place, pattern)` of every pattern of Python's `re` that stands in our code as text."""
    for path, tree in sources():
        for node in ast.walk(tree):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
            if is_call and getattr(node.func.value, "id", "") == "re" and isinstance(node.args[0], ast.Constant):
                text = node.args[0].value
                yield (
                    f"{path.relative_to(ROOT)}:{node.lineno}",
                    text.decode("latin-1") if isinstance(text, bytes) else text,
                )


def loops(tree):
    """The repeats without a low bound in a parsed pattern, each with what is repeated."""
    for operator, argument in tree:
        if operator in REPEATS:
            least, most, inside = argument
            if most is PARSER.MAXREPEAT or most > MANY:
                yield inside
            yield from loops(inside)
        elif operator is PARSER.SUBPATTERN:
            yield from loops(argument[-1])
        elif operator is PARSER.BRANCH:
            for branch in argument[1]:
                yield from loops(branch)
        elif operator in (PARSER.ASSERT, PARSER.ASSERT_NOT):
            yield from loops(argument[1])


def can_explode(pattern):
    """Whether a loop has another loop in it that could take the same text: (a+)+, (a*)*, (a|a)+.

    A loop whose rounds begin or end with a sign that the inner loop cannot take has one way only to read a text.
    """
    for inside in loops(PARSER.parse(pattern)):
        inner = list(loops(inside))
        if inner and not _is_fenced(inside):
            return True
    return False


def _is_fenced(inside):
    """Whether each round begins with a literal of its own, which the loop inside does not take."""
    items = list(inside)
    while len(items) == 1 and items[0][0] is PARSER.SUBPATTERN:
        items = list(items[0][1][-1])
    fences = [argument for operator, argument in items if operator is PARSER.LITERAL]
    if not fences:
        return False
    for operator, argument in items:
        if operator in REPEATS:
            for kind, value in argument[2]:
                if kind is PARSER.ANY or (kind is PARSER.LITERAL and value in fences):
                    return False
                if kind is PARSER.IN and any(_takes(value, fence) for fence in fences):
                    return all(not _takes(value, fence) for fence in fences)
    return True


def _takes(members, sign):
    pattern = "".join(["["] + ["^" if kind is PARSER.NEGATE else "" for kind, _ in members])
    for kind, value in members:
        if kind is PARSER.LITERAL:
            pattern += re.escape(chr(value))
        elif kind is PARSER.RANGE:
            pattern += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        elif kind is PARSER.CATEGORY:
            pattern += {"CATEGORY_DIGIT": r"\d", "CATEGORY_SPACE": r"\s", "CATEGORY_WORD": r"\w"}.get(
                str(value), r"\W\w"
            )
    return bool(re.match(pattern + "]", chr(sign)))


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a*)*b", r"(\w+\s*)+:", r"(?:x+y?)+z", r"([a-z]+)*\d"])
def test_the_judge_of_these_tests_knows_what_explodes(pattern):
    assert can_explode(pattern)


@pytest.mark.parametrize("pattern", [r"a+b", r"(?:,[^,]+)*", r"(\[[^\]]*\])+", r"\d{1,3}(\.\d{1,3}){3}"])
def test_and_what_does_not(pattern):
    assert not can_explode(pattern)


def test_no_pattern_of_ours_can_explode():
    assert {place: pattern for place, pattern in patterns() if can_explode(pattern)} == {}


HOSTILE = [
    "a" * 3000,
    " " * 3000,
    "[" * 3000,
    "[]" * 1500,
    "a@" * 1500,
    "1." * 1500,
    "-" * 3000,
    "/" * 3000,
    "\\" * 3000,
]
HOSTILE += [
    "a=" * 1500,
    '"' * 3000,
    "re: " * 750,
    "\n" * 3000,
    "a-" * 1500 + "!",
    "://" * 1000,
    "{$A}" * 750,
    ":" * 3000,
]


def test_every_pattern_of_ours_comes_to_an_end_on_hostile_text():
    tried = 0
    for _, pattern in patterns():
        compiled = re.compile(pattern)
        for text in HOSTILE:
            compiled.search(text + "\0")
            compiled.fullmatch(text + "\0")
            tried += 1
    assert tried > 1000


def test_patterns_of_people_are_never_matched_by_python():
    """`re.compile(something)` with no text of ours: the places are known, and what they join is escaped."""
    allowed = {
        "accounts/visibility.py",  # names, each through re.escape
        "accounts/privacy.py",  # the same
        "oncall/admin/windows.py",  # the name of a field of ours
        "core/redacting.py",  # a list of ours
        "accounts/sessions.py",  # a list of ours
        "alerts/views/events.py",  # a number
        "alerts/sources/email.py",  # the name of the site, escaped
        "incidents/replies/grammar.py",  # words of ours
        "incidents/reasons.py",  # a person's name, escaped
        "core/markdown.py",  # schemes of ours
        "postmortems/items.py",  # the key of an issue, a pattern of ours
        "postmortems/searching.py",  # words that were typed, escaped
        "incidents/searching.py",  # words of ours, a word that was typed, escaped, and a number
    }
    found = set()
    for path, tree in sources():
        for node in ast.walk(tree):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
            if not is_call or getattr(node.func.value, "id", "") != "re" or node.func.attr == "escape":
                continue
            pattern = node.args[0]
            is_ours = isinstance(pattern, ast.Constant) or (isinstance(pattern, ast.Name) and pattern.id.isupper())
            if not is_ours:
                found.add(str(path.relative_to(ROOT)))
    assert found <= allowed, found - allowed
