"""The access matrix of the API: every address and method × who asks × whose it is. A new address needs a row here."""

import pytest
from django.test.utils import override_settings
from django.urls import get_resolver
from django.urls.resolvers import URLResolver
from rest_framework.test import APIClient

from tests import factories
from tests.access import asking, stage

# Whom: anonymous, observer, responder, responder and admin of the own team (observers else), admin of the platform.
# Answers: - sign in first, x refused, 0 not there, b no such thing to name in the body, y allowed.
RIGHTS = {
    "read": {"own": "-yyyyy", "other": "-yyyyy", "private": "-0000y"},
    "respond": {"own": "-xyyyy", "other": "-xyxxy", "private": "-x000y"},
    "configure": {"own": "-xxxyy", "other": "-xxxxy", "private": "-xxx0y"},
    # What is made for a team: a team that is hidden cannot be named.
    "respond for": {"own": "-xyyyy", "other": "-xyxxy", "private": "-xbbby"},
    "configure for": {"own": "-xxxyy", "other": "-xxxxy", "private": "-xxxby"},
    # What names a team or something of it in the query, and changes nothing.
    "read of": {"own": "-yyyyy", "other": "-yyyyy", "private": "-bbbby"},
    "list": {"own": "-yyyyy", "other": "-yyyyy", "private": "-yyyyy"},
    "administer": {"own": "-xxxxy", "other": "-xxxxy", "private": "-xxxxy"},
    "respond somewhere": {"own": "-xyyyy", "other": "-xyyyy", "private": "-xyyyy"},
    # Messages to others belong to the platform, whatever they are about.
    "of the platform": {"own": "-xyxxy", "other": "-xyxxy", "private": "-0000y"},
    "keys": {"own": "-000yy", "other": "-0000y", "private": "-0000y"},
    "for the person": {"own": "-xxxyy", "other": "-xxxxy", "private": "-xxxxy"},
    # Views that somebody saved for their team: its members see them, its admins change them.
    "of the team": {"own": "-yyyy0", "other": "-00000", "private": "-00000"},
    "of its owner": {"own": "-xxxy0", "other": "-00000", "private": "-00000"},
    "nobody else": {"own": "-00000", "other": "-00000", "private": "-00000"},
}
# The same whatever the team: asked for one only.
ANYWHERE = {"list", "administer", "nobody else"}
V1 = "/api/v1/"


def at(one, hours):
    return f"{one.now + hours * stage.HOUR:%Y-%m-%dT%H:%M:%SZ}"


# "METHOD name-of-address": (right, address, body). Addresses and bodies are filled in from the stage of the team.
ROWS = {
    "GET alert-list": ("list", "alerts"),
    "GET alert-detail": ("read", "alerts/{alert.pk}"),
    "GET integration-list": ("list", "integrations"),
    "POST integration-list": (
        "configure for",
        "integrations",
        lambda one: {"name": "New", "source": "generic", "team": one.team.slug},
    ),
    "GET integration-detail": ("read", "integrations/{integration.uuid}"),
    "PUT integration-detail": (
        "configure",
        "integrations/{integration.uuid}",
        lambda one: {"name": "New", "source": "generic", "service": one.service.slug},
    ),
    "PATCH integration-detail": ("configure", "integrations/{integration.uuid}", {"name": "New"}),
    "DELETE integration-detail": ("configure", "integrations/{integration.uuid}"),
    "POST integration-rotate-key": ("configure", "integrations/{integration.uuid}/rotate-key", {}),
    "GET rule-list": ("list", "routing-rules"),
    "POST rule-list": (
        "configure for",
        "routing-rules",
        lambda one: {"name": "New", "integration": str(one.integration.uuid), "severity": "low"},
    ),
    "GET rule-detail": ("read", "routing-rules/{rule.pk}"),
    "PUT rule-detail": (
        "configure",
        "routing-rules/{rule.pk}",
        lambda one: {"name": "New", "integration": str(one.integration.uuid), "severity": "low"},
    ),
    "PATCH rule-detail": ("configure", "routing-rules/{rule.pk}", {"name": "New"}),
    "DELETE rule-detail": ("configure", "routing-rules/{rule.pk}"),
    "GET changeevent-list": ("list", "change-events"),
    "GET changeevent-detail": ("read", "change-events/{change.pk}"),
    "GET silence-list": ("list", "silences"),
    "POST silence-list": (
        "respond for",
        "silences",
        lambda one: {"service": one.service.slug, "reason": "Disk", "ends_at": at(one, 5)},
    ),
    "POST silence-preview": (
        {"own": "-xyyyy", "other": "-xyyyy", "private": "-xbbby"},
        "silences/preview",
        lambda one: {"service": one.service.slug},
    ),
    "GET silence-detail": ("read", "silences/{silence.uuid}"),
    "PUT silence-detail": (
        "respond",
        "silences/{silence.uuid}",
        lambda one: {"service": one.service.slug, "reason": "Disk", "ends_at": at(one, 5)},
    ),
    "POST silence-expire": ("respond", "silences/{silence.uuid}/expire"),
    "POST silence-extend": ("respond", "silences/{silence.uuid}/extend", {"seconds": 600}),
    "GET maintenancewindow-list": ("list", "maintenance-windows"),
    "POST maintenancewindow-list": (
        "respond for",
        "maintenance-windows",
        lambda one: {
            "name": "New",
            "teams": [one.team.slug],
            "reason": "Disk",
            "starts_at": at(one, 5),
            "ends_at": at(one, 6),
        },
    ),
    "GET maintenancewindow-detail": ("read", "maintenance-windows/{window.uuid}"),
    "PUT maintenancewindow-detail": (
        "respond",
        "maintenance-windows/{window.uuid}",
        lambda one: {
            "name": "New",
            "services": [one.service.slug],
            "reason": "Disk",
            "starts_at": at(one, -1),
            "ends_at": at(one, 6),
        },
    ),
    "POST maintenancewindow-end": ("respond", "maintenance-windows/{window.uuid}/end"),
    "POST maintenancewindow-enable": ("respond", "maintenance-windows/{window.uuid}/enable"),
    "POST maintenancewindow-disable": ("respond", "maintenance-windows/{window.uuid}/disable"),
    "GET inhibitionrule-list": ("list", "inhibition-rules"),
    "POST inhibitionrule-list": (
        "configure for",
        "inhibition-rules",
        lambda one: {
            "name": "New",
            "integration": str(one.integration.uuid),
            "source": 'severity = "critical"',
            "target": 'severity = "low"',
        },
    ),
    "GET inhibitionrule-detail": ("read", "inhibition-rules/{inhibition.pk}"),
    "PUT inhibitionrule-detail": (
        "configure",
        "inhibition-rules/{inhibition.pk}",
        lambda one: {
            "name": "New",
            "integration": str(one.integration.uuid),
            "source": 'severity = "critical"',
            "target": 'severity = "low"',
        },
    ),
    "PATCH inhibitionrule-detail": ("configure", "inhibition-rules/{inhibition.pk}", {"name": "New"}),
    "DELETE inhibitionrule-detail": ("configure", "inhibition-rules/{inhibition.pk}"),
    "GET heartbeat-list": ("list", "heartbeats"),
    "POST heartbeat-list": (
        "configure for",
        "heartbeats",
        lambda one: {"name": "New", "service": one.service.slug, "interval_seconds": 600},
    ),
    "GET heartbeat-detail": ("read", "heartbeats/{heartbeat.uuid}"),
    "PUT heartbeat-detail": (
        "configure",
        "heartbeats/{heartbeat.uuid}",
        lambda one: {"name": "New", "service": one.service.slug, "interval_seconds": 600},
    ),
    "PATCH heartbeat-detail": ("configure", "heartbeats/{heartbeat.uuid}", {"name": "New"}),
    "DELETE heartbeat-detail": ("configure", "heartbeats/{heartbeat.uuid}"),
    "POST heartbeat-arm": ("respond", "heartbeats/{heartbeat.uuid}/arm"),
    "GET incident-list": ("list", "incidents"),
    "POST incident-list": (
        "respond for",
        "incidents",
        lambda one: {"service": one.service.slug, "title": "Down", "severity": "high"},
    ),
    "POST incident-bulk-list": (
        "respond somewhere",
        "incidents/bulk",
        lambda one: {"verb": "acknowledge", "numbers": [one.incident.pk]},
    ),
    "GET savedview-list": ("list", "saved-views"),
    "POST savedview-list": ("list", "saved-views", {"name": "New", "query": "state=all"}),
    "GET savedview-detail": ("of the team", "saved-views/{view.pk}"),
    "PATCH savedview-detail": ("of its owner", "saved-views/{view.pk}", {"name": "New"}),
    "DELETE savedview-detail": ("of its owner", "saved-views/{view.pk}"),
    "GET incident-summary": ("list", "incidents/stats/summary"),
    "GET incident-detail": ("read", "incidents/{incident.pk}"),
    "PATCH incident-detail": ("respond", "incidents/{incident.pk}", {"title": "New"}),
    "POST incident-acknowledge": ("respond", "incidents/{incident.pk}/acknowledge"),
    "POST incident-close": ("respond", "incidents/{incident.pk}/close"),
    "POST incident-escalate": ("respond", "incidents/{incident.pk}/escalate"),
    "GET incident-metrics": ("read", "incidents/{incident.pk}/metrics"),
    "GET incident-notes": ("read", "incidents/{incident.pk}/notes"),
    "POST incident-notes": ("respond", "incidents/{incident.pk}/notes", {"text": "Seen."}),
    "POST incident-reassign": ("respond", "incidents/{incident.pk}/reassign", lambda one: {"user": one.member.email}),
    "POST incident-remediate": ("respond", "incidents/{incident.pk}/remediate"),
    "POST incident-resolve": ("respond", "incidents/{incident.pk}/resolve", {}),
    "GET incident-responders": ("read", "incidents/{incident.pk}/responders"),
    "POST incident-responders": (
        "respond",
        "incidents/{incident.pk}/responders",
        lambda one: {"user": one.member.email},
    ),
    "PATCH incident-responder": (
        "respond",
        "incidents/{incident.pk}/responders/{helper.user.uuid}",
        {"role": "scribe"},
    ),
    "DELETE incident-responder": ("respond", "incidents/{incident.pk}/responders/{helper.user.uuid}"),
    "GET incident-tasks": ("read", "incidents/{incident.pk}/tasks"),
    "POST incident-tasks": ("respond", "incidents/{incident.pk}/tasks", {"text": "Call"}),
    "PATCH incident-task": ("respond", "incidents/{incident.pk}/tasks/{task.pk}", {"is_done": True}),
    "DELETE incident-task": ("respond", "incidents/{incident.pk}/tasks/{task.pk}"),
    "POST incident-updates": ("respond", "incidents/{incident.pk}/updates", {"text": "We look into it."}),
    "POST incident-followers": ("read", "incidents/{incident.pk}/followers"),
    "DELETE incident-followers": ("read", "incidents/{incident.pk}/followers"),
    "POST incident-merge": (
        "respond",
        "incidents/{incident.pk}/merge",
        lambda one: {"into": one.second.pk},
    ),
    "POST incident-unmerge": ("respond", "incidents/{incident.pk}/unmerge"),
    "GET incident-beside-similar": ("read", "incidents/{incident.pk}/similar"),
    "GET incident-beside-changes": ("read", "incidents/{incident.pk}/changes"),
    "POST incident-snooze": ("respond", "incidents/{incident.pk}/snooze", {"minutes": 5}),
    "POST incident-start": ("respond", "incidents/{incident.pk}/start"),
    "GET incident-timeline": ("read", "incidents/{incident.pk}/timeline"),
    "GET hypothesis-list": ("list", "hypotheses"),
    "POST hypothesis-list": (
        "respond for",
        "hypotheses",
        lambda one: {"incident": one.incident.pk, "text": "The disk is full.", "source": "agent"},
    ),
    "GET hypothesis-detail": ("read", "hypotheses/{hypothesis.uuid}"),
    "POST hypothesis-approve": ("respond", "hypotheses/{hypothesis.uuid}/approve", {}),
    "POST hypothesis-reject": ("respond", "hypotheses/{hypothesis.uuid}/reject", {}),
    "GET recommendedaction-list": ("list", "actions"),
    "POST recommendedaction-list": (
        "respond for",
        "actions",
        lambda one: {"incident": one.incident.pk, "text": "Delete old logs.", "source": "agent"},
    ),
    "GET recommendedaction-detail": ("read", "actions/{recommended.uuid}"),
    "POST recommendedaction-approve": ("respond", "actions/{recommended.uuid}/approve", {}),
    "POST recommendedaction-reject": ("respond", "actions/{recommended.uuid}/reject", {}),
    "GET service-list": ("list", "services"),
    "POST service-list": ("configure for", "services", lambda one: {"name": "New", "team": one.team.slug}),
    "GET service-detail": ("read", "services/{service.slug}"),
    "PUT service-detail": (
        "configure",
        "services/{service.slug}",
        lambda one: {"name": "New", "team": one.team.slug},
    ),
    "PATCH service-detail": ("configure", "services/{service.slug}", {"name": "New"}),
    "DELETE service-detail": ("configure", "services/{service.slug}"),
    "GET service-graph": ("list", "services/graph"),
    "GET service-link-list": ("read", "services/{service.slug}/links"),
    "POST service-link-list": (
        "configure",
        "services/{service.slug}/links",
        {"kind": "runbook", "label": "New", "url": "https://wiki.example.com/new"},
    ),
    "GET service-link-detail": ("read", "services/{service.slug}/links/{link.pk}"),
    "PATCH service-link-detail": ("configure", "services/{service.slug}/links/{link.pk}", {"label": "New"}),
    "DELETE service-link-detail": ("configure", "services/{service.slug}/links/{link.pk}"),
    "GET dependency-list": ("list", "dependencies"),
    "POST dependency-list": (
        "configure for",
        "dependencies",
        lambda one: {"service": one.needed.slug, "needs": one.other.slug},
    ),
    "GET dependency-detail": ("read", "dependencies/{dependency.pk}"),
    "DELETE dependency-detail": ("configure", "dependencies/{dependency.pk}"),
    "GET team-list": ("list", "teams"),
    "POST team-list": ({name: "-xxxxy" for name in asking.TEAMS}, "teams", {"name": "New"}),
    "GET team-detail": ("read", "teams/{team.slug}"),
    "PUT team-detail": (
        "configure",
        "teams/{team.slug}",
        lambda one: {"name": one.team.name, "description": "New"},
    ),
    "PATCH team-detail": ("configure", "teams/{team.slug}", {"description": "New"}),
    "DELETE team-detail": (
        {"own": "-xxxxy", "other": "-xxxxy", "private": "-xxx0y"},
        "teams/{team.slug}",
    ),
    "GET user-list": ("list", "users"),
    "POST user-list": ("administer", "users", {"email": "new@example.com", "name": "New"}),
    "GET user-me": ("list", "users/me"),
    "GET user-detail": ("list", "users/{member.uuid}"),
    "PATCH user-detail": ("administer", "users/{member.uuid}", {"name": "New"}),
    "GET schedule-list": ("list", "schedules"),
    "POST schedule-list": (
        "configure for",
        "schedules",
        lambda one: {"name": "New", "team": one.team.slug, "time_zone": "UTC"},
    ),
    "GET schedule-detail": ("read", "schedules/{schedule.slug}"),
    "PUT schedule-detail": (
        "configure",
        "schedules/{schedule.slug}",
        lambda one: {"name": "New", "team": one.team.slug, "time_zone": "UTC"},
    ),
    "PATCH schedule-detail": ("configure", "schedules/{schedule.slug}", {"name": "New"}),
    "DELETE schedule-detail": ("configure", "schedules/{schedule.slug}"),
    "GET schedule-coverage": ("read", "schedules/{schedule.slug}/coverage"),
    "GET schedule-final": ("read", "schedules/{schedule.slug}/final"),
    "GET schedule-layers": ("read", "schedules/{schedule.slug}/layers"),
    "GET schedule-oncall": ("read", "schedules/{schedule.slug}/oncall"),
    "POST schedule-preview": ("read", "schedules/{schedule.slug}/preview", {"layers": []}),
    "GET override-list": ("read", "schedules/{schedule.slug}/overrides"),
    "POST override-list": (
        "respond",
        "schedules/{schedule.slug}/overrides",
        lambda one: {"user": one.responder.email, "start_at": at(one, 8), "end_at": at(one, 9)},
    ),
    "GET override-detail": ("read", "schedules/{schedule.slug}/overrides/{override.uuid}"),
    "DELETE override-detail": ("respond", "schedules/{schedule.slug}/overrides/{override.uuid}"),
    "GET swap-list": ("read", "schedules/{schedule.slug}/swaps"),
    "GET swap-detail": ("read", "schedules/{schedule.slug}/swaps/{request.uuid}"),
    "POST swap-take": ("respond", "schedules/{schedule.slug}/swaps/{request.uuid}/take", {}),
    "POST swap-offer": ("respond", "schedules/{schedule.slug}/swaps/{request.uuid}/offer", {}),
    # Only the requester, or who leads the team, may: the verbs say so themselves.
    "POST swap-cancel": (
        {"own": "-xxxxx", "other": "-xxxxx", "private": "-x000x"},
        "schedules/{schedule.slug}/swaps/{request.uuid}/cancel",
    ),
    "POST swap-refuse": (
        {"own": "-xxxxx", "other": "-xxxxx", "private": "-x000x"},
        "schedules/{schedule.slug}/swaps/{request.uuid}/decline",
    ),
    "POST swap-accept": (
        {"own": "-xxxyy", "other": "-xxxxy", "private": "-x000y"},
        "schedules/{schedule.slug}/swaps/{request.uuid}/offers/{offer.uuid}/accept",
    ),
    "POST swap-decline": (
        {"own": "-xxxyy", "other": "-xxxxy", "private": "-x000y"},
        "schedules/{schedule.slug}/swaps/{request.uuid}/offers/{offer.uuid}/decline",
    ),
    "POST swap-approve": (
        {"own": "-xxxyy", "other": "-xxxxy", "private": "-x000y"},
        "schedules/{schedule.slug}/swaps/{request.uuid}/offers/{offer.uuid}/approve",
    ),
    "POST swap-withdraw": (
        {"own": "-xxxxx", "other": "-xxxxx", "private": "-x000x"},
        "schedules/{schedule.slug}/swaps/{request.uuid}/offers/{offer.uuid}/withdraw",
    ),
    # Asking for cover of a shift that one does not have: the body is not taken, from whom may respond there.
    "POST swap-list": (
        {"own": "-xbbbb", "other": "-xbbbb", "private": "-x000b"},
        "schedules/{schedule.slug}/swaps",
        lambda one: {"start_at": at(one, 1), "end_at": at(one, 2)},
    ),
    "GET escalationpolicy-list": ("list", "policies"),
    "POST escalationpolicy-list": ("configure for", "policies", lambda one: {"name": "New", "team": one.team.slug}),
    "GET escalationpolicy-detail": ("read", "policies/{policy.slug}"),
    "PUT escalationpolicy-detail": (
        "configure",
        "policies/{policy.slug}",
        lambda one: {"name": "New", "team": one.team.slug},
    ),
    "PATCH escalationpolicy-detail": ("configure", "policies/{policy.slug}", {"name": "New"}),
    "DELETE escalationpolicy-detail": ("configure", "policies/{policy.slug}"),
    "GET on-call-escalation-chain": ("read of", "on-call/escalation-chain?service={service.slug}"),
    "GET on-call-everybody": ("list", "on-call/current/all"),
    "GET on-call-find-current": ("read of", "on-call/find-current?schedule={schedule.slug}"),
    "GET oncall-current-list": ("read of", "oncall/current?team={team.slug}"),
    "GET fixed-shift-list": ("list", "on-call"),
    "POST fixed-shift-list": (
        "respond for",
        "on-call",
        lambda one: {
            "schedule": one.schedule.slug,
            "user": one.responder.email,
            "start_at": at(one, 8),
            "end_at": at(one, 9),
        },
    ),
    "GET fixed-shift-next": ("list", "on-call/next?user={member.email}"),
    "GET fixed-shift-previous": ("list", "on-call/previous?user={member.email}"),
    "GET fixed-shift-detail": ("read", "on-call/{shift.uuid}"),
    "PUT fixed-shift-detail": (
        "respond",
        "on-call/{shift.uuid}",
        lambda one: {"user": one.responder.email, "start_at": at(one, 8), "end_at": at(one, 9)},
    ),
    "PATCH fixed-shift-detail": ("respond", "on-call/{shift.uuid}", {"note": "New"}),
    "DELETE fixed-shift-detail": ("respond", "on-call/{shift.uuid}"),
    "GET calendarimport-list": ("list", "calendar-imports"),
    "POST calendarimport-list": (
        "configure for",
        "calendar-imports",
        lambda one: {
            "name": "New",
            "kind": "shifts",
            "schedule": one.schedule.slug,
            "url": "https://calendar.example.com/new.ics",
        },
    ),
    "GET calendarimport-detail": ("read", "calendar-imports/{calendar.uuid}"),
    "PATCH calendarimport-detail": (
        "configure",
        "calendar-imports/{calendar.uuid}",
        {"name": "New", "url": "https://calendar.example.com/new.ics"},
    ),
    "PUT calendarimport-detail": (
        "configure",
        "calendar-imports/{calendar.uuid}",
        lambda one: {
            "name": "New",
            "kind": "shifts",
            "schedule": one.schedule.slug,
            "url": "https://calendar.example.com/new.ics",
        },
    ),
    "DELETE calendarimport-detail": ("configure", "calendar-imports/{calendar.uuid}"),
    "POST calendarimport-refresh": ("configure", "calendar-imports/{calendar.uuid}/refresh"),
    "GET holiday-list": ("list", "holidays"),
    "POST holiday-list": (
        "configure for",
        "holidays",
        lambda one: {"day": one.day.isoformat(), "name": "New", "team": one.team.slug},
    ),
    "GET holiday-detail": ("read", "holidays/{holiday.pk}"),
    "PUT holiday-detail": (
        "configure",
        "holidays/{holiday.pk}",
        lambda one: {"day": one.day.isoformat(), "name": "New", "team": one.team.slug},
    ),
    "PATCH holiday-detail": ("configure", "holidays/{holiday.pk}", {"name": "New"}),
    "DELETE holiday-detail": ("configure", "holidays/{holiday.pk}"),
    "GET notification-list": ("list", "notifications"),
    "GET notification-summary": ("list", "notifications/stats/summary"),
    "GET notification-detail": ("read", "notifications/{notification.uuid}"),
    "GET calendarfeed-list": ("list", "calendar-feeds"),
    "POST calendarfeed-list": ("read of", "calendar-feeds", lambda one: {"schedule": one.schedule.slug}),
    "GET timeoff-list": ("list", "time-off"),
    "GET availability-list": ("list", "availability"),
    "GET availability-detail": ("list", "availability/{member.uuid}"),
    "GET auditentry-list": ("administer", "audit"),
    "GET auditentry-detail": ("administer", "audit/{entry.pk}"),
    "GET apikey-list": ("list", "api-keys"),
    "POST apikey-list": (
        {"own": "-xxxyy", "other": "-xxxxy", "private": "-bbbby"},
        "api-keys",
        lambda one: {"name": "New", "scopes": ["alerts:write"], "team": one.team.slug},
    ),
    "GET apikey-detail": ("keys", "api-keys/{key.prefix}"),
    "PATCH apikey-detail": ("keys", "api-keys/{key.prefix}", {"name": "New"}),
    "DELETE apikey-detail": ("keys", "api-keys/{key.prefix}"),
    "POST apikey-rotate": ("keys", "api-keys/{key.prefix}/rotate", {}),
    "POST apikey-stop-old": ("keys", "api-keys/{key.prefix}/stop-old"),
    "POST apikey-revoke": ("keys", "api-keys/{key.prefix}/revoke"),
    # Of a person, whoever theirs is; admins of a team of theirs may write for them.
    "GET timeoff-detail": ("list", "time-off/{off.uuid}"),
    "POST timeoff-list": (
        "for the person",
        "time-off",
        lambda one: {"user": one.member.email, "start_at": at(one, 50), "end_at": at(one, 60)},
    ),
    "PUT timeoff-detail": (
        "for the person",
        "time-off/{off.uuid}",
        lambda one: {"start_at": at(one, 50), "end_at": at(one, 60)},
    ),
    "PATCH timeoff-detail": ("for the person", "time-off/{off.uuid}", {"reason": "New"}),
    "DELETE timeoff-detail": ("for the person", "time-off/{off.uuid}"),
    "PUT availability-detail": ("for the person", "availability/{member.uuid}", {"status": "busy"}),
    # A feed is its owner's only; here its owner is a member of the team.
    "GET calendarfeed-detail": ("nobody else", "calendar-feeds/{feed.uuid}"),
    "DELETE calendarfeed-detail": ("nobody else", "calendar-feeds/{feed.uuid}"),
    "PATCH notification-detail": ("of the platform", "notifications/{notification.uuid}", {"state": "cancelled"}),
    "POST notification-resend": ("of the platform", "notifications/{notification.uuid}/resend"),
    "POST notification-send": (
        "respond somewhere",
        "notifications/send",
        lambda one: {"user": one.member.email, "title": "Hello"},
    ),
    "POST notify-list": (
        {"own": "-xyyyy", "other": "-xyyyy", "private": "-xbbby"},
        "notify",
        lambda one: {"team": one.team.slug, "title": "Hello"},
    ),
    "POST escalate-list": ("respond", "escalate", lambda one: {"incident": one.incident.pk}),
}
# What is asked in a way of its own, with the test that does.
ELSEWHERE = {
    "POST notification-acknowledge": "By the token of a link, without a key: tests/api/test_incident_addresses.py",
    "POST alert-list": "Taken by the door before Django: tests/alerts/test_door.py",
}


def addresses():
    """`METHOD name` of every address of the API."""

    def walk(patterns):
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns)
            else:
                for method in getattr(pattern.callback, "actions", None) or ():
                    if method in pattern.callback.cls.http_method_names and method not in ("head", "options"):
                        yield f"{method.upper()} {pattern.name}"

    api = next(one for one in get_resolver().url_patterns if str(one.pattern) == "api/v1/")
    return set(walk(api.url_patterns))


def test_every_address_has_a_row():
    assert addresses() - set(ROWS) - set(ELSEWHERE) == set()
    assert set(ROWS) - addresses() == set()


@pytest.fixture(scope="module")
def names():
    return sorted(ROWS)


@pytest.fixture
def scene(db):
    teams = {
        name: stage.furnish(factories.TeamFactory(name=name, is_private=name == "private")) for name in asking.TEAMS
    }
    people = stage.people(teams["own"].team)
    for one in teams.values():
        one.responder = factories.UserFactory(name="Somebody")
    return people, teams


def asked(key):
    """A function that asks the address as a person: `ask(person, team)`."""
    _, address, *body = ROWS[key]
    body = body[0] if body else None

    def ask(person, one):
        client = APIClient()
        client.default_format = "json"
        if person:
            client.force_authenticate(type(person).objects.get(pk=person.pk).remember_access())
        call = getattr(client, key.split()[0].lower())
        data = body(one) if callable(body) else body
        return call(V1 + address.format(**vars(one)), data)

    return ask


@override_settings(HTTP_ALLOW_PRIVATE=[])
@pytest.mark.parametrize("part", range(4))
def test_everybody_may_what_the_table_says(scene, names, part):
    wrong = []
    for key in names[part::4]:
        right = ROWS[key][0]
        wanted = RIGHTS[right] if isinstance(right, str) else right
        teams = ("own",) if isinstance(right, str) and right in ANYWHERE else asking.TEAMS
        found = asking.row(asked(key), *scene, names=teams)
        wrong += asking.differences(key, found, wanted)
    assert not wrong, "\n".join(wrong)
