"""Every inbound address under fire: hostile bytes, crippled samples and rubbish in headers, at the real door.

Whatever is sent, the answer is never a 5xx. What is answered by a 2xx is kept byte for byte, and deciding makes of it
an alert, a change or a reason; what cannot be decided is marked and shown. Every page about it can be read.
"""

import asyncio
import contextlib
import datetime as dt
import gzip
import hashlib
import hmac
import http.client
import json
import re
from urllib.parse import quote, urlencode

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Role
from alerts import heartbeats, ingest, sns
from alerts.door import Door
from alerts.event import TRIGGER
from alerts.models import InboundEvent, Integration, Silence, sources
from tests import factories
from tests.alerts.test_door import Server, pages
from tests.fakes.server import running
from tests.fakes.sns import SNS
from tests.samples import PAYLOADS

pytestmark = pytest.mark.django_db(transaction=True)

bounded = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
KINDS = sorted(kind for kind, source in sources.classes().items() if not source.is_internal)


# --- hostile bodies -----------------------------------------------------------------------------------------------

MEGABYTE = 2**20
# JSON, or nearly, that no library writes: it stands in for a value of a sample.
RAW = (
    b"1e999",
    b"-1e999",
    b"NaN",
    b"Infinity",
    b"1E400",
    b"9" * 400,
    b"9" * 5000,
    b"-0",
    b"1e-400",
    b'"\xff\xfe\x80"',
    b'"\x00"',
    b'"\\u0000"',
    b'"\\ud800"',
    b'"\\udfff\\ud800"',
    b'"a\nb"',
    b'"' + b"x" * 5000 + b'"',
    b'"' + b"y" * MEGABYTE + b'"',
    b"[" * 300 + b"]" * 300,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b"[" * 50_000,
    b'{"a": 1, "a": 2}',
    b"",
    b"{",
)
HOSTILE = (
    b"",
    b" \n",
    b"null",
    b"[]",
    b"{}",
    b"[[]]",
    b"[{}]",
    b"0",
    b'""',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"\x00",
    b"[" * 200_000,
    b'{"a":' * 100_000,
    b"9" * 10_000,
    b"1e999",
    b'{"":"","\\u0000":"\\ud800"}',
    gzip.compress(b'{"title": "Disk full"}'),
    b'{"title": "x", "message": "x", "labels": {"a": "' + b"z" * MEGABYTE + b'"}}',
    b'{"title": "x", "summary": "x", "timestamp": 1e999, "severity": 1e999, "labels": {"\\ud800": NaN}}',
)
_MARK = re.compile(rb'"<raw (\d+)>"')

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["resolved", "ok", "closed", "up", "1", "0", "$NAME", "{EVENT.ID}", "\0", "\ud800", "P0", "é" * 300]
    )
    | st.sampled_from(["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "1e400", "http://[::1", "javascript:1"])
    | st.integers(0, len(RAW) - 1).map("<raw {}>".format)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def written(data):
    """JSON of a value, with the raw pieces in place."""
    return _MARK.sub(lambda match: RAW[int(match[1])], json.dumps(data).encode())


@st.composite
def crippled(draw, samples, keep=()):
    """A sample in which some values are something else, gone or there twice. `keep` are fields at its top."""
    data = json.loads(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 4))):
        place = data
        while isinstance(place, (dict, list)) and place:
            names = [name for name in place if name not in keep] if isinstance(place, dict) else range(len(place))
            if not names:
                break
            name = draw(st.sampled_from(names))
            if isinstance(place[name], (dict, list)) and place[name] and draw(st.integers(0, 3)):
                place = place[name]
            elif draw(st.integers(0, 3)):
                place[name] = draw(anything)
                break
            else:
                del place[name]
                break
    body = written(data)
    match draw(st.integers(0, 11)):
        case 0 if isinstance(data, dict) and data:  # a key that comes twice
            name = json.dumps(draw(st.sampled_from(sorted(data)))).encode()
            body = body[:-1] + b", " + name + b": " + written(draw(anything)) + b"}"
        case 1:
            body = body[: draw(st.integers(0, len(body)))]
        case 2:
            at = draw(st.integers(0, len(body)))
            body = body[:at] + draw(st.sampled_from([b"\xff", b"\x00", b"\r\n", b"\xed\xa0\x80"])) + body[at:]
        case 3:
            body = b"[" + b",".join([body] * draw(st.integers(1, 3))) + b"]"
    return body


def bodies(samples, keep=()):
    return crippled(samples, keep) | crippled(samples, keep) | st.sampled_from(HOSTILE) | st.binary(max_size=60)


FORM = "multipart/form-data; boundary=x"
ANY_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(
            ["text/plain", "application/json; charset=utf-16", "", "x", FORM, "multipart/form-data"]
            + ["application/x-www-form-urlencoded", "message/rfc822", "application/json", "é/ÿ"]
        ),
        "Content-Encoding": st.sampled_from(["gzip", "br", "é"]),
        "User-Agent": st.text(
            st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40
        ),
        "X-GitHub-Event": st.sampled_from(["ping", "push", "deployment_status", "é", "x" * 900]),
        "X-GitHub-Delivery": st.sampled_from(["", "é\xa0", "x" * 9000]),
        "Sentry-Hook-Resource": st.sampled_from(["issue", "metric_alert", "event_alert", "installation", "\xff"]),
        "Sentry-Hook-Timestamp": st.sampled_from(["", "1e400", "9" * 300, "é"]),
        "Request-ID": st.sampled_from(["", "\xff" * 100]),
        "X-Routing-Key": st.sampled_from(["", "\xff", "x" * 5000]),
        "X-Signature": st.sampled_from(["", "t=,v1=", "t=\xb2,v1=é", "t=" + "9" * 400]),
        "Idempotency-Key": st.sampled_from(["", "\xff" * 300, "same"]),
        "Authorization": st.sampled_from(["", "Bearer", "Bearer \xff", "GenieKey", "Basic Og=="]),
    },
)
QUERIES = st.sampled_from(
    ["", "?", "?wait=NaN", "?wait=1e999", "?wait=-1", "?%00=%ff&a&&=", "?identifierType=%00", "?apiKey=%ff"]
)


# Where the samples of a source have another name than the source.
NAMED = {"prometheus": "alertmanager_api_v2", "change": "pagerduty_change"}


def samples_of(name):
    """The bodies in tests/payloads whose names begin so."""
    found = [path.read_text() for path in sorted(PAYLOADS.glob(f"{NAMED.get(name, name)}*.json"))]
    assert found, name
    return found


# --- the stage ----------------------------------------------------------------------------------------------------


class Stage:
    """A door, the keys to it, and somebody who looks at what became of each request."""

    def __init__(self, server, watcher, service):
        self.server, self.watcher, self.service = server, watcher, service
        self._integrations, self._seen, self._line = {}, set(), None

    def key(self, kind):
        if kind not in self._integrations:
            self._integrations[kind] = factories.IntegrationFactory(source=kind, service=self.service)
        return self._integrations[kind].key

    def send(self, method, path, body, headers):
        """`(status, text)` over one connection, for as long as the server keeps it."""
        headers = {name: value.encode("latin-1", "replace") for name, value in headers.items()}
        for is_again in (False, True):
            self._line = self._line or http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            try:
                with contextlib.suppress(BrokenPipeError):  # refused before the end of the body
                    self._line.request(method, path, body, headers)
                reply = self._line.getresponse()
                return reply.status, reply.read()
            except (ConnectionError, http.client.HTTPException):
                self.hang_up()
                if is_again:
                    raise

    def hang_up(self):
        if self._line:
            self._line.close()
        self._line = None

    def fire(self, method, path, body=b"", headers=(), *, stores=True):
        """Send it. Never a 5xx; what was accepted is kept, decided and shown. Returns the status.

        `stores` says whether this address makes an event of each request that it accepts.
        """
        status, text = self.send(method, path, body, dict(headers))
        assert status < 500, (status, text)
        rows = list(InboundEvent.objects.exclude(pk__in=self._seen).exclude(state="poison"))  # those are refused ones
        self._seen.update(row.pk for row in rows)
        if stores and 200 <= status < 300:
            # A delivery that its sender named as one we know already is stored once.
            kept = rows or InboundEvent.objects.filter(body=body, state="decided")[:1]
            assert [bytes(row.body) for row in kept] == [body]
        for row in rows:
            self._follow(row)
        return status

    def _follow(self, row):
        ingest.decide_ids([row.pk], now=timezone.now())
        row.refresh_from_db()
        assert (row.state, row.error) == ("decided", "")
        options = row.integration.options if row.integration else {}
        found = sources.get(row.source).parse(bytes(row.body), row.headers, options)
        assert found and len(found) == len(row.result)
        for event, item in zip(found, row.result, strict=True):
            assert item["alert_id"] or item["reasons"], item
            assert event.action != TRIGGER or item["alert_id"] or item["outcome"] == "stale", item
        for alert_id in {item["alert_id"] for item in row.result[:20]} - {None}:
            self.look(f"/alerts/{alert_id}", f"/api/v1/alerts/{alert_id}")

    def look(self, *paths):
        for path in paths:
            assert self.watcher.get(path).status_code == 200, path

    def look_around(self):
        """At the pages that list what came in."""
        self.look("/", "/alerts", "/silences", "/api/v1/alerts", "/api/v1/incidents", "/admin/alerts/inboundevent/")
        self.look(*(f"/integrations/{one.uuid}" for one in self._integrations.values()))


@pytest.fixture
def stage(service, alice, client):
    alice.role = Role.ADMIN
    alice.save()
    client.force_login(alice)
    with Server() as server:
        stage = Stage(server, client, service)
        yield stage
        stage.hang_up()
        stage.look_around()


def run(test, *strategies):
    """Call `test` with what hypothesis draws from each of these."""
    bounded(given(*strategies)(test))()


# --- the addresses of sources -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cloudwatch"])
def test_a_source(stage, kind):
    address = f"/in/{kind}/{stage.key(kind)}"

    def fire(body, headers, query):
        stage.fire("POST", address + query, body, headers)

    run(fire, bodies(samples_of(kind)), ANY_HEADERS, QUERIES)


def test_amazons_signed_messages(stage, monkeypatch, settings):
    with running(SNS()) as amazon, amazon.reached(monkeypatch):
        settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
        sns.certificates.forget()
        address = f"/in/cloudwatch/{stage.key('cloudwatch')}"
        alarms = [json.loads(text)["Message"] for text in samples_of("cloudwatch")]

        def fire(message, subject):
            signed = amazon.message(message=message.decode("utf-8", "replace"), Subject=subject)
            assert stage.fire("POST", address, signed.encode()) == 200

        def forge(body, headers):
            assert stage.fire("POST", address, body, headers) in (400, 401, 413)

        run(fire, bodies(alarms), st.text(max_size=30).filter(lambda text: text.isprintable()))
        run(forge, bodies(samples_of("sns") + samples_of("cloudwatch")), ANY_HEADERS)
        sns.certificates.forget()


def test_uptime_kumas_query(stage):
    address = f"/in/uptimekuma/{stage.key('uptimekuma')}"

    def fire(heartbeat, monitor):
        query = urlencode({"msg": "down", "heartbeat": heartbeat[:3000], "monitor": monitor[:3000]})
        stage.fire("GET", f"{address}?{query}")

    down = json.loads(samples_of("uptimekuma_down")[0])
    run(fire, bodies([json.dumps(down["heartbeat"])]), bodies([json.dumps(down["monitor"])]))


MAIL = (PAYLOADS / "mail" / "postfix_failed.eml").read_bytes()
MAILS = (
    st.binary(max_size=200)
    | st.tuples(st.binary(max_size=60), st.integers(0, len(MAIL))).map(lambda cut: MAIL[: cut[1]] + cut[0])
    | st.tuples(
        st.sampled_from(["Subject", "From", "Content-Type", "Content-Transfer-Encoding"]), st.text(max_size=60)
    ).map(lambda pair: f"{pair[0]}: {pair[1]}\r\n\r\n".encode("utf-8", "surrogatepass") + MAIL)
    | st.just(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" * 500)
    | st.just(b"Subject: " + b"=?utf-8?q?=C3?= " * 20_000 + b"\r\n\r\n")
)


def test_raw_mail(stage):
    address = f"/in/email/{stage.key('email')}"

    def fire(body, headers):
        stage.fire("POST", address, body, {**headers, "Content-Type": "message/rfc822"})

    run(fire, MAILS, ANY_HEADERS)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", FORM, "application/json"])
def test_the_mail_of_a_provider_for_all_integrations(stage, kind):
    sample = json.loads(samples_of("email_inbound_mailgun_form")[0])
    names = [name for name in sample if name != "_note"]
    recipient = f"{stage.key('email')}@alerts.example.com"

    def fire(changes):
        fields = {**sample, "recipient": recipient, **changes}
        if kind == FORM:
            body = "".join(
                f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                for name, value in fields.items()
            )
            body = f"{body}--x--".encode("utf-8", "surrogatepass")
        elif kind == "application/json":
            body = written(fields)
        else:
            body = urlencode({name: str(value).encode("utf-8", "replace") for name, value in fields.items()}).encode()
        stage.fire("POST", "/in/email", body, {"Content-Type": kind})

    run(fire, st.dictionaries(st.sampled_from([*names, "x", "\0"]), anything, max_size=4))


# --- the drop-in addresses ----------------------------------------------------------------------------------------

PAGERDUTY = {
    "/v2/enqueue": ("routing_key", ["pagerduty_trigger", "pagerduty_acknowledge", "pagerduty_resolve"]),
    "/v2/change/enqueue": ("routing_key", ["pagerduty_change"]),
    "/generic/2010-04-15/create_event.json": ("service_key", ["pagerduty_v1"]),
}


@pytest.mark.parametrize("path", PAGERDUTY)
def test_pagerduty(stage, path):
    name, kinds = PAGERDUTY[path]
    texts = [
        json.dumps({**json.loads(text), name: stage.key("pagerduty")}) for kind in kinds for text in samples_of(kind)
    ]

    def fire(body, headers):
        stage.fire("POST", path, body, headers)

    run(fire, bodies(texts, keep=[name]), ANY_HEADERS)


IDENTIFIERS = st.sampled_from(
    ["k", "%00", "%ff", "a%2Fb", "..", "1" * 400, "x" * 600, "%ED%A0%80", "-1", "00000000-0000-0000-0000-000000000000"]
)
OPSGENIE = [
    ("POST", "close"),
    ("POST", "acknowledge"),
    ("POST", "unacknowledge"),
    ("POST", "notes"),
    ("POST", "snooze"),
    ("POST", "assign"),
    ("POST", "escalate"),
    ("POST", "tags"),
    ("POST", "details"),
    ("POST", "responders"),
    ("POST", "teams"),
    ("POST", "actions/restart"),
    ("PUT", "message"),
    ("PUT", "description"),
    ("PUT", "priority"),
    ("PATCH", "priority"),
    ("DELETE", ""),
    ("DELETE", "tags?tags=a,%00"),
]
WISHES = json.dumps(
    {
        "user": "dora",
        "note": "Looking",
        "message": "Disk nearly full",
        "description": "2 GB left",
        "priority": "P1",
        "endTime": "2030-01-01T00:00:00Z",
        "owner": {"username": "alice@example.com"},
        "tags": ["a"],
        "details": {"a": "b"},
        "responder": {"name": "shop", "type": "team"},
        "team": {"name": "shop"},
    }
)


@pytest.fixture
def genie(stage):
    return {"Authorization": f"GenieKey {stage.key('opsgenie')}"}


def test_opsgenies_create(stage, genie):
    def fire(body, headers):
        stage.fire("POST", "/v2/alerts", body, headers | genie)

    run(fire, bodies(samples_of("opsgenie_create")), ANY_HEADERS)


def test_opsgenies_changes(stage, genie):
    def fire(call, identifier, kind, body, is_open):
        if is_open:
            new = json.dumps({"message": "Disk full", "alias": "k"}).encode()
            stage.fire("POST", "/v2/alerts", new, genie)
        method, verb = call
        path = f"/v2/alerts/{identifier}/{verb}".removesuffix("/")
        # A query stands in for a body that is missing.
        stores = bool(body.strip()) and "?" not in path and ".." not in path
        mark = "&" if "?" in path else "?"
        stage.fire(method, f"{path}{mark}identifierType={kind}", body, genie, stores=stores)

    kinds = st.sampled_from(["alias", "alias", "id", "tiny", "", "%00"])
    identifiers = st.just("k") | IDENTIFIERS
    run(fire, st.sampled_from(OPSGENIE), identifiers, kinds, bodies([WISHES]) | st.just(b""), st.booleans())


def test_opsgenies_lists(stage, genie):
    stage.fire("POST", "/v2/alerts", b'{"message": "Disk full", "alias": "k", "tags": ["a"]}', genie)
    words = st.sampled_from(
        ["status:open", "AND", "OR", "NOT", "(", ")", '"', "priority:P9", "count>1", "count>99999999999", "tag:a", "*"]
        + [
            "createdAt>1e999",
            "createdAt:9999999999999999",
            "details.x:y",
            "alias:**",
            "\0",
            "\ud800",
            "message:(a",
            "é",
        ]
    )

    def fire(query, name, value, identifier):
        text = quote(" ".join(query).encode("utf-8", "surrogatepass"))
        stage.fire("GET", f"/v2/alerts?query={text}&{name}={value}", b"", genie, stores=False)
        for path in (f"alerts/count?query={text}", f"alerts/{identifier}?identifierType={value}"):
            stage.fire("GET", f"/v2/{path}", b"", genie, stores=False)
        stage.fire("GET", f"/v2/alerts/requests/{identifier}", b"", genie, stores=False)
        stage.fire("GET", f"/v2/alerts/{identifier}/notes?identifierType=alias", b"", genie, stores=False)

    names = st.sampled_from(["limit", "offset", "sort", "order", "identifierType", "%00", "apiKey"])
    values = st.sampled_from(["", "-1", "1e9", "9" * 30, "%00", "%ff", "id", "alias", "tiny", "asc", "createdAt"])
    run(fire, st.lists(words, max_size=5), names, values, IDENTIFIERS)


def test_heartbeats(stage, genie):
    beat = factories.HeartbeatFactory(name="k", service=stage.service)
    key = heartbeats.new_key(beat)

    def fire(method, name, body, headers):
        stage.fire(method, f"/v2/heartbeats/{name}/ping", body, headers | genie, stores=False)
        stage.fire(method, f"/v2/heartbeats/{name}", body, headers | genie, stores=False)
        stage.fire(method, f"/in/heartbeat/{name}", body, headers, stores=False)
        assert stage.fire(method, f"/in/heartbeat/{key}", body, headers, stores=False) in (200, 405)

    run(fire, st.sampled_from(["GET", "POST", "PUT", "PATCH"]), IDENTIFIERS, bodies([WISHES]), ANY_HEADERS)
    stage.look(f"/heartbeats/{beat.uuid}")
    assert not InboundEvent.objects.exists()


SILENCE = json.dumps(
    {
        "matchers": [{"name": "alertname", "value": "InstanceDown", "isRegex": False, "isEqual": True}],
        "startsAt": "2026-06-01T12:00:00Z",
        "endsAt": (timezone.now() + dt.timedelta(hours=2)).isoformat(),
        "createdBy": "dora",
        "comment": "New disks",
    }
)


@pytest.mark.parametrize("is_bearer", [False, True])
def test_alertmanagers_alerts(stage, is_bearer):
    key = stage.key("prometheus")
    path, own = (
        ("/api/v2/alerts", {"Authorization": f"Bearer {key}"}) if is_bearer else (f"/in/{key}/api/v2/alerts", {})
    )

    def fire(body, headers):
        # Of an array with mistakes the rest is taken, and the answer is still a 400: `fire` follows that too.
        stage.fire("POST", path, body, headers | own)

    run(fire, bodies(samples_of("alertmanager_api_v2")), ANY_HEADERS)


def test_alertmanagers_silences_and_lists(stage):
    prefix = f"/in/{stage.key('prometheus')}/api/v2"
    filters = st.sampled_from(
        ["a=b", "%00", "%ff", "a=~%28%28", "{a!=%22%22}", "=", "a=~.*", "%22%22=x", "a=~" + "x*" * 900]
    )

    def fire(body, filter_, identifier):
        if stage.fire("POST", f"{prefix}/silences", body, stores=False) == 200:
            for silence in Silence.objects.order_by("-pk")[:1]:
                stage.look(f"/silences/{silence.uuid}", "/silences")
                stage.fire("GET", f"{prefix}/silence/{silence.uuid}", stores=False)
        for what in ("alerts", "alerts/groups", "silences", "status", "receivers"):
            stage.fire("GET", f"{prefix}/{what}?filter={filter_}&receiver={filter_}", stores=False)
        stage.fire("DELETE", f"{prefix}/silence/{identifier}", stores=False)

    run(fire, bodies([SILENCE]), filters, IDENTIFIERS)


@pytest.mark.parametrize("name", ["formatted_webhook", "webhook", "alertmanager", "grafana_alerting", "unknown%00"])
def test_oncall(stage, name):
    kind = {"formatted_webhook": "oncall", "grafana_alerting": "grafana", "alertmanager": "alertmanager"}.get(
        name, "generic"
    )
    address = f"/integrations/v1/{name}/{stage.key(kind)}"

    def fire(body, headers):
        stage.fire("POST", f"{address}/", body, headers)
        stage.fire("POST", f"{address}/heartbeat/", body, headers, stores=False)

    run(fire, bodies(samples_of(kind)), ANY_HEADERS)


# --- people who look at it ----------------------------------------------------------------------------------------


def test_every_raw_event_can_be_looked_at(stage):
    bodies_seen = [*HOSTILE, *RAW, *(b'{"title": ' + raw + b"}" for raw in RAW), MAIL]
    stage.key("email")  # where any bytes are a mail
    integration = Integration.objects.get()
    rows = [
        InboundEvent(source="email", scope=f"integration:{integration.pk}", integration=integration, body=body)
        for body in bodies_seen
    ]
    InboundEvent.objects.bulk_create(rows)
    for row in rows:
        stage.look(f"/admin/alerts/inboundevent/{row.pk}/change/")
    stage.look(f"/integrations/{integration.uuid}")


# --- our own addresses --------------------------------------------------------------------------------------------


def test_the_address_with_the_key_in_a_header(stage):
    own = {"Authorization": f"Bearer {stage.key('generic')}"}

    def fire(body, headers, query):
        stage.fire("POST", f"/api/events{query}", body, headers | own)

    run(fire, bodies(samples_of("generic")), ANY_HEADERS, QUERIES)


def test_the_api(stage, alice):
    own = {"Authorization": f"Bearer {factories.ApiKeyFactory(user=alice, scopes=['alerts:write']).text}"}
    texts = [json.dumps({"service": stage.service.slug, **json.loads(text)}) for text in samples_of("generic")]

    def fire(body, headers, query):
        stage.fire("POST", f"/api/v1/alerts{query}", body, headers | own)

    run(fire, bodies(texts), ANY_HEADERS, QUERIES)


def test_a_sender_that_signs(stage):
    secret = "whk_test_secret_1"
    integration = factories.IntegrationFactory(service=stage.service, signing_secret=secret)
    address = f"/in/generic/{integration.key}"

    def fire(body, headers):
        assert stage.fire("POST", address, body, headers) in (401, 413)
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        own = {name: value for name, value in headers.items() if name != "X-Signature"}
        assert stage.fire("POST", address, body, {**own, "X-Signature-256": f"sha256={signature}"}) != 401

    run(fire, bodies(samples_of("generic")), ANY_HEADERS)


PREFIXES = (
    "/in/",
    "/in/generic/",
    "/v2/alerts/",
    "/v2/heartbeats/",
    "/integrations/v1/",
    "/api/v2/",
    "/in/email/",
    "/in/k/",
)


def test_any_request_that_a_server_may_pass_on(stage):
    """Below the servers, which refuse some of this: the application itself lets nothing out but an answer."""
    door = Door(pages)

    async def asked(scope, body):
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        try:
            await door(scope, receive, send)
        finally:
            await door.close()
        return sent[0]["status"]

    def fire(method, path, query, headers, body):
        scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": headers}
        assert asyncio.run(asked(scope, body)) < 500

    names = st.sampled_from(
        [b"authorization", b"content-type", b"content-length", b"x-signature", b"user-agent", b"x"]
    )
    paths = st.tuples(st.sampled_from(PREFIXES), st.text(max_size=20)).map("".join)
    methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "é"])
    run(fire, methods, paths, st.binary(max_size=30), st.lists(st.tuples(names, st.binary(max_size=30))), st.binary())
