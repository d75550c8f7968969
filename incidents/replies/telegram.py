"""Answers from Telegram: buttons, and a few words typed to the bot.

Whoever sends an update proves by the secret of `setWebhook` to be Telegram, and Telegram says who pressed or wrote. We
act for them only when that account was linked to a person. What we say goes back as the answer to the call itself,
which the Bot API takes as a method to run, so this needs no call of our own.
"""

import datetime
import json

from django.conf import settings
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts.models import Team, User
from accounts.permissions import may, visible
from core import secrets
from core.errors import DomainError
from incidents import states
from incidents.models import Incident
from incidents.replies import answers, grammar
from notifications import links, providers, replays, telegram_links
from notifications.channels.telegram import MOST_UNITS, Telegram, cut
from notifications.models import ContactMethod, Notification
from notifications.vendors.telegram import SECRET_HEADER
from oncall import lookup, shifts

VIA = "telegram"
MOST_OF_AN_ALERT = 200  # characters of what a pressed button may answer
RECENT = datetime.timedelta(hours=24)  # a bare “ack” is about a page of that time
ARRIVED = ("sending", "sent", "delivered", "read", "acknowledged")
UPDATES = ["message", "callback_query"]  # what we ask Telegram for
COMMANDS = (
    ("ack", "Acknowledge: ack 42, or just ack"),
    ("resolve", "Resolve: resolve 42"),
    ("escalate", "Call the next level: escalate 42"),
    ("note", "Write into the timeline: note 42 …"),
    ("oncall", "Who is on call now"),
)
HELP = "I understand: " + ", ".join(f"/{name}" for name, _ in COMMANDS) + ". Write the number of the incident behind."


@csrf_exempt
@require_POST
def webhook(request):
    """Take one update of Telegram. An error (5xx) makes it come again, so what it did is undone with it."""
    account = _account(request.headers.get(SECRET_HEADER, ""))
    if account is None:
        return HttpResponse("The secret is not that of a bot of ours.", status=403, content_type="text/plain")
    try:
        update = json.loads(request.body)
        number = int(update["update_id"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return HttpResponse("This is no update of Telegram.", status=400, content_type="text/plain")
    now = timezone.now()
    with transaction.atomic():
        if not replays.is_first(f"{account.key}:{number}", now=now):
            return HttpResponse()
        said = _act(update, now)
    return JsonResponse(said) if said else HttpResponse()


def _account(secret):
    """The bot with this secret, or None. Every one is compared, so that the time taken says nothing."""
    found = None
    for account in providers.accounts(Telegram.vendor):
        if constant_time_compare(secret, account.config["webhook_secret"]):
            found = account
    return found


def _act(update, now):
    """Do what an update asks for. Returns the method of the Bot API to run, or None."""
    pressed, message = update.get("callback_query"), update.get("message")
    if isinstance(pressed, dict):
        text, is_done = _pressed(pressed, now)
        return {
            "method": "answerCallbackQuery",
            "callback_query_id": pressed.get("id"),
            "text": text if len(text) <= MOST_OF_AN_ALERT else text[: MOST_OF_AN_ALERT - 1] + "…",
            "show_alert": not is_done,  # a window that has to be closed
        }
    if not isinstance(message, dict) or not isinstance(message.get("chat"), dict):
        return None
    chat = message["chat"]
    if message.get("migrate_to_chat_id"):
        telegram_links.move(chat.get("id"), message["migrate_to_chat_id"])
        return None
    text = _wrote(message, chat, now) if isinstance(message.get("text"), str) else ""
    if not text:
        return None
    said = {"method": "sendMessage", "chat_id": chat.get("id"), "text": cut(text, MOST_UNITS)}
    if message.get("is_topic_message"):
        said["message_thread_id"] = message.get("message_thread_id")
    return said


# --- buttons --------------------------------------------------------------------------------------------------
def _pressed(pressed, now):
    """(what to say, whether it was done) of a button of one of our messages."""
    person, trouble = _person(pressed.get("from"))
    if person is None:
        return trouble, False
    try:
        uuid, verb = links.read(str(pressed.get("data") or ""))
    except DomainError:
        return "This button is not one of ours.", False
    notification = Notification.objects.filter(uuid=uuid).first()
    if notification is None:
        return "The message of this button was deleted. Open the incident from the dashboard.", False
    reply = answers.answer_message(notification, verb, by=person, via=VIA, now=now)
    return reply.text, reply.is_done


def _person(sender):
    """(the person whose account of Telegram this is, "") or (None, why there is none)."""
    sender = str(sender.get("id", "")) if isinstance(sender, dict) else ""
    people = list(
        User.objects.filter(
            pk__in=ContactMethod.objects.filter(
                channel=Telegram.kind, address_key__in=secrets.fingerprints(sender), verified_at__isnull=False
            ).values("user_id")
        )
    )
    if len(people) == 1:
        return people[0], ""
    if people:
        return (
            None,
            f"Several people have this Telegram account. Unlink all but one at {settings.PUBLIC_URL}/settings.",
        )
    return None, f"I do not know you yet. Link your Telegram account at {settings.PUBLIC_URL}/settings."


# --- words ----------------------------------------------------------------------------------------------------
def _wrote(message, chat, now):
    """What to say to a text, or "" to stay silent."""
    is_private = chat.get("type") == "private"
    first, _, rest = message["text"].strip().partition(" ")
    if first.partition("@")[0] == "/start":
        return _start(rest.strip(), chat, is_private, now)
    command = grammar.read(message["text"])
    if not is_private and not _is_meant_for_us(command, message):
        return ""  # people talk to each other
    person, trouble = _person(message.get("from"))
    if person is None:
        return trouble
    if command is None or command.verb == "help":
        return HELP
    if command.verb == "oncall":
        return _on_call(person, now) if may(person, "read") else answers.refusal(person)
    numbers = [command.number] if command.number else _meant(message, chat, command, person, now)
    if not numbers:
        return f"Nothing waits for your answer. {HELP}"
    if len(numbers) > 1 and not command.is_all:
        which = ", ".join(f"#{number}" for number in numbers[:20])
        return f"Which one? {which}. Write the number behind, or “all”."
    # In the order of their numbers, as everywhere, so that two answers cannot deadlock.
    said = {"by": person, "via": VIA, "now": now, "note": command.text}
    return "\n".join(answers.answer(number, command.verb, **said).text for number in sorted(numbers))


def _is_meant_for_us(command, message):
    """Whether a text in a group is for the bot: “close” may be about a window, and “/close” or “close 42” is not."""
    if command is None:
        return False
    replied_to = message.get("reply_to_message") or {}  # in a topic without a reply this is the topic's beginning
    is_reply = bool((replied_to.get("from") or {}).get("is_bot")) and "forum_topic_created" not in replied_to
    return command.number is not None or message["text"].lstrip().startswith("/") or is_reply


def _start(code, chat, is_private, now):
    if not code:
        return f"Hello. To get your pages here, link this chat at {settings.PUBLIC_URL}/settings. {HELP}"
    if not is_private:
        return "Send me this in a chat of our own: only there it is sure that it is you."
    try:
        method = telegram_links.take(code, chat["id"], now=now)
    except DomainError as error:
        return error.message
    return f"This chat is linked to {method.user}. Your pages come here now. {HELP}"


def _meant(message, chat, command, person, now):
    """The incidents that a command without a number is about: of the message replied to, or what waits for them."""
    replied_to = (message.get("reply_to_message") or {}).get("message_id")
    if replied_to:
        provider_id = f"{chat.get('id')}:{replied_to}"
        found = Notification.objects.filter(channel=Telegram.kind, provider_id=provider_id).order_by("id").last()
        if found:
            return answers.seen_of(answers.numbers_of(found), person)
    topics = Notification.objects.filter(
        user=person, topic__startswith="incident:", state__in=ARRIVED, planned_at__gt=now - RECENT
    ).values_list("topic", flat=True)
    numbers = {int(topic.partition(":")[2]) for topic in topics}
    waiting = visible(Incident.objects.open().filter(pk__in=numbers), person)
    if command.verb in ("acknowledge", "escalate"):
        waiting = waiting.filter(status=states.TRIGGERED)
    return list(waiting.order_by("pk").values_list("pk", flat=True))


def _on_call(person, now):
    teams = lookup.teams_now(at=now, teams=visible(Team.objects.all(), person))
    ids = {
        one.user_id
        for _, rows in teams
        for _, roster in rows
        for role in shifts.CALLED
        for one in roster.get(role, ())
    }
    people = User.objects.in_bulk(ids)
    lines = []
    for team, rows in teams:
        for schedule, roster in rows:
            names = [str(people[one.user_id]) for role in shifts.CALLED for one in roster.get(role, ())]
            lines.append(f"{team}, {schedule}: {', '.join(dict.fromkeys(names)) or 'nobody'}")
    return "\n".join(lines) or "There are no schedules yet."
