"""The menu of the admin, in the words of the floors, and its front page: what needs somebody's attention.

The skin finds both by their dotted names; see UNFOLD in the settings.
"""

import dataclasses
import datetime as dt
import functools
import zoneinfo

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Role, User
from alerts.models import InboundEvent, Integration
from catalog.models import Service
from core import packages
from notifications.models import Alarm, ContactMethod
from oncall import coverage, lookup, shifts
from oncall.models import CalendarImport, EscalationPolicy, Layer, Participant, Schedule, Target

# (title, [(model, icon)]); the icons are names of Material Symbols, which the skin brings.
GROUPS = [
    (
        "People",
        [
            ("accounts.user", "person"),
            ("accounts.team", "groups"),
            ("accounts.apikey", "key"),
            ("accounts.groupmapping", "badge"),
            ("accounts.accountmail", "mail_lock"),
        ],
    ),
    (
        "On call",
        [
            ("oncall.schedule", "calendar_month"),
            ("oncall.escalationpolicy", "escalator_warning"),
            ("oncall.override", "event_repeat"),
            ("oncall.fixedshift", "push_pin"),
            ("oncall.shiftrequest", "swap_horiz"),
            ("oncall.offer", "volunteer_activism"),
            ("oncall.timeoff", "beach_access"),
            ("oncall.availability", "do_not_disturb_on"),
            ("oncall.holiday", "celebration"),
            ("oncall.calendarfeed", "rss_feed"),
            ("oncall.calendarimport", "edit_calendar"),
            ("oncall.coveragecheck", "fact_check"),
        ],
    ),
    ("Services", [("catalog.service", "deployed_code")]),
    (
        "Alerts in",
        [
            ("alerts.integration", "input"),
            ("alerts.rule", "alt_route"),
            ("alerts.silence", "notifications_off"),
            ("alerts.maintenancewindow", "construction"),
            ("alerts.inhibitionrule", "block"),
            ("alerts.heartbeat", "ecg_heart"),
            ("alerts.inboundevent", "inbox"),
            ("alerts.alert", "notification_important"),
            ("alerts.changeevent", "rocket_launch"),
            ("alerts.topic", "cloud_sync"),
        ],
    ),
    (
        "Incidents",
        [
            ("incidents.incident", "emergency"),
            ("incidents.timelineentry", "timeline"),
            ("incidents.savedview", "bookmark"),
            ("automation.hypothesis", "lightbulb"),
            ("automation.recommendedaction", "recommend"),
        ],
    ),
    (
        "Status pages",
        [
            ("statuspages.statuspage", "monitor_heart"),
            ("statuspages.post", "article"),
            ("statuspages.series", "event_upcoming"),
            ("statuspages.posttemplate", "draft"),
            ("statuspages.subscriber", "mark_email_read"),
            ("statuspages.partner", "handshake"),
            ("statuspages.partnersession", "devices"),
            ("statuspages.visit", "visibility"),
        ],
    ),
    (
        "Postmortems",
        [
            ("postmortems.template", "dashboard_customize"),
            ("postmortems.postmortem", "article"),
            ("postmortems.actionitem", "task_alt"),
            ("postmortems.wanted", "assignment_late"),
        ],
    ),
    (
        "Notifications",
        [
            ("notifications.contactmethod", "contact_phone"),
            ("notifications.notificationrule", "rule"),
            ("notifications.quiethours", "bedtime"),
            ("notifications.destination", "campaign"),
            ("incidents.subscription", "notifications_active"),
            ("notifications.provider", "hub"),
            ("notifications.wording", "edit_note"),
            ("notifications.notification", "outgoing_mail"),
            ("notifications.attempt", "send"),
        ],
    ),
    (
        "Operation",
        [
            ("notifications.alarm", "warning"),
            ("notifications.circuit", "electric_bolt"),
            ("notifications.allowance", "speed"),
            ("core.pulse", "ecg_heart"),
            ("core.workerbeat", "engineering"),
            ("core.counter", "123"),
            ("django_q.failure", "error"),
            ("django_q.ormq", "pending"),
            ("core.idempotencykey", "repeat_one"),
            ("alerts.seensignature", "signature"),
            ("alerts.presence", "wifi_tethering"),
            ("notifications.seenrequest", "done_all"),
        ],
    ),
]
MOST = 10
SOON = dt.timedelta(hours=24)


def navigation(request):
    """The sidebar: what the person may open. What waits for an admin has its number beside it."""
    is_admin = request.user.may("administer")
    waiting = {"alerts.inboundevent": _given_up(request.user).count()}
    if is_admin:
        waiting["notifications.alarm"] = Alarm.objects.filter(cleared_at=None).count()
    titles = {
        model._meta.label_lower: model._meta.verbose_name_plural
        for model, page in admin.site._registry.items()
        if page.has_view_permission(request)
    }
    back = {"title": f"Back to {settings.SITE_NAME}", "icon": "arrow_back", "link": reverse("dashboard")}
    back["active"] = lambda request: False  # its address begins every other one
    front = {"title": "Attention", "icon": "home", "link": reverse("admin:index")}
    groups = [{"items": [back, front]}]
    for title, models in GROUPS:
        items = []
        for label, icon in models:
            if not (name := titles.get(label)):
                continue
            item = {"title": name[0].upper() + name[1:], "icon": icon}
            item["link"] = reverse(f"admin:{label.replace('.', '_')}_changelist")
            if waiting.get(label):
                item["badge"] = str(waiting[label])
            items.append(item)
        if items:
            groups.append({"title": title, "items": items})
    if is_admin:
        groups[-1]["items"].append({"title": "Audit", "icon": "history", "link": reverse("audit")})
    return groups


@dataclasses.dataclass(frozen=True)
class Matter:
    """Something to look at: a sentence, and where to do something about it."""

    text: str
    url: str


def dashboard(request, context):
    """Add what needs attention to the front page."""
    context["is_admin"] = request.user.may("administer")
    context["matters"] = matters(request.user, timezone.now())
    return context


def matters(user, now):
    """What would keep somebody from being paged, most urgent first: all of it, or what is of the person's teams."""
    is_admin = user.may("administer")
    return [
        *(_alarms() if is_admin else ()),
        *_given_up_events(user),
        *_services_without_policy(user),
        *_policies_that_call_nobody(user),
        *_schedules_with_nobody(user, now),
        *(_people_out_of_reach(now) if is_admin else ()),
        *_calendars_that_fail(user),
        *_keys_that_end(user, now),
        *_integration_keys_that_end(user, now),
        *(_nothing_sends_alerts() if is_admin else ()),
        *(_mail() if is_admin else ()),
        *(_packages() if is_admin else ()),
    ]


def _alarms():
    for alarm in Alarm.objects.filter(cleared_at=None)[:MOST]:
        yield Matter(alarm.text, reverse("admin:notifications_alarm_change", args=[alarm.pk]))


def _given_up(user):
    return user.where_may(InboundEvent.objects.filter(state=InboundEvent.State.POISON), "configure")


def _given_up_events(user):
    if count := _given_up(user).count():
        url = reverse("admin:alerts_inboundevent_changelist") + f"?state__exact={InboundEvent.State.POISON}"
        yield Matter(f"Events that could not be read or decided: {count}. Nobody was paged for them.", url)


def _services_without_policy(user):
    default = EscalationPolicy.objects.filter(team=OuterRef("team"), is_team_default=True)
    lost = Service.objects.filter(policy=None).exclude(lifecycle=Service.Lifecycle.ARCHIVED).exclude(Exists(default))
    for service in user.where_may(lost, "configure").select_related("team")[:MOST]:
        text = f"{service} calls nobody: it has no policy, and {service.team} has no default policy."
        yield Matter(text, reverse("admin:catalog_service_change", args=[service.pk]))


def _policies_that_call_nobody(user):
    silent = EscalationPolicy.objects.annotate(targets=Count("levels__targets")).filter(targets=0)
    for policy in user.where_may(silent, "configure")[:MOST]:
        text = f"The policy {policy} calls nobody: no level of it has a target."
        yield Matter(text, reverse("admin:oncall_escalationpolicy_change", args=[policy.pk]))


def _schedules_with_nobody(user, now):
    """Schedules that a policy calls and in which nobody is on call now, or for a while in the next day."""
    own = user.where_may(Schedule.objects.all(), "configure")
    targets = Target.objects.filter(schedule__in=own).select_related("schedule")
    called = sorted({(one.schedule, one.role) for one in targets}, key=lambda one: (one[0].name, one[1]))
    finals = lookup.finals({schedule.pk for schedule, _ in called}, start=now, end=now + SOON)
    told = {}
    for schedule, role in called:
        if gaps := _gaps(finals[schedule.pk], role):
            told.setdefault(schedule, []).append(gaps[0])
    first = sorted((min(gaps), schedule.name, schedule) for schedule, gaps in told.items())
    for (start, end), _, schedule in first[:MOST]:
        when = "" if start <= now else f" {coverage.said_span(start, end, zoneinfo.ZoneInfo(schedule.time_zone))}"
        text = f"Nobody is on call in {schedule}{when}, and a policy calls it."
        yield Matter(text, reverse("admin:oncall_schedule_change", args=[schedule.pk]))


def _gaps(finals, role):
    """When nobody of the role is on call, nor of those that are called in its place: `[(start, end)]`."""
    roles = shifts.CALLED[shifts.CALLED.index(role) :]
    return functools.reduce(coverage.common, (shifts.gaps(finals[one]) for one in roles))


def _calendars_that_fail(user):
    """Calendars that could not be read; what they gave the last time still counts."""
    failing = user.where_may(CalendarImport.objects.exclude(error=""), "configure")
    for one in failing.select_related("schedule")[:MOST]:
        text = f"The calendar {one} could not be read: {one.error}"
        yield Matter(text, reverse("admin:oncall_calendarimport_change", args=[one.pk]))


def _people_out_of_reach(now):
    running = Participant.objects.filter(user=OuterRef("pk"), layer__in=Layer.objects.running(now))
    usable = ContactMethod.objects.filter(user=OuterRef("pk"), verified_at__isnull=False, disabled_reason="")
    is_called = Q(policy_targets__isnull=False) | Exists(running) | Q(role=Role.ADMIN)
    people = User.objects.people().filter(is_called, is_active=True).exclude(Exists(usable)).distinct()
    for user in people[:MOST]:
        text = f"{user} is to be paged and has no verified address."
        yield Matter(text, reverse("admin:accounts_user_change", args=[user.pk]))
    gone = User.objects.filter(Q(policy_targets__isnull=False) | Exists(running), is_active=False)
    for user in gone.distinct()[:MOST]:
        text = f"{user} is deactivated and still in a rotation or a policy. Put somebody else there."
        yield Matter(text, reverse("admin:accounts_user_change", args=[user.pk]))


def _keys_that_end(user, now):
    """Keys of programs that are in use and stop working soon."""
    ending = ApiKey.objects.ending(now=now, within=keys.ENDS_SOON).filter(is_personal=False)
    used = ending.filter(last_used_at__gt=now - keys.ENDS_SOON)
    for key in user.where_may(used, "configure")[:MOST]:
        text = f"The API key {key} is in use and ends on {key.expires_at:%-d %b}. Prolong it, or make another in time."
        yield Matter(text, reverse("admin:accounts_apikey_change", args=[key.pk]))


def _integration_keys_that_end(user, now):
    """Integrations whose key stops working soon, and those whose sender is refused because it did."""
    ending = Integration.objects.filter(is_enabled=True, key_expires_at__lte=now + keys.ENDS_SOON)
    for one in user.where_may(ending, "configure").order_by("key_expires_at")[:MOST]:
        when = "has ended, and what it sends is refused" if one.key_expires_at <= now else "ends"
        text = f"The key of the integration {one} {when}: {one.key_expires_at:%-d %b}. Prolong it, or disable it."
        yield Matter(text, reverse("admin:alerts_integration_change", args=[one.pk]))


def _nothing_sends_alerts():
    if not Integration.objects.filter(is_enabled=True).exists():
        text = "No integration is enabled, so alerts come in by the API and by routing keys only."
        yield Matter(text, reverse("admin:alerts_integration_changelist"))


def _mail():
    if not settings.EMAIL_URL:
        text = f"EMAIL_URL is not set: mails become files in {settings.MAIL_DIR}. See docs/configuration.md."
        yield Matter(text, reverse("admin:notifications_contactmethod_changelist"))


def _packages():
    if missing := packages.missing():
        names = ", ".join(sorted({name.rpartition("/dist/")[0] or name.rpartition("/files/")[0] for name in missing}))
        text = (
            f"Packages of the browser are missing ({names}), so pages do not change by themselves. "
            "Start bin/up where the npm registry can be reached."
        )
        yield Matter(text, reverse("doc", args=["configuration"]))
