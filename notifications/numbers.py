"""Phone numbers as E.164 writes them: a plus sign, the country code, at most 15 digits, nothing else."""

import re

E164 = re.compile(r"\+[1-9]\d{6,14}")


def normal(text):
    """The number without what people put between its digits; 00 in front becomes +."""
    text = text.strip()
    if text.startswith(("+", "00")):
        text = text.replace("(0)", "")  # the zero that is dialled only without the country code
    text = re.sub(r"[\s\-‐-–./()\u200b-\u200f\u202a-\u202e\u2060]", "", text)
    return "+" + text[2:] if text.startswith("00") else text


def problem_with(number):
    """What is wrong with a number in its normal form, in a sentence, or ""."""
    if E164.fullmatch(number):
        return ""
    if number.isdigit():
        return f"“{number}” has no country code. Write it with one, like +14155550123."
    return f"“{number}” is not a phone number. Write it with its country code, like +14155550123."


def shown(number):
    """The number as others may read it: the last four digits."""
    return f"••• {number[-4:]}" if len(number) > 6 else "•••"


def to_call(methods):
    """`{user id: number}`: a number at which each person is called, of these contact methods; the oldest counts."""
    found = {}
    for one in sorted(methods, key=lambda each: each.pk):
        if one.is_usable and E164.fullmatch(one.address):
            found.setdefault(one.user_id, one.address)
    return found
