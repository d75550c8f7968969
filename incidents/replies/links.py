"""The page behind the button of a message: the answer of somebody who is not signed in.

Opening it is no answer, since mail scanners open every link: only the POST is. The link itself is the credential.
"""

from django.db import transaction
from django.http import JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.permissions import may_somewhere
from core.errors import DomainError, Gone, IllegalMove, NotAllowed, NotFound
from incidents import figures, lifecycle, states
from incidents.models import Incident
from incidents.replies import answers
from notifications import links
from notifications.models import Notification

LAST_ENTRIES = 6
# verb -> the words on the button, and what pressing it means
BUTTONS = {
    "acknowledge": ("Acknowledge", "Acknowledging means: {} has it, and nobody else is called."),
    "resolve": ("Resolve", "Resolving means: it is over, and everybody who was paged is told so."),
    "escalate": ("Call the next level now", "The next people of the escalation policy are called at once."),
}


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def link(request, token):
    """Show to the person who was paged what the link is about (GET), or do its verb for them (POST)."""
    now = timezone.now()
    try:
        notification = links.open_link(token, now=now)
        verb = links.verb_of(token)
        numbers = _numbers(notification, verb)
        if notification.user is None:
            return _sign_in(numbers)
        if request.method == "POST":
            reply = _answer(notification, verb, numbers, note=request.POST.get("note", ""), now=now)
            return _answered(request, notification, verb, numbers, reply, now=now)
    except DomainError as error:
        return _refused(request, token, error, now=now)
    return _page(request, "open", notification, verb, _incidents(numbers), now=now)


def acknowledge(token, *, now):
    """Acknowledge by the token of a link, without its page. Returns (a sentence, the numbers of the incidents).

    Raises a DomainError when the token is forged, expired, used, of another verb, or when nothing came of it.
    """
    notification = links.open_link(token, now=now)
    numbers = _numbers(notification, links.verb_of(token))
    if links.verb_of(token) != "acknowledge" or notification.user is None:
        raise NotFound("This token does not acknowledge for somebody. Log in and go on from the dashboard.")
    reply = _answer(notification, "acknowledge", numbers, note="", now=now)
    if reply is None:
        raise Gone("This link was used just now.", code="used_link")
    if not reply.is_done:
        raise IllegalMove(reply.text)
    return reply.text, numbers


def _numbers(notification, verb):
    """The incidents that the link is about. Raises when the link cannot do this for this person."""
    numbers = answers.numbers_of(notification)
    if not numbers or verb not in BUTTONS:
        raise NotFound("This link does not answer an incident. Log in and go on from the dashboard.")
    # Who holds the link was called, so it is theirs to answer wherever they answer calls at all.
    person = notification.user
    if person and not may_somewhere(person, "respond"):
        raise NotAllowed(answers.refusal(person))
    return numbers


def _sign_in(numbers):
    """A message in a team's place does not know who reads it: they say so by signing in."""
    response = redirect("incident", numbers[0]) if len(numbers) == 1 else redirect("dashboard")
    return _guarded(response)


@transaction.atomic
def _answer(notification, verb, numbers, *, note, now):
    """Use the link up and do its verb, both or neither. Returns the Reply, or None when the link was used just now."""
    for number in sorted(numbers):
        lifecycle.locked(number)  # incidents before messages, as everywhere, so that two answers cannot deadlock
    if not links.use(notification.pk, verb, now=now):
        return None
    reply = answers.answer_message(notification, verb, via="link", now=now, note=note)
    if not reply.is_done:
        transaction.set_rollback(True)  # nothing was done with it, so it is not used
    return reply


def _answered(request, notification, verb, numbers, reply, *, now):
    """What came of the press: done, over already, or refused for another reason. No reply: it was pressed twice."""
    incidents = _incidents(numbers)
    page, status, text = "answered", 200, reply.text if reply else ""
    if reply and not reply.is_done:
        status = 409
        page = "answered" if not any(one.is_open for one in incidents) else "refused"
    return _page(request, page, notification, verb, incidents, now=now, status=status, text=text)


def _incidents(numbers):
    """The incidents with all that the page shows, in the order of the message."""
    rows = Incident.objects.select_related("service", "team", "acknowledged_by", "resolved_by").in_bulk(numbers)
    return [rows[number] for number in numbers if number in rows]


def _refused(request, token, error, *, now):
    """Say why the link did nothing, what became of the incident, and what to do next."""
    notification, verb, incidents = None, "", []
    if error.code != "forged_link":
        uuid, verb = links.read(token)
        notification = Notification.objects.select_related("user").filter(uuid=uuid).first()
    if notification:
        incidents = _incidents(answers.numbers_of(notification))
    page, status = error.code, error.status
    if error.code == "used_link" and incidents and request.method == "POST":
        page, status = "answered", 200  # the button was pressed twice
    elif error.code not in ("used_link", "expired_link", "forged_link"):
        page = "refused"
    return _page(request, page, notification, verb, incidents, now=now, status=status, error=error)


def _page(request, page, notification, verb, incidents, *, now, status=200, error=None, text=""):
    if request.headers.get("Accept") == "application/json":  # the button of a browser's notification
        said = text or (error.message if error else "")
        return _guarded(JsonResponse({"detail": said}, status=status))
    context = {"page": page, "verb": verb, "now": now, "error": error, "text": text, "incidents": incidents}
    person = notification.user if notification else None
    if person:
        context |= {"person": person, "zone": person.time_zone}
    if verb in BUTTONS:
        button, meaning = BUTTONS[verb]
        context |= {"button": button, "meaning": meaning.format(person)}
    if len(incidents) == 1:
        (incident,) = incidents
        context |= {"incident": incident, **_state(incident, person)}
        context["may_press"] = incident.status == states.TRIGGERED if verb == "acknowledge" else incident.is_open
        # What a floor above has to say to whoever holds the link, as long as there is work.
        context["shows_proposals"] = bool(person and incident.is_open and page in ("open", "answered", "used_link"))
        context["token"] = request.resolver_match.kwargs["token"]
        if page == "open":
            entries = list(incident.timeline.select_related("by").order_by("-id")[:LAST_ENTRIES])
            context |= {"entries": entries[::-1], "paged": _paged(incident)}
    else:
        open_ones = [one for one in incidents if one.is_open]
        waiting = [one for one in incidents if one.status == states.TRIGGERED]
        context["may_press"] = waiting if verb == "acknowledge" else open_ones
        context |= {"pressed": len(context["may_press"]), "are_over": not open_ones}
    return _guarded(render(request, "incidents/link.html", context, status=status))


def _guarded(response):
    response.headers["Referrer-Policy"] = "no-referrer"  # the address is a credential
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _state(incident, person):
    """Who has the incident, seen by this person."""
    return {
        "is_over": not incident.is_open,
        "is_mine": person is not None and incident.acknowledged_by_id == person.pk,
        "answer": figures.answer_text(incident) if incident.acknowledged_at else "",
    }


def _paged(incident):
    """The people who were paged, first come first."""
    rows = Notification.objects.filter(topic=incident.topic, user__isnull=False).order_by("id").select_related("user")
    return list({row.user_id: row.user for row in rows}.values())
