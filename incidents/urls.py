from django.urls import path

from incidents.replies import slack, telegram, twilio
from incidents.replies.links import link
from incidents.views import acting, bulk, dashboard, incident, listing, opening, saved, service

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("incidents", listing.incidents, name="incidents"),
    path("incidents/new", opening.new, name="incident-new"),
    path("incidents/bulk", bulk.do, name="incidents-bulk"),
    path("incidents/views", saved.save, name="saved-view-save"),
    path("incidents/views/<int:pk>/<slug:verb>", saved.do, name="saved-view-do"),
    path("incidents/<int:number>", incident.incident, name="incident"),
    path("incidents/<int:number>/do/<slug:verb>", acting.act, name="incident-act"),
    path("incidents/<int:number>/merge", acting.merge, name="incident-merge"),
    path("incidents/<int:number>/preview", acting.preview, name="incident-preview"),
    path("services/<slug:slug>/incidents", service.panel, name="service-incidents"),
    path("l/<str:token>", link, name="link"),
    path("slack/interactive", slack.interactive, name="slack-interactive"),
    path("slack/commands", slack.commands, name="slack-commands"),
    path("slack/events", slack.events, name="slack-events"),
    path("slack/link/<str:token>", slack.link_account, name="slack-link"),
    path("telegram/webhook", telegram.webhook, name="telegram-webhook"),
    path("twilio/sms", twilio.text_message, name="twilio-sms"),
    path("twilio/voice/menu/<str:token>", twilio.voice_menu, name="twilio-voice-menu"),
]
