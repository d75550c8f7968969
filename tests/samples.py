"""The request bodies in tests/payloads, as their senders make them."""

import json
from pathlib import Path

from alerts.models import sources

PAYLOADS = Path(__file__).parent / "payloads"


def sample(name):
    """The decoded body."""
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def read(kind, data, **options):
    """The events that the source of this kind makes of a decoded body."""
    return sources.get(kind).parse(json.dumps(data).encode(), {}, options)


def read_one(kind, data, **options):
    """The one event of a body."""
    (event,) = read(kind, data, **options)
    return event


def hrefs(event):
    """`{text: address}` of the links of an event."""
    return {link["text"]: link["href"] for link in event.links}
