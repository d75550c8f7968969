"""The copy of a page: what readers get. Whatever may change it leaves a nudge, and a worker computes the page anew.

A nudge is written in the transaction of what changed, so none is lost, and a worker claims it under a lease, so one
that is killed loses none either. The row of the page is locked while it is computed: of two workers the second one
reads what the first did not see.
"""

import datetime as dt
import hashlib
import logging

from django.db import transaction
from django.db.models import F, Q

from catalog import graph
from catalog.models import Dependency
from core import due
from core.zones import zone_of
from incidents.models import Incident
from notifications import alarms
from statuspages import drawing, states, uptime
from statuspages.computing import component_states, services_of
from statuspages.models import (
    Affected,
    Component,
    ComponentGroup,
    Copy,
    Logo,
    Nudge,
    Post,
    PostUpdate,
    Span,
    StatusPage,
)

logger = logging.getLogger(__name__)

BATCH, LEASE = 1000, dt.timedelta(minutes=1)
# Workers of the version before may be at it still while tables are changed, and draw as they know how.
OLD_WORKERS = dt.timedelta(minutes=2)
# How soon a page that could not be computed is tried again: after so many seconds, doubled each time, up to this.
RETRY_SECONDS, RETRY_MOST = 5, 300
LOOK_EVERY = dt.timedelta(seconds=1)  # whether other work waits
# While something goes on the copy is never older, since figures of today grow.
AT_LEAST_EVERY = dt.timedelta(minutes=10)
HISTORY, HISTORY_POSTS = dt.timedelta(days=90), 200
# Of incidents that came and went before anybody looked; more are not made up for, so that the page is not late.
MISSED = 50


# --- nudges -------------------------------------------------------------------------------------------------------
def nudge(*, page=None, service=None, now):
    """Have this page computed anew, or all that show this service, or every page. Rows or their numbers."""
    Nudge.objects.create(
        page_id=getattr(page, "pk", page), service_id=getattr(service, "pk", service), at=now, due_at=now
    )
    due.wake("status pages")


def nudge_services(service_ids, *, now):
    """Have all pages computed anew that show one of these services, or one that needs it."""
    if service_ids:
        Nudge.objects.bulk_create(Nudge(service_id=one, at=now, due_at=now) for one in sorted(service_ids))
        due.wake("status pages")


def redraw(*, now):
    """Have every page drawn anew, because this version of the product may draw it differently. Wakes nobody."""
    if StatusPage.objects.exists():
        Nudge.objects.bulk_create(Nudge(at=due_at, due_at=due_at) for due_at in (now, now + OLD_WORKERS))


def oldest_due(now):
    """The due time of what has waited longest, or None."""
    nudges = Nudge.objects.filter(due_at__lte=now).order_by("due_at").values_list("due_at", flat=True)
    copies = Copy.objects.filter(refresh_at__lte=now).order_by("refresh_at").values_list("refresh_at", flat=True)
    return min(filter(None, (nudges.first(), copies.first())), default=None)


def run(*, now_of, seconds=10):
    """Compute pages until none is due, the time is up, or other work waits; `now_of()` reads the clock.

    All workers may be here, and hundreds of pages may have changed: people are paged first.
    """
    began = looked_at = now_of()

    def is_enough():
        nonlocal looked_at
        now = now_of()
        if now - looked_at < LOOK_EVERY:
            return False
        looked_at = now
        due.beat()
        return now - began >= dt.timedelta(seconds=seconds) or due.others_wait("status pages", now=now)

    due.beat()
    while refresh_due(now=now_of(), is_enough=is_enough) and not is_enough():
        pass


def refresh_due(*, now, is_enough=lambda: False):
    """Compute every page that a due nudge means. Returns how many nudges there were.

    A page that cannot be computed is logged, told to the admins, and tried again later; the others go on. When
    `is_enough()` says so after a page, those that are left are due still.
    """
    _nudge_for_time(now)
    rows = due.claim(Nudge.objects.filter(due_at__lte=now).order_by("due_at", "pk"), now=now, lease=LEASE, limit=BATCH)
    if not rows:
        return 0
    kept, pages = [], list(_pages(rows).items())
    for place, (page_id, (at, attempts)) in enumerate(pages):
        if place and is_enough():
            left = pages[place:]
            kept += [Nudge(page_id=pk, at=at, due_at=now, attempts=tries - 1) for pk, (at, tries) in left]
            break
        try:
            refresh(page_id, now=now, at=at)
            if attempts > 1:
                alarms.clear_alarm(_alarm_key(page_id), now=now)
        except Exception:  # one broken page must not hold up the others
            logger.exception("The status page %s could not be computed. It is tried again.", page_id)
            kept.append(_put_off(page_id, at, attempts, now))
    with transaction.atomic():
        there = set(StatusPage.objects.filter(pk__in=[row.page_id for row in kept]).values_list("pk", flat=True))
        Nudge.objects.bulk_create(row for row in kept if row.page_id in there)
        Nudge.objects.filter(pk__in=[row.pk for row in rows], lease_token=rows[0].lease_token).delete()
    return len(rows)


def _nudge_for_time(now):
    """Turn the copies whose time has come into nudges, which are claimed and tried again."""
    if not Copy.objects.filter(refresh_at__lte=now).exists():
        return
    with transaction.atomic():
        # With its page, as a nudge points there: who holds the page may want its copy next.
        late = Copy.objects.filter(refresh_at__lte=now).select_related("page").only("page__id")
        copies = list(late.select_for_update(skip_locked=True, no_key=True, of=("self", "page")))
        Nudge.objects.bulk_create(Nudge(page_id=copy.page_id, at=now, due_at=now) for copy in copies)
        Copy.objects.filter(pk__in=[copy.pk for copy in copies]).update(refresh_at=None)


def _pages(rows):
    """`{page id: (since when, the most attempts)}` that these nudges mean."""
    found = {}

    def take(page_ids, row):
        for page_id in page_ids:
            at, attempts = found.get(page_id, (row.at, 0))
            found[page_id] = min(at, row.at), max(attempts, row.attempts)

    edges = list(Dependency.objects.order_by().values_list("service_id", "needs_id"))
    shown = list(Component.services.through.objects.order_by().values_list("service_id", "component__page_id"))
    downstream = {}
    for row in rows:
        if row.page_id:
            take([row.page_id], row)
        elif row.service_id:
            if row.service_id not in downstream:
                downstream[row.service_id] = {row.service_id, *graph.downstream(edges, row.service_id)}
            take({page_id for service_id, page_id in shown if service_id in downstream[row.service_id]}, row)
        else:
            take(StatusPage.objects.values_list("pk", flat=True), row)
    return found


def _put_off(page_id, at, attempts, now):
    pause = dt.timedelta(seconds=min(RETRY_MOST, RETRY_SECONDS * 2 ** min(attempts - 1, 10)))
    alarms.raise_alarm(
        _alarm_key(page_id),
        f"The status page {page_id} could not be computed, so readers see it as it was. It is tried again; the log "
        "says why.",
        now=now,
    )
    return Nudge(page_id=page_id, at=at, due_at=now + pause, attempts=attempts)


def _alarm_key(page_id):
    return f"status-page:{page_id}"


# --- the copy -----------------------------------------------------------------------------------------------------
@transaction.atomic
def refresh(page_id, *, now, at=None):
    """Compute a page, and write its copy when anything changed. Returns the Copy, or None when the page is gone.

    `at` is when that happened which asks for it: new states count from then. The number of statements does not grow
    with the page.
    """
    page = StatusPage.objects.select_for_update(no_key=True).filter(pk=page_id).first()
    if page is None:
        return None
    if at is not None and at < now:
        _catch_up(page, at, now)
    days = uptime.days_until(now, zone_of(page.time_zone), page.history_days)
    components, spans = _kept_states(page, days[0].start, at=at, now=now)
    content = _content(page, components, spans, days, now)
    copy = Copy.objects.filter(page=page).defer("files").first() or Copy(page=page, made_at=now)
    copy.refresh_at = _refresh_at(content, page, now)
    files = drawing.draw(content, base=f"/status/{page.slug}")
    # The files too, since another version of the product may draw them differently.
    if content == copy.content and files == copy.files:
        copy.save(update_fields=["refresh_at"])
        return copy
    copy.content, copy.files, copy.made_at, copy.version = content, files, now, copy.version + 1
    if page.export_folder:
        copy.export_due_at = now
        due.wake("status exports")
    copy.save()
    return copy


@transaction.atomic
def keep_states(page_id, *, now):
    """Write the states of a page's components and their spans, and leave its copy to who looks next."""
    page = StatusPage.objects.select_for_update(no_key=True).filter(pk=page_id).first()
    if page is not None:
        _kept_states(page, now, at=now, now=now)


def _catch_up(page, since, now):
    """Write the states that incidents made which began since then and are over, so that uptime knows of them.

    Only where the state is not known to be newer already, since a nudge may be looked at twice, and where none was set
    by hand, since nothing says when.
    """
    over = Incident.objects.filter(triggered_at__gte=since, resolved_at__gt=F("triggered_at"), resolved_at__lte=now)
    if not over.exists():
        return
    over = over.filter(service__in=services_of(page)).order_by("triggered_at", "pk")
    pairs = over.values_list("triggered_at", "resolved_at")[:MISSED]
    for moment in sorted({at for pair in pairs for at in pair}):
        components = list(Component.objects.filter(page=page, state_since__lt=moment, manual_state=""))
        found = component_states(page, components, now=moment, at=moment)
        _keep_states(components, found, _spans_since(page, moment), at=moment, now=moment)


def _kept_states(page, start, *, at, now):
    """The components of the locked page with the states they have now, and `{component id: its spans}` since then."""
    components = list(Component.objects.filter(page=page).order_by("position", "pk"))
    found = component_states(page, components, now=now)
    spans = _spans_since(page, start)
    _keep_states(components, found, spans, at=min(at or now, now), now=now)
    return components, spans


def _spans_since(page, start):
    """`{component id: [(state, began, ended or None, pk)]}`, the oldest first, of all that end after the start."""
    rows = Span.objects.filter(Q(ended_at=None) | Q(ended_at__gt=start), component__page=page)
    found = {}
    # Plain values: a page that had a bad year has thousands.
    values = rows.order_by("began_at", "pk").values_list("component_id", "state", "began_at", "ended_at", "pk")
    for component_id, *span in values:
        found.setdefault(component_id, []).append(span)
    return found


def _keep_states(components, found, spans, *, at, now):
    """Write what changed: the old span ends where the new one begins. The spans say what was before."""
    ended, begun, changed = [], [], []
    for component in components:
        own = spans.setdefault(component.pk, [])
        state, began_at, ended_at, pk = own[-1] if own else (None, None, component.state_since, None)
        before = states.OPERATIONAL if ended_at else state
        after, since = found[component.pk], ended_at or began_at
        if before != after:
            since = min(max(at, since if own else component.created_at), now)
            if ended_at is None:
                own[-1] = state, began_at, max(since, began_at), pk
                ended.append(Span(pk=pk, ended_at=own[-1][2]))
            if after != states.OPERATIONAL:
                own.append((after, since, None, None))
                begun.append(Span(component=component, state=after, began_at=since))
        if (component.state, component.state_since) != (after, since):
            component.state, component.state_since = after, since
            changed.append(component)
    if ended:
        Span.objects.bulk_update(ended, ["ended_at"])
    Span.objects.bulk_create(begun)
    if changed:
        Component.objects.bulk_update(changed, ["state", "state_since"])


def _refresh_at(content, page, now):
    """When the copy must be made anew although nothing happens: at midnight, and soon while figures of today grow."""
    has_trouble = any(
        one["state"] != states.OPERATIONAL or one["days"][-1]["seconds"] for one in content["components"]
    )
    soon = now + AT_LEAST_EVERY if has_trouble or content["open"] or content["going_on"] else None
    return min(filter(None, (soon, uptime.next_day(now, zone_of(page.time_zone)))))


# --- its content --------------------------------------------------------------------------------------------------
def _content(page, components, spans, days, now):
    groups = list(ComponentGroup.objects.filter(page=page).order_by("position", "pk"))
    worst = states.worst(component.state for component in components)
    posts = _posts(page, now)
    going_on = [post for post in posts if post["ended_at"] is None]
    of_kind = {kind: [post for post in going_on if post["kind"] == kind] for kind in Post.Kind.values}
    maintenance = sorted(of_kind[Post.Kind.MAINTENANCE], key=lambda post: post["starts_at"])
    return {
        "page": _about(page),
        "state": worst,
        "indicator": states.INDICATORS[worst],
        "groups": _groups(groups, components),
        "components": _components(components, groups, spans, days, now),
        "open": of_kind[Post.Kind.INCIDENT],
        "planned": [post for post in maintenance if post["stage"] == states.SCHEDULED],
        "going_on": [post for post in maintenance if post["stage"] != states.SCHEDULED],
        "history": [post for post in posts if post["ended_at"] is not None],
    }


def _about(page):
    names = ("name", "slug", "description", "address", "time_zone", "language", "accent_colour", "website_url")
    names += ("support_url", "audience", "shows_uptime", "history_days", "accepts_subscribers")
    logo = Logo.objects.filter(page=page).values("changed_at", "width", "height", "content_type").first()
    if logo:
        logo = {"version": hashlib.sha256(_text(logo.pop("changed_at")).encode()).hexdigest()[:12], **logo}
    return {**{name: getattr(page, name) for name in names}, "created_at": _text(page.created_at), "logo": logo}


def _groups(groups, components):
    """Groups in their order, then what is in none; an empty one is not shown."""
    members = {}
    for component in components:
        members.setdefault(component.group_id, []).append(str(component.uuid))
    found = [{"uuid": str(one.uuid), "name": one.name, "components": members.get(one.pk, [])} for one in groups]
    found.append({"uuid": None, "name": "", "components": members.get(None, [])})
    return [group for group in found if group["components"]]


def _components(components, groups, spans, days, now):
    uuids = {group.pk: str(group.uuid) for group in groups}
    found = []
    for component in components:
        own = [span[:3] for span in spans[component.pk]]
        percent, bars = uptime.history(own, days, existed_from=component.created_at, now=now)
        found.append(
            {
                "uuid": str(component.uuid),
                "name": component.name,
                "description": component.description,
                "group": uuids.get(component.group_id),
                "position": component.position,
                "state": component.state,
                "since": _text(component.state_since),
                "created_at": _text(component.created_at),
                "changed_at": _text(max(component.state_since, component.created_at)),
                "uptime": percent,
                "days": bars,
            }
        )
    return found


def _posts(page, now):
    """All that go on, and the newest of those that were over within 90 days, as the content has them."""
    rows = Post.objects.filter(page=page).order_by("-starts_at", "-pk")
    over = rows.filter(ended_at__gt=now - HISTORY)[:HISTORY_POSTS]
    posts = sorted([*rows.going_on(), *over], key=lambda post: (post.starts_at, post.pk), reverse=True)
    numbers = [post.pk for post in posts]
    affected = _by_post(
        Affected.objects.filter(post__in=numbers)
        .select_related("component")
        .order_by("component__position", "component_id"),
        lambda row: {"uuid": str(row.component.uuid), "name": row.component.name, "state": row.state},
    )
    updates = _by_post(
        PostUpdate.objects.filter(post__in=numbers).order_by("-at", "-pk"),
        lambda row: {
            "uuid": str(row.uuid),
            "stage": row.stage,
            "body": row.body,
            "at": _text(row.at),
            "edited_at": _text(row.edited_at),
            "affected": row.affected,
        },
    )
    return [
        {
            "uuid": str(post.uuid),
            "kind": post.kind,
            "title": post.title,
            "stage": post.stage,
            "impact": post.impact,
            "starts_at": _text(post.starts_at),
            "ends_at": _text(post.ends_at),
            "ended_at": _text(post.ended_at),
            "created_at": _text(post.created_at),
            "changed_at": _text(post.changed_at),
            "components": affected.get(post.pk, []),
            "updates": updates.get(post.pk, []),
        }
        for post in posts
    ]


def _by_post(rows, shown):
    found = {}
    for row in rows:
        found.setdefault(row.post_id, []).append(shown(row))
    return found


def _text(at):
    """A moment as content has it: 2026-06-01T12:00:00Z."""
    return None if at is None else at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
