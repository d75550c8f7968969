"""What a key may be used for: its scopes, such as `incidents:read`. Pure: values in, values out.

A scope only narrows: what the person or machine of the key may do in which team, the table of roles says. Writing
includes reading of the same resource. The table stands for people in docs/access.md.
"""

READ, WRITE, ANY = "read", "write", "*"
RESOURCES = {
    "alerts": ("Alerts", "Read alerts and changes, and send alerts. Nothing that keeps them quiet."),
    "incidents": ("Incidents", "Read incidents; open, acknowledge, resolve, escalate them, and so on."),
    "proposals": ("Proposals", "Read and post hypotheses and recommended actions; approve and reject, as a person."),
    "oncall": ("On call", "Who is on call; schedules, overrides, swaps, time off, availability, calendars, holidays."),
    "notifications": ("Notifications", "What was sent to whom; send, send again, stop."),
    "catalog": ("Catalog", "Services, and what needs what."),
    "config": (
        "Configuration",
        "Policies, integrations, routing and inhibition rules, silences, maintenance windows, heartbeats.",
    ),
    "status": ("Status pages", "Status pages with their components, posts, maintenance, subscribers and partners."),
    "postmortems": ("Postmortems", "Postmortems, their reviews, comments and links, and action items."),
    "people": ("People", "People, teams, API keys."),
    "audit": ("Audit", "Who changed what."),
}
NEVER_WRITTEN = {"audit"}
EVERYTHING = (f"{ANY}:{READ}", f"{ANY}:{WRITE}")
ALL = (
    *EVERYTHING,
    *(f"{name}:{verb}" for name in RESOURCES for verb in (READ, WRITE) if verb == READ or name not in NEVER_WRITTEN),
)


def needed(resource, is_write):
    """The scope that this needs: `incidents:write`."""
    return f"{resource}:{WRITE if is_write else READ}"


def allows(scopes, resource, is_write):
    """Whether these scopes include reading, or writing, of the resource. An unknown one is in `*` only."""
    verbs = (WRITE,) if is_write else (READ, WRITE)
    return any(f"{name}:{verb}" in scopes for name in (resource, ANY) for verb in verbs)


def beyond(scopes, limit):
    """Those of the scopes that the scopes `limit` do not include, as a list."""
    return [one for one in scopes if not allows(limit, *_parts(one))]


def parse(given):
    """The scopes in a text with commas or spaces between, or in a list: in order, and none that another includes.

    Raises ValueError with a sentence.
    """
    words = given.replace(",", " ").split() if isinstance(given, str) else list(given)
    for word in words:
        if word not in ALL:
            raise ValueError(f"There is no scope “{str(word)[:40]}”. The scopes are {', '.join(ALL)}.")
    if not words:
        raise ValueError("Choose at least one scope: a key without any could do nothing.")
    return [one for one in ALL if one in words and not _includes(set(words) - {one}, one)]


def choices():
    """`[(scope, label)]` for a form."""
    labels = [(f"{ANY}:{READ}", "Read everything"), (f"{ANY}:{WRITE}", "Read and write everything")]
    for one in ALL[len(EVERYTHING) :]:
        name, is_write = _parts(one)
        labels.append((one, f"{RESOURCES[name][0]}: {'read and write' if is_write else 'read'}"))
    return labels


def missing(scopes, resource, is_write):
    """The sentences that tell the holder of a key what it lacks."""
    has = f"It has {', '.join(scopes)}." if scopes else "It has none."
    return f"This key has no scope {needed(resource, is_write)}. {has} Use a key that has it, or ask an admin for one."


def _includes(others, scope):
    return any(allows((other,), *_parts(scope)) for other in others)


def _parts(scope):
    name, _, verb = scope.partition(":")
    return name, verb == WRITE
