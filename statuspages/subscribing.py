"""Readers who are told what is posted on a page: asking, confirming, changing, leaving, and telling them all.

Whoever asks hears the same, whether the address is known here or not, and nothing but one question goes to an address
until somebody opens the link in it. Where messages go is a destination of its own that no team ever sees.
"""

import datetime as dt
import logging
import secrets
import time
import uuid

from django.core.signing import BadSignature, Signer
from django.db import OperationalError, connection, transaction
from django.db.models import Exists, Min, OuterRef, Q
from django.db.models.functions import Lower

from accounts import audit
from accounts.models import User
from accounts.permissions import may
from core import due, http, limits
from core.buckets import Limit
from core.errors import DomainError, Gone, NotFound, TooMany
from core.secrets import digest, fingerprints
from notifications import alarms, outbox
from notifications.models import Destination, Notification, channels
from notifications.outbox import Page
from notifications.visibility import alarms_about
from statuspages import letters, words
from statuspages.models import Audience, Component, Partner, PostUpdate, StatusPage, Subscriber

logger = logging.getLogger(__name__)

Channel = Subscriber.Channel
SALT = "statuspages.subscribing"
QUESTION_KEPT = dt.timedelta(days=7)  # so long the link works; then whoever did not confirm is forgotten
ENDED_KEPT = dt.timedelta(days=30)
PAUSE = dt.timedelta(minutes=5)  # the same address is not asked again sooner
FAILED_IN_A_ROW = 5  # messages in a row that did not arrive end a subscription
BATCH = 500  # subscribers told in one transaction
PUT_OFF = dt.timedelta(minutes=1)  # an update that cannot be told is tried again after this
TELL_SECONDS = 10  # then the other work has its turn; what is left is due still
LONGEST = {Channel.EMAIL: 254, Channel.WEBHOOK: 1000, Channel.SLACK: 1000}
# One client asks for itself, not for everybody; and no address is filled with questions by many clients together.
CLIENTS = Limit("subscribing", 20, 3600)
ADDRESSES = Limit("subscribed", 5, 24 * 3600)
ALARM = "status-update-untold:"
alarms_about(f"^{ALARM}([0-9]{{1,18}})$", PostUpdate)


# --- asking and confirming ------------------------------------------------------------------------------------------
@transaction.atomic
def ask(page, *, channel, address, components=(), now, address_of_client=""):
    """Send the question whether this address is to be told. Returns nothing, and is silent about what it found.

    `components` are uuids of the page; none is everything. Raises DomainError with a sentence in the page's language
    when what was typed cannot be used, TooMany when the client asks too often.
    """
    said = words.of(page.language)
    if not page.is_enabled or not page.accepts_subscribers or channel not in offered(page):
        raise DomainError(said["no_subscribers"])
    address = _checked(channel, address, said)
    wanted = _components(page, components, said)
    _count(CLIENTS, limits.address_block(address_of_client), said, now)
    keys = fingerprints(address)
    # Two who ask for the same at once must not become two subscribers.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"{SALT}:{page.pk}:{channel}:{keys[0]}"])
    row = (
        Subscriber.objects.select_for_update(of=("self",))
        .select_related("destination")
        .filter(page=page, channel=channel, destination__address_key__in=keys)
        .first()
    )
    is_known = row is not None and row.ended_at is None
    is_told = is_known and row.confirmed_at is not None
    if is_known and now - row.asked_at < PAUSE:
        if not is_told:
            row.components.set(wanted)  # somebody thought better of it, and the link that was sent stands for that
        return
    if address not in _those_who_may(page, {address}, now=now):
        return
    if not limits.limiter().check(ADDRESSES, keys[0], now=time.time(), is_exact=True).is_allowed:
        return
    if is_told:
        row.asked_at = now
        row.save(update_fields=["asked_at"])
        message = letters.already(page, channel=channel, shown=row.destination.shown, links=links(row))
    else:
        token = secrets.token_urlsafe(32)
        row = _write(row, page, channel, address, token, now)
        row.components.set(wanted)
        message = letters.question(
            page,
            channel=channel,
            shown=row.destination.shown,
            link=f"{page.address}/subscribe/confirm/{token}",
            links=links(row),
        )
    topic = f"status-subscriber:{row.uuid}"
    key = f"{topic}:{int(now.timestamp())}"
    outbox.plan_many([Page(key, topic, None, message, destination_id=row.destination_id, share=share(page))], now=now)


def offered(page):
    """The channels that the page offers. Where not everybody may read, only a mail address says who somebody is."""
    return list(Channel) if page.audience == Audience.PUBLIC else [Channel.EMAIL]


@transaction.atomic
def confirm(token, *, now):
    """Begin to tell whoever has this token of a question; twice is harmless. Returns the Subscriber.

    Raises NotFound and Gone with a sentence in English; `asked_by` finds the page for its language.
    """
    row = _locked(token_hash=digest(token))
    if row is None:
        raise NotFound(words.of("en")["bad_link"])
    said = words.of(row.page.language)
    if row.ended_at is not None or (row.confirmed_at is None and now - row.asked_at > QUESTION_KEPT):
        raise Gone(said["old_link"])
    if row.confirmed_at is None:
        row.confirmed_at = now
        row.save(update_fields=["confirmed_at"])
    return row


def asked_by(token, *, now):
    """The subscriber to whom a question went, if its link still works. Raises NotFound or Gone."""
    row = Subscriber.objects.select_related("page", "destination").filter(token_hash=digest(token)).first()
    if row is None:
        raise NotFound(words.of("en")["bad_link"])
    if row.ended_at is not None or (row.confirmed_at is None and now - row.asked_at > QUESTION_KEPT):
        raise Gone(words.of(row.page.language)["old_link"])
    return row


# --- changing and leaving -------------------------------------------------------------------------------------------
def links(subscriber):
    """Where the subscriber changes or ends it: addresses that are signed, and work as long as the row is there."""
    page, key = subscriber.page, Signer(salt=SALT).sign(subscriber.uuid.hex)
    return letters.Links(manage=f"{page.address}/subscribe/{key}", leave=f"{page.address}/unsubscribe/{key}")


def find(key):
    """The subscriber of a signed link. Raises NotFound when we did not sign it, Gone when it was forgotten."""
    try:
        found = uuid.UUID(hex=Signer(salt=SALT).unsign(key))
    except (BadSignature, ValueError):
        raise NotFound(words.of("en")["bad_link"]) from None
    row = Subscriber.objects.select_related("page", "destination").filter(uuid=found).first()
    if row is None:
        raise Gone(words.of("en")["old_link"])
    return row


@transaction.atomic
def change_components(key, components, *, now):
    """Tell the subscriber of this signed link of these components only; none is everything."""
    row = _locked(pk=find(key).pk)
    said = words.of(row.page.language)
    if row.ended_at is not None or row.confirmed_at is None:
        raise Gone(said["old_link"])
    row.components.set(_components(row.page, components, said))
    return row


@transaction.atomic
def leave(key, *, now):
    """End the subscription of this signed link, and what waits for it. Twice is harmless. Returns the Subscriber."""
    row = _locked(pk=find(key).pk)
    if row.ended_at is None:
        end(row, "They unsubscribed.", now=now)
        _cancel([row.destination_id], "Its reader unsubscribed.")
    return row


@transaction.atomic
def stop(subscriber_uuid, *, by, now):
    """End a subscription for its reader, and what waits for it. Twice is harmless. Returns the Subscriber."""
    row = _locked(uuid=subscriber_uuid)
    if row is None:
        raise NotFound("There is no such subscription.")
    if row.ended_at is None:
        end(row, f"Ended by {by}.", now=now)
        _cancel([row.destination_id], "The subscription was ended.")
        audit.record("did", row.page, by=by, text=f"Ended a subscription: {row}.")
    return row


def may_be_told(subscriber, *, now):
    """Whether they may still read the page: a link in a letter outlives the access of who got it."""
    address = subscriber.destination.address
    return address in _those_who_may(subscriber.page, {address}, now=now)


def end_without_components(pks, *, now):
    """End those of these subscriptions whose last component is gone: without any they would hear of everything."""
    rows = Subscriber.objects.filter(pk__in=pks, ended_at=None, components=None)
    rows.update(ended_at=now, end_reason="The components that they chose are no longer on the page.")


def end(subscriber, reason, *, now):
    """Tell this one nothing more. The row is kept for a while, so that whoever keeps the page sees why."""
    if subscriber.ended_at is None:
        subscriber.ended_at, subscriber.end_reason = now, reason[:300]
        subscriber.save(update_fields=["ended_at", "end_reason"])


def unreached(destination_id, notification_id, *, is_dead, reason, now):
    """A message to a subscriber did not arrive: a dead address ends it, and so do several failures in a row.

    Writes to no message, since whoever says so has yet to lock theirs.
    """
    row = Subscriber.objects.select_for_update().filter(destination=destination_id, ended_at=None).first()
    if row is None:
        return
    if is_dead:
        end(row, reason, now=now)
        return
    earlier = Notification.objects.filter(destination=destination_id, pk__lt=notification_id).order_by("-pk")
    states = list(earlier.values_list("state", flat=True)[: FAILED_IN_A_ROW - 1])
    if states == [Notification.State.FAILED] * (FAILED_IN_A_ROW - 1):
        end(row, f"The last {FAILED_IN_A_ROW} messages did not arrive. The last one: {reason}", now=now)


# --- telling --------------------------------------------------------------------------------------------------------
def oldest_due(now):
    """When the oldest update that is not told to all was due, or None."""
    return PostUpdate.objects.filter(tell_due_at__lte=now).aggregate(oldest=Min("tell_due_at"))["oldest"]


def tell_due(now, *, seconds=TELL_SECONDS, batch=BATCH):
    """Tell the subscribers of all updates that are due, in batches that each commit with how far they came.

    Ends when nothing is left, after `seconds`, or when other work waits: what is left is due still.
    """
    began = time.monotonic()
    while _tell_batch(now, batch):
        passed = time.monotonic() - began
        if passed > seconds or (passed > 1 and due.others_wait("status notices", now=now)):
            return


@transaction.atomic
def _tell_batch(now, size):
    """Plan the notices of one batch; False when no update is due."""
    waiting = PostUpdate.objects.filter(tell_due_at__lte=now).order_by("tell_due_at", "pk")
    update = waiting.select_for_update(skip_locked=True, of=("self",)).select_related("post__page").first()
    if update is None:
        return False
    try:
        with transaction.atomic():
            told = _tell_some(update, size, now)
    except OperationalError:  # no fault of the update: the database is away, or two waited for each other
        raise
    except Exception:  # one update that cannot be told must not keep those of other pages waiting
        logger.exception("Nobody can be told of the update %s of a status page. It is tried again.", update.pk)
        update.tell_due_at = now + PUT_OFF
        alarms.raise_alarm(
            f"{ALARM}{update.pk}",
            f"Subscribers of the status page {update.post.page} cannot be told of “{update.post}”. It is tried again; "
            "the log says why.",
            now=now,
        )
    else:
        if len(told) < size:
            update.tell_due_at = None
            alarms.clear_alarm(f"{ALARM}{update.pk}", now=now)
    update.save(update_fields=["told_up_to", "tell_due_at"])
    return True


def _tell_some(update, size, now):
    page = update.post.page
    batch = list(_readers(update)[:size]) if page.is_enabled and page.accepts_subscribers else []
    if batch:
        _plan(update, page, batch, now)
        update.told_up_to = batch[-1].pk
    return batch


def _readers(update):
    """Who is to be told of an update and was not, in the order of their numbers."""
    about = {component.pk for component in update.post.components.all()}
    changed = [one[0] for one in update.affected]
    about.update(Component.objects.filter(page=update.post.page_id, uuid__in=changed).values_list("pk", flat=True))
    chosen = Subscriber.components.through.objects.filter(subscriber=OuterRef("pk"))
    wants = Q(~Exists(chosen)) | Q(Exists(chosen.filter(component__in=about)))
    rows = Subscriber.objects.told().filter(wants, page=update.post.page_id, pk__gt=update.told_up_to)
    return rows.order_by("pk").select_related("page", "destination").prefetch_related("components")


def _plan(update, page, batch, now):
    post = update.post
    may = _those_who_may(page, {one.destination.address for one in batch if one.channel == Channel.EMAIL}, now=now)
    updates = list(post.updates.filter(at__lte=update.at).order_by("-at", "-pk"))
    components = list(post.components.order_by("position", "pk"))
    known = {str(one): state for one, state in page.components.values_list("uuid", "state")}
    notice = letters.Notice(update, updates=updates, components=components, known=known)
    topic, pages = f"status-post:{post.uuid}", []
    for one in batch:
        if page.audience != Audience.PUBLIC and one.destination.address not in may:
            continue
        if one.channel == Channel.WEBHOOK:
            found = notice.bodies(links(one), {str(each.uuid) for each in one.components.all()})
        else:
            found = [("", notice.message(links(one)))]
        pages += [
            Page(
                f"status:{update.uuid}{key}",
                topic,
                None,
                message,
                is_repeat=True,
                destination_id=one.destination_id,
                share=share(page),
            )
            for key, message in found
        ]
    outbox.plan_many(pages, now=now)


def share(page):
    """Whose turn messages of a page use: one page with many readers does not keep another waiting."""
    return f"status:{page.pk}"


# --- cleaning up ----------------------------------------------------------------------------------------------------
def forget_old(*, now):
    """Delete who never confirmed, and who left or was lost a while ago, with their addresses."""
    old = Subscriber.objects.filter(
        Q(confirmed_at=None, asked_at__lt=now - QUESTION_KEPT) | Q(ended_at__lt=now - ENDED_KEPT)
    )
    is_more = True
    while is_more:
        with transaction.atomic():
            # Locked, since somebody may be subscribing anew at this moment.
            rows = old.order_by("pk").select_for_update(skip_locked=True, of=("self",))
            pks = list(rows.values_list("pk", flat=True)[:BATCH])
            Subscriber.objects.filter(pk__in=pks).delete()
        is_more = len(pks) == BATCH


@transaction.atomic
def forget_people(addresses):
    """Delete the subscriptions under these mail addresses, whatever the page."""
    subscriptions_of(addresses).delete()


def subscriptions_of(addresses):
    """The subscriptions under these mail addresses."""
    keys = [key for one in addresses for key in fingerprints(one.lower())]
    return Subscriber.objects.filter(channel=Channel.EMAIL, destination__address_key__in=keys)


@transaction.atomic
def forget_addresses(destinations):
    """Delete the destinations of subscribers who are gone, and send nothing more there."""
    places = Destination.objects.filter(pk__in=destinations, is_outside=True)
    _cancel(places.values("pk"), "The subscription was deleted.")
    with audit.quiet():
        places.delete()


def _cancel(destinations, reason):
    """Cancel what waits for these destinations, and try nothing again that is being sent."""
    waiting = Notification.objects.unsettled().filter(destination__in=destinations)
    # In the order of their numbers, as everywhere.
    pks = list(waiting.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    pending = Notification.objects.filter(pk__in=pks, state=Notification.State.PENDING)
    pending.update(state=Notification.State.CANCELLED, due_at=None, reason=reason)
    Notification.objects.filter(pk__in=pks, state=Notification.State.SENDING).update(due_at=None)


# --- inside ---------------------------------------------------------------------------------------------------------
def _write(row, page, channel, address, token, now):
    """The row of somebody who is asked, new or not; one that ended begins anew, with the address in use again."""
    with audit.quiet():  # what readers do is no change of the configuration
        if row is None:
            kind = channels.get(channel)
            place = Destination.objects.create(
                name=f"subscriber {uuid.uuid4()}",
                channel=channel,
                address=address,
                secret=kind.new_secret(),
                is_outside=True,
            )
            row = Subscriber(page=page, channel=channel, destination=place)
        elif row.destination.disabled_reason:
            row.destination.disabled_reason = ""
            row.destination.save(update_fields=["disabled_reason"])
    row.token_hash, row.asked_at = digest(token), now
    row.confirmed_at, row.ended_at, row.end_reason = None, None, ""
    row.save()
    return row


def _checked(channel, address, said):
    """The address in the form in which it is stored. Raises DomainError."""
    kind = channels.get(channel)
    address = kind.normal(str(address).replace("\x00", ""))
    shown = address[:100]
    if channel == Channel.EMAIL:
        address = address.lower()  # one mailbox, however it is typed
        if len(address) > LONGEST[channel] or kind.problem_with(address):
            raise DomainError(said["not_email"].format(address=shown))
    elif len(address) > LONGEST[channel] or http.problem_with(address, guard=http.STRANGERS):
        raise DomainError(said["not_web"])
    return address


def _components(page, uuids, said):
    """The components of the page with these uuids. Raises DomainError when one is none of them."""
    wanted = {str(one) for one in uuids}
    found = [one for one in page.components.all() if str(one.uuid) in wanted]
    if len(found) < len(wanted):
        raise DomainError(said["choose_systems"])
    return found


def _count(limit, who, said, now):
    verdict = limits.limiter().check(limit, who, now=time.time(), is_exact=True)
    if not verdict.is_allowed:
        raise TooMany(said["too_many"].format(n=verdict.retry_after))


def _those_who_may(page, addresses, *, now):
    """Those of these mail addresses that may be told: of a public page all, else people and partners who may read."""
    if page.audience == Audience.PUBLIC or not addresses:
        return addresses
    by_folded = {one.casefold(): one for one in addresses}
    people = User.objects.who_may("read", page.team_id).annotate(folded=Lower("email")).filter(folded__in=by_folded)
    if page.team is not None and page.team.is_private:
        people = [one for one in people if may(one, "read", page)]
    known = {one.email.casefold() for one in people}
    if page.audience == Audience.PARTNERS:
        known |= {one.email.casefold() for one in Partner.objects.filter(pages=page) if one.is_open(now)}
    return {address for folded, address in by_folded.items() if folded in known}


def _locked(**which):
    rows = Subscriber.objects.select_for_update(of=("self",)).select_related("page", "destination")
    return rows.filter(**which).first()


def page_of(slug):
    """The enabled page with this slug. Raises NotFound."""
    page = StatusPage.objects.filter(slug=slug, is_enabled=True).first()
    if page is None:
        raise NotFound("There is no such page.")
    return page
