"""What happens by itself: maintenance begins and ends, recurring maintenance is announced, states set by hand end.

Each is a row with a due time; the row is locked while it is done, in one transaction with what follows from it.
"""

import datetime as dt
import logging

from django.db import transaction

from core import due
from notifications import alarms
from notifications.visibility import alarms_about
from oncall.occurrences import BadWindow
from statuspages import publishing, states
from statuspages.models import Component, Post, Series

logger = logging.getLogger(__name__)

RETRY = dt.timedelta(minutes=1)
LOOK_AT_BROKEN = dt.timedelta(days=1)  # a rule that cannot be read; when it is changed, it is looked at once
# A rule without a next time within the two years that are looked ahead may have one later.
LOOK_AGAIN = dt.timedelta(days=180)
# More times than this are announced in the next round: one rule must not fill a page at once.
ANNOUNCED_AT_ONCE = 20
ALARMS = {Post: "status-post-stuck", Series: "status-series-stuck", Component: "status-state-stuck"}
for _model, _name in ALARMS.items():
    alarms_about(f"^{_name}:([0-9]{{1,18}})$", _model)


def oldest_due(now):
    """The due time of what should have happened first, or None."""
    found = (
        rows.filter(**{f"{name}__lte": now}).order_by(name).values_list(name, flat=True).first()
        for rows, name in _kinds()
    )
    return min(filter(None, found), default=None)


def run(*, now_of, seconds=10):
    """Do what is due until nothing is or the time is up; `now_of()` reads the clock."""
    until = now_of() + dt.timedelta(seconds=seconds)
    while (now := now_of()) < until:
        due.beat()
        if not go_on(now):
            return


def go_on(now):
    """Begin and end posts, announce recurring maintenance and end states set by hand. Returns how many there were.

    One that fails is told to the admins and tried again in a minute; the others go on.
    """
    done = 0
    for (rows, name), act in zip(_kinds(), (_move, _announce, _end_manual), strict=True):
        late = rows.filter(**{f"{name}__lte": now}).order_by(name, "pk")
        for pk in list(late.values_list("pk", flat=True)):
            done += _one(rows.model, name, pk, act, now)
    return done


def plan_announcement(series, *, now):
    """Have it looked at which times of this recurring maintenance are to be announced now. One in use only."""
    due_at = now if series.is_enabled else None
    Series.objects.filter(pk=series.pk).update(due_at=due_at)
    if due_at:
        due.wake("status posts")


def _kinds():
    return (Post.objects.all(), "due_at"), (Series.objects.all(), "due_at"), (Component.objects.all(), "manual_until")


def _one(model, name, pk, act, now):
    try:
        with transaction.atomic():
            act(pk, now)
    except BadWindow as error:
        _put_off(model, name, pk, now, LOOK_AT_BROKEN, f"{error} Correct when it repeats.")
        return 0
    except Exception:  # one broken row must not hold up the others
        logger.exception("%s %s could not go on by itself. It is tried again.", model._meta.verbose_name, pk)
        _put_off(model, name, pk, now, RETRY, "It is tried again; the log says why.")
        return 0
    alarms.clear_alarm(f"{ALARMS[model]}:{pk}", now=now)
    return 1


def _put_off(model, name, pk, now, pause, what):
    row = model.objects.select_related("page").filter(pk=pk).first()
    if row is None:  # deleted since
        return
    alarms.raise_alarm(
        f"{ALARMS[model]}:{pk}",
        f"On the status page {row.page} the {model._meta.verbose_name} “{row}” could not go on by itself, so readers "
        f"see it as it was. {what}",
        now=now,
    )
    model.objects.filter(pk=pk, **{f"{name}__lte": now}).update(**{name: now + pause})


def _move(pk, now):
    """Begin or end maintenance. What was over before anybody looked is told once, as completed."""
    found = Post.objects.filter(pk=pk).values_list("uuid", flat=True).first()
    if found is None:
        return
    post = publishing.locked(found)
    if post.due_at is None or post.due_at > now:
        return  # somebody moved it meanwhile
    stage = states.COMPLETED if post.ends_at <= now else states.IN_PROGRESS
    told = post.updates.order_by("pk").values_list("is_told", flat=True).first()  # as when it was planned
    publishing.add_update(post.uuid, stage=stage, is_told=told is not False, by=None, now=now, via="system")


def _end_manual(pk, now):
    component = Component.objects.select_for_update(no_key=True).filter(pk=pk, manual_until__lte=now).first()
    if component is not None:
        publishing.clear_state(component.uuid, by=None, now=now)


# --- recurring maintenance ----------------------------------------------------------------------------------------
def _announce(pk, now):
    """Post the times that are near enough, and note when the next one will be."""
    page_id = Series.objects.filter(pk=pk).values_list("page_id", flat=True).first()
    if page_id is None:
        return
    publishing.locked_page(page_id)  # before its series, as everywhere
    series = Series.objects.select_for_update(no_key=True).filter(pk=pk, due_at__lte=now).first()
    if series is None:
        return
    series.due_at = None
    if series.is_enabled:
        _post_times(series, now)
    Series.objects.filter(pk=pk).update(due_at=series.due_at, announced_until=series.announced_until)


def _post_times(series, now):
    ahead = dt.timedelta(days=series.announced_days)
    coming = _coming(series, now)
    for starts_at, ends_at in coming[:ANNOUNCED_AT_ONCE]:
        if starts_at - ahead > now:
            series.due_at = starts_at - ahead
            return
        _post(series, starts_at, ends_at, now)
        series.announced_until = starts_at + dt.timedelta(seconds=1)
    series.due_at = now if len(coming) > ANNOUNCED_AT_ONCE else now + LOOK_AGAIN


def _coming(series, now):
    """`[(start, end)]` of the times that are not over and have no post yet."""
    since = max(now, series.announced_until or now)
    spans = series.window.coming(since, count=ANNOUNCED_AT_ONCE + 2)
    return [
        (start, end)
        for start, end in spans
        if end > now and (series.announced_until is None or start >= series.announced_until)
    ]


def _post(series, starts_at, ends_at, now):
    if Post.objects.filter(series=series, starts_at=starts_at).exists():
        return
    publishing.plan_maintenance(
        series.page_id,
        title=series.title,
        body=series.body,
        starts_at=starts_at,
        ends_at=ends_at,
        components=[str(uuid) for uuid in series.components.values_list("uuid", flat=True)],
        series=series,
        by=None,
        now=now,
        via="system",
    )
