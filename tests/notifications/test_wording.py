"""Words of an admin's own: what they can say, what they cannot do, and that a page goes out whatever they are."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from notifications import outbox, wording
from notifications.message import Kind, Message
from notifications.models import Alarm, Wording, channels
from notifications.wording import SAMPLES, Wordings, problems
from tests.factories import WordingFactory
from tests.notifications.conftest import NOW, make_message, make_method, page

ROOT = Path(__file__).resolve().parents[2]
DATA = {
    "event": "incident.acknowledged",
    "incident": {"number": 42, "status": "acknowledged", "service": {"slug": "checkout", "name": "Checkout"}},
    "actor": {"type": "user", "name": "Bob", "via": "sms"},
}


def say(title="", body="", message=None, channel="x", person="Alice"):
    row = Wording(pk=7, kind="page", title=title, body=body)
    return Wordings({("page", ""): row}).apply(message or make_message(data=DATA), channel, person=person)


def said(source, **fields):
    message, trouble = say(body=source, message=make_message(data=DATA, **fields))
    assert trouble == ""
    return message.body


@pytest.mark.parametrize(
    "source, text",
    [
        ("{{ title }} / {{ body }}", "Checkout errors / 5 % of orders fail."),
        ("{{ person }} {{ urgency }} {{ kind }} {{ site_name }}", "Alice high page Watchbill"),
        ("{{ number }} {{ status }} {{ service }}", "42 acknowledged Checkout"),
        ("{{ incident.service.slug }} {{ actor.name|upper }} {{ event }}", "checkout BOB incident.acknowledged"),
        ("{{ fields.Service }}", "Checkout"),
        ("{% for name, value in fields.items %}{{ name }}={{ value }};{% endfor %}", "Service=Checkout;"),
        ("{% if actor %}{{ actor.via }}{% else %}nobody{% endif %}", "sms"),
        ("{% if previous %}x{% else %}{{ previous.status|default:'new' }}{% endif %}", "new"),
        ("{% with a=body|truncatechars:6 %}{{ a }}{% endwith %}", "5 % o…"),
        ("{% for x in fields %}{{ forloop.counter }}{{ x }}{% empty %}-{% endfor %}", "1Service"),
        ("<b>{{ title }}</b> & co", "<b>Checkout errors</b> & co"),
    ],
)
def test_words_say_what_the_message_knows(source, text):
    assert said(source) == text


def test_nothing_is_escaped_here_because_every_channel_escapes_by_itself():
    assert said("{{ title }}", title="a & <b>") == "a & <b>"


def test_a_title_is_one_line_and_the_subject_of_the_thread_stays():
    message, _ = say(title="{{ title }}\r\nBcc: all@example.com")
    assert message.title == "Checkout errors Bcc: all@example.com"
    assert message.subject == "[#42] Checkout errors"


def test_empty_words_leave_that_part_alone():
    message, trouble = say(title="{{ number }}!")
    assert (message.title, message.body, trouble) == ("42!", "5 % of orders fail.", "")


def test_what_is_too_long_is_cut():
    message, _ = say(title="x" * 1000, body="y" * 9000)
    assert (len(message.title), len(message.body)) == (wording.TITLE_CHARACTERS, wording.BODY_CHARACTERS)


@pytest.mark.parametrize(
    "source",
    [
        "{% load humanize %}",
        "{% include 'base.html' %}",
        "{% extends 'base.html' %}",
        "{% debug %}",
        "{% csrf_token %}",
        "{% now 'Y' %}",
        "{% url 'admin:index' %}",
        "{% lorem 5 %}",
        "{{ title|center:999999999 }}",
        "{{ title|ljust:999999999 }}",
        "{{ title|stringformat:'999999999d' }}",
        "{{ number|floatformat:999999999 }}",
        "{{ title|add:title }}",
        "{% if %}",
        "{% for x in fields %}",
        "{{ title",
        "{{ title.__class__ }}",
        "{{ _secret }}",
        "{% if a %}" * 900,
    ],
)
def test_words_that_are_not_of_the_language_are_not_used(source):
    if source == "{{ title":  # to Django this is plain text
        assert said(source) == source
        return
    message, trouble = say(body=source)
    assert message == make_message(data=DATA)
    assert trouble.startswith("The wording “Page on every channel” was not used: ")
    assert trouble.endswith(".")


@pytest.mark.parametrize(
    "lookup", ["title.upper", "title.encode.hex", "fields.clear", "incident.popitem", "number.real"]
)
def test_no_method_of_a_value_is_called(lookup):
    message, trouble = say(body=f"[{{{{ {lookup} }}}}]")
    assert (message.body, trouble) == ("[]", "")


NESTED = "{% for a in body %}{% for b in body %}{% for c in body %}x{% endfor %}{% endfor %}{% endfor %}"
DOUBLED = "".join(f"{{% with a{i + 1}=names|join:a{i} %}}" for i in range(60))


@pytest.mark.parametrize(
    "source",
    [
        NESTED,
        "{% for a in body %}{% for b in body %}{{ body }}{{ body }}{{ body }}{% endfor %}{% endfor %}",
        "{% for a in body %}" + "{{ body }}" * 300 + "{% endfor %}",
    ],
)
def test_words_that_would_never_end_are_stopped(source):
    message, trouble = say(body=source, message=make_message(body="b" * 5000))
    assert message.body == "b" * 5000
    assert "Loop over less" in trouble or "says too much" in trouble


def test_words_that_grow_by_themselves_are_cut_at_each_step():
    source = f"{{% with a0=body %}}{DOUBLED}{{{{ a60 }}}}{'{% endwith %}' * 61}"
    message, trouble = say(body=source, message=make_message(body="b" * 5000, data={"names": ["a"] * 50}))
    assert trouble == ""
    assert len(message.body) == wording.BODY_CHARACTERS
    assert said("{{ body|join:body }}", body="b" * 5000) == "b" * 5000


def test_very_long_words_are_not_even_read():
    assert "Write at most 10000" in say(body="x" * 10_001)[1]


@pytest.mark.parametrize("title, body", [("{{ nothing }}", ""), ("", "{% if previous %}x{% endif %}")])
def test_words_that_leave_nothing_to_read_are_not_used(title, body):
    message, trouble = say(title=title, body=body)
    assert (message.title, message.body) == ("Checkout errors", "5 % of orders fail.")
    assert "is empty" in trouble


def test_a_verification_says_its_code_whatever_the_words():
    message = Message(title="Your code is 482915", body="Type it.", kind=Kind.VERIFICATION, data={"code": "482915"})
    words = Wordings({("verification", ""): Wording(kind="verification", title="Hello", body="A code for you")})
    same, trouble = words.apply(message, "x")
    assert same == message
    assert "{{ code }}" in trouble
    good = Wordings(
        {("verification", ""): Wording(kind="verification", title="{{ code }}", body="For {{ site_name }}")}
    )
    assert good.apply(message, "x")[0].title == "482915"


@pytest.mark.django_db
def test_the_words_of_a_channel_go_before_those_of_all_channels(django_assert_num_queries):
    WordingFactory(kind="page", channel="", title="all {{ title }}")
    WordingFactory(kind="page", channel="webhook", title="hook {{ title }}")
    WordingFactory(kind="page", channel="email", title="off", is_enabled=False)
    with django_assert_num_queries(1):
        words = wording.load()
        titles = [words.apply(make_message(), kind)[0].title for kind in ("webhook", "email", "sms")]
    assert titles == ["hook Checkout errors", "all Checkout errors", "all Checkout errors"]
    resolved = make_message(kind=Kind.RESOLVED)
    assert words.apply(resolved, "webhook") == (resolved, "")


@pytest.mark.django_db
def test_broken_words_are_noted_on_their_row_and_raise_one_alarm():
    row = WordingFactory(body="{% include 'x' %}")
    for _ in range(2):
        words = wording.load()
        message, trouble = words.apply(make_message(), "webhook")
        assert message == make_message()
        words.note_troubles(now=NOW)
    row.refresh_from_db()
    assert row.trouble == trouble
    (alarm,) = Alarm.objects.all()
    assert (alarm.key, alarm.text, alarm.count) == (f"wording:{row.pk}", trouble, 2)
    wording.accept(row, now=NOW)
    alarm.refresh_from_db()
    row.refresh_from_db()
    assert (alarm.cleared_at, row.trouble) == (NOW, "")


@pytest.mark.django_db
def test_a_page_goes_out_in_the_words_of_the_admin(bob, sink):
    WordingFactory(kind="page", title="{{ person }}: {{ title }}", body="{{ body }} ({{ fields.Service }})")
    make_method(bob, "webhook", sink.url("/hook"))
    page(bob)
    outbox.deliver(now=NOW)
    data = json.loads(sink.requests[0].body)["data"]
    assert data["title"] == f"{bob}: Checkout errors"
    assert data["body"] == "5 % of orders fail. (Checkout)"


@pytest.mark.django_db
def test_a_page_goes_out_whatever_the_words_are_and_the_admin_is_told(bob, sink):
    row = WordingFactory(kind="page", body=NESTED)
    make_method(bob, "webhook", sink.url("/hook"))
    (sent,) = page(bob)
    outbox.deliver(now=NOW)
    sent.refresh_from_db()
    row.refresh_from_db()
    assert (sent.state, json.loads(sink.requests[0].body)["data"]["body"]) == ("delivered", "5 % of orders fail.")
    assert "Its loops turn more than 500 times" in row.trouble
    assert Alarm.objects.get(key=f"wording:{row.pk}").cleared_at is None


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_sample_that_the_usual_words_fit(kind):
    assert problems(kind, "", "{{ title }}", "{{ body }}") == []
    shown = wording.preview(kind, "", "{{ title }}!", "{{ body }}?")
    assert (shown["title"], shown["body"]) == (f"{SAMPLES[kind].title}!", f"{SAMPLES[kind].body}?")
    assert "trouble" not in shown


def test_problems_name_the_part_and_the_variable():
    (unknown,) = problems("page", "", "{{ tilte }} {{ title }}", "{{ body }}")
    assert unknown.startswith("In the title: there is no variable “tilte”. Use one of title, body")
    (tag,) = problems("page", "", "", "{% lorem %}")
    assert tag.startswith("In the body: Invalid block tag")
    assert problems("page", "", "{% if actor %}{{ actor.name }}{% endif %}{{ title }}", "") == []
    assert "no channel “smoke”" in problems("page", "smoke", "{{ title }}", "")[0]
    assert "{{ code }}" in problems("verification", "", "{{ site_name }}", "Hello")[0]


def test_the_preview_shows_how_a_channel_says_it():
    shown = wording.preview("page", "email", "P1 for {{ service }}", "")
    assert "P1 for Checkout" in shown["Email: Text"]
    assert set(shown) == {"title", "body", "Email: Subject", "Email: Text"}
    broken = wording.preview("page", "", "{% lorem %}", "")
    assert broken["title"] == SAMPLES[Kind.PAGE].title
    assert "Invalid block tag" in broken["trouble"]


def test_the_docs_list_every_variable_tag_and_filter():
    text = (ROOT / "docs" / "wording.md").read_text()
    for name in (*wording.VARIABLES, *wording.TAGS, *wording.FILTERS):
        assert re.search(rf"`{name}`", text), name


def test_every_channel_can_be_asked_how_it_reads():
    outgoing = wording._sample_outgoing(dataclasses.replace(SAMPLES[Kind.PAGE]))
    for kind in channels.classes():
        assert all(isinstance(text, str) for text in channels.get(kind).preview(outgoing).values())
