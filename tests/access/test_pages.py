"""The access matrix of the pages: every address × who asks × whose it is. A new address needs a row here."""

import uuid

import pytest
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLResolver

from tests import factories
from tests.access import asking, stage

# As in test_api.py. A form that is shown again because something in it is wrong is `b`.
RIGHTS = {
    "read": {"own": "-yyyyy", "other": "-yyyyy", "private": "-0000y"},
    "respond": {"own": "-xyyyy", "other": "-xyxxy", "private": "-0000y"},
    "configure": {"own": "-xxxyy", "other": "-xxxxy", "private": "-0000y"},
    # A stranger gets the same answer as for what does not exist.
    "read without a hint": {"own": "0yyyyy", "other": "0yyyyy", "private": "00000y"},
    # Pages of one's own, and lists that show what one may see.
    "signed in": {"own": "-yyyyy"},
    # Pages for who may do it somewhere; observers are told whom to ask.
    "respond somewhere": {"own": "-xyyyy"},
    "configure somewhere": {"own": "-xxxyy"},
    "administer": {"own": "-xxxxy"},
    # What is not there for anybody here: a secret that nobody knows, or a thing of somebody else.
    "not there": {"own": "-00000"},
    "unknown secret": {"own": "000000"},
    "public": {"own": "yyyyyy"},
    # For whoever has a second factor; without one they lead to where it is set up.
    "not there or elsewhere": {"own": "-yyyyy"},
    # Confirming who one is, without a password or a passkey: allauth has nothing to ask for.
    "without a way to confirm": {"own": "-xxxxx"},
    # And what is refused with 401, for want of a signature.
    "leads to sign in": {"own": "------"},
    "a form of one's own": {"own": "-bbbbb"},
    "a form for anybody": {"own": "bbbbbb"},
    "configure somewhere with a form": {"own": "-xxxbb"},
    "respond somewhere with a form": {"own": "-xbbbb"},
    "respond somewhere with something": {"own": "-x0000"},
    # Messages to others belong to the platform, whatever they are about.
    "of the platform": {"own": "-xyxxy", "other": "-xyxxy", "private": "-0000y"},
    # Views that somebody saved for their team: its members see them, and who may change them the verb says.
    "of the team": {"own": "-yyyy0", "other": "-00000", "private": "-00000"},
    # An empty form, and one that does not say which shift or event it is about.
    "respond with a form": {"own": "-xbbbb", "other": "-xbxxb", "private": "-0000b"},
    "respond with something": {"own": "-x0000", "other": "-x0xx0", "private": "-00000"},
    "configure with a form": {"own": "-xxxbb", "other": "-xxxxb", "private": "-0000b"},
    # Everybody who responds somewhere may press; the verb says by a message what it refuses. The same verbs answer
    # with codes in test_api.py.
    "the verb decides": {"own": "-xyyyy", "other": "-xyyyy", "private": "-x000y"},
    "the verb decides about a form": {"own": "-xbbbb", "other": "-xbbbb", "private": "-x000b"},
    # Who was asked to review it, and nobody was.
    "a reviewer": {"own": "-xxxxx", "other": "-xxxxx", "private": "-0000x"},
    # Called by providers: the signature is the key, and there is none.
    "refused without a signature": {"own": "xxxxxx"},
}
NOTHING = uuid.UUID(int=7)
TOKEN = "A" * 43


def at(one, hours):
    return f"{one.now + hours * stage.HOUR:%Y-%m-%dT%H:%MZ}"


# "METHOD name-of-address": (right, address, form). Filled in from the stage of the team.
ROWS = {
    "GET dashboard": ("signed in", "/"),
    "POST incidents-bulk": ("respond somewhere", "/incidents/bulk", {"verb": "acknowledge"}),
    "POST saved-view-save": ("signed in", "/incidents/views", {"name": "New"}),
    "POST saved-view-do": ("of the team", "/incidents/views/{view.pk}/delete", {}),
    "GET incident": ("read", "/incidents/{incident.pk}"),
    "GET panel": ("read", "/incidents/{incident.pk}/alerts"),
    "GET similar": ("read", "/incidents/{incident.pk}/similar"),
    "GET changes": ("read", "/incidents/{incident.pk}/changes"),
    "GET incident-new": ("respond somewhere", "/incidents/new"),
    "POST incident-act": ("respond", "/incidents/{incident.pk}/do/acknowledge", {}),
    "GET incident-merge": ("respond", "/incidents/{incident.pk}/merge"),
    "POST incident-preview": ("read", "/incidents/{incident.pk}/preview", {"text": "**loud**"}),
    "GET proposals": ("read", "/incidents/{incident.pk}/proposals"),
    "POST proposal-review": (
        "respond",
        "/incidents/{incident.pk}/proposals/hypothesis/{hypothesis.uuid}/approve",
        {},
    ),
    "GET link-proposals": ("unknown secret", f"/l/{TOKEN}/proposals"),
    "POST link-proposal-review": ("unknown secret", f"/l/{TOKEN}/proposals/action/{NOTHING}/approve", {}),
    "GET postmortems": ("signed in", "/postmortems"),
    "GET new": ("respond somewhere", "/postmortems/new"),
    "GET decline": ("respond", "/postmortems/wanted/{incident.pk}"),
    "GET postmortem": ("read", "/postmortems/{postmortem.pk}"),
    "GET markdown": ("read", "/postmortems/{postmortem.pk}.md"),
    "GET pdf": ("read", "/postmortems/{postmortem.pk}.pdf"),
    "GET edit": ("respond", "/postmortems/{postmortem.pk}/edit"),
    "POST preview": ("respond", "/postmortems/{postmortem.pk}/preview", {"body": "**loud**"}),
    "POST section": ("respond", "/postmortems/{postmortem.pk}/sections/{section.uuid}", {}),
    "GET versions": ("read", "/postmortems/{postmortem.pk}/sections/{section.uuid}/versions"),
    "GET timeline": ("respond", "/postmortems/{postmortem.pk}/timeline"),
    "POST timeline-redraw": ("respond", "/postmortems/{postmortem.pk}/timeline/redraw", {}),
    "POST timeline-add": ("respond with a form", "/postmortems/{postmortem.pk}/timeline/add", {}),
    "POST timeline-change": (
        "respond",
        "/postmortems/{postmortem.pk}/timeline/{moment.uuid}",
        {"do": "hide"},
    ),
    "GET factors": ("respond", "/postmortems/{postmortem.pk}/factors"),
    "POST incident-change": ("respond", "/postmortems/{postmortem.pk}/incidents", {}),
    "POST images": ("respond", "/postmortems/{postmortem.pk}/images", {}),
    "GET image": ("read", "/postmortems/{postmortem.pk}/images/{picture.uuid}"),
    "POST reviewers": ("respond", "/postmortems/{postmortem.pk}/reviewers", {}),
    "POST verdict": ("a reviewer", "/postmortems/{postmortem.pk}/verdict", {"verdict": "approved"}),
    "GET do": ("respond", "/postmortems/{postmortem.pk}/do/archive"),
    "POST comments": ("read", "/postmortems/{postmortem.pk}/comments", {"text": "Who?"}),
    "POST comment-resolve": ("respond", "/postmortems/{postmortem.pk}/comments/{comment.uuid}/resolve", {}),
    "POST item-add": ("respond with a form", "/postmortems/{postmortem.pk}/items", {}),
    "GET links": ("respond", "/postmortems/{postmortem.pk}/links"),
    "POST link-revoke": ("respond", "/postmortems/{postmortem.pk}/links/{share.uuid}/revoke", {}),
    "GET items": ("signed in", "/postmortems/items"),
    "GET item": ("respond", "/postmortems/items/{item.uuid}"),
    "POST item-move": ("respond", "/postmortems/items/{item.uuid}/move", {"status": "completed"}),
    "GET figures": ("signed in", "/postmortems/figures"),
    "GET shared": ("unknown secret", f"/postmortems/shared/{TOKEN}"),
    "GET shared-image": ("unknown secret", f"/postmortems/shared/{TOKEN}/images/{NOTHING}"),
    "GET postmortem-panel": ("read", "/incidents/{incident.pk}/postmortem"),
    "GET incident-panel": ("read", "/incidents/{incident.pk}/status-pages"),
    "GET status-pages": ("signed in", "/status-pages"),
    "GET status-page": ("read", "/status-pages/{status_page.slug}"),
    "GET status-history": ("read", "/status-pages/{status_page.slug}/history"),
    "GET status-state": ("respond", "/status-pages/{status_page.slug}/components/{component.uuid}/state"),
    "POST status-state-clear": (
        "respond",
        "/status-pages/{status_page.slug}/components/{component.uuid}/clear",
        {},
    ),
    "GET status-subscribers": ("read", "/status-pages/{status_page.slug}/subscribers"),
    "POST status-subscriber-end": (
        "configure",
        "/status-pages/{status_page.slug}/subscribers/{subscriber.uuid}/end",
        {},
    ),
    "GET status-post-new": ("respond", "/status-pages/{status_page.slug}/posts/new"),
    "GET status-post": ("read", "/status-pages/{status_page.slug}/posts/{post.uuid}"),
    "GET status-post-edit": ("respond", "/status-pages/{status_page.slug}/posts/{post.uuid}/edit"),
    "POST status-post-remove": ("respond", "/status-pages/{status_page.slug}/posts/{post.uuid}/delete", {}),
    "GET status-update-edit": (
        "respond",
        "/status-pages/{status_page.slug}/posts/{post.uuid}/updates/{post_update.uuid}",
    ),
    "POST status-maintenance-new": (
        "respond with a form",
        "/status-pages/{status_page.slug}/maintenance/new",
        {"title": ""},
    ),
    "GET status-series-list": ("read", "/status-pages/{status_page.slug}/recurring"),
    "GET status-series-new": ("respond", "/status-pages/{status_page.slug}/recurring/new"),
    "GET status-series": ("respond", "/status-pages/{status_page.slug}/recurring/{series.uuid}"),
    "POST status-series-remove": ("respond", "/status-pages/{status_page.slug}/recurring/{series.uuid}/delete", {}),
    "GET services": ("signed in", "/services"),
    "GET incidents": ("signed in", "/incidents"),
    "GET alerts": ("signed in", "/alerts"),
    "GET alert": ("read", "/alerts/{alert.pk}"),
    "GET integrations": ("signed in", "/integrations"),
    "GET integration": ("read", "/integrations/{integration.uuid}"),
    "GET silences": ("signed in", "/silences"),
    "GET silence-new": ("respond somewhere", "/silences/new"),
    "GET silence": ("read", "/silences/{silence.uuid}"),
    "POST silence-end": ("respond", "/silences/{silence.uuid}/end", {}),
    "POST silence-extend": ("respond", "/silences/{silence.uuid}/extend", {"minutes": 60}),
    "GET maintenance": ("signed in", "/maintenance"),
    "GET maintenance-new": ("respond somewhere", "/maintenance/new"),
    "GET maintenance-window": ("read", "/maintenance/{window.uuid}"),
    "POST maintenance-enable": ("respond", "/maintenance/{window.uuid}/enable", {}),
    "POST maintenance-end": ("respond", "/maintenance/{window.uuid}/end", {}),
    "GET held": ("signed in", "/held"),
    "POST release": ("respond", "/held/{held.pk}/release", {}),
    "GET heartbeats": ("signed in", "/heartbeats"),
    "GET heartbeat": ("read", "/heartbeats/{heartbeat.uuid}"),
    "GET heartbeat-new": ("configure somewhere", "/heartbeats/new"),
    "GET heartbeat-edit": ("configure", "/heartbeats/{heartbeat.uuid}/edit"),
    "POST heartbeat-do": ("respond", "/heartbeats/{heartbeat.uuid}/arm", {}),
    "GET service-graph": ("signed in", "/services/graph"),
    "GET service-graph-data": ("read", "/services/graph/data?around={service.slug}"),
    "GET service": ("read", "/services/{service.slug}"),
    "GET service-incidents": ("read", "/services/{service.slug}/incidents"),
    "GET service-changes": ("read", "/services/{service.slug}/changes"),
    "POST service-link-add": (
        "configure",
        "/services/{service.slug}/links",
        {"kind": "runbook", "label": "New", "url": "https://wiki.example.com/new"},
    ),
    "POST service-link-change": (
        "configure",
        "/services/{service.slug}/links/{link.pk}",
        {"kind": "runbook", "label": "New", "url": "https://wiki.example.com/new"},
    ),
    "POST service-link-remove": ("configure", "/services/{service.slug}/links/{link.pk}/remove", {}),
    "POST service-dependency-save": ("configure with a form", "/services/{service.slug}/dependencies", {}),
    "POST service-dependency-remove": (
        "configure",
        "/services/{service.slug}/dependencies/{dependency.pk}/remove",
        {},
    ),
    "GET oncall": ("signed in", "/oncall"),
    "POST availability": ("respond somewhere", "/oncall/availability", {"status": "available"}),
    "GET schedules": ("signed in", "/schedules"),
    "GET schedule": ("read", "/schedules/{schedule.slug}"),
    "GET schedule-shift": ("read", "/schedules/{schedule.slug}/shift?at={soon}&role=PRIMARY&user={member.pk}"),
    "GET override": ("read", "/schedules/{schedule.slug}/overrides/{override.pk}"),
    "POST override-remove": ("respond", "/schedules/{schedule.slug}/overrides/{override.pk}/remove", {}),
    "GET override-new": ("respond", "/schedules/{schedule.slug}/overrides/new"),
    "GET coverage": ("signed in", "/coverage"),
    "GET shifts": ("signed in", "/shifts"),
    "GET shifts-next": ("signed in", "/shifts/next"),
    "POST request-take": ("the verb decides", "/shifts/requests/{request.uuid}/take", {}),
    "GET notifications": ("signed in", "/notifications"),
    "GET notification": ("read", "/notifications/{notification.uuid}"),
    "POST notification-do": ("of the platform", "/notifications/{notification.uuid}/stop", {}),
    "GET audit": ("administer", "/audit"),
    "GET audit-export": ("administer", "/audit/export.csv"),
    "GET audit-entry": ("administer", "/audit/{entry.pk}"),
    "GET settings": ("signed in", "/settings"),
    "GET settings-contact-choose": ("signed in", "/settings/contacts/new"),
    "GET settings-contact-add": ("signed in", "/settings/contacts/new/email"),
    "GET settings-contact": ("not there", "/settings/contacts/{method.pk}"),
    "POST settings-contact-code": ("not there", "/settings/contacts/{method.pk}/code", {}),
    "POST settings-contact-verify": ("not there", "/settings/contacts/{method.pk}/verify", {"code": "123456"}),
    "POST settings-contact-test": ("not there", "/settings/contacts/{method.pk}/test", {}),
    "POST settings-contact-again": ("not there", "/settings/contacts/{method.pk}/again", {}),
    "POST settings-contact-remove": ("not there", "/settings/contacts/{method.pk}/remove", {}),
    "GET settings-test": ("not there", f"/settings/tests/{NOTHING}"),
    "POST settings-rule-change": ("not there", "/settings/rules/{contact_rule.pk}", {"delay_minutes": 5}),
    "POST settings-rule-remove": ("not there", "/settings/rules/{contact_rule.pk}/remove", {}),
    "POST settings-quiet-remove": ("not there", "/settings/quiet/{quiet.pk}/remove", {}),
    "GET docs": ("signed in", "/docs/"),
    "GET doc": ("signed in", "/docs/channels"),
    "GET palette": ("signed in", "/go?q=a"),
    "GET guide": ("signed in", "/start"),
    "GET guide-card": ("signed in", "/start/card"),
    "POST guide-team": ("configure somewhere with a form", "/start/team", {}),
    "POST guide-integration": ("a form of one's own", "/start/integration", {}),
    "POST guide-test": ("a form of one's own", "/start/test", {}),
    "POST guide-hide": ("signed in", "/start/hide", {}),
    "POST theme": ("signed in", "/settings/theme", {"theme": "dark"}),
    "GET tokens": ("signed in", "/settings/tokens"),
    "POST token-rotate": ("not there", "/settings/tokens/{key.prefix}/rotate", {}),
    "POST token-stop-old": ("not there", "/settings/tokens/{key.prefix}/stop-old", {}),
    "POST token-revoke": ("not there", "/settings/tokens/{key.prefix}/revoke", {}),
    "GET sessions": ("signed in", "/settings/sessions"),
    "POST session-end": ("signed in", "/settings/sessions/999999/end", {}),
    "POST sessions-end": ("signed in", "/settings/sessions/end", {}),
    "GET privacy": ("signed in", "/settings/privacy"),
    "GET feed-revoke": ("not there", "/shifts/feeds/{feed.uuid}/revoke"),
    "POST time-off-remove": ("respond somewhere with something", "/shifts/time-off/{off.uuid}/remove", {}),
    "GET calendar-feed": ("unknown secret", f"/ical/{TOKEN}.ics"),
    "GET invitation": ("unknown secret", f"/invitation/{TOKEN}"),
    "GET password-reset": ("unknown secret", f"/reset/{TOKEN}"),
    "GET login": ("public", "/login"),
    "GET password-forgotten": ("public", "/reset"),
    "GET public-pages": ("public", "/status"),
    "GET public-page": ("read without a hint", "/status/{readers_page.slug}"),
    "GET public-file": ("read without a hint", "/status/{readers_page.slug}/history"),
    "GET status-subscribe": ("read without a hint", "/status/{readers_page.slug}/subscribe"),
    "GET status-subscribe-confirm": ("unknown secret", f"/status/{{status_page.slug}}/subscribe/confirm/{TOKEN}"),
    "GET status-subscription": ("unknown secret", f"/status/{{status_page.slug}}/subscribe/{TOKEN}"),
    "GET status-unsubscribe": ("unknown secret", f"/status/{{status_page.slug}}/unsubscribe/{TOKEN}"),
    "GET partner": ("public", "/status/partner"),
    "GET partner-link": ("unknown secret", f"/status/link/{TOKEN}"),
    "POST partner-sign-out": ("public", "/status/partner/sign-out", {}),
    "POST partner-session-end": ("public", f"/status/partner/sessions/{NOTHING}/end", {}),
    "GET health": ("public", "/health"),
    "GET manifest": ("public", "/manifest.webmanifest"),
    "GET offline": ("public", "/offline"),
    "GET push-session": ("public", "/push/session"),
    "GET service-worker": ("public", "/sw.js"),
    "GET favicon.ico": ("public", "/favicon.ico"),
    "GET health-panel": ("signed in", "/health/panel"),
    "GET metrics": ("public", "/metrics"),
    "GET schema": ("public", "/api/schema"),
    "GET api-docs": ("public", "/api/docs"),
    "POST retry": ("respond with something", "/integrations/{integration.uuid}/retry", {}),
    "POST override-add": ("respond with a form", "/schedules/{schedule.slug}/overrides", {}),
    "POST shift-ask": ("respond with something", "/schedules/{schedule.slug}/requests", {}),
    "POST shift-take": ("respond with something", "/schedules/{schedule.slug}/shift/take", {}),
    "POST request-offer": ("the verb decides about a form", "/shifts/requests/{request.uuid}/offer", {}),
    "POST request-cancel": ("the verb decides", "/shifts/requests/{request.uuid}/cancel", {}),
    "POST request-refuse": ("the verb decides", "/shifts/requests/{request.uuid}/decline", {}),
    "POST offer-decide": ("the verb decides", "/shifts/offers/{offer.uuid}/accept", {}),
    "POST time-off-add": ("respond somewhere with a form", "/shifts/time-off", {}),
    "POST feed-make": ("a form of one's own", "/shifts/feeds", {}),
    "POST settings-profile": ("a form of one's own", "/settings/profile", {}),
    "POST settings-rule-add": ("a form of one's own", "/settings/rules/high/add", {}),
    "POST settings-quiet-add": ("a form of one's own", "/settings/quiet", {}),
    "POST privacy-export": ("signed in", "/settings/privacy/export", {}),
    "POST push-subscribe": ("a form of one's own", "/push/subscribe", {}),
    "POST push-unsubscribe": ("signed in", "/push/unsubscribe", {}),
    "GET people-invite": ("configure somewhere", "/people/invite"),
    "POST people-invitation-do": ("not there", "/people/invite/999999/resend", {}),
    "GET security": ("signed in", "/account/security"),
    "GET mfa_index": ("signed in", "/account/security"),
    "GET account_change_password": ("signed in", "/account/password"),
    "GET account_set_password": ("signed in", "/account/no-password"),
    "GET account_reauthenticate": ("without a way to confirm", "/account/confirm"),
    "GET mfa_reauthenticate": ("without a way to confirm", "/account/confirm/code"),
    "GET mfa_reauthenticate_webauthn": ("without a way to confirm", "/account/confirm/passkey"),
    "GET mfa_activate_totp": ("signed in", "/account/security/app"),
    "GET mfa_deactivate_totp": ("not there", "/account/security/app/remove"),
    "GET mfa_view_recovery_codes": ("not there", "/account/security/codes"),
    "GET mfa_generate_recovery_codes": ("not there or elsewhere", "/account/security/codes/new"),
    "GET mfa_download_recovery_codes": ("not there", "/account/security/codes/download"),
    "GET mfa_list_webauthn": ("public", "/account/security/passkeys"),
    "GET mfa_add_webauthn": ("signed in", "/account/security/passkeys/add"),
    "GET mfa_edit_webauthn": ("not there", "/account/security/passkeys/999999"),
    "GET mfa_remove_webauthn": ("not there", "/account/security/passkeys/999999/remove"),
    "GET mfa_authenticate": ("signed in", "/login/second-factor"),
    "GET mfa_login_webauthn": ("signed in", "/login/passkey"),
    "GET account_login": ("public", "/login"),
    "POST account_logout": ("leads to sign in", "/logout", {}),
    "POST logout": ("leads to sign in", "/logout", {}),
    "GET openid_connect_login": ("leads to sign in", "/login/sso/nobody"),
    "GET openid_connect_callback": ("leads to sign in", "/login/sso/nobody/callback"),
    "GET link": ("unknown secret", f"/l/{TOKEN}"),
    "GET slack-link": ("not there", f"/slack/link/{TOKEN}"),
    "GET mail-updates": ("unknown secret", f"/mail/updates/{TOKEN}"),
    "POST mail-bounce": ("refused without a signature", "/mail/bounces", {"recipient": "x"}),
    "POST push-receipt": ("a form for anybody", "/push/receipt", {"token": TOKEN, "state": "shown"}),
    "POST slack-commands": ("leads to sign in", "/slack/commands", {}),
    "POST slack-events": ("leads to sign in", "/slack/events", {}),
    "POST slack-interactive": ("leads to sign in", "/slack/interactive", {}),
    "POST telegram-webhook": ("refused without a signature", "/telegram/webhook", {}),
    "POST twilio-sms": ("refused without a signature", "/twilio/sms", {}),
    "POST twilio-sms-status": ("refused without a signature", "/twilio/status/sms", {}),
    "POST twilio-voice-menu": ("refused without a signature", f"/twilio/voice/menu/{TOKEN}", {}),
    "POST twilio-voice-status": ("refused without a signature", "/twilio/status/voice", {}),
}
# Asked elsewhere, because the answer is not about who asks.
ELSEWHERE = {"ready": "503 as long as no worker runs: tests/config/test_health.py"}


def addresses():
    """The names of all addresses but those of the API and of the admin, which have tables of their own."""

    def walk(patterns, prefix=""):
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if route.startswith(("api/v1/", "admin/")):
                continue
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            else:
                yield pattern.name or route

    return set(walk(get_resolver().url_patterns))


def test_every_address_has_a_row():
    named = {key.split()[1] for key in ROWS}
    assert addresses() - named - set(ELSEWHERE) == set()
    assert named - addresses() == set()


@pytest.fixture
def scene(db):
    teams = {
        name: stage.furnish(factories.TeamFactory(name=name, is_private=name == "private")) for name in asking.TEAMS
    }
    for one in teams.values():
        one.soon = at(one, 1)
        one.method = one.notification.contact_method
        one.contact_rule = factories.NotificationRuleFactory(user=one.member, contact_method=one.method)
        one.quiet = factories.QuietHoursFactory(user=one.member)
    return stage.people(teams["own"].team), teams


def asked(key):
    """A function that asks the address as a person: `ask(person, team)`."""
    _, address, *form = ROWS[key]

    def ask(person, one):
        client = Client()
        if person:
            client.force_login(person)
        return getattr(client, key.split()[0].lower())(address.format(**vars(one)), *form)

    return ask


@pytest.mark.parametrize("part", range(2))
def test_everybody_may_what_the_table_says(scene, part):
    wrong = []
    for key in sorted(ROWS)[part::2]:
        wanted = RIGHTS[ROWS[key][0]]
        found = asking.row(asked(key), *scene, names=wanted)
        wrong += asking.differences(key, found, wanted)
    assert not wrong, "\n".join(wrong)
