"""What the demo company tells others, and what it learned: three status pages and three postmortems.

The pages stand before the first incident of the story, so that their bars show what happened since.
"""

import datetime as dt
import functools

from config.demo_past import BAD_GATEWAY, SLOW
from incidents.models import Incident
from notifications.models import Destination, Notification
from postmortems import drafting, factors, items, moments, reviewing, writing
from postmortems.models import ActionItem, Postmortem, Review, Template, TemplateSection, Wanted
from statuspages import copying, publishing, states
from statuspages.models import (
    Audience,
    Component,
    ComponentGroup,
    Nudge,
    Partner,
    PostTemplate,
    Series,
    StatusPage,
    Subscriber,
)

DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
CARDS = "Payments by card fail"
NO_ORDERS = "No new orders for 5 minutes"

# group: [(component, description, services)]
SHOP = {
    "Shop": [
        ("Website", "shop.example.com", ["web-shop"]),
        ("App", "For iPhone and Android", ["mobile-api"]),
        ("Search", "", ["search"]),
    ],
    "Orders": [
        ("Checkout", "Basket and paying", ["checkout-api"]),
        ("Card payments", "", ["payments"]),
        ("Delivery", "Parcels and their labels", ["orders"]),
        ("Receipts by mail", "", ["mailer"]),
    ],
}
PARTNERS = {"": [("Orders API", "For warehouses and carriers", ["orders"]), ("Settlement", "", ["payments"])]}
PLATFORM = {
    "Data": [("PostgreSQL", "", ["postgres-main"]), ("Redis", "", ["redis"]), ("Kafka", "", ["kafka"])],
    "Machines": [("Kubernetes", "", ["kubernetes"])],
}


# --- status pages ---------------------------------------------------------------------------------------------------
def make_pages(teams, services, admin, *, now):
    """The three pages, as they stood 60 days ago. Returns the public one."""
    shop = _page(
        "Example Shop status",
        "shop",
        SHOP,
        services,
        now=now,
        team=teams["shop"],
        audience=Audience.PUBLIC,
        description="How the shop is, and what we do about it. We write here within ten minutes when something is "
        "wrong.",
        time_zone="Europe/Berlin",
        accent_colour="#0f766e",
        website_url="https://shop.example.com",
        support_url="https://shop.example.com/help",
    )
    partners = _page(
        "Example Shop for partners",
        "partners",
        PARTNERS,
        services,
        now=now,
        team=teams["platform"],
        audience=Audience.PARTNERS,
        description="For warehouses, carriers and banks.",
        time_zone="Europe/Berlin",
        accent_colour="#7c3aed",
    )
    _page(
        "Platform",
        "platform",
        PLATFORM,
        services,
        now=now,
        team=teams["platform"],
        audience=Audience.PRIVATE,
        description="What everything else stands on.",
        needs_rule="same",
        medium_state=states.DEGRADED,
    )
    _words(shop)
    _readers(shop, partners, admin, now)
    return shop


def _page(name, slug, groups, services, *, now, **fields):
    since = now - 60 * DAY
    page = StatusPage.objects.create(name=name, slug=slug, created_at=since, **fields)
    for place, (title, components) in enumerate(groups.items()):
        group = ComponentGroup.objects.create(page=page, name=title, position=place) if title else None
        for position, (label, description, slugs) in enumerate(components):
            component = Component.objects.create(
                page=page,
                group=group,
                name=label,
                description=description,
                position=position,
                created_at=since,
                state_since=since,
            )
            component.services.set([services[one] for one in slugs])
    return page


def _words(page):
    PostTemplate.objects.create(
        page=page,
        name="We look into it",
        title="We are looking into a problem",
        stage=states.INVESTIGATING,
        body="Some customers notice a problem. We are looking into it, and write again within 30 minutes.",
    )
    PostTemplate.objects.create(
        page=page,
        name="It is over",
        stage=states.RESOLVED,
        body="Everything works again. We keep watching, and are sorry for the trouble.",
    )
    PostTemplate.objects.create(
        name="Work at night",
        kind="maintenance",
        title="Work on the database",
        body="We work on the database. The shop stays open; orders may take some seconds longer.",
    )


def _readers(shop, partners, admin, now):
    """Two people who are told by mail, one of them of paying only, and a carrier that may read the partners' page."""
    for place, (address, names) in enumerate(
        [("press@news.example.com", []), ("buyer@bakery.example.com", ["Checkout", "Card payments"])]
    ):
        row = Subscriber(page=shop, channel="email", confirmed_at=now - 20 * DAY, asked_at=now - 20 * DAY)
        row.destination = Destination.objects.create(
            name=f"Subscriber {row.uuid}", channel="email", address=address, is_outside=True
        )
        row.token_hash = f"demo{place}".ljust(64, "0")
        row.save()
        row.components.set(shop.components.filter(name__in=names))
    partner = Partner.objects.create(
        name="Pia Parcel",
        company="Parcel Express",
        email="pia@parcel.example.com",
        expires_at=now + 300 * DAY,
        created_by=admin,
    )
    partner.pages.set([partners])


# What was told of which incident: (title of the incident, title of the post, components, [(minutes, stage, words)])
TOLD = [
    (
        CARDS,
        "Paying by card does not work",
        {"Card payments": states.MAJOR, "Checkout": states.PARTIAL},
        [
            (
                3,
                states.INVESTIGATING,
                "Paying by card fails since a few minutes. Transfers work. We are looking into it.",
            ),
            (12, states.IDENTIFIED, "The bank has changed its certificate. We are taking in the new one."),
            (34, states.MONITORING, "Cards work again. Orders of the last half hour are charged now."),
            (75, states.RESOLVED, "All waiting orders were charged. Nobody pays twice."),
        ],
    ),
    (
        BAD_GATEWAY,
        "Errors when paying",
        {"Checkout": states.PARTIAL},
        [
            (4, states.INVESTIGATING, "One customer in five sees an error after “Pay”. Trying again helps."),
            (27, states.RESOLVED, "One of our machines had an old password. It is gone, and paying works."),
        ],
    ),
    (
        NO_ORDERS,
        "The shop takes no orders",
        {"Checkout": states.MAJOR, "Website": states.DEGRADED},
        [
            (6, states.INVESTIGATING, "No order comes through. We are looking into it."),
            (24, states.RESOLVED, "Orders come in again. What lay in a basket is still there."),
        ],
    ),
]


def tell(page, people):
    """What is posted about the incidents of the past: `[(title of the incident, minutes, verb(number, at))]`."""
    by_name = {one.name: str(one.uuid) for one in page.components.all()}
    found = []
    for title, headline, components, steps in TOLD:
        given = {by_name[name]: state for name, state in components.items()}
        posted = []  # its uuid, once it is there
        for minutes, stage, words in steps:
            step = functools.partial(_post, page, headline, given, posted, stage, words, people["alice"])
            found.append((title, minutes, step))
    return found


def _post(page, headline, given, posted, stage, words, by, number, at):
    who = {"by": by, "now": at, "is_told": False}
    if posted:
        publishing.add_update(posted[0], stage=stage, body=words, **who)
        return
    incident = Incident.objects.get(pk=number)
    row = publishing.open_incident(
        page.pk, title=headline, body=words, stage=stage, components=given, incident=incident, **who
    )
    posted.append(row.uuid)


def keep_states(at):
    """What the bars of the pages show: how long each component was in which state."""
    if Nudge.objects.filter(at=at).exists():
        for page_id in StatusPage.objects.values_list("pk", flat=True):
            copying.keep_states(page_id, now=at)
        Nudge.objects.all().delete()  # else the first look of a worker would date what is new back to the oldest


def tell_now(page, people, admin, *, now):
    """What the page says at the first start: checkout is slow, and there is work on Sunday night."""
    by_name = {one.name: str(one.uuid) for one in page.components.all()}
    incident = Incident.objects.filter(title=SLOW).open().first()
    post = publishing.open_incident(
        page.pk,
        title="Paying is slow",
        body="Paying takes up to ten seconds instead of one. Orders are **not** lost. We are looking into it.",
        components={by_name["Checkout"]: states.DEGRADED},
        incident=incident,
        is_told=False,
        by=people["bob"],
        now=now - 28 * MINUTE,
    )
    publishing.add_update(
        post.uuid,
        stage=states.IDENTIFIED,
        body="The newest version of our checkout asks the database too often. We take it back.",
        is_told=False,
        by=people["bob"],
        now=now - 11 * MINUTE,
    )
    night = (now + 2 * DAY).replace(hour=1, minute=0, second=0, microsecond=0)
    publishing.plan_maintenance(
        page.pk,
        title="A new version of the search",
        body="Search is away for some minutes. Everything else works.",
        starts_at=night,
        ends_at=night + 40 * MINUTE,
        components=[by_name["Search"]],
        is_told=False,
        by=admin,
        now=now,
    )
    sunday = (now + (6 - now.weekday()) % 7 * DAY).replace(hour=3, minute=0, second=0, microsecond=0)
    series = Series.objects.create(
        page=page,
        title="Monthly work on the database",
        body="Updates of the database. Orders may take some seconds longer.",
        starts_at=sunday + 7 * DAY,
        ends_at=sunday + 7 * DAY + 60 * MINUTE,
        rrule="FREQ=MONTHLY;BYDAY=1SU",
        time_zone="Europe/Berlin",
        due_at=now,
    )
    series.components.set(page.components.filter(name__in=["Checkout", "Delivery"]))


# --- postmortems ----------------------------------------------------------------------------------------------------
def write_postmortems(people, teams, *, now):
    """One that is published, one in review, and a draft."""
    template = Template.objects.create(name="After an outage", team=None, is_default=True)
    for place, (title, question) in enumerate(SECTIONS):
        TemplateSection.objects.create(template=template, title=title, help=question, position=place)
    _cards(people, now)
    _no_orders(people, now)
    alice = people["alice"]
    drafting.start([_number(BAD_GATEWAY)], by=alice, now=now - 6 * DAY, title="One pod in five had an old password")
    # What would have been told then is not told now.
    Notification.objects.filter(topic__in=[row.topic for row in Postmortem.objects.all()]).delete()
    # Two are still waited for; of the others somebody said long ago that they need none.
    late = Wanted.objects.order_by("incident_id").values_list("pk", flat=True)[2:]
    Wanted.objects.filter(pk__in=list(late)).update(
        due_at=None, declined_at=now - DAY, declined_by=alice, decline_reason="Small, and we know what to do about it."
    )


SECTIONS = [
    ("What happened", "In the order of time, for somebody who was not there."),
    ("Why it happened", "Ask why until the answer is something that can be changed. No names."),
    ("What went well", "What made it shorter or smaller than it could have been?"),
    ("What went badly", "What made it longer or larger?"),
    ("Lessons", "What do we know now that we did not know before?"),
]


def _number(title):
    return Incident.objects.filter(title=title).earliest("number").pk


def _write(postmortem, texts, *, by, at):
    for section in postmortem.sections.all():
        if section.title in texts:
            writing.save_section(section.uuid, body=texts[section.title], seen_version=section.version, by=by, now=at)


def _cards(people, now):
    charlie, dora, alice = people["charlie"], people["dora"], people["alice"]
    at = now - 10 * DAY
    row = drafting.start([_number(CARDS)], by=charlie, now=at, title="A bank's new certificate stopped card payments")
    writing.save_head(
        row.number,
        summary="For 36 minutes nobody could pay by card, since the bank had changed its certificate and we trusted "
        "only the old one. 412 orders waited and were charged afterwards.",
        seen_version=row.version,
        by=charlie,
        now=at,
    )
    _write(
        row,
        {
            "What happened": "At 14:00 the bank changed the certificate of its API. Our client had the old one, "
            "pinned, so each payment failed with `certificate verify failed`. The first page went out after "
            "**40 seconds**.",
            "Why it happened": "1. The certificate was pinned in 2023, after an advisory.\n"
            "2. The bank tells of changes by mail, to an address that nobody reads.\n"
            "3. No check looks at certificates of others.",
            "What went well": "- Orders waited instead of failing.\n- The status page said so within three minutes.",
            "What went badly": "- It took ten minutes to find out *which* certificate it was.",
            "Lessons": "What we pin, we have to watch. A pinned certificate is a date on which something breaks.",
        },
        by=charlie,
        at=at + 20 * MINUTE,
    )
    factors.add(
        row.number, cause="Expired or changed certificate", text="Pinned since 2023.", is_root=True, by=charlie, now=at
    )
    factors.add(row.number, cause="Mail that nobody reads", text="The bank had told us.", by=charlie, now=at)
    moments.add(
        row.number,
        at=Incident.objects.get(pk=_number(CARDS)).triggered_at - 2 * MINUTE,
        text="The bank changes its certificate.",
        by=charlie,
        now=at,
    )
    due = now.date()
    done = items.add(
        row.number,
        text="Check the certificates of all banks daily",
        owner=charlie,
        due_on=due - 3 * DAY,
        priority="high",
        by=charlie,
        now=at,
    )
    items.change(done.uuid, status=ActionItem.Status.COMPLETED, by=charlie, now=now - 4 * DAY)
    items.add(
        row.number, text="Move the bank's mails to the team's inbox", owner=dora, due_on=due - DAY, by=charlie, now=at
    )
    begun = items.add(
        row.number,
        text="Say which certificate failed in the error of the client",
        owner=charlie,
        due_on=due + 9 * DAY,
        priority="low",
        link="https://example.atlassian.net/browse/PAY-412",
        by=charlie,
        now=at,
    )
    items.change(begun.uuid, status=ActionItem.Status.IN_PROGRESS, by=charlie, now=now - 2 * DAY)
    reviewing.ask(row.number, [dora, alice], by=charlie, now=at + 60 * MINUTE)
    reviewing.say(
        row.number,
        verdict=Review.Verdict.APPROVED,
        note="Clear. I would add the date of the advisory.",
        by=dora,
        now=at + 90 * MINUTE,
    )
    reviewing.publish(row.number, by=charlie, now=at + DAY)


def _no_orders(people, now):
    charlie, dora = people["charlie"], people["dora"]
    at = now - DAY / 2
    row = drafting.start([_number(NO_ORDERS)], by=charlie, now=at, title="A migration waited, and everybody behind it")
    _write(
        row,
        {
            "What happened": "`ALTER TABLE orders` waited for a report, and every order waited for `ALTER TABLE`.",
            "Why it happened": "Migrations had no `lock_timeout`.",
        },
        by=charlie,
        at=at,
    )
    factors.add(row.number, cause="Migration without a time limit", is_root=True, by=charlie, now=at)
    items.add(
        row.number,
        text="Give all migrations a lock_timeout of 5 s",
        owner=dora,
        due_on=now.date() + 4 * DAY,
        priority="high",
        by=charlie,
        now=at,
    )
    section = row.sections.get(title="Why it happened")
    reviewing.comment(
        row.number,
        section=section.uuid,
        text="And why did the report take so long?",
        by=dora,
        now=at + 50 * MINUTE,
    )
    reviewing.ask(row.number, [dora], by=charlie, now=at + 30 * MINUTE)
