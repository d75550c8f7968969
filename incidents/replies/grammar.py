"""What people write to us: "42a", "ack 42", "/resolve 42", "note 42 on my way". Values in, values out."""

import dataclasses
import re

WORDS = {
    "acknowledge": ("a", "ack", "acknowledge", "acknowledged"),
    "resolve": ("r", "c", "res", "resolve", "resolved", "close", "closed"),
    "escalate": ("e", "esc", "escalate"),
    "note": ("n", "note"),
    "oncall": ("o", "oncall"),
    "help": ("h", "help", "?"),
}
VERBS = {word: verb for verb, words in WORDS.items() for word in words}
_word = "|".join(sorted(map(re.escape, VERBS), key=len, reverse=True))
# "42a", "42 ack"; "42aa" means all that belongs together with it.
CODE_FIRST = re.compile(
    rf"'?\s*#?(?P<number>\d{{1,9}})\s*(?P<word>aa|rr|cc|ee|{_word})(?!\w)\s*(?P<text>.*)", re.DOTALL
)
# "ack", "ack 42", "ack42", "ack #42", "ack all", and with a name of ours as chats write it: "/ack@watchbill_bot 42"
WORD_FIRST = re.compile(
    rf"/?(?P<word>{_word})(?:@\w+)?(?![^\W\d]|@)(?:\s*#?\s*(?P<number>\d{{1,9}})(?!\w))?\s*(?P<all>all\b)?[\s,.!:]*(?P<text>.*)",
    re.DOTALL,
)


@dataclasses.dataclass(frozen=True)
class Command:
    """A verb, the number it is about if one was written, whether it is meant for all, and the words after it."""

    verb: str
    number: int | None = None
    is_all: bool = False
    text: str = ""


def read(text):
    """The Command that a text is, or None when it is nothing we know."""
    text = text.strip()
    lower = text.lower()
    match = CODE_FIRST.fullmatch(lower) or WORD_FIRST.fullmatch(lower)
    if match is None:
        return None
    found = match.groupdict()
    word = found["word"]
    is_twice = word not in VERBS
    verb = VERBS[word[0] if is_twice else word]
    rest = text[match.start("text") :].strip() if len(lower) == len(text) else found["text"].strip()
    may_have_more = verb == "note" or "all" not in found or (verb == "acknowledge" and len(word) > 1)
    if rest and not may_have_more:
        return None  # a sentence that happens to begin with one of the words; “ack, thanks” is meant, though
    number = int(found["number"]) if found["number"] else None
    return Command(verb, number, is_twice or bool(found.get("all")), rest)
