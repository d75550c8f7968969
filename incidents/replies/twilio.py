"""Answers by text message and by the keys of a phone. Twilio brings both, and only what it signed is believed.

"42a" acknowledges what the message with the code 42 was about; a bare word is for the page that came last. In a call 4
acknowledges, 6 resolves, 5 escalates and * says it again.
"""

import logging

from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from twilio.twiml.messaging_response import MessagingResponse

from accounts.permissions import visible
from core import secrets
from core.errors import NotFound
from incidents import states
from incidents.models import Incident
from incidents.replies import answers, grammar
from notifications import codes, links, losses, numbers, receipts, replays
from notifications.channels import sms, voice
from notifications.message import Message
from notifications.models import ContactMethod, Notification
from notifications.twilio_receipts import account_of, refused
from notifications.vendors import twilio

logger = logging.getLogger(__name__)

SMS, VOICE = sms.Sms.kind, voice.Voice.kind
STOP = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit"})
START = frozenset({"start", "unstop", "yes"})
STOP_REASON = f"{twilio.STOPPED}. Reply START from it to get messages again."
HELP = "Reply with a page's code and a letter: 42a acknowledges, 42r resolves, 42e escalates."
STRANGER = "This number is not known here. Add it to your contact methods and verify it, then answer again."
MOST_REPLIES = 5  # until an action succeeds: two machines could go on for ever
NAMED = 3  # of several incidents


@csrf_exempt
@require_POST
def text_message(request):
    """Somebody wrote to our number."""
    if account_of(request) is None:
        return refused()
    now = timezone.now()
    number, body = numbers.normal(request.POST.get("From", "")), request.POST.get("Body", "")
    with transaction.atomic():
        if not replays.is_first(f"twilio:{request.POST.get('MessageSid', '')}", now=now):
            return _message("")
        text, is_done = _answer(number, body, now)
        if is_done:
            replays.forget(_counter(number))
        elif text and not _may_reply(number, now):
            text = ""
    return _message(text)


def _answer(number, body, now):
    """(what to say, whether something was done) for a text message."""
    methods = ContactMethod.objects.filter(
        channel=SMS, address_key__in=secrets.fingerprints(number), verified_at__isnull=False
    )
    word = body.strip().lower().rstrip(".!")
    if word in STOP:
        # The network confirms it, and refuses whatever we would say.
        losses.disable(
            dict.fromkeys(methods.filter(disabled_reason="").values_list("pk", flat=True), STOP_REASON), now=now
        )
        return "", True
    if word in START and methods.filter(disabled_reason__startswith=twilio.STOPPED).update(disabled_reason=""):
        return f"{settings.SITE_NAME} sends its pages to this number again.", True
    if not methods.filter(disabled_reason="").exists():
        logger.warning("A text message came from a number that belongs to no verified contact method.")
        return STRANGER, False
    command = grammar.read(body)
    if command is None or command.verb not in answers.VERBS:
        return HELP, False
    code = command.number
    row = codes.last(SMS, number, now=now) if code is None else codes.find(SMS, number, code, now=now)
    if row is None:
        which = f"the code {code}" if code is not None else "this number"
        return f"There is no page for {which} from the last 24 hours. {HELP}", False
    found = answers.numbers_of(row)
    if command.is_all:
        found = _of_the_same_services(found, command.verb, row.user)
    return _run(found, command.verb, by=row.user, via=SMS, now=now, note=command.text)


def _of_the_same_services(found, verb, by):
    """These incidents, and what else their services have open; to acknowledge, what nobody has yet."""
    services = Incident.objects.filter(pk__in=found).values("service")
    wanted = [states.TRIGGERED] if verb == "acknowledge" else states.OPEN
    others = visible(Incident.objects.filter(service__in=services, status__in=wanted), by)
    return {*found, *others.values_list("pk", flat=True)}


def _run(found, verb, *, by, via, now, note=""):
    """Run the verb on these incidents: (one sentence, whether any was done)."""
    if not found:
        return "This message is not about an incident, so there is nothing to answer.", False
    # By number, as everywhere: two people who answer two bundles must not wait for each other.
    replies = {number: answers.answer(number, verb, by=by, via=via, now=now, note=note) for number in sorted(found)}
    if len(replies) == 1:
        (reply,) = replies.values()
        return reply.text, reply.is_done
    done = [f"#{number}" for number, reply in replies.items() if reply.is_done]
    failed = [reply.text for reply in replies.values() if not reply.is_done]
    names = ", ".join(done[:NAMED]) + (f" and {len(done) - NAMED} more" if len(done) > NAMED else "")
    texts = [f"{len(done)} of {len(replies)} done: {names}."] if done else []
    return " ".join(texts + failed[:1]), bool(done)


def _counter(number):
    return f"twilio:replies:{secrets.fingerprint(number)}:"


def _may_reply(number, now):
    return any(replays.is_first(f"{_counter(number)}{count}", now=now) for count in range(MOST_REPLIES))


def _message(text):
    response = MessagingResponse()
    if text:
        response.message(sms.fit(sms.simple(voice.NOT_XML.sub("", text)), limit=2))
    return HttpResponse(str(response), content_type="text/xml")


@csrf_exempt
@require_POST
def voice_menu(request, token):
    """Somebody pressed a key in a call, or none."""
    if account_of(request) is None:
        return refused()
    now = timezone.now()
    row = _called(request, token)
    if row is None:
        return _says("This call does not belong to a page. Open the page in your browser to answer it. Goodbye.")
    key, sid = request.POST.get("Digits", ""), request.POST.get("CallSid", "")
    if not key:
        if "again" in request.GET:
            return _says("No key was pressed. The page is still open. Goodbye.")
        return _asks(row, token, "?again=1")
    receipts.report(VOICE, sid, "read", at=now, answer=f"key {key}")
    if key == voice.REPEAT or key not in voice.KEYS:
        return _asks(row, token)
    with transaction.atomic():
        if not replays.is_first(f"twilio:{sid}:{key}", now=now):
            return _says("Your answer is here already. Goodbye.")
        text, is_done = _run(answers.numbers_of(row), voice.KEYS[key], by=row.user, via=VOICE, now=now)
    return _says(f"{text} Goodbye." if is_done else f"{text} Nothing was changed. Goodbye.")


def _called(request, token):
    """The notification that this call is about; None when the token is forged or another number was called."""
    try:
        uuid, _ = links.read(token)
    except NotFound:
        return None
    row = Notification.objects.select_related("user", "contact_method").filter(uuid=uuid, channel=VOICE).first()
    if row is None or row.user is None or row.contact_method is None:
        return None
    called = numbers.normal(request.POST.get("To", ""))
    return row if called == numbers.normal(row.contact_method.address) else None


def _asks(row, token, query=""):
    """The message and its menu once more."""
    action = f"{settings.PUBLIC_URL}{voice.MENU_PATH}{token}{query}"
    return HttpResponse(voice.twiml(Message.from_json(row.message), action), content_type="text/xml")


def _says(text):
    return HttpResponse(voice.sentence(text), content_type="text/xml")
