from django.urls import path, register_converter

from statuspages.paths import PageFile
from statuspages.views import keeping, partner, planning, posting, reading, subscribers, subscribing

register_converter(PageFile, "page_file")

app_name = "statuspages"
urlpatterns = [
    path("status", reading.listed, name="public-pages"),
    path("status/partner", partner.front, name="partner"),
    path("status/partner/sign-out", partner.sign_out, name="partner-sign-out"),
    path("status/partner/sessions/<uuid:uuid>/end", partner.end_session, name="partner-session-end"),
    path("status/link/<str:token>", partner.link, name="partner-link"),
    path("status/<slug:slug>/subscribe", subscribing.subscribe, name="status-subscribe"),
    path("status/<slug:slug>/subscribe/confirm/<str:token>", subscribing.confirm, name="status-subscribe-confirm"),
    path("status/<slug:slug>/subscribe/<str:token>", subscribing.manage, name="status-subscription"),
    path("status/<slug:slug>/unsubscribe/<str:token>", subscribing.leave, name="status-unsubscribe"),
    path("status-pages", keeping.pages, name="status-pages"),
    path("status-pages/<slug:slug>", keeping.page, name="status-page"),
    path("status-pages/<slug:slug>/history", keeping.history, name="status-history"),
    path("status-pages/<slug:slug>/components/<uuid:uuid>/state", keeping.state, name="status-state"),
    path("status-pages/<slug:slug>/components/<uuid:uuid>/clear", keeping.state_clear, name="status-state-clear"),
    path("status-pages/<slug:slug>/subscribers", subscribers.subscribers, name="status-subscribers"),
    path(
        "status-pages/<slug:slug>/subscribers/<uuid:uuid>/end",
        subscribers.subscriber_end,
        name="status-subscriber-end",
    ),
    path("status-pages/<slug:slug>/posts/new", posting.post_new, name="status-post-new"),
    path("status-pages/<slug:slug>/posts/<uuid:uuid>", posting.post, name="status-post"),
    path("status-pages/<slug:slug>/posts/<uuid:uuid>/edit", posting.post_edit, name="status-post-edit"),
    path("status-pages/<slug:slug>/posts/<uuid:uuid>/delete", posting.post_remove, name="status-post-remove"),
    path(
        "status-pages/<slug:slug>/posts/<uuid:uuid>/updates/<uuid:update>",
        posting.update_edit,
        name="status-update-edit",
    ),
    path("status-pages/<slug:slug>/maintenance/new", planning.maintenance_new, name="status-maintenance-new"),
    path("status-pages/<slug:slug>/recurring", planning.series_list, name="status-series-list"),
    path("status-pages/<slug:slug>/recurring/new", planning.series_new, name="status-series-new"),
    path("status-pages/<slug:slug>/recurring/<uuid:uuid>", planning.series, name="status-series"),
    path("status-pages/<slug:slug>/recurring/<uuid:uuid>/delete", planning.series_remove, name="status-series-remove"),
    path("incidents/<int:number>/status-pages", posting.incident_panel, name="incident-panel"),
    path("status/<slug:slug>", reading.page, name="public-page"),
    path("status/<slug:slug>/<page_file:path>", reading.page, name="public-file"),
]
