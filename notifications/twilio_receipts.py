"""What Twilio reports of messages and calls while they are under way. Only what Twilio signed is believed."""

from django.conf import settings
from django.http import HttpResponse, HttpResponseForbidden
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from core.errors import SendError
from notifications import alarms, providers, receipts
from notifications.channels.base import AdminNeeded, DeadAddress, ProviderBroken
from notifications.channels.sms import Sms
from notifications.channels.voice import Voice
from notifications.vendors import twilio

# Twilio's word: ours. What is not here says nothing new.
SMS_STATES = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}
# Somebody has to be asked again in another way at once, so these are failures and not unread messages.
CALL_FAILURES = {
    "no-answer": "Nobody answered the call.",
    "failed": "The call could not be connected. Check the number.",
    "canceled": "The call was cancelled before it was answered.",
}
MACHINES = ("machine", "fax")


def account_of(request):
    """The Twilio account that signed a request, or None when none of ours did."""
    # Not the address that reached us: a proxy may have changed its scheme, host and port.
    url = settings.PUBLIC_URL + request.get_full_path_info()
    signature = request.headers.get("X-Twilio-Signature", "")
    sid = request.POST.get("AccountSid")
    accounts = sorted(providers.accounts(twilio.Twilio.kind), key=lambda each: each.config["account_sid"] != sid)
    signers = (each for each in accounts if twilio.is_signed(each.config, url, request.POST, signature))
    return next(signers, None) if signature else None


def refused():
    """The answer to a request that Twilio did not sign."""
    return HttpResponseForbidden(
        "The signature is not one of our Twilio accounts'. Compare PUBLIC_URL with the address that Twilio calls, and "
        "the auth token in the admin with the one in Twilio's console.\n",
        content_type="text/plain",
    )


@csrf_exempt
@require_POST
def sms_status(request):
    """A text message went further: accepted, sent, delivered, undelivered."""
    account = account_of(request)
    if account is None:
        return refused()
    word = request.POST.get("MessageStatus", "")
    state = SMS_STATES.get(word)
    if state:
        error = None
        if state == "failed":
            error = twilio.error_of(request.POST.get("ErrorCode"), request.POST.get("ErrorMessage", ""))
        _report(account, Sms.kind, request.POST.get("MessageSid", ""), state, word, error)
    return _noted()


@csrf_exempt
@require_POST
def voice_status(request):
    """A call went further: it rings, was answered, is over. That it is over says nothing about who heard it."""
    account = account_of(request)
    if account is None:
        return refused()
    word, by = request.POST.get("CallStatus", ""), request.POST.get("AnsweredBy", "")
    detects = account.config.get("machine_detection") == "yes"
    state, error = None, None
    if word == "busy":
        state, error = "failed", SendError("The phone was busy.")
    elif word in CALL_FAILURES:
        state, error = "failed", SendError(CALL_FAILURES[word], permanent=True)
    elif by.startswith(MACHINES):
        state, error = "failed", SendError("The call was answered by a machine.", permanent=True)
    elif word == "completed" or (word == "in-progress" and (by == "human" or not detects)):
        state = "delivered"
    if state:
        _report(account, Voice.kind, request.POST.get("CallSid", ""), state, " ".join([word, by]).strip(), error)
    return _noted()


def _report(account, channel, sid, state, answer, error=None):
    now = timezone.now()
    if isinstance(error, ProviderBroken | AdminNeeded):
        # The key under which the same trouble is known when Twilio says it at once; see results.py.
        alarms.raise_alarm(f"provider:{account.key} {channel}", f"{account.name}: {error.message}", now=now)
    receipts.report(
        channel,
        sid,
        state,
        at=now,
        error=error.message if error else "",
        is_permanent=isinstance(error, DeadAddress),
        answer=answer,
    )


def _noted():
    return HttpResponse(status=204, content_type="text/plain")
