"""What the fields of a foreign body mean, chosen by an admin."""

import json

import pytest

from alerts import ingest, mapping
from alerts.models import Alert, InboundEvent
from alerts.sources.base import BadEvent
from alerts.sources.generic import Generic
from tests import factories
from tests.alerts.test_door import Server

BODY = {
    "alert": {"name": "Disk full", "level": "P0", "id": 17, "text": "92% used"},
    "host": {"name": "web-03", "tags": ["eu", "prod"]},
    "state": "PROBLEM",
    "status": "open",
    "url": "https://monitor.example.com/17",
}


def parse(options, body=BODY):
    return Generic().parse(json.dumps(body).encode(), {}, options)


def one(body=BODY, **options):
    (event,) = parse(options, body)
    return event


def test_values_come_from_paths_templates_and_constants():
    event = one(
        title="{payload.alert.name} on {payload.host.name}",
        description="alert.text",
        dedup_key="alert.id",
        severity="alert.level",
        service='"checkout"',
    )
    assert (event.title, event.description) == ("Disk full on web-03", "92% used")
    assert (event.dedup_key, event.severity, event.service) == ("17", "critical", "checkout")


def test_a_path_goes_through_lists_and_may_lead_nowhere():
    assert one(title="host.tags.1").title == "prod"
    assert one({**BODY, "title": "As always"}, title="host.tags.9.x").title == "As always"


def test_a_mapped_value_comes_before_the_names_that_we_know():
    body = {**BODY, "title": "no", "severity": "low", "dedup_key": "no"}
    event = one(body, title="alert.name", severity="alert.level", dedup_key="alert.id")
    assert (event.title, event.severity, event.dedup_key) == ("Disk full", "critical", "17")


def test_without_a_title_anywhere_somebody_is_called_all_the_same():
    assert one({"x": 1}, title="alert.name").title == "An alert without a title"


@pytest.mark.parametrize(
    ("level", "severity"),
    [("P0", "critical"), ("p0", "critical"), (2, "low"), ("Sev0", "critical"), ("odd", "high"), (None, "high")],
)
def test_words_of_severity(level, severity):
    body = {"title": "x", "level": level}
    assert one(body, severity="level", severity_map="P0 = critical, 2=low\n* = high").severity == severity


def test_an_unknown_word_without_a_star_means_the_default_of_the_integration():
    body = {"title": "x", "level": "odd", "priority": "P1"}
    assert one(body, severity="level", severity_map="P0=critical").severity == ""


@pytest.mark.parametrize(
    ("state", "action"),
    [("PROBLEM", "trigger"), ("SEEN", "acknowledge"), ("OK", "resolve"), ("TEST", "ignore"), (None, "trigger")],
)
def test_conditions_choose_the_action(state, action):
    event = one(
        {**BODY, "state": state, "action": "a word of theirs"},
        dedup_key="alert.id",
        title="alert.name",
        resolve_when='payload.state = "OK"',
        acknowledge_when='state = "SEEN"',
        ignore_when='payload.state in ("TEST", "DEMO")',
    )
    assert event.action == action
    assert bool(event.reason) is (action == "ignore")


def test_without_conditions_their_word_counts_as_always():
    assert one({**BODY, "status": "resolved"}, dedup_key="alert.id").action == "resolve"


def test_labels_and_links_are_added():
    event = one(title="alert.name", labels='host = host.name\nenv = host.tags.1\nteam = "shop"', links="Monitor = url")
    assert event.labels == {"host": "web-03", "env": "prod", "team": "shop"}
    assert event.links == [{"href": "https://monitor.example.com/17", "text": "Monitor"}]


def test_the_events_may_be_a_list_inside():
    body = {"cluster": "eu", "data": {"alerts": [{"n": "a", "s": "ok"}, {"n": "b", "s": "bad"}]}}
    first, second = parse(
        {
            "events": "data.alerts",
            "title": "n",
            "dedup_key": "n",
            "labels": "cluster = $.cluster",
            "resolve_when": 's = "ok"',
        },
        body,
    )
    assert (first.action, first.dedup_key, first.labels["cluster"]) == ("resolve", "a", "eu")
    assert (second.action, second.dedup_key, second.labels["cluster"]) == ("trigger", "b", "eu")


def test_a_list_that_is_missing_is_the_body_itself_and_an_empty_one_is_said():
    assert parse({"events": "data.alerts", "title": "t"}, {"t": "x"})[0].title == "x"
    (event,) = parse({"events": "alerts", "title": "t"}, {"alerts": []})
    assert (event.action, bool(event.reason)) == ("ignore", True)


def test_a_thousand_events_are_taken_and_no_more():
    options = {"events": "alerts", "title": "t", "dedup_key": "t"}
    assert len(parse(options, {"alerts": [{"t": str(number)} for number in range(1000)]})) == 1000
    with pytest.raises(BadEvent, match="1000 at most"):
        parse(options, {"alerts": [{"t": "x"}] * 1001})


def test_a_mistake_names_its_event():
    with pytest.raises(BadEvent) as raised:
        parse({"events": "alerts", "resolve_when": 's = "ok"'}, {"alerts": [{"title": "x"}, {"s": "ok"}, 7]})
    assert [error["field"] for error in raised.value.errors] == ["[1].dedup_key", "[2]"]


def test_an_array_is_read_with_the_mapping_too():
    assert [event.title for event in parse({"title": "n"}, [{"n": "a"}, {"n": "b"}])] == ["a", "b"]


@pytest.mark.parametrize("body", [[], 7, "x", None])
def test_what_is_no_event_is_a_mistake_or_nothing(body):
    try:
        events = parse({"title": "n"}, body)
    except BadEvent as bad:
        assert bad.errors
    else:
        assert [event.action for event in events] == ["ignore"]


def test_a_mapping_that_cannot_be_read_never_costs_an_alert():
    event = one({"title": "x"}, title="..", severity_map="=", resolve_when="((", labels="=", events="{")
    assert (event.action, event.title) == ("trigger", "x")
    assert parse({"title": 7, "events": ["x"], "other": True}, {"title": "x"})[0].title == "x"


def test_no_mapping_reads_as_always():
    assert mapping.of({}) is None
    assert mapping.of({"title": "", "topic_arn": "x"}) is None


OPTIONS = {option.name: option for option in Generic.options}


def test_every_part_of_the_mapping_is_an_option():
    assert tuple(sorted(OPTIONS)) == tuple(sorted(mapping.NAMES))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("title", "a..b"),
        ("title", "{payload.x"),
        ("title", ""),
        ("events", "{payload.x}"),
        ("severity_map", "P0"),
        ("severity_map", "P0 = awful"),
        ("severity_map", "= high"),
        ("resolve_when", "state = "),
        ("labels", "host"),
        ("labels", "host ="),
        ("labels", "\n".join(f"a{number} = b" for number in range(51))),
        ("links", "Monitor = a..b"),
    ],
)
def test_what_is_written_wrongly_is_a_sentence(name, text):
    check = OPTIONS[name].check
    if not text:
        assert check(text) == ""
        return
    with pytest.raises(ValueError) as raised:
        check(text)
    assert str(raised.value).endswith((".", "”"))
    assert len(str(raised.value)) > 30


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("title", "alert.name"),
        ("title", '"Always the same"'),
        ("title", "{payload.alert.name}: {payload.host}"),
        ("events", "data.0.alerts"),
        ("labels", "host = $.server.name\nx = {payload.a} b"),
        ("severity_map", "P0 = critical, P1=HIGH\n* = medium"),
        ("resolve_when", 'payload.state in ("ok", "up")'),
    ],
)
def test_what_is_written_well_is_kept_as_it_is(name, text):
    assert OPTIONS[name].check(f" {text} ") == text


@pytest.mark.django_db(transaction=True)
def test_an_integration_maps_what_comes_in_at_its_door(service):
    options = {"title": "alert.name", "dedup_key": "alert.id", "resolve_when": 'state = "OK"'}
    integration = factories.IntegrationFactory(source="generic", service=service, options=options)
    with Server() as server:
        reply = server.post(f"/in/generic/{integration.key}", BODY)
    assert (reply.status, reply.json["dedup_key"]) == (202, "17")
    assert InboundEvent.objects.count() == 1
    row = InboundEvent.objects.get()
    ingest.decide_ids([row.pk], now=row.received_at)
    assert Alert.objects.get().title == "Disk full"
