"""Posts of a status page, and states that people set: what people do with them.

A post says what goes on. Each update of it may move its stage, and give components a state that counts while the post
is open. What is told to subscribers is due at the update; see `statuspages.subscribing`.
"""

import datetime as dt
import logging

from django.db import transaction

from accounts import audit
from core import due
from core.errors import DomainError, IllegalMove, NotFound
from incidents.models import Incident
from notifications import outbox
from notifications.message import storable
from statuspages import copying, states
from statuspages.computing import component_states
from statuspages.models import Affected, Component, Post, PostUpdate, StatusPage

logger = logging.getLogger(__name__)

LONGEST_TITLE, LONGEST_BODY = 200, 10_000
LONGEST = dt.timedelta(days=366)
# The stages of maintenance while it goes on.
WORKED_ON = (states.IN_PROGRESS, states.VERIFYING)
# What the worst state that a post gives says about its impact.
IMPACTS = {states.DEGRADED: "minor", states.PARTIAL: "major", states.MAJOR: "critical"}
IMPACT_RANKS = {impact: rank for rank, (impact, _) in enumerate(states.IMPACTS)}
STAGES = {
    Post.Kind.INCIDENT: [stage for stage, _ in states.INCIDENT_STAGES],
    Post.Kind.MAINTENANCE: [stage for stage, _ in states.MAINTENANCE_STAGES],
}


# --- posts --------------------------------------------------------------------------------------------------------
@transaction.atomic
def open_incident(
    page_id,
    *,
    title,
    body,
    stage=states.INVESTIGATING,
    impact=None,
    components=None,
    incident=None,
    starts_at=None,
    is_told=True,
    by,
    now,
    via="web",
):
    """Tell readers about trouble. Returns the Post.

    `components` is `{uuid as text: state}`; "" leaves the state to incidents. The impact, unless given, is what the
    worst of these states means. Nothing of `incident`, one of ours, is shown. Raises DomainError for what cannot be
    used, IllegalMove when an open post of the page tells of the incident already.
    """
    page = locked_page(page_id)
    if incident is not None:
        _refuse_second(page, incident)
    starts_at = starts_at or now
    if starts_at > now:
        raise DomainError("The trouble begins in the future. Plan maintenance instead, or choose an earlier start.")
    chosen = _components(page, components or {})
    post = Post(
        page=page,
        kind=Post.Kind.INCIDENT,
        title=_title(title),
        stage=_stage(Post.Kind.INCIDENT, stage),
        impact=_impact(impact) if impact is not None else _impact_of(chosen.values()),
        incident=incident,
        starts_at=starts_at,
        ended_at=now if stage in states.OVER else None,
        created_by=by,
        created_at=now,
        changed_at=now,
    )
    return _publish(post, _body(body, is_needed=True), chosen, is_told, by, now, via)


@transaction.atomic
def plan_maintenance(
    page_id,
    *,
    title,
    body,
    starts_at,
    ends_at,
    components=(),
    goes_by_itself=True,
    is_told=True,
    series=None,
    by,
    now,
    via="web",
):
    """Announce maintenance. While it goes on, its components are under maintenance. Returns the Post.

    With `goes_by_itself` it begins and ends at its times; otherwise it stays planned until somebody moves it.
    `components` are UUIDs as text. Raises DomainError for what cannot be used.
    """
    page = locked_page(page_id)
    _check_times(starts_at, ends_at)
    if ends_at <= now:
        raise DomainError("The end lies in the past. Choose a later one.", code="ends_in_the_past")
    post = Post(
        page=page,
        kind=Post.Kind.MAINTENANCE,
        title=_title(title),
        stage=states.SCHEDULED,
        starts_at=starts_at,
        ends_at=ends_at,
        goes_by_itself=goes_by_itself,
        series=series,
        created_by=by,
        created_at=now,
        changed_at=now,
    )
    chosen = _components(page, dict.fromkeys(map(str, components), states.MAINTENANCE))
    return _publish(post, _body(body, is_needed=True), chosen, is_told, by, now, via)


@transaction.atomic
def add_update(post_uuid, *, stage=None, body="", components=None, impact=None, is_told=True, by, now, via="web"):
    """Say how it goes on. Returns the PostUpdate.

    Without `stage` it stays as it is; resolved or completed ends the post, and an earlier one opens it again.
    `components` is `{uuid: state}` of those that change: "" leaves one to incidents, None takes it out of the post.
    States that are worse than before raise the impact, unless it is given. Raises DomainError when nothing is said.
    """
    post = locked(post_uuid)
    page = post.page
    stage = _stage(post.kind, stage or post.stage)
    if stage == states.SCHEDULED != post.stage and post.goes_by_itself and post.starts_at <= now:
        raise IllegalMove("Its start has passed, so it would begin again at once. Give it a later start first.")
    body = _body(body)
    chosen = _components(page, components or {})
    if not body and stage == post.stage and not chosen and impact in (None, post.impact):
        raise DomainError("The update says nothing. Write something, or change the stage or a component.")
    before = _states(page, now)
    if impact is not None:
        post.impact = _impact(impact)
    elif post.kind == Post.Kind.INCIDENT:
        post.impact = max(post.impact, _impact_of(chosen.values()), key=IMPACT_RANKS.get)
    post.stage, post.changed_at = stage, now
    if stage not in states.OVER:
        post.ended_at = None
    elif post.ended_at is None:
        post.ended_at = now
    post.due_at = _due_at(post, now)
    post.save(update_fields=["stage", "impact", "ended_at", "due_at", "changed_at"])
    _affect(post, chosen)
    return _update(post, body, before, is_told, by, now, via)


@transaction.atomic
def edit_post(post_uuid, *, title=None, impact=None, starts_at=None, ends_at=None, goes_by_itself=None, by, now):
    """Correct what a post says of itself; None leaves a value. Nobody is told. Returns the Post.

    Raises DomainError for what cannot be used, IllegalMove for times of maintenance that is over.
    """
    post = locked(post_uuid)
    is_maintenance = post.kind == Post.Kind.MAINTENANCE
    wanted = {"starts_at": starts_at, "ends_at": ends_at, "goes_by_itself": goes_by_itself}
    wanted = {name: value for name, value in wanted.items() if value is not None and value != getattr(post, name)}
    if is_maintenance and wanted and post.ended_at:
        raise IllegalMove("This maintenance is over, so its times stand. Plan a new one instead.")
    if not is_maintenance and (ends_at is not None or goes_by_itself):
        raise DomainError("Only maintenance has a planned end. Resolve the post when the trouble is over.")
    if title is not None:
        wanted["title"] = _title(title)
    if impact is not None:
        wanted["impact"] = _impact(impact)
    changes = {name: [_said(getattr(post, name)), _said(value)] for name, value in wanted.items()}
    changes = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
    if not changes:
        return post
    for name, value in wanted.items():
        setattr(post, name, value)
    if is_maintenance:
        _check_times(post.starts_at, post.ends_at)
        if "ends_at" in changes and post.ends_at <= now:
            raise DomainError("The end lies in the past. Choose a later one, or complete the maintenance.")
    elif post.starts_at > (post.ended_at or now):
        raise DomainError("The start must be earlier than now, and than the end. Choose an earlier one.")
    post.changed_at, post.due_at = now, _due_at(post, now)
    post.save(update_fields=[*wanted, "changed_at", "due_at"])
    audit.record("changed", post, by=by, changes=changes)
    if post.due_at:
        due.wake("status posts")
    copying.nudge(page=post.page_id, now=now)
    return post


@transaction.atomic
def edit_update(update_uuid, *, body, by, now):
    """Correct the words of an update. Readers see that it was edited; nobody is told. Returns the PostUpdate."""
    row = PostUpdate.objects.filter(uuid=update_uuid).only("post_id").first()
    if row is None:
        raise NotFound("There is no such update. Somebody has removed it.")
    post = Post.objects.select_for_update(no_key=True).get(pk=row.post_id)
    row = PostUpdate.objects.select_for_update(no_key=True).get(pk=row.pk)
    body = _body(body, is_needed=bool(row.body))
    if body == row.body:
        return row
    before, row.body, row.edited_at = row.body, body, now
    row.save(update_fields=["body", "edited_at"])
    post.changed_at = now
    post.save(update_fields=["changed_at"])
    audit.record("changed", post, by=by, text="An update was edited.", changes={"body": [before[:500], body[:500]]})
    copying.nudge(page=post.page_id, now=now)
    return row


@transaction.atomic
def remove(post_uuid, *, by, now):
    """Take a post off the page, with its updates. Its notices that wait are cancelled; the audit keeps who did it."""
    post = locked(post_uuid)
    audit.record("deleted", post, by=by, text=f"{post.get_kind_display()}, {post.get_stage_display().lower()}.")
    outbox.settle([topic_of(post)], by=by, reason="the post was removed", now=now)
    post.delete()  # and the page hears of it


def topic_of(post):
    """How notices about a post name it."""
    return f"status-post:{post.uuid}"


# --- states that people set ---------------------------------------------------------------------------------------
@transaction.atomic
def set_state(component_uuid, *, state, until=None, reason="", by, now):
    """Set a component's state by hand. It wins over incidents and posts until it ends. Returns the Component.

    Raises DomainError for a state that there is not, and for an end in the past.
    """
    component = _locked_component(component_uuid)
    if state not in states.RANKS:
        raise DomainError(f"“{state}” is no state. Use one of {', '.join(states.RANKS)}.", code="state")
    if until is not None and until <= now:
        raise DomainError("The end lies in the past. Choose a later one, or none.", code="ends_in_the_past")
    component.manual_state, component.manual_until, component.manual_by = state, until, by
    component.manual_reason = storable(reason).strip()[:300]
    return _save_manual(component, now)


@transaction.atomic
def clear_state(component_uuid, *, by, now):
    """Let a component's state follow incidents and posts again. Twice is harmless. Returns the Component."""
    component = _locked_component(component_uuid)
    if not component.manual_state:
        return component
    component.manual_state, component.manual_until, component.manual_by = "", None, None
    component.manual_reason = ""
    logger.info("The state of component %s was left to incidents again by %s.", component.pk, by or "the system")
    return _save_manual(component, now)


def _locked_component(component_uuid):
    component = Component.objects.select_for_update(no_key=True).filter(uuid=component_uuid).first()
    if component is None:
        raise NotFound("There is no such component. Somebody has deleted it.")
    return component


def _save_manual(component, now):
    """Saving it leaves the entry in the audit, and has the page computed anew."""
    component.save(update_fields=["manual_state", "manual_until", "manual_reason", "manual_by"])
    return component


# --- inside -------------------------------------------------------------------------------------------------------
def locked_page(page_id):
    """The page, locked: posts of it wait, and its copy is not computed meanwhile."""
    page = StatusPage.objects.select_for_update(no_key=True).filter(pk=page_id).first()
    if page is None:
        raise NotFound("There is no such status page. Somebody has deleted it.")
    return page


def locked(post_uuid):
    """The post, with its page locked before it, so that what it changes is compared with what nobody else changes."""
    found = Post.objects.filter(uuid=post_uuid).values_list("page_id", "pk").first()
    if found is not None:
        page = locked_page(found[0])
        post = Post.objects.select_for_update(no_key=True).filter(pk=found[1]).first()
        if post is not None:
            post.page = page
            return post
    raise NotFound("There is no such post. Somebody has removed it.")


def _refuse_second(page, incident):
    if not isinstance(incident, Incident):
        raise TypeError("open_incident() takes an Incident")
    if post := Post.objects.filter(page=page, incident=incident, ended_at=None).first():
        raise IllegalMove(f"“{post.title}” tells readers of this incident already. Add an update to that post.")


def _publish(post, body, chosen, is_told, by, now, via):
    """Write a new post with its first update."""
    before = _states(post.page, now)
    post.due_at = _due_at(post, now)
    post.save(force_insert=True)
    _affect(post, chosen)
    _update(post, body, before, is_told, by, now, via)
    return post


def _update(post, body, before, is_told, by, now, via):
    """Write an update, with what it did to the components of the post, and have it told and shown."""
    after = _states(post.page, now)
    rows = Component.objects.filter(affected__post=post).order_by("position", "pk")
    affected = [
        [str(row.uuid), row.name, before.get(row.pk, states.OPERATIONAL), after.get(row.pk, states.OPERATIONAL)]
        for row in rows
    ]
    row = PostUpdate.objects.create(
        post=post,
        stage=post.stage,
        body=body,
        affected=affected,
        at=now,
        by=by,
        via=via,
        is_told=is_told,
        tell_due_at=now if is_told else None,
    )
    verb = "created" if post.created_at == now else "did"
    audit.record(verb, post, by=by, text=f"{post.get_stage_display()}: {body[:400]}".strip(": "))
    if is_told:
        due.wake("status notices")
    if post.due_at:
        due.wake("status posts")
    copying.nudge(page=post.page_id, now=now)
    return row


def _states(page, now):
    """How the components of the page are at this moment, as far as incidents, posts and people say."""
    return component_states(page, list(Component.objects.filter(page=page)), now=now)


def _affect(post, chosen):
    for component, state in chosen.items():
        if state is None:
            Affected.objects.filter(post=post, component=component).delete()
        else:
            Affected.objects.update_or_create(post=post, component=component, defaults={"state": state})


def _due_at(post, now):
    """When it next changes by itself. What a person leaves open after its end stays open until a person ends it."""
    if post.kind == Post.Kind.INCIDENT or not post.goes_by_itself:
        return None
    if post.stage == states.SCHEDULED:
        return post.starts_at
    return post.ends_at if post.stage in WORKED_ON and post.ends_at > now else None


def _title(text):
    text = " ".join(storable(text).split())
    if not text:
        raise DomainError("Give the post a title that says what readers notice.", code="title_required")
    if len(text) > LONGEST_TITLE:
        raise DomainError(f"A title has at most {LONGEST_TITLE} characters. Shorten it.", code="too_long")
    return text


def _body(text, *, is_needed=False):
    text = storable(text).strip()
    if is_needed and not text:
        raise DomainError("Write what readers notice, and when you will say more.", code="body_required")
    if len(text) > LONGEST_BODY:
        raise DomainError(f"An update has at most {LONGEST_BODY:,} characters. Shorten it.", code="too_long")
    return text


def _stage(kind, stage):
    if stage not in STAGES[kind]:
        said = ", ".join(STAGES[kind])
        raise DomainError(f"“{stage}” is no stage of a post of this kind. Use one of {said}.", code="stage")
    return stage


def _impact(impact):
    if impact not in IMPACT_RANKS:
        raise DomainError(f"“{impact}” is no impact. Use one of {', '.join(IMPACT_RANKS)}.", code="impact")
    return impact


def _impact_of(given):
    return IMPACTS.get(states.worst(state for state in given if state), "none")


def _components(page, wanted):
    """`{Component: state}` of `{uuid as text: state}`. Raises DomainError for what is not on the page."""
    wanted = {str(uuid): state for uuid, state in wanted.items()}
    rows = {str(row.uuid): row for row in Component.objects.filter(page=page)} if wanted else {}
    for uuid, state in wanted.items():
        if uuid not in rows:
            raise DomainError(
                f"The page has no component “{uuid[:40]}”. Load it again and choose one of its own.", code="component"
            )
        if state and state not in states.RANKS:
            raise DomainError(f"“{state}” is no state. Use one of {', '.join(states.RANKS)}.", code="state")
    return {rows[uuid]: state for uuid, state in wanted.items()}


def _check_times(starts_at, ends_at):
    if ends_at <= starts_at:
        raise DomainError("The end must be later than the start.", code="ends_before_it_starts")
    if ends_at - starts_at > LONGEST:
        raise DomainError("Maintenance lasts a year at most. Choose an earlier end.", code="too_long")


def _said(value):
    return value.isoformat() if isinstance(value, dt.datetime) else value
