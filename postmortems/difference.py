"""What is different between two texts: by lines, and by words within the lines that changed. Pure.

Lines that both texts have once are matched first, as the patience algorithm of Bram Cohen does, since these are what a
reader recognises; what lies between is matched by the shortest way of E. Myers, “An O(ND) Difference Algorithm and
Its Variations” (1986). How many steps it takes is bounded: beyond that a part counts as rewritten as a whole.
"""

import collections
import re

EQUAL, DELETE, INSERT = "equal", "delete", "insert"
STEPS = 300_000  # for the lines, and once more for the words: together well under a second
WORDS = re.compile(r"\w+|\s+|[^\w\s]")
KEPT = 0.3  # words are compared where this share of the shorter part is the same: else it reads as confetti


def difference(old, new):
    """The parts of both texts in order, as `[(op, text)]` with op `equal`, `delete` or `insert`.

    All but the inserted ones are the old text, all but the deleted ones the new one.
    """
    old_lines, new_lines = old.splitlines(keepends=True), new.splitlines(keepends=True)
    words = _Budget(STEPS)
    parts = []
    for is_same, mine, theirs in _runs(old_lines, new_lines, _Budget(STEPS)):
        before, after = "".join(mine), "".join(theirs)
        parts += [(EQUAL, before)] if is_same else _by_words(before, after, words)
    return _joined(parts)


class _Budget:
    """How many steps may still be taken."""

    def __init__(self, steps):
        self.steps = steps

    def take(self, steps):
        """Whether there were enough left."""
        self.steps -= steps
        return self.steps >= 0


def _by_words(before, after, budget):
    if not before or not after:
        return [(DELETE, before), (INSERT, after)]
    runs = _runs(WORDS.findall(before), WORDS.findall(after), budget)
    same = sum(len("".join(mine).strip()) for is_same, mine, _ in runs if is_same)
    if same < KEPT * min(len(before.strip()), len(after.strip())):
        return [(DELETE, before), (INSERT, after)]
    parts = []
    for place, (is_same, mine, theirs) in enumerate(runs):
        text = "".join(mine)
        is_between = 0 < place < len(runs) - 1
        if is_same and not (is_between and text.isspace() and "\n" not in text):
            parts.append((EQUAL, text))
        else:  # a space between two words that changed belongs to both
            parts += [(DELETE, text), (INSERT, "".join(theirs))]
    return parts


def _joined(parts):
    """Neighbours of one kind as one part, what is deleted before what is inserted, and no empty part."""
    found, gone, come = [], [], []
    for op, text in [*parts, (EQUAL, "")]:
        if op == DELETE:
            gone.append(text)
        elif op == INSERT:
            come.append(text)
        elif text or op == EQUAL:
            for kind, texts in ((DELETE, gone), (INSERT, come)):
                if any(texts):
                    found.append((kind, "".join(texts)))
            if text and found and found[-1][0] == EQUAL:
                found[-1] = (EQUAL, found[-1][1] + text)
            elif text:
                found.append((EQUAL, text))
            gone, come = [], []
    return found


def _runs(old, new, budget):
    """`[(whether it is the same, part of old, part of new)]`: both sequences in order, cut where that changes."""
    runs, a, b = [], 0, 0
    matches = [*_matches(old, new, budget), (len(old), len(new))]
    place = 0
    while place < len(matches):
        x, y = matches[place]
        if (a, b) != (x, y):
            runs.append((False, old[a:x], new[b:y]))
        length = 0
        while place + length < len(matches) - 1 and matches[place + length] == (x + length, y + length):
            length += 1
        if length:
            runs.append((True, old[x : x + length], new[y : y + length]))
        a, b = x + length, y + length
        place += max(length, 1)
    return runs


def _matches(old, new, budget):
    """The places `(in old, in new)` that are the same in both, rising in both."""
    found, waiting = [], [(0, len(old), 0, len(new))]
    while waiting:
        a, a_end, b, b_end = waiting.pop()
        while a < a_end and b < b_end and old[a] == new[b]:
            found.append((a, b))
            a, b = a + 1, b + 1
        while a < a_end and b < b_end and old[a_end - 1] == new[b_end - 1]:
            a_end, b_end = a_end - 1, b_end - 1
            found.append((a_end, b_end))
        if a == a_end or b == b_end or not budget.take(a_end - a + b_end - b):
            continue
        anchors = _anchors(old, a, a_end, new, b, b_end)
        if not anchors:
            found += [(a + x, b + y) for x, y in _shortest(old[a:a_end], new[b:b_end], budget)]
        for x, y in [*anchors, (a_end, b_end)] if anchors else ():
            waiting.append((a, x, b, y))
            if x < a_end:
                found.append((x, y))
            a, b = x + 1, y + 1
    return sorted(found)


def _anchors(old, a, a_end, new, b, b_end):
    """What stands once in either part, as far as it is in the same order: the longest such series."""
    counts = collections.Counter(old[a:a_end])
    others = collections.Counter(new[b:b_end])
    there = {new[y]: y for y in range(b, b_end) if others[new[y]] == 1}
    pairs = [(x, there[old[x]]) for x in range(a, a_end) if counts[old[x]] == 1 and old[x] in there]
    piles, before = [], {}  # patience sorting: each pile's top is the least end of a series of its length
    for pair in pairs:
        low, high = 0, len(piles)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if piles[middle][1] < pair[1] else (low, middle)
        before[pair] = piles[low - 1] if low else None
        piles[low : low + 1] = [pair]
    series, pair = [], piles[-1] if piles else None
    while pair is not None:
        series.append(pair)
        pair = before[pair]
    return series[::-1]


def _shortest(old, new, budget):
    """The matches of the shortest edit, or none when it takes too many steps. `reach[k]` is how far diagonal k got."""
    zero = len(old) + len(new) + 1
    reach = [0] * (2 * zero + 1)
    history = []
    for edits in range(zero):
        if not budget.take(2 * edits + 1):
            return []
        history.append(reach[zero - edits - 1 : zero + edits + 2])
        for k in range(-edits, edits + 1, 2):
            is_down = k == -edits or (k != edits and reach[zero + k - 1] < reach[zero + k + 1])
            x = start = reach[zero + k + 1] if is_down else reach[zero + k - 1] + 1
            y = x - k
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y = x + 1, y + 1
            if x > start and not budget.take(x - start):
                return []
            reach[zero + k] = x
            if x >= len(old) and y >= len(new):
                return _walked_back(history, x, y)
    return []


def _walked_back(history, x, y):
    matches = []
    for edits in range(len(history) - 1, -1, -1):
        reach, zero, k = history[edits], edits + 1, x - y
        is_down = k == -edits or (k != edits and reach[zero + k - 1] < reach[zero + k + 1])
        came_from = k + 1 if is_down else k - 1
        from_x = reach[zero + came_from] if edits else 0
        from_y = from_x - came_from if edits else 0
        while x > from_x and y > from_y:
            x, y = x - 1, y - 1
            matches.append((x, y))
        x, y = from_x, from_y
    return matches
