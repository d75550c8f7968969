"""Messages as plain values."""

import json

from notifications.message import Action, Message

MESSAGE = Message(
    "Checkout errors",
    "5 % fail.",
    url="https://example.com/42",
    urgency="low",
    fields=(("Service", "Checkout"),),
    actions=(Action("Acknowledge", "acknowledge"),),
    thread="incident-42",
    subject="[#42] Checkout errors",
)


def test_a_message_survives_the_way_through_json():
    assert Message.from_json(json.loads(json.dumps(MESSAGE.to_json()))) == MESSAGE


def test_a_title_that_postgresql_refuses_is_mended():
    message = Message("a\x00b", "half: \ud800", fields=(("n", 5),))
    data = message.to_json()
    assert (data["title"], data["body"], data["fields"]) == ("ab", "half: ?", [["n", "5"]])


def test_a_message_of_another_version_is_still_read():
    assert Message.from_json({"title": "Old", "body": "", "colour": "red"}) == Message("Old", "")
