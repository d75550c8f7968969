"""Amazon SNS at the door: who may send, what is fetched and what never is, and how a subscription is confirmed."""

import asyncio
import datetime as dt
import json
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone

from alerts import ingest, sns, topics
from alerts.keys import Target
from alerts.models import Alert, InboundEvent, Topic
from alerts.sources.cloudwatch import CloudWatch
from notifications.models import Alarm
from tests import factories
from tests.alerts.test_door import Server, waits_for
from tests.fakes.server import running
from tests.fakes.sns import ARN, SNS

PAYLOADS = Path(__file__).parent.parent / "payloads"
VECTOR = json.loads((PAYLOADS / "signature_vectors_of_senders.json").read_text())["aws_sns"]
SAMPLES = (
    "sns_plain_text",
    "sns_subscription",
    "sns_unsubscribe",
    "cloudwatch_alarm",
    "cloudwatch_ok",
    "cloudwatch_insufficient_data_metric_math",
)
HOST = "https://sns.eu-west-1.amazonaws.com"


def sample(name):
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def sent_at(message):
    return dt.datetime.fromisoformat(message["Timestamp"])


@pytest.fixture(autouse=True)
def no_certificates():
    sns.certificates.forget()
    yield
    sns.certificates.forget()


@pytest.fixture
def certificate():
    """The certificate of the samples, as if it had been fetched."""
    url = sample("sns_plain_text")["SigningCertURL"]
    return sns.certificates.keep(url, VECTOR["certificate_pem"].encode())


def admitted(message, *, now=None, options=None, pinned=(), integration_id=7):
    async def fetch(query, params):
        return [(arn,) for arn in pinned]

    target = Target("integration:7", "cloudwatch", integration_id, 1, options=options or {})
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    when = now or sent_at(message)
    return asyncio.run(CloudWatch().admit(target, {}, body, now=when, fetch=fetch))


# --- the signature ------------------------------------------------------------------------------------------------


def test_the_signed_text_is_that_of_the_guide():
    assert sns.signed_text(sample("sns_subscription")).decode() == VECTOR["string_to_sign_of_sns_subscription"]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_signed_samples_are_admitted(name, certificate):
    assert admitted(sample(name)).ok


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("field", ["Message", "MessageId", "TopicArn", "Timestamp", "Subject"])
def test_a_changed_field_breaks_the_signature(name, field, certificate):
    message = sample(name)
    now = sent_at(message)
    if field == "Timestamp":
        message[field] = (now + dt.timedelta(seconds=1)).isoformat()
    elif field == "Subject" and message["Type"] != "Notification":
        message["Token"] += "0"
    else:
        message[field] = message.get(field, "") + "x"
    verdict = admitted(message, now=now)
    assert not verdict.ok
    assert "does not hold" in verdict.reason


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64!", "é"])
def test_a_signature_that_is_none_is_refused(signature, certificate):
    assert not admitted(sample("sns_plain_text") | {"Signature": signature}).ok


def test_the_other_version_of_the_signature_does_not_hold(certificate):
    assert not admitted(sample("sns_plain_text") | {"SignatureVersion": "2"}).ok
    assert "neither 1 nor 2" in admitted(sample("sns_plain_text") | {"SignatureVersion": "3"}).reason


@pytest.mark.parametrize(("hours", "ok"), [(0, True), (2, True), (2.01, False)])
def test_a_message_lives_two_hours(hours, ok, certificate):
    message = sample("sns_plain_text")
    assert admitted(message, now=sent_at(message) + dt.timedelta(hours=hours)).ok is ok


def test_a_certificate_that_is_not_valid_on_the_day_is_refused(certificate):
    message = sample("sns_plain_text")
    for day in (certificate.not_valid_before_utc, certificate.not_valid_after_utc):
        outside = day + dt.timedelta(days=-1 if day == certificate.not_valid_before_utc else 1)
        reason = sns.problem_with_signature(message, certificate, now=outside)
        assert "not valid today" in reason


# --- the addresses ------------------------------------------------------------------------------------------------

HOSTILE = [
    "http://sns.eu-west-1.amazonaws.com/x.pem",
    "https://sns.eu-west-1.amazonaws.com:8443/x.pem",
    "https://sns.eu-west-1.amazonaws.com:abc/x.pem",
    "https://user@sns.eu-west-1.amazonaws.com/x.pem",
    "https://user:pass@sns.eu-west-1.amazonaws.com/x.pem",
    "https://@sns.eu-west-1.amazonaws.com/x.pem",
    "https://sns.eu-west-1.amazonaws.com@evil.example.com/x.pem",
    "https://evil.example.com/sns.eu-west-1.amazonaws.com/x.pem",
    "https://sns.eu-west-1.amazonaws.com.evil.example.com/x.pem",
    "https://evil-sns.eu-west-1.amazonaws.com/x.pem",
    "https://sns.eu.west.amazonaws.com/x.pem",
    "https://sns.eu-west-1.amazonaws.com.cn.evil.example.com/x.pem",
    "https://sns.eu-west-1.amazonawsxcom/x.pem",
    "https://sns.amazonaws.com/x.pem",
    "https://s3.eu-west-1.amazonaws.com/x.pem",
    "https://evil.example.com\\.sns.eu-west-1.amazonaws.com/x.pem",
    "https://evil.example.com#.sns.eu-west-1.amazonaws.com/x.pem",
    "https://sns.eu-west-1.amazonaws.com\n/x.pem",
    "https://sns.eu-west-1.amazonaws.com /x.pem",
    "https://sns.eu-wést-1.amazonaws.com/x.pem",
    "https://127.0.0.1/x.pem",
    "https://[::1]/x.pem",
    "https://[::1/x.pem",
    "file:///etc/x.pem",
    "//sns.eu-west-1.amazonaws.com/x.pem",
    "",
    None,
    7,
]


@pytest.mark.parametrize("url", HOSTILE)
def test_an_address_that_is_not_amazons_is_refused(url, certificate):
    assert sns.problem_with_address(url)
    verdict = admitted(sample("sns_plain_text") | {"SigningCertURL": url})
    assert not verdict.ok
    assert not verdict.is_later
    assert not admitted(sample("sns_subscription") | {"SubscribeURL": url}).ok


@pytest.mark.parametrize("path", ["", "/", "/x.pem?a=b", "/x.pem#y", "/x", "/?x=.pem"])
def test_a_certificate_has_an_address_of_its_own(path):
    assert sns.problem_with_certificate_address(HOST + path)
    assert not sns.problem_with_address(HOST + path)


@pytest.mark.parametrize(
    "url", [f"{HOST}/x.pem", f"{HOST}:443/x.pem", "https://sns.cn-north-1.amazonaws.com.cn/x.pem"]
)
def test_amazons_own_addresses_are_good(url):
    assert sns.problem_with_certificate_address(url) == ""


# --- the topic ----------------------------------------------------------------------------------------------------


def test_a_pinned_topic_keeps_others_out(certificate):
    assert admitted(sample("sns_plain_text"), pinned=[ARN]).ok
    for name in ("sns_plain_text", "sns_subscription"):
        verdict = admitted(sample(name), pinned=[ARN + "-2"])
        assert not verdict.ok
        assert ARN in verdict.reason


def test_the_option_names_the_topics_that_may_send(certificate):
    assert admitted(sample("sns_plain_text"), options={"topic_arn": f"{ARN}-2 {ARN}"}, pinned=[ARN + "-3"]).ok
    assert not admitted(sample("sns_plain_text"), options={"topic_arn": f"{ARN}-2"}, pinned=[ARN]).ok


def test_an_option_that_is_no_arn_says_so():
    check = CloudWatch.options[0].check
    assert check(f" {ARN}\n{ARN}-2 ") == f"{ARN} {ARN}-2"
    with pytest.raises(ValueError, match="not the ARN of a topic"):
        check("oncall-alarms")


def test_the_key_of_a_service_cannot_take_a_topic(certificate):
    assert "integration of its own" in admitted(sample("sns_subscription"), integration_id=None).reason


def test_a_raw_message_is_refused_with_what_to_change():
    raw = json.loads(sample("cloudwatch_alarm")["Message"])
    assert "raw message delivery" in admitted(raw, now=timezone.now()).reason


@pytest.mark.parametrize("message", [[], {}, {"Type": "Notification"}, {"Type": ["x"], "Signature": "x"}, "text", 7])
def test_what_is_no_message_is_refused(message):
    verdict = admitted(message, now=timezone.now())
    assert not verdict.ok
    assert not verdict.is_later


@pytest.mark.parametrize("field", ["Message", "MessageId", "TopicArn", "Timestamp", "Type", "SignatureVersion"])
@pytest.mark.parametrize("value", [None, 7, ["x"], {}, ""])
def test_a_crooked_field_is_refused_not_fatal(field, value, certificate):
    verdict = admitted(sample("sns_plain_text") | {field: value}, now=sent_at(sample("sns_plain_text")))
    assert not verdict.ok


# --- the certificate ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def amazon():
    with running(SNS()) as server:
        yield server


@pytest.fixture
def reached(amazon, monkeypatch, settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    amazon.visits.clear()
    amazon.answers.clear()
    amazon.pem_status = 200
    with amazon.reached(monkeypatch):
        yield amazon


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_certificate_is_fetched_once(reached, version):
    for _ in range(3):
        assert admitted(reached.message(version=version).encode(), now=timezone.now()).ok
    assert len(reached.visits) == 1


@pytest.mark.parametrize(("status", "is_later"), [(503, True), (429, True), (404, False), (403, False), (302, False)])
def test_without_a_certificate_nothing_is_admitted(reached, status, is_later):
    reached.pem_status = status
    verdict = admitted(reached.message().encode(), now=timezone.now())
    assert (verdict.ok, verdict.is_later) == (False, is_later)
    assert verdict.reason


def test_a_certificate_that_cannot_be_fetched_is_not_asked_for_again_at_once(reached):
    reached.pem_status = 503
    for _ in range(3):
        assert admitted(reached.message().encode(), now=timezone.now()).is_later
    assert len(reached.visits) == 1


def test_what_is_no_certificate_is_refused(reached, monkeypatch):
    monkeypatch.setattr(reached, "pem", b"<html>")
    verdict = admitted(reached.message().encode(), now=timezone.now())
    assert (verdict.ok, verdict.is_later) == (False, False)


def test_the_kept_certificates_are_bounded():
    kept = sns.Certificates()
    for number in range(100):
        kept.keep(f"{HOST}/{number}.pem", VECTOR["certificate_pem"].encode())
    assert len(kept._kept) == sns._CERTIFICATES


# --- through the door ---------------------------------------------------------------------------------------------


@pytest.fixture
def integration(transactional_db, service):
    return factories.IntegrationFactory(source="cloudwatch", service=service, name="AWS")


@pytest.fixture
def server(transactional_db):
    with Server() as running_door:
        yield running_door


@pytest.fixture
def post(server, integration):
    def send(body):
        headers = {"Content-Type": "text/plain; charset=UTF-8"}
        return server.post(f"/in/cloudwatch/{integration.key}", body.encode(), headers)

    return send


def decide():
    now = timezone.now() + dt.timedelta(seconds=3)
    ingest.sweep(now=now)
    return now


def alarm(name="checkout-5xx", state="ALARM"):
    return {
        "AlarmName": name,
        "AlarmArn": f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}",
        "NewStateValue": state,
        "NewStateReason": "Threshold crossed",
        "StateChangeTime": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
    }


def test_a_subscription_is_confirmed_by_a_worker_and_alarms_come_in(reached, post, integration):
    assert post(reached.message("SubscriptionConfirmation")).status == 200
    assert not any("ConfirmSubscription" in path for path in reached.visits)
    now = decide()
    topic = Topic.objects.get()
    assert (topic.integration, topic.arn, topic.state) == (integration, ARN, "pending")
    assert topics.oldest_due(now) is not None
    topics.run(now_of=lambda: now)
    topic.refresh_from_db()
    assert (topic.state, topic.due_at, topic.error) == ("confirmed", None, "")
    topics.run(now_of=lambda: now + dt.timedelta(days=1))
    assert sum("ConfirmSubscription" in path for path in reached.visits) == 1
    assert post(reached.message(message=alarm())).status == 200
    assert post(reached.message(message=alarm(state="OK"))).status == 200
    assert not Alert.objects.exists()
    decide()
    assert Alert.objects.get().status == "resolved"


def test_a_forged_message_is_refused_and_nothing_is_stored(reached, post, integration):
    message = json.loads(reached.message())
    reply = post(json.dumps(message | {"Message": "All is well"}))
    assert reply.status == 401
    assert "does not hold" in reply.json["message"]
    evil = post(json.dumps(message | {"SigningCertURL": "https://evil.example.com/x.pem"}))
    assert evil.status == 401
    assert not InboundEvent.objects.exists()
    assert waits_for(lambda: Alarm.objects.filter(key=f"refused:{integration.pk}", cleared_at=None).exists())
    assert "“AWS”" in Alarm.objects.get(key=f"refused:{integration.pk}").text
    assert post(reached.message()).status == 200
    assert waits_for(lambda: not Alarm.objects.filter(cleared_at=None).exists())


def test_a_message_that_comes_twice_is_stored_once(reached, post):
    body = reached.message()
    first, again = post(body), post(body)
    assert (first.status, first.json) == (again.status, again.json) == (200, first.json)
    assert InboundEvent.objects.count() == 1


def test_without_the_certificate_sns_is_asked_to_try_again_and_an_admin_told(reached, post, integration):
    reached.pem_status = 503
    reply = post(reached.message())
    assert reply.status == 503
    assert reply.headers["retry-after"]
    assert not InboundEvent.objects.exists()
    assert waits_for(lambda: Alarm.objects.filter(key=f"refused:{integration.pk}").exists())
    assert "could not be fetched" in Alarm.objects.get(key=f"refused:{integration.pk}").text


def test_a_second_topic_is_kept_out_by_the_first(reached, post):
    assert post(reached.message("SubscriptionConfirmation")).status == 200
    decide()
    reply = post(reached.message("SubscriptionConfirmation", TopicArn=ARN + "-of-others"))
    assert reply.status == 401
    assert Topic.objects.count() == InboundEvent.objects.count() == 1


def test_unsubscribing_tells_an_admin_and_never_subscribes_again(reached, post, integration):
    topic = factories.TopicFactory(integration=integration, arn=ARN)
    assert post(reached.message("UnsubscribeConfirmation")).status == 200
    now = decide()
    topics.run(now_of=lambda: now)
    topic.refresh_from_db()
    assert (topic.state, topic.subscribe_url, topic.due_at) == ("gone", "", None)
    assert not any("ConfirmSubscription" in path for path in reached.visits)
    raised = Alarm.objects.get(key=topics.alarm_key(topic))
    assert "was deleted" in raised.text
    assert post(reached.message("SubscriptionConfirmation")).status == 200
    decide()
    topic.refresh_from_db()
    raised.refresh_from_db()
    assert topic.state == "pending"
    assert raised.cleared_at is not None


# --- confirming ---------------------------------------------------------------------------------------------------


@pytest.fixture
def topic(reached, integration, now):
    url = f"https://{reached.host}/?Action=ConfirmSubscription&Token=1"
    return factories.TopicFactory(integration=integration, arn=ARN, state="pending", subscribe_url=url, due_at=now)


def run_at(moment):
    topics.run(now_of=lambda: moment)


def test_a_confirmation_that_fails_is_tried_again_later(topic, reached, now):
    reached.answers[:] = [503, 200]
    run_at(now)
    topic.refresh_from_db()
    assert (topic.state, topic.due_at) == ("pending", now + dt.timedelta(seconds=5))
    assert "503" in topic.error
    run_at(now + dt.timedelta(seconds=4))
    assert len(reached.visits) == 1
    run_at(now + dt.timedelta(seconds=5))
    topic.refresh_from_db()
    assert (topic.state, topic.error) == ("confirmed", "")


@pytest.mark.parametrize("status", [400, 403, 302])
def test_a_confirmation_that_is_refused_fails_for_good_and_an_admin_is_told(topic, reached, now, status):
    reached.answers[:] = [status]
    run_at(now)
    topic.refresh_from_db()
    assert (topic.state, topic.due_at) == ("failed", None)
    assert "could not be confirmed" in Alarm.objects.get(key=topics.alarm_key(topic), cleared_at=None).text


def test_a_confirmation_is_given_up_after_the_last_try(topic, reached, now):
    reached.answers[:] = [503] * 20
    moment = now
    for _ in range(20):
        moment += dt.timedelta(hours=1)
        run_at(moment)
    topic.refresh_from_db()
    assert topic.state == "failed"
    assert len(reached.visits) == len(topics.RETRY_SECONDS) + 1


def test_an_address_that_is_not_amazons_is_never_visited(topic, reached, now):
    Topic.objects.update(subscribe_url=f"https://127.0.0.1:{reached.port}/?Action=ConfirmSubscription")
    run_at(now)
    topic.refresh_from_db()
    assert topic.state == "failed"
    assert reached.visits == []


def test_a_topic_that_ended_while_it_was_confirmed_stays_ended(topic, now):
    claimed = topics.due.claim(topics._due(now), now=now, lease=topics.LEASE, limit=1)
    Topic.objects.update(state="gone", lease_token=None)
    topics.confirm(claimed[0], now=now)
    topic.refresh_from_db()
    assert topic.state == "gone"


def test_an_old_message_that_comes_late_changes_nothing(integration, amazon, now):
    bodies = [
        amazon.message("SubscriptionConfirmation", at=now - dt.timedelta(minutes=10)),
        amazon.message("UnsubscribeConfirmation", at=now - dt.timedelta(minutes=5)),
    ]
    for order in (bodies, bodies[::-1]):
        Topic.objects.all().delete()
        for body in order:
            row = InboundEvent(integration=integration, body=body.encode(), received_at=now, source="cloudwatch")
            with transaction.atomic():
                topics.note([row], now=now)
        assert Topic.objects.get().state == "gone"
