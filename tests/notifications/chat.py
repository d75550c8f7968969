"""What the tests of the chat channels send."""

import uuid

from notifications.channels.base import Outgoing
from notifications.message import Action
from tests.notifications.conftest import NOW, make_message


def outgoing(config=None, **fields):
    """The page about Checkout as a chat channel gets it; `message=` changes its words, the rest the Outgoing."""
    message = {
        "severity": "critical",
        "actions": (
            Action("Acknowledge", "acknowledge"),
            Action("Resolve", "resolve"),
            Action("Escalate", "escalate"),
        ),
    }
    message |= fields.pop("message", {})
    message = make_message(**message)
    given = {
        "uuid": uuid.UUID("5b0a6f0e-0000-4000-8000-000000000001"),
        "topic": "incident:42",
        "person": "Alice",
        "at": NOW,
        "tokens": tuple((one.label, one.verb, f"token-{one.verb}") for one in message.actions),
        "links": tuple((one.label, f"https://oncall.example.com/l/{one.verb}") for one in message.actions),
        "config": config or {},
        **fields,
    }
    return Outgoing(message=message, **given)
