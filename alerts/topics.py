"""Topics of Amazon SNS: which one may send to an integration, and the confirmation that SNS asks for first."""

import datetime as dt
import logging

from alerts import sns
from alerts.event import parse_time
from alerts.models import Topic
from alerts.sources.base import read_json
from core import due, http
from core.errors import SendError
from notifications import alarms

logger = logging.getLogger(__name__)

BATCH = 10
LEASE = dt.timedelta(seconds=60)
# The token of a subscription lives three days; what did not work within two hours needs somebody.
RETRY_SECONDS = (5, 30, 120, 300, 900, 1800, 3600)
SAID_AFTER = 3  # attempts; until then it may be a hiccup
# Topics in these states are the only ones that may send.
PINNED = (Topic.State.PENDING, Topic.State.CONFIRMED)


# --- at the door ----------------------------------------------------------------------------------------------
async def pinned(fetch, integration_id):
    """The ARNs of the topics that this integration knows, asked with the door's `fetch`."""
    rows = await fetch(
        f"SELECT arn FROM {Topic._meta.db_table} WHERE integration_id = %s AND state = ANY(%s)",
        [integration_id, [state.value for state in PINNED]],
    )
    return {arn for (arn,) in rows}


# --- in the transaction that decides --------------------------------------------------------------------------
def note(rows, *, now):
    """Keep the topics up to date with these InboundEvents, whose signatures the door has checked."""
    messages = [(row, read_json(bytes(row.body))) for row in rows if row.integration_id]
    messages.sort(key=lambda pair: pair[0].received_at)
    known = {
        (topic.integration_id, topic.arn): topic
        for topic in Topic.objects.filter(integration_id__in={row.integration_id for row, _ in messages})
        .order_by("pk")
        .select_for_update()
    }
    alarm, over = {}, []
    seen = []
    for row, message in messages:
        arn, at = message["TopicArn"], parse_time(message["Timestamp"]) or row.received_at
        topic = known.get((row.integration_id, arn))
        if topic is None:
            topic = Topic(integration_id=row.integration_id, arn=arn, seen_at=at, state=Topic.State.GONE)
            known[row.integration_id, arn] = topic
        elif at < topic.seen_at:
            continue  # an old try of a message that others have overtaken
        topic.seen_at = at
        if topic not in seen:  # by identity while it has no id yet
            seen.append(topic)
        _apply(topic, message, now)
        if topic.state == Topic.State.GONE:
            alarm[alarm_key(topic)] = (
                f"Amazon SNS says that the subscription of {row.integration} to {arn} was deleted. Alarms of that "
                "topic reach nobody here. If that was not meant, subscribe the integration's address to it again."
            )
        else:
            over.append(alarm_key(topic))
            alarm.pop(alarm_key(topic), None)
    fields = ["state", "subscribe_url", "due_at", "lease_token", "attempts", "error", "seen_at"]
    Topic.objects.bulk_update([topic for topic in seen if topic.pk], fields)
    # Another batch may have met the same topic for the first time.
    Topic.objects.bulk_create(
        sorted((topic for topic in seen if not topic.pk), key=lambda topic: (topic.integration_id, topic.arn)),
        update_conflicts=True,
        unique_fields=["integration", "arn"],
        update_fields=fields,
    )
    if any(topic.due_at for topic in seen):
        due.wake("topics")
    over = [key for key in over if key not in alarm]
    if over:
        alarms.clear_alarms(over, now=now)
    alarms.raise_alarms(alarm, now=now)


def _apply(topic, message, now):
    topic.lease_token = None  # whoever confirms it at this moment must not overwrite what came in
    topic.attempts, topic.error = 0, ""
    if message["Type"] == sns.SUBSCRIPTION:
        topic.state, topic.subscribe_url, topic.due_at = Topic.State.PENDING, message["SubscribeURL"], now
    elif message["Type"] == sns.UNSUBSCRIPTION:
        # Its SubscribeURL would undo what somebody did, so it is not kept.
        topic.state, topic.subscribe_url, topic.due_at = Topic.State.GONE, "", None
    else:  # it sends, so it is confirmed, whoever did it
        topic.state, topic.subscribe_url, topic.due_at = Topic.State.CONFIRMED, "", None


def alarm_key(topic):
    return f"topic:{topic.integration_id}:{topic.arn}"


# --- due work -------------------------------------------------------------------------------------------------
def _due(now):
    return Topic.objects.filter(state=Topic.State.PENDING, due_at__lte=now).order_by("due_at")


def oldest_due(now):
    """Since when the topic that waits longest is to be confirmed, or None."""
    return _due(now).values_list("due_at", flat=True).first()


def run(*, now_of):
    """Confirm what is due; `now_of()` reads the clock. What does not work is due again later."""
    for topic in due.claim(_due(now_of()), now=now_of(), lease=LEASE, limit=BATCH):
        confirm(topic, now=now_of())


def confirm(topic, *, now):
    """Visit the address that confirms a claimed topic, and write down how it went."""
    error, is_final = _visit(topic.subscribe_url)
    changes = {"state": Topic.State.CONFIRMED, "due_at": None, "subscribe_url": "", "error": ""}
    if error:
        is_final = is_final or topic.attempts > len(RETRY_SECONDS)
        wait = RETRY_SECONDS[min(topic.attempts, len(RETRY_SECONDS)) - 1]
        changes = {
            "state": Topic.State.FAILED if is_final else Topic.State.PENDING,
            "due_at": None if is_final else now + dt.timedelta(seconds=wait),
            "error": error,
        }
    ours = Topic.objects.filter(pk=topic.pk, lease_token=topic.lease_token)
    if not ours.update(lease_token=None, lease_until=None, **changes):
        return
    if not error:
        alarms.clear_alarm(alarm_key(topic), now=now)
    elif is_final or topic.attempts >= SAID_AFTER:
        alarms.raise_alarm(
            alarm_key(topic),
            f"The subscription of {topic.integration} to {topic.arn} could not be confirmed, so its alarms do not "
            f"come in. {error} In the console of Amazon SNS, request the confirmation again.",
            now=now,
        )


def _visit(url):
    """`(error, whether trying again cannot help)`; no error when the address took the confirmation."""
    problem = sns.problem_with_address(url)
    if problem:
        return problem, True
    try:
        reply = http.get(url, timeout=sns.FETCH_SECONDS)
    except SendError as error:
        return error.message, error.permanent
    if reply.status == 200:
        return "", False
    return f"Amazon SNS answered {reply.status}. The token may be too old.", True
