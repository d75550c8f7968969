from django.urls import path

from oncall import calendar_views
from oncall.views import coverage, overrides, schedules, shifts

urlpatterns = [
    path("ical/<str:secret>.ics", calendar_views.feed, name="calendar-feed"),
    path("schedules", schedules.schedules, name="schedules"),
    path("schedules/<slug:slug>", schedules.schedule, name="schedule"),
    path("schedules/<slug:slug>/shift", overrides.shift, name="schedule-shift"),
    path("schedules/<slug:slug>/shift/take", overrides.take, name="shift-take"),
    path("schedules/<slug:slug>/requests", overrides.ask, name="shift-ask"),
    path("schedules/<slug:slug>/overrides", overrides.add, name="override-add"),
    path("schedules/<slug:slug>/overrides/new", overrides.new, name="override-new"),
    path("schedules/<slug:slug>/overrides/<int:number>", overrides.override, name="override"),
    path("schedules/<slug:slug>/overrides/<int:number>/remove", overrides.remove, name="override-remove"),
    path("coverage", coverage.page, name="coverage"),
    path("shifts", shifts.mine, name="shifts"),
    path("shifts/next", shifts.panel, name="shifts-next"),
    path("shifts/requests/<uuid:uuid>/take", shifts.take, name="request-take"),
    path("shifts/requests/<uuid:uuid>/offer", shifts.offer, name="request-offer"),
    path("shifts/requests/<uuid:uuid>/cancel", shifts.close, {"verb": "cancel"}, name="request-cancel"),
    path("shifts/requests/<uuid:uuid>/decline", shifts.close, {"verb": "decline"}, name="request-refuse"),
    path("shifts/offers/<uuid:uuid>/<slug:verb>", shifts.decide, name="offer-decide"),
    path("shifts/time-off", shifts.add_time_off, name="time-off-add"),
    path("shifts/time-off/<uuid:uuid>/remove", shifts.remove_time_off, name="time-off-remove"),
    path("shifts/feeds", shifts.make_feed, name="feed-make"),
    path("shifts/feeds/<uuid:uuid>/revoke", shifts.revoke_feed, name="feed-revoke"),
]
