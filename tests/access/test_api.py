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
    # What is hidden is not there, before it is asked who may.
    "respond once seen": {"own": "-xyyyy", "other": "-xyxxy", "private": "-0000y"},
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
PARTNERS = {"own": "-xxxyy", "other": "-xxx0y", "private": "-xxx0y"}


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
    "GET postmortem-list": ("list", "postmortems"),
    "POST postmortem-list": ("respond", "postmortems", lambda one: {"incidents": [one.second.pk]}),
    "GET postmortem-detail": ("read", "postmortems/{postmortem.pk}"),
    "PATCH postmortem-detail": ("respond", "postmortems/{postmortem.pk}", {"title": "New", "seen_version": 1}),
    "POST postmortem-publish": ("respond", "postmortems/{postmortem.pk}/publish", {}),
    "POST postmortem-take-back": ("respond", "postmortems/{postmortem.pk}/take-back"),
    "POST postmortem-archive": ("respond", "postmortems/{postmortem.pk}/archive"),
    "POST postmortem-restore": ("respond", "postmortems/{postmortem.pk}/restore"),
    "POST postmortem-redraw": ("respond", "postmortems/{postmortem.pk}/redraw"),
    "GET postmortem-export-md": ("read", "postmortems/{postmortem.pk}/export.md"),
    "GET postmortem-export-pdf": ("read", "postmortems/{postmortem.pk}/export.pdf"),
    "GET postmortem-section-list": ("read", "postmortems/{postmortem.pk}/sections"),
    "POST postmortem-section-list": ("respond", "postmortems/{postmortem.pk}/sections", {"title": "New"}),
    "GET postmortem-section-detail": ("read", "postmortems/{postmortem.pk}/sections/{section.uuid}"),
    "PATCH postmortem-section-detail": (
        "respond",
        "postmortems/{postmortem.pk}/sections/{section.uuid}",
        {"body": "New", "seen_version": 1},
    ),
    "DELETE postmortem-section-detail": ("respond", "postmortems/{postmortem.pk}/sections/{section.uuid}"),
    "GET postmortem-section-revisions": ("read", "postmortems/{postmortem.pk}/sections/{section.uuid}/revisions"),
    "POST postmortem-section-restore": (
        "respond",
        "postmortems/{postmortem.pk}/sections/{section.uuid}/restore",
        {"version": 1},
    ),
    "GET postmortem-moment-list": ("read", "postmortems/{postmortem.pk}/moments"),
    "POST postmortem-moment-list": (
        "respond",
        "postmortems/{postmortem.pk}/moments",
        lambda one: {"at": at(one, 0), "text": "New"},
    ),
    "GET postmortem-moment-detail": ("read", "postmortems/{postmortem.pk}/moments/{moment.uuid}"),
    "PATCH postmortem-moment-detail": (
        "respond",
        "postmortems/{postmortem.pk}/moments/{moment.uuid}",
        {"text": "New"},
    ),
    "DELETE postmortem-moment-detail": ("respond", "postmortems/{postmortem.pk}/moments/{moment.uuid}"),
    "POST postmortem-moment-put-back": ("respond", "postmortems/{postmortem.pk}/moments/{moment.uuid}/put-back"),
    "GET postmortem-factor-list": ("read", "postmortems/{postmortem.pk}/factors"),
    "POST postmortem-factor-list": ("respond", "postmortems/{postmortem.pk}/factors", {"cause": "New"}),
    "GET postmortem-factor-detail": ("read", "postmortems/{postmortem.pk}/factors/{factor.uuid}"),
    "PATCH postmortem-factor-detail": (
        "respond",
        "postmortems/{postmortem.pk}/factors/{factor.uuid}",
        {"cause": "New"},
    ),
    "DELETE postmortem-factor-detail": ("respond", "postmortems/{postmortem.pk}/factors/{factor.uuid}"),
    "GET postmortem-comment-list": ("read", "postmortems/{postmortem.pk}/comments"),
    # Whoever reads it may say something to it; resolving is for the author and for who may change it.
    "POST postmortem-comment-list": ("read", "postmortems/{postmortem.pk}/comments", {"text": "New"}),
    "GET postmortem-comment-detail": ("read", "postmortems/{postmortem.pk}/comments/{comment.uuid}"),
    "POST postmortem-comment-resolve": (
        {"own": "-xyyyy", "other": "-xyxxy", "private": "-0000y"},
        "postmortems/{postmortem.pk}/comments/{comment.uuid}/resolve",
    ),
    "POST postmortem-comment-reopen": (
        {"own": "-xyyyy", "other": "-xyxxy", "private": "-0000y"},
        "postmortems/{postmortem.pk}/comments/{comment.uuid}/reopen",
    ),
    "GET postmortem-review-list": ("read", "postmortems/{postmortem.pk}/reviews"),
    "POST postmortem-review-list": (
        "respond",
        "postmortems/{postmortem.pk}/reviews",
        lambda one: {"reviewers": [one.member.email]},
    ),
    "GET postmortem-review-detail": ("read", "postmortems/{postmortem.pk}/reviews/{review.user.uuid}"),
    "DELETE postmortem-review-detail": ("respond", "postmortems/{postmortem.pk}/reviews/{review.user.uuid}"),
    # Only who was asked.
    "POST postmortem-review-verdict": (
        {"own": "-xxxxx", "other": "-xxxxx", "private": "-0000x"},
        "postmortems/{postmortem.pk}/reviews/verdict",
        {"verdict": "approved"},
    ),
    "GET postmortem-item-list": ("read", "postmortems/{postmortem.pk}/items"),
    "POST postmortem-item-list": ("respond", "postmortems/{postmortem.pk}/items", {"text": "New"}),
    "GET postmortem-item-detail": ("read", "postmortems/{postmortem.pk}/items/{item.uuid}"),
    "GET postmortem-link-list": ("respond once seen", "postmortems/{postmortem.pk}/share-links"),
    "POST postmortem-link-list": ("respond", "postmortems/{postmortem.pk}/share-links", {"days": 7}),
    "GET postmortem-link-detail": ("respond once seen", "postmortems/{postmortem.pk}/share-links/{share.uuid}"),
    "POST postmortem-link-revoke": ("respond", "postmortems/{postmortem.pk}/share-links/{share.uuid}/revoke"),
    "GET actionitem-list": ("list", "action-items"),
    "GET actionitem-detail": ("read", "action-items/{item.uuid}"),
    "PATCH actionitem-detail": ("respond once seen", "action-items/{item.uuid}", {"status": "in_progress"}),
    "GET statuspage-list": ("list", "status-pages"),
    "POST statuspage-list": ("configure for", "status-pages", lambda one: {"name": "New", "team": one.team.slug}),
    "GET statuspage-detail": ("read", "status-pages/{status_page.slug}"),
    "PUT statuspage-detail": ("configure", "status-pages/{status_page.slug}", {"name": "New"}),
    "PATCH statuspage-detail": ("configure", "status-pages/{status_page.slug}", {"name": "New"}),
    "DELETE statuspage-detail": ("configure", "status-pages/{status_page.slug}"),
    "GET status-group-list": ("read", "status-pages/{status_page.slug}/groups"),
    "POST status-group-list": ("configure", "status-pages/{status_page.slug}/groups", {"name": "New"}),
    "GET status-group-detail": ("read", "status-pages/{status_page.slug}/groups/{group.uuid}"),
    "PUT status-group-detail": ("configure", "status-pages/{status_page.slug}/groups/{group.uuid}", {"name": "New"}),
    "PATCH status-group-detail": (
        "configure",
        "status-pages/{status_page.slug}/groups/{group.uuid}",
        {"position": 2},
    ),
    "DELETE status-group-detail": ("configure", "status-pages/{status_page.slug}/groups/{group.uuid}"),
    "GET status-component-list": ("read", "status-pages/{status_page.slug}/components"),
    "POST status-component-list": ("configure", "status-pages/{status_page.slug}/components", {"name": "New"}),
    "GET status-component-detail": ("read", "status-pages/{status_page.slug}/components/{component.uuid}"),
    "PUT status-component-detail": (
        "configure",
        "status-pages/{status_page.slug}/components/{component.uuid}",
        {"name": "New"},
    ),
    "PATCH status-component-detail": (
        "configure",
        "status-pages/{status_page.slug}/components/{component.uuid}",
        {"position": 2},
    ),
    "DELETE status-component-detail": ("configure", "status-pages/{status_page.slug}/components/{component.uuid}"),
    "PUT status-component-state": (
        "respond",
        "status-pages/{status_page.slug}/components/{component.uuid}/state",
        {"state": "major_outage"},
    ),
    "DELETE status-component-state": ("respond", "status-pages/{status_page.slug}/components/{component.uuid}/state"),
    "GET status-post-list": ("read", "status-pages/{status_page.slug}/posts"),
    "POST status-post-list": (
        "respond",
        "status-pages/{status_page.slug}/posts",
        {"title": "Payments fail", "body": "We look into it."},
    ),
    "GET status-post-detail": ("read", "status-pages/{status_page.slug}/posts/{post.uuid}"),
    "PATCH status-post-detail": ("respond", "status-pages/{status_page.slug}/posts/{post.uuid}", {"title": "New"}),
    "DELETE status-post-detail": ("respond", "status-pages/{status_page.slug}/posts/{post.uuid}"),
    "POST status-post-updates": (
        "respond",
        "status-pages/{status_page.slug}/posts/{post.uuid}/updates",
        {"body": "Still."},
    ),
    "PATCH status-post-edit-update": (
        "respond",
        "status-pages/{status_page.slug}/posts/{post.uuid}/updates/{post_update.uuid}",
        {"body": "New"},
    ),
    "GET status-series-list": ("read", "status-pages/{status_page.slug}/series"),
    "POST status-series-list": (
        "respond",
        "status-pages/{status_page.slug}/series",
        lambda one: {
            "title": "New",
            "body": "Read-only.",
            "rrule": "FREQ=WEEKLY",
            "starts_at": at(one, 1),
            "ends_at": at(one, 2),
        },
    ),
    "GET status-series-detail": ("read", "status-pages/{status_page.slug}/series/{series.uuid}"),
    "PUT status-series-detail": (
        "respond",
        "status-pages/{status_page.slug}/series/{series.uuid}",
        lambda one: {
            "title": "New",
            "body": "Read-only.",
            "rrule": "FREQ=WEEKLY",
            "starts_at": at(one, 1),
            "ends_at": at(one, 2),
        },
    ),
    "PATCH status-series-detail": (
        "respond",
        "status-pages/{status_page.slug}/series/{series.uuid}",
        {"title": "New"},
    ),
    "DELETE status-series-detail": ("respond", "status-pages/{status_page.slug}/series/{series.uuid}"),
    "GET status-template-list": ("read", "status-pages/{status_page.slug}/templates"),
    "POST status-template-list": (
        "configure",
        "status-pages/{status_page.slug}/templates",
        {"name": "New", "body": "We wait."},
    ),
    "GET status-template-detail": ("read", "status-pages/{status_page.slug}/templates/{template.uuid}"),
    "PUT status-template-detail": (
        "configure",
        "status-pages/{status_page.slug}/templates/{template.uuid}",
        {"name": "New", "body": "We wait."},
    ),
    "PATCH status-template-detail": (
        "configure",
        "status-pages/{status_page.slug}/templates/{template.uuid}",
        {"name": "New"},
    ),
    "DELETE status-template-detail": ("configure", "status-pages/{status_page.slug}/templates/{template.uuid}"),
    "GET status-subscriber-list": ("read", "status-pages/{status_page.slug}/subscribers"),
    "POST status-subscriber-list": (
        "configure",
        "status-pages/{status_page.slug}/subscribers",
        {"channel": "email", "address": "new@elsewhere.example"},
    ),
    "GET status-subscriber-detail": ("read", "status-pages/{status_page.slug}/subscribers/{subscriber.uuid}"),
    "DELETE status-subscriber-detail": ("configure", "status-pages/{status_page.slug}/subscribers/{subscriber.uuid}"),
    "GET partner-list": ("list", "partners"),
    "POST partner-list": (
        "configure for",
        "partners",
        lambda one: {"name": "New", "email": "new@elsewhere.example", "pages": [one.status_page.slug]},
    ),
    # Only who arranges for them reads of them.
    "GET partner-detail": ("keys", "partners/{partner.uuid}"),
    "PATCH partner-detail": (PARTNERS, "partners/{partner.uuid}", {"name": "New"}),
    "DELETE partner-detail": (PARTNERS, "partners/{partner.uuid}"),
    "POST partner-send-link": (PARTNERS, "partners/{partner.uuid}/send-link"),
    "GET partner-sessions": ("keys", "partners/{partner.uuid}/sessions"),
    "POST partner-revoke": (PARTNERS, "partners/{partner.uuid}/sessions/{partner_session.uuid}/revoke"),
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
