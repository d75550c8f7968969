from django.urls import path

from alerts.views import alerts, changes, heartbeats, integrations, panel, quiet, similar

app_name = "alerts"
urlpatterns = [
    path("incidents/<int:number>/alerts", panel.panel, name="panel"),
    path("incidents/<int:number>/similar", similar.similar, name="similar"),
    path("incidents/<int:number>/changes", changes.of_incident, name="changes"),
    path("services/<slug:slug>/changes", changes.of_service, name="service-changes"),
    path("alerts", alerts.listed, name="alerts"),
    path("alerts/<uuid:pk>", alerts.one, name="alert"),
    path("integrations", integrations.listed, name="integrations"),
    path("integrations/<uuid:uuid>", integrations.one, name="integration"),
    path("integrations/<uuid:uuid>/retry", integrations.retry, name="retry"),
    path("silences", quiet.silence_list, name="silences"),
    path("silences/new", quiet.silence_new, name="silence-new"),
    path("silences/<uuid:uuid>", quiet.silence, name="silence"),
    path("silences/<uuid:uuid>/extend", quiet.silence_extend, name="silence-extend"),
    path("silences/<uuid:uuid>/end", quiet.silence_end, name="silence-end"),
    path("maintenance", quiet.maintenance_list, name="maintenance"),
    path("maintenance/new", quiet.maintenance_new, name="maintenance-new"),
    path("maintenance/<uuid:uuid>", quiet.maintenance_window, name="maintenance-window"),
    path("maintenance/<uuid:uuid>/enable", quiet.maintenance_enable, name="maintenance-enable"),
    path("maintenance/<uuid:uuid>/end", quiet.maintenance_end, name="maintenance-end"),
    path("held", quiet.held_list, name="held"),
    path("held/<uuid:pk>/release", quiet.release, name="release"),
    path("heartbeats", heartbeats.listed, name="heartbeats"),
    path("heartbeats/new", heartbeats.new, name="heartbeat-new"),
    path("heartbeats/<uuid:uuid>", heartbeats.one, name="heartbeat"),
    path("heartbeats/<uuid:uuid>/edit", heartbeats.edit, name="heartbeat-edit"),
    path("heartbeats/<uuid:uuid>/<slug:verb>", heartbeats.act, name="heartbeat-do"),
]
