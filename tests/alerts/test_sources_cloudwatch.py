"""CloudWatch's alarms, and other messages of Amazon SNS, become events."""

import datetime as dt
import json
from pathlib import Path

import pytest

from alerts.sources.base import BadEvent
from alerts.sources.cloudwatch import CloudWatch

PAYLOADS = Path(__file__).parent.parent / "payloads"
ARN = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:checkout-alb-5xx"


def parse(message, options=None):
    (event,) = CloudWatch().parse(json.dumps(message).encode(), {}, options or {})
    return event


def sample(name):
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def with_alarm(name="cloudwatch_alarm", **fields):
    """The sample with other fields in its alarm; None takes a field out."""
    message = sample(name)
    alarm = {key: value for key, value in (json.loads(message["Message"]) | fields).items() if value != "gone"}
    return message | {"Message": json.dumps(alarm)}


def test_an_alarm_is_a_trigger():
    event = parse(sample("cloudwatch_alarm"))
    assert (event.action, event.dedup_key, event.title) == ("trigger", ARN, "checkout-alb-5xx")
    assert (event.severity, event.service) == ("high", "checkout-api")
    assert "More than 20 5xx responses" in event.description
    assert "Threshold Crossed" in event.description
    assert event.occurred_at == dt.datetime(2026, 5, 4, 10, 15, 3, 421000, tzinfo=dt.UTC)
    assert event.labels | {
        "region": "eu-west-1",
        "account": "123456789012",
        "metric": "HTTPCode_Target_5XX_Count",
        "namespace": "AWS/ApplicationELB",
        "statistic": "SUM",
        "threshold": "20.0",
        "LoadBalancer": "app/checkout/50dc6c495c0c9188",
        "topic": "arn:aws:sns:eu-west-1:123456789012:oncall-alarms",
    } == (event.labels)
    (link,) = event.links
    assert link["href"] == (
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#alarmsV2:alarm/checkout-alb-5xx"
    )


def test_an_ok_ends_what_the_alarm_began():
    event = parse(sample("cloudwatch_ok"))
    assert (event.action, event.dedup_key) == ("resolve", ARN)
    assert event.occurred_at == dt.datetime(2026, 5, 4, 10, 30, 3, 421000, tzinfo=dt.UTC)


def test_missing_data_is_a_note_unless_it_is_wanted_as_an_alert():
    message = sample("cloudwatch_insufficient_data_metric_math")
    event = parse(message)
    assert (event.action, event.dedup_key) == ("note", ARN.replace("alb-5xx", "error-ratio"))
    assert "1 datapoint was unknown" in event.description
    event = parse(message, {"insufficient_data": True})
    assert (event.action, event.severity, event.title) == ("trigger", "low", "checkout-error-ratio")


def test_an_alarm_on_an_expression_has_the_labels_of_its_metrics():
    labels = parse(sample("cloudwatch_insufficient_data_metric_math"), {"insufficient_data": True}).labels
    assert (labels["expression"], labels["metric"], labels["namespace"]) == ("m2/m1", "Requests", "Shop")
    assert (labels["Service"], labels["statistic"]) == ("checkout", "Sum")


def test_a_composite_alarm_has_no_metric():
    rule = 'ALARM("a") OR ALARM("b")'
    event = parse(with_alarm(Trigger="gone", AlarmRule=rule))
    assert (event.action, event.labels["alarm_rule"]) == ("trigger", rule)
    assert "metric" not in event.labels


@pytest.mark.parametrize(
    ("description", "severity", "service"),
    [
        (None, "", ""),
        ("", "", ""),
        ("severity=critical", "critical", ""),
        ("See the wiki (service=cart, severity=sev1).", "high", "cart"),
        ("severity=awful service=cart", "", "cart"),
        ("severity: high", "", ""),
        ("severity=low severity=high", "low", ""),
    ],
)
def test_hints_in_the_description(description, severity, service):
    event = parse(with_alarm(AlarmDescription=description))
    assert (event.severity, event.service) == (severity, service)


def test_without_an_arn_the_key_is_made_of_account_region_and_name():
    trigger, end = parse(with_alarm(AlarmArn="gone")), parse(with_alarm("cloudwatch_ok", AlarmArn="gone"))
    assert trigger.dedup_key == end.dedup_key == "123456789012:eu-west-1:checkout-alb-5xx"


@pytest.mark.parametrize(
    ("partition", "console"),
    [("aws-cn", "cn-north-1.console.amazonaws.cn"), ("aws-us-gov", "cn-north-1.console.amazonaws-us-gov.com")],
)
def test_other_partitions_have_other_consoles(partition, console):
    arn = f"arn:{partition}:cloudwatch:cn-north-1:123456789012:alarm:a b/ü"
    event = parse(with_alarm(AlarmArn=arn, AlarmName="a b/ü"))
    assert event.links[0]["href"].startswith(f"https://{console}/")
    assert event.links[0]["href"].endswith("alarm/a%20b%2F%C3%BC")


def test_a_plain_text_is_an_alert_without_a_key():
    event = parse(sample("sns_plain_text"))
    assert (event.action, event.dedup_key, event.title) == ("trigger", "", "Backup job finished with 2 warnings")
    assert event.occurred_at == dt.datetime(2026, 5, 4, 3, 10, 6, 655000, tzinfo=dt.UTC)
    event = parse(sample("sns_plain_text") | {"Message": "\n \nfirst line\nsecond line"})
    assert (event.title, event.description) == ("first line", "first line\nsecond line")
    event = parse(sample("sns_plain_text") | {"Subject": "Backup"})
    assert (event.title, event.description) == ("Backup", "Backup job finished with 2 warnings")


@pytest.mark.parametrize("text", ["", " \n", "[]", "7", "{}", '{"AlarmName": "x"}', '{"AlarmName": 1}', "[" * 100_000])
def test_whatever_stands_in_a_message_somebody_is_called(text):
    event = parse(sample("sns_plain_text") | {"Message": text})
    assert event.action == "trigger"
    assert event.title


def test_messages_about_the_subscription_are_no_alerts():
    for name in ("sns_subscription", "sns_unsubscribe"):
        event = parse(sample(name))
        assert event.action == "ignore"
        assert "oncall-alarms" in event.reason


@pytest.mark.parametrize(
    "trigger",
    [
        None,
        [],
        "x",
        {"Dimensions": "x"},
        {"Dimensions": [1, {}, {"name": None}]},
        {"Metrics": [1, {"MetricStat": 1}, {"MetricStat": {"Metric": []}}, {"Expression": {}}]},
    ],
)
def test_a_crooked_alarm_still_calls_somebody(trigger):
    event = parse(with_alarm(Trigger=trigger, AlarmDescription=7, NewStateReason=[], StateChangeTime={}))
    assert (event.action, event.dedup_key) == ("trigger", ARN)


def test_a_body_that_is_no_message_says_so():
    with pytest.raises(BadEvent, match="Amazon SNS"):
        CloudWatch().parse(b'{"AlarmName": "x"}', {}, {})


def test_the_id_of_a_message_names_its_delivery():
    body = json.dumps(sample("cloudwatch_alarm")).encode()
    assert CloudWatch().delivery_id({}, body) == "9a1b0c52-3a7c-5d63-9c3e-51f2c7b1d001"
