from django.urls import path

from alerts import alert_views, heartbeat_views, quiet_views, views

app_name = "alerts"
urlpatterns = [
    path("incidents/<int:number>/alerts", views.panel, name="panel"),
    path("alerts", alert_views.listed, name="alerts"),
    path("alerts/<uuid:pk>", alert_views.one, name="alert"),
    path("integrations", alert_views.integrations, name="integrations"),
    path("integrations/<uuid:uuid>", alert_views.integration, name="integration"),
    path("integrations/<uuid:uuid>/retry", alert_views.retry, name="retry"),
    path("silences", quiet_views.silence_list, name="silences"),
    path("silences/new", quiet_views.silence_new, name="silence-new"),
    path("silences/<uuid:uuid>", quiet_views.silence, name="silence"),
    path("silences/<uuid:uuid>/extend", quiet_views.silence_extend, name="silence-extend"),
    path("silences/<uuid:uuid>/end", quiet_views.silence_end, name="silence-end"),
    path("maintenance", quiet_views.maintenance_list, name="maintenance"),
    path("maintenance/new", quiet_views.maintenance_new, name="maintenance-new"),
    path("maintenance/<uuid:uuid>", quiet_views.maintenance_window, name="maintenance-window"),
    path("maintenance/<uuid:uuid>/enable", quiet_views.maintenance_enable, name="maintenance-enable"),
    path("maintenance/<uuid:uuid>/end", quiet_views.maintenance_end, name="maintenance-end"),
    path("held", quiet_views.held_list, name="held"),
    path("held/<uuid:pk>/release", quiet_views.release, name="release"),
    path("heartbeats", heartbeat_views.listed, name="heartbeats"),
    path("heartbeats/new", heartbeat_views.new, name="heartbeat-new"),
    path("heartbeats/<uuid:uuid>", heartbeat_views.one, name="heartbeat"),
    path("heartbeats/<uuid:uuid>/edit", heartbeat_views.edit, name="heartbeat-edit"),
    path("heartbeats/<uuid:uuid>/<slug:verb>", heartbeat_views.act, name="heartbeat-do"),
]
