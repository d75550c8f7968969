"""Whatever comes in at whichever source: events within the limits, or a refusal that says what to change."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts import event as events
from alerts.models import sources
from alerts.sources.base import BadEvent
from incidents.models import Severity
from tests.samples import PAYLOADS

ACTIONS = {
    events.TRIGGER,
    events.ACKNOWLEDGE,
    events.RESOLVE,
    events.NOTE,
    events.UPDATE,
    events.CHANGE,
    events.IGNORE,
}
KEYLESS = {events.TRIGGER, events.CHANGE, events.IGNORE}
KINDS = sorted(sources.classes().keys() - {"heartbeat"})  # whose bodies nobody but this program writes
SAMPLES = sorted(PAYLOADS.glob("*.json"))

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["resolved", "ok", "1", "0", "$NAME", "{EVENT.ID}", "\0", "\ud800", "closed", "up", "x" * 5000])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def check(found):
    for event in found:
        assert event.action in ACTIONS
        assert event.severity in {"", *Severity.values}
        assert event.priority in {"", "P1", "P2", "P3", "P4", "P5"}
        assert len(event.dedup_key) <= events.KEY_LIMIT
        assert event.dedup_key or event.alert_id or event.action in KEYLESS
        assert event.title or event.action not in (events.TRIGGER, events.CHANGE)
        assert event.reason or event.action != events.IGNORE
        assert len(event.title) <= events.TITLE_LIMIT and "\n" not in event.title
        assert len(event.description) <= events.DESCRIPTION_LIMIT
        assert len(event.service) <= events.SERVICE_LIMIT
        assert len(event.labels) <= events.LABELS_LIMIT
        for name, value in event.labels.items():
            assert len(name) <= events.LABEL_NAME_LIMIT and len(value) <= events.LABEL_VALUE_LIMIT
        assert len(event.links) <= events.LINKS_LIMIT
        for link in event.links:
            assert link["href"].lower().startswith(("http://", "https://"))
            assert len(link["href"]) <= events.HREF_LIMIT
        assert event.occurred_at is None or event.occurred_at.utcoffset() is not None
        texts = [event.dedup_key, event.title, event.description, event.service, *event.labels, *event.labels.values()]
        for text in texts:
            text.encode()  # no half surrogates
            assert "\0" not in text


def options_of(kind):
    """The default options, and every choice that there is."""
    yield {}
    for option in sources.classes()[kind].options:
        for value in [value for value, _ in option.choices] or [True] * option.is_switch:
            yield {option.name: value}


def parse(kind, body, headers=None, options=None):
    try:
        found = sources.get(kind).parse(body, headers or {}, options or {})
    except BadEvent as bad:
        assert bad.errors and all(error["message"] for error in bad.errors)
    else:
        check(found)


@pytest.mark.parametrize("kind", KINDS)
@given(data=anything)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_value_gives_events_or_a_refusal(kind, data):
    parse(kind, json.dumps(data).encode())


@st.composite
def crippled_samples(draw, kind):
    """A sample, mostly of this kind, in which some values, at any depth, are something else."""
    own = [path for path in SAMPLES if path.name.startswith(f"{kind}_")]
    paths = own if own and draw(st.integers(0, 3)) else SAMPLES
    data = json.loads(draw(st.sampled_from(paths)).read_text())
    for _ in range(draw(st.integers(1, 4))):
        place = data
        while True:
            names = list(place) if isinstance(place, dict) else range(len(place))
            name = draw(st.sampled_from(names)) if names else None
            if name is None:
                break
            if isinstance(place[name], (dict, list)) and place[name] and draw(st.booleans()):
                place = place[name]
                continue
            place[name] = draw(anything)
            break
    return data


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_crippled_samples_of_any_sender_give_events_or_a_refusal(kind, data):
    options = data.draw(st.sampled_from(list(options_of(kind))))
    parse(kind, json.dumps(data.draw(crippled_samples(kind))).encode(), options=options)


@pytest.mark.parametrize("kind", KINDS)
@given(
    body=st.binary(max_size=200), content_type=st.sampled_from(["", "text/plain", "multipart/form-data; boundary=x"])
)
@settings(max_examples=30, deadline=None)
def test_any_bytes_give_events_or_a_refusal(kind, body, content_type):
    parse(
        kind, body, {"content-type": content_type, ":method": "GET" if b"?" in body else "POST", ":query": "a=%ff&b"}
    )


HOSTILE = {
    "a deep nest": b"[" * 200_000,
    "a deep nest of objects": b'{"a":' * 100_000,
    "a deep nest in a good field": b'{"title":"x","labels":' + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}",
    "a label of a megabyte": b'{"title":"x","alerts":[{"labels":{"a":"' + b"x" * 2**20 + b'"}}]}',
    "no UTF-8": b'{"title":"\xff\xfe","msg":"\xc3"}',
    "NUL": b'{"title":"a\\u0000b","msg":"\\ud800"}',
    "a number of thousands of digits": b'{"title":' + b"9" * 5000 + b"}",
    "infinity": b'{"title":"x","timestamp":1e999,"occurred_at":-1e999}',
    "nothing": b"",
    "only spaces": b" \n ",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_bodies(kind, body):
    parse(kind, body)
