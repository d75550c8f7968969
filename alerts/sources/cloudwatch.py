"""Amazon CloudWatch, and whatever else sends through a topic of Amazon SNS.

The shape of an alarm is that of "CloudWatch alarm notifications" in the CloudWatch user guide; the envelope is in
alerts/sns.py.
"""

import re
from urllib.parse import quote

from alerts import sns, topics
from alerts.event import (
    DESCRIPTION_LIMIT,
    IGNORE,
    NOTE,
    RESOLVE,
    SERVICE_LIMIT,
    TRIGGER,
    Event,
    clean_key,
    clean_labels,
    clean_line,
    clean_links,
    clean_text,
    parse_time,
    severity_from,
)
from alerts.signatures import Verdict
from alerts.sources.base import BadEvent, Option, Source, read_json

ALARM, OK, INSUFFICIENT = "ALARM", "OK", "INSUFFICIENT_DATA"

_HINT = re.compile(r"\b(severity|service)=([\w.-]+)")
_ARN = re.compile(r"arn:(aws[a-z-]*):[a-z]+:([a-z0-9-]+):(\d*):.+")
_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


def check_arns(text):
    """The ARNs of topics in a text, one space between two. Raises ValueError."""
    arns = text.split()
    for arn in arns:
        if not re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d+:[\w.-]+", arn):
            raise ValueError(
                f"“{arn[:100]}” is not the ARN of a topic. It looks like "
                "arn:aws:sns:eu-west-1:123456789012:alarms; copy it from the console of Amazon SNS."
            )
    return " ".join(arns)


class CloudWatch(Source):
    kind = "cloudwatch"
    label = "Amazon CloudWatch (SNS)"
    setup_help = (
        "In Amazon SNS, create a subscription of your topic with the protocol HTTPS and this endpoint:\n\n{url}\n\n"
        "Leave raw message delivery off. The subscription is confirmed by itself within seconds. Then give your "
        "alarms the topic as the action of ALARM and of OK: without the second one nothing ever resolves.\n\n"
        "A description of an alarm may hold severity=high and service=checkout."
    )
    options = (
        Option(
            "topic_arn",
            "Topics that may send",
            "ARNs, separated by spaces. Empty: the first topic that subscribes, and no other.",
            check=check_arns,
        ),
        Option(
            "insufficient_data",
            "Missing data is an alert",
            "An alarm with INSUFFICIENT_DATA opens an alert of low severity. Otherwise it is only noted.",
            default=False,
            is_switch=True,
        ),
    )
    takes_notes = True

    async def admit(self, target, headers, body, *, now, fetch):
        message = read_json(body)
        problem = sns.problem_with(message, now=now)
        if not problem and target.integration_id is None:
            problem = "A topic needs an integration of its own. Make one for CloudWatch, and use its address."
        if problem:
            return Verdict(False, problem)
        arn = message["TopicArn"]
        allowed = set(str(target.options.get("topic_arn") or "").split())
        allowed = allowed or await topics.pinned(fetch, target.integration_id)
        # With none yet, the first one that knows the address is taken.
        if allowed and arn not in allowed:
            return Verdict(
                False,
                f"The topic {clean_line(arn, 200)} is not one that may send here. If it is meant, add its ARN to the "
                "topics in the integration.",
            )
        try:
            certificate = await sns.certificates.get(message["SigningCertURL"])
        except sns.Unverifiable as error:
            return Verdict(False, str(error), is_later=True)
        if certificate is None:
            return Verdict(False, "There is no certificate at the address that the message names for it.")
        problem = sns.problem_with_signature(message, certificate, now=now)
        return Verdict(not problem, problem)

    def delivery_id(self, headers, body):
        return read_json(body)["MessageId"]  # signed, so it is the sender's

    def note(self, rows, *, now):
        topics.note(rows, now=now)

    def accepted(self, events, event_id):
        return 200, {"status": "accepted", "event_id": event_id}

    def read(self, data, headers, options):
        kind = data.get("Type") if isinstance(data, dict) else None
        arn = clean_line(data.get("TopicArn"), 300) if kind else ""
        if kind == sns.SUBSCRIPTION:
            return [_ignored(f"Amazon SNS asks whether the topic {arn} may send here. It is confirmed by itself.")]
        if kind == sns.UNSUBSCRIPTION:
            return [_ignored(f"Amazon SNS says that the subscription to the topic {arn} was deleted.")]
        if kind != sns.NOTIFICATION or not isinstance(data.get("Message"), str):
            raise BadEvent.about("Message", "This is no message of Amazon SNS. Send it through a topic.")
        try:
            alarm = read_json(data["Message"].encode("utf-8", "surrogatepass"))
        except BadEvent:
            alarm = None
        if isinstance(alarm, dict) and clean_line(alarm.get("AlarmName")) and _state(alarm):
            return [self._alarm(alarm, arn, options)]
        return [self._other(data, arn)]

    def _alarm(self, alarm, topic, options):
        state, name = _state(alarm), clean_line(alarm["AlarmName"])
        arn = clean_line(alarm.get("AlarmArn"), 1000)
        partition, region, account = (_ARN.fullmatch(arn) or _ARN.fullmatch(topic) or _NOTHING).groups()
        account = clean_line(alarm.get("AWSAccountId"), 40) or account
        key = arn or f"{account}:{region}:{name}"
        about = clean_text(alarm.get("AlarmDescription"), DESCRIPTION_LIMIT // 2)
        hints = dict(reversed(_HINT.findall(about)))  # the first of each counts
        why = clean_text(alarm.get("NewStateReason"), DESCRIPTION_LIMIT // 2)
        console = _CONSOLES.get(partition)
        page = f"https://{region}.{console}/cloudwatch/home?region={region}#alarmsV2:alarm/{quote(name, safe='')}"
        severity = severity_from(hints.get("severity", ""))
        action = {ALARM: TRIGGER, OK: RESOLVE}.get(state, NOTE)
        if state == INSUFFICIENT and options.get("insufficient_data"):
            action, severity = TRIGGER, "low"
        return Event(
            action=action,
            dedup_key=clean_key(key),
            severity=severity,
            title=name,
            description=f"CloudWatch has no data: {why}"
            if action == NOTE
            else "\n\n".join(filter(None, (about, why))),
            service=hints.get("service", "")[:SERVICE_LIMIT],
            labels=clean_labels(
                {"alarm": name, "state": state, "region": region or None, "account": account or None},
                _measured(alarm),
                {"topic": topic or None},
            ),
            links=clean_links([(page, "Alarm in CloudWatch")] if console and region else []),
            occurred_at=parse_time(alarm.get("StateChangeTime")),
            source=self.kind,
        )

    def _other(self, data, topic):
        """What is no alarm of CloudWatch: its words, and no key, since nothing says what it is about."""
        text = clean_text(data["Message"], DESCRIPTION_LIMIT)
        first = next((line.strip() for line in text.splitlines() if line.strip()), "")
        return Event(
            action=TRIGGER,
            title=clean_line(data.get("Subject")) or clean_line(first) or f"A message of {topic} without a text",
            description=text,
            labels=clean_labels({"topic": topic or None}),
            occurred_at=parse_time(data.get("Timestamp")),
            source=self.kind,
        )


class _Nothing:
    def groups(self):
        return "", "", ""


_NOTHING = _Nothing()


def _ignored(reason):
    return Event(action=IGNORE, reason=reason, source=CloudWatch.kind)


def _state(alarm):
    state = alarm.get("NewStateValue")
    return state if state in (ALARM, OK, INSUFFICIENT) else ""


def _measured(alarm):
    """What the alarm looks at: one metric, an expression of several, or other alarms."""
    trigger = alarm.get("Trigger") if isinstance(alarm.get("Trigger"), dict) else {}
    labels = {
        "metric": trigger.get("MetricName"),
        "namespace": trigger.get("Namespace"),
        "statistic": trigger.get("Statistic") or trigger.get("ExtendedStatistic"),
        "threshold": trigger.get("Threshold"),
        "comparison": trigger.get("ComparisonOperator"),
        "alarm_rule": alarm.get("AlarmRule"),
        "children": alarm.get("TriggeringChildren"),
    }
    dimensions = _dimensions(trigger)
    for metric in trigger["Metrics"] if isinstance(trigger.get("Metrics"), list) else ():
        if not isinstance(metric, dict):
            continue
        if metric.get("Expression") and (metric.get("ReturnData") or not labels.get("expression")):
            labels["expression"] = metric["Expression"]
        stat = metric.get("MetricStat") if isinstance(metric.get("MetricStat"), dict) else {}
        inner = stat.get("Metric") if isinstance(stat.get("Metric"), dict) else {}
        labels["metric"] = labels["metric"] or inner.get("MetricName")
        labels["namespace"] = labels["namespace"] or inner.get("Namespace")
        labels["statistic"] = labels["statistic"] or stat.get("Stat")
        for name, value in _dimensions(inner).items():
            dimensions.setdefault(name, value)
    return {name: value for name, value in (labels | dimensions).items() if value not in (None, "")}


def _dimensions(metric):
    found = metric.get("Dimensions")
    pairs = {}
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict):
            pairs[clean_line(one.get("name") or one.get("Name"), 255)] = one.get("value", one.get("Value"))
    return pairs
