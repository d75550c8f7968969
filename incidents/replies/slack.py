"""Answers from Slack: buttons, slash commands and mentions of the app.

Only what Slack signed within five minutes is believed, and each request once. Slack says who pressed or typed; we act
for them when that member is a verified contact method of somebody, and else offer a link that makes it one.

Slack wants its answer within three seconds. A verb is one transaction and is done at once. The one who pressed gets a
sentence that only they see; the message itself is changed by the queue, like all messages about the incident.
"""

import functools
import json
import logging
import re

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST
from slack_sdk.errors import SlackApiError

from accounts.models import Team
from accounts.permissions import may, may_somewhere, visible, where_may
from catalog.board import Board
from catalog.models import Service
from core import http
from core.errors import DomainError, SendError
from incidents import lifecycle, messages, states
from incidents.models import Incident, Severity
from incidents.priorities import priority_of
from incidents.replies import answers, grammar
from notifications import links, providers, replays, slack_links
from notifications.blocks import cut_escaped, escape
from notifications.channels.slack import Slack
from notifications.message import storable
from notifications.models import Notification
from notifications.vendors import slack as vendor
from oncall.models import Schedule

logger = logging.getLogger(__name__)

VIA = Slack.kind
BODY_BYTES = 512 * 1024  # a pressed button comes with the whole message around it
SAY_SECONDS = 1.5  # for telling the one who pressed, within Slack's three
MOST = 15  # services or incidents in one answer
TITLE = 150
TEXT = 3900  # Slack asks for at most 4,000 characters
NUMBER = re.compile(r"#?(\d{1,18})\b[\s,.:]*(.*)", re.DOTALL)
MENTION = re.compile(r"<@[UW][A-Z0-9]+(\|[^>]*)?>")
SEVERITIES = {**{one: one for one in Severity.values}, **{priority_of(one).lower(): one for one in Severity.values}}
HELP = (
    "*What you can say*\n"
    "• `/oncall` or `/oncall checkout`: who is on call, for your teams, for a service or for a team\n"
    "• `/incident`: what is open; `/incident 42`: how it stands\n"
    "• `/incident new critical checkout Nobody can pay`: open an incident and call people\n"
    "• `/ack 42`: it is yours, and nobody else is called\n"
    "• `/watchbill ack 42`, `resolve 42 what it was`, `escalate 42`, `note 42 what you found`"
)


def signed(view):
    """A door for Slack's own requests: `view(request, account, now)` runs for what Slack signed, others get a 401."""

    @csrf_exempt
    @never_cache
    @require_POST
    @functools.wraps(view)
    def door(request):
        size = request.META.get("CONTENT_LENGTH") or "0"
        if not size.isdigit() or int(size) > BODY_BYTES or len(request.body) > BODY_BYTES:
            return HttpResponse("This is more than Slack sends.", status=413, content_type="text/plain")
        now = timezone.now()
        account = _account(request, now)
        if account is None:
            text = "Slack did not sign this, or not within the last five minutes."
            return HttpResponse(text, status=401, content_type="text/plain")
        return view(request, account, now)

    return door


def _account(request, now):
    """The account whose secret signed this request, or None. All are tried, so that the time taken says nothing."""
    found = None
    for account in providers.accounts(Slack.vendor):
        if vendor.is_genuine(
            account.config,
            timestamp=request.headers.get("X-Slack-Request-Timestamp", ""),
            signature=request.headers.get("X-Slack-Signature", ""),
            body=request.body,
            now=now,
        ):
            found = account
    return found


def _is_first(request, now):
    return replays.is_first(f"slack:{request.headers['X-Slack-Signature']}", now=now)


# --- buttons --------------------------------------------------------------------------------------------------
@signed
def interactive(request, account, now):
    """Somebody pressed a button of one of our messages."""
    try:
        payload = json.loads(request.POST.get("payload", ""))
        user = payload["user"]
        member, name = user["id"], user.get("name", "")
        team = user.get("team_id") or (payload.get("team") or {}).get("id", "")  # in a shared channel they differ
        pressed = [one["value"] for one in payload.get("actions", ()) if "value" in one]
    except (ValueError, KeyError, TypeError, AttributeError):
        return HttpResponse("This is no action of Slack.", status=400, content_type="text/plain")
    if payload.get("type") != "block_actions" or not pressed:
        return HttpResponse()  # “Open” is pressed here too, and needs no answer
    with transaction.atomic():
        if not _is_first(request, now):
            return HttpResponse()
        text = _pressed(str(pressed[0]), str(member), str(team), str(name), now)
    _say(payload.get("response_url"), text)
    return HttpResponse()


def _pressed(token, member, team, name, now):
    """Run the verb of a button for the member who pressed it. Returns what to tell them."""
    try:
        uuid, verb = links.read(token)
    except DomainError:
        return "This button is not one of ours. Nothing was changed."
    person = slack_links.person_of(member, team)
    if person is None:
        return _introduction(member, team, name, "press again")
    notification = Notification.objects.filter(uuid=uuid).first()
    if notification is None:
        return "The message of this button was deleted. Open the incident from the dashboard."
    return escape(answers.answer_message(notification, verb, by=person, via=VIA, now=now).text)


def _introduction(member, team, name, then):
    url = slack_links.address(member, team, name)
    return (
        "Nothing was changed: nobody here is known by this Slack account. "
        f"<{url}|Sign in and link it to yours>, then {then}. The link is valid for ten minutes."
    )


def _say(url, text):
    """Tell the one who pressed, and nobody else. The verb is done, so trouble here is only noted."""
    if not isinstance(url, str) or not url:
        return
    body = {"response_type": "ephemeral", "replace_original": False, "text": text[:TEXT]}
    try:
        reply = http.post(url, json=body, timeout=SAY_SECONDS)
    except SendError as error:
        logger.warning("Slack did not take our answer to a button: %s", error.message)
    else:
        if not reply.is_success:
            logger.warning("Slack did not take our answer to a button: %s", reply.status)


# --- commands -------------------------------------------------------------------------------------------------
@signed
def commands(request, account, now):
    """Somebody typed a slash command. The answer is seen by them alone."""
    given = request.POST
    if given.get("ssl_check"):
        return HttpResponse()
    member, team = given.get("user_id", ""), given.get("team_id", "")
    command, text = given.get("command", ""), storable(given.get("text", "")).strip()
    if not member:
        return HttpResponse("This is no command of Slack.", status=400, content_type="text/plain")
    with transaction.atomic():
        if not _is_first(request, now):
            return HttpResponse()
        said = _typed(command, text, member, team, given.get("user_name", ""), now)
    return JsonResponse({"response_type": "ephemeral", "text": said[:TEXT]})


def _typed(command, text, member, team, name, now):
    """What to answer to a command, which is run for the member."""
    word, _, rest = text.partition(" ")
    if command == "/oncall":
        word, rest = "oncall", text
    elif command == "/incident":
        word, rest = "incident", text
    elif command == "/ack":
        word, rest = "ack", text
    word, rest = word.lower().lstrip("/"), rest.strip()
    if not word or grammar.VERBS.get(word) == "help":
        return HELP
    person = slack_links.person_of(member, team)
    if person is None:
        return _introduction(member, team, name, "try again")
    if word in ("incident", "incidents"):
        return _incident(rest, person, now)
    if word == "new":
        return _new(rest, person, now)
    verb = grammar.VERBS.get(word)
    if verb == "oncall":
        return _oncall(rest, person, now)
    if verb is None:
        return f"“{escape(word[:50])}” is not something I know.\n{HELP}"
    match = NUMBER.fullmatch(rest)
    if match is None:
        return f"Write the number of the incident behind it, for example `{escape(word)} 42`."
    number, note = match.groups()
    return escape(answers.answer(int(number), verb, by=person, via=VIA, now=now, note=note.strip()).text)


def _incident(text, person, now):
    """What is open, how one stands, or a new one."""
    word, _, rest = text.partition(" ")
    if word.lower() in ("new", "declare", "open", "trigger"):
        return _new(rest.strip(), person, now)
    if not may(person, "read"):
        return answers.refusal(person)
    everything = visible(Incident.objects.select_related("service", "acknowledged_by"), person)
    if match := NUMBER.fullmatch(text):
        found = everything.filter(pk=match.group(1)).first()
        return _line(found) if found else f"There is no incident #{match.group(1)}."
    if text and word.lower() != "list":
        return f"“{cut_escaped(text, 50)}” is not something I know.\n{HELP}"
    found = list(everything.open().order_by("-number")[: MOST + 1])
    if not found:
        return "Nothing is open."
    more = "\n… and older ones, on the dashboard." if len(found) > MOST else ""
    return "\n".join(_line(one) for one in found[:MOST]) + more


def _line(incident):
    who = ""
    if incident.status != states.TRIGGERED and incident.acknowledged_by:
        who = f", {escape(str(incident.acknowledged_by))}"
    name = f"<{messages.url_of(incident)}|#{incident.pk}> {incident.priority} {incident.severity}"
    status = f"{incident.get_status_display()}{who}"
    return f"{name} · {cut_escaped(incident.title, TITLE)} · {escape(incident.service.name)} · {status}"


def _new(text, person, now):
    """Open an incident: severity, service, title."""
    if not may_somewhere(person, "respond"):
        return escape(answers.refusal(person))
    severity, _, rest = text.partition(" ")
    severity = SEVERITIES.get(severity.lower())
    if severity is None:
        return (
            f"Begin with how bad it is: {', '.join(Severity.values)}. `/incident new critical checkout Nobody can pay`"
        )
    service, title = _service_and_title(rest.strip(), where_may(_services(), person, "respond"))
    if service is None:
        return f"There is no service “{cut_escaped(rest, 50)}”. Write its short name (slug) behind the severity."
    try:
        incident = lifecycle.trigger(service, title=title, severity=severity, now=now, by=person, via=VIA)
    except DomainError as error:
        return escape(error.message)
    return f"<{messages.url_of(incident)}|#{incident.pk}> is open and people are called: {cut_escaped(title, TITLE)}"


def _service_and_title(text, services):
    """The service that the text begins with, by slug or by name, the longest that fits; and what comes after it."""
    lower, best, length = text.lower(), None, 0
    for service in services:
        for name in (service.slug.lower(), service.name.lower()):
            if len(name) > length and (lower == name or lower.startswith((f"{name} ", f"{name}:"))):
                best, length = service, len(name)
    return best, text[length:].lstrip(" :")


def _services():
    return (
        Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED).select_related("team").order_by("tier", "name")
    )


def _oncall(text, person, now):
    """Who is called now, level by level: for the person's teams, for a service, or for a team."""
    if not may(person, "read"):
        return answers.refusal(person)
    name = text.strip().strip("?").lstrip("@#").strip().lower()
    everything = list(visible(_services(), person))
    schedules = []
    if not name:
        mine = set(person.memberships.values_list("team_id", flat=True))
        found = [one for one in everything if one.team_id in mine] or everything
    else:
        found = [one for one in everything if name in (one.slug.lower(), one.name.lower())]
        teams = visible(Team.objects.all(), person)
        team = next((one for one in teams if name in (one.slug.lower(), one.name.lower())), None)
        if not found and team:
            found = [one for one in everything if one.team_id == team.pk]
            schedules = [] if found else list(Schedule.objects.filter(team=team).order_by("name"))
        if not found and not schedules:
            found = [one for one in everything if name in one.name.lower()]
        if not found and not schedules:
            return f"There is no service and no team “{cut_escaped(text, 50)}”, or nobody is ever on call for it."
    if not found and not schedules:
        return "There are no services yet."
    board = Board(found[:MOST], schedules, now=now, reader=person)
    lines = [_service_line(one) for _, group in board.tiers() for one in group]
    lines += [
        f"*{escape(schedule.name)}*: {', '.join(map(_person_text, people))}"
        for _, group in board.loose()
        for schedule, people in group
    ]
    if len(found) > MOST:
        lines.append(f"… and {len(found) - MOST} more. Name one: `/oncall checkout`")
    return "\n".join(lines)


def _service_line(one):
    head = f"*{escape(one.service.name)}* ({escape(one.service.team.name)}): "
    levels = [f"{level.number}. {', '.join(map(_person_text, level.lines)) or 'nobody'}" for level in one.levels]
    return head + " → ".join(levels) + (f"  ⚠️ {escape(one.trouble)}" if one.trouble else "")


def _person_text(line):
    if line.person is None:
        return escape(line.trouble or "nobody")
    text = escape(str(line.person))
    if line.until:
        # Slack shows it in the reader's own time zone.
        shown = f"{line.until:%d %B %H:%M} UTC"
        text += f" (until <!date^{int(line.until.timestamp())}^{{date_short_pretty}} {{time}}|{shown}>)"
    return f"{text} ⚠️ {escape(line.trouble)}" if line.trouble else text


# --- events ---------------------------------------------------------------------------------------------------
@signed
def events(request, account, now):
    """Slack tells of something: that it checks this address, or that somebody mentioned the app."""
    try:
        given = json.loads(request.body)
        kind = given["type"]
    except (ValueError, KeyError, TypeError):
        return HttpResponse("This is no event of Slack.", status=400, content_type="text/plain")
    if kind == "url_verification":
        return JsonResponse({"challenge": str(given.get("challenge", ""))})
    event = given.get("event")
    if kind != "event_callback" or not isinstance(event, dict) or event.get("type") != "app_mention":
        return HttpResponse()
    member, text = str(event.get("user") or ""), storable(str(event.get("text") or ""))
    if not member or event.get("bot_id"):
        return HttpResponse()  # two apps could talk for ever
    with transaction.atomic():
        # Slack sends an event up to four times until it has our 200, each time signed anew.
        if not replays.is_first(f"slack:event:{given.get('event_id')}", now=now):
            return HttpResponse()
        said = _typed("", _as_command(text), member, str(given.get("team_id") or ""), "", now)
    _tell(account, event, member, said[:TEXT])
    return HttpResponse()


def _as_command(text):
    """A sentence to the app as a command: “who is on call for checkout?” asks what `oncall checkout` does."""
    text = " ".join(MENTION.sub(" ", text).split())
    if match := re.search(r"\bon[ -]?call\b(.*)", text, re.IGNORECASE):
        rest = re.sub(r"^\s*(for|in|at|on)\b", "", match.group(1), flags=re.IGNORECASE)
        return f"oncall {re.sub(r'^ *the ', '', rest).strip(' ?!.')}"
    return text


def _tell(account, event, member, text):
    where = {"channel": str(event.get("channel") or ""), "user": member}
    if event.get("thread_ts"):
        where["thread_ts"] = str(event["thread_ts"])
    try:
        vendor.client(account.config, timeout=SAY_SECONDS).chat_postEphemeral(text=text, **where)
    except SlackApiError as error:
        logger.warning("Slack did not take our answer to a mention: %s", error.response.get("error"))
    except SendError as error:
        logger.warning("Slack did not take our answer to a mention: %s", error.message)


# --- linking --------------------------------------------------------------------------------------------------
@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def link_account(request, token):
    """Ask whether a Slack member is the one who is signed in (GET), and note it (POST)."""
    context = {"page": "ask"}
    status = 200
    try:
        context["found"] = slack_links.read(token)
        if request.method == "POST":
            slack_links.link(token, user=request.user, now=timezone.now())
            context["page"] = "linked"
    except DomainError as error:
        context |= {"page": "refused", "error": error}
        status = error.status
    return render(request, "incidents/slack_link.html", context, status=status)
