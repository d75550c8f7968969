"""Which move of a postmortem is legal. Pure."""

from core.errors import IllegalMove

DRAFT, IN_REVIEW, PUBLISHED, ARCHIVED = "draft", "in_review", "published", "archived"
CHOICES = ((DRAFT, "Draft"), (IN_REVIEW, "In review"), (PUBLISHED, "Published"), (ARCHIVED, "Archived"))
LABELS = dict(CHOICES)
EDITABLE = (DRAFT, IN_REVIEW, PUBLISHED)  # a published one may be corrected: its versions show what changed

# Verb: from which states, to which.
MOVES = {
    "ask_review": ((DRAFT,), IN_REVIEW),
    "take_back": ((IN_REVIEW, PUBLISHED), DRAFT),
    "publish": ((DRAFT, IN_REVIEW), PUBLISHED),
    "archive": ((DRAFT, IN_REVIEW, PUBLISHED), ARCHIVED),
    "restore": ((ARCHIVED,), DRAFT),
}
SAID = {
    "ask_review": "sent to review",
    "take_back": "taken back to draft",
    "publish": "published",
    "archive": "archived",
    "restore": "restored",
}


def after(verb, status):
    """The state after the move. Raises IllegalMove, with what to do instead."""
    start, end = MOVES[verb]
    if status not in start:
        raise IllegalMove(
            f"It is {LABELS[status].lower()}, so it cannot be {SAID[verb]}. That takes one that is "
            f"{' or '.join(LABELS[one].lower() for one in start)}."
        )
    return end
