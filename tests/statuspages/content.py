"""A page's content as `statuspages.copying` builds it, good with no arguments."""

import datetime as dt
import uuid

from statuspages import states

NOW = dt.datetime(2026, 3, 30, 10, 0, tzinfo=dt.UTC)
CHECKOUT, SEARCH, MAIL = (str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in ("checkout", "search", "mail"))
SHOP = str(uuid.uuid5(uuid.NAMESPACE_DNS, "shop"))


def stamp(at):
    return at.isoformat().replace("+00:00", "Z")


def ago(**span):
    return stamp(NOW - dt.timedelta(**span))


def ahead(**span):
    return stamp(NOW + dt.timedelta(**span))


def days(count=90, bad=()):
    """Days up to today; `bad` is `{days ago: (uptime, worst, seconds)}`, and None instead of a triple is no data."""
    bad, found = dict(bad), []
    for back in range(count - 1, -1, -1):
        day = {"date": str((NOW - dt.timedelta(days=back)).date()), "uptime": 100.0}
        day |= {"worst": states.OPERATIONAL, "seconds": {}}
        if back in bad:
            uptime, worst, seconds = bad[back] or (None, states.OPERATIONAL, {})
            day |= {"uptime": uptime, "worst": worst, "seconds": seconds}
        found.append(day)
    return found


def component(uid=CHECKOUT, name="Checkout", **changes):
    return {
        "uuid": uid,
        "name": name,
        "description": "",
        "group": None,
        "position": 0,
        "state": states.OPERATIONAL,
        "since": ago(days=40),
        "created_at": ago(days=200),
        "changed_at": ago(days=40),
        "uptime": 99.98,
        "days": days(bad={3: (99.2, states.PARTIAL, {states.PARTIAL: 3600 * 2, states.DEGRADED: 300})}),
        **changes,
    }


def update(stage="investigating", body="We look into it.", at=None, **changes):
    return {
        "uuid": str(uuid.uuid4()),
        "stage": stage,
        "body": body,
        "at": at or ago(minutes=5),
        "edited_at": None,
        "affected": [],
        **changes,
    }


def post(title="Payments fail", **changes):
    found = {
        "uuid": str(uuid.uuid4()),
        "kind": "incident",
        "title": title,
        "stage": "investigating",
        "impact": "major",
        "starts_at": ago(minutes=10),
        "ends_at": None,
        "ended_at": None,
        "created_at": ago(minutes=5),
        "changed_at": ago(minutes=5),
        "components": [{"uuid": CHECKOUT, "name": "Checkout", "state": states.PARTIAL}],
        **changes,
    }
    return {**found, "updates": changes.get("updates", [update(found["stage"])])}


def resolved(title="Slow search", *, back=4, **changes):
    at = ago(days=back)
    updates = [update("resolved", "It is over.", at), update("investigating", "It is slow.", ago(days=back, hours=2))]
    return post(
        title,
        **{
            "stage": "resolved",
            "impact": "minor",
            "starts_at": ago(days=back, hours=2),
            "created_at": ago(days=back, hours=2),
            "changed_at": at,
            "ended_at": at,
            "updates": updates,
            **changes,
        },
    )


def maintenance(title="New database", *, stage="scheduled", **changes):
    return post(
        title,
        **{
            "kind": "maintenance",
            "stage": stage,
            "impact": "none",
            "starts_at": ahead(days=2),
            "ends_at": ahead(days=2, hours=2),
            "updates": [update(stage, "The shop is **closed**.")],
            **changes,
        },
    )


def page(**changes):
    return {
        "name": "Example Shop",
        "slug": "shop",
        "description": "",
        "address": "https://oncall.example.com/status/shop",
        "time_zone": "Europe/Berlin",
        "language": "en",
        "accent_colour": "#1f6feb",
        "website_url": "https://shop.example.com",
        "support_url": "",
        "audience": "public",
        "shows_uptime": True,
        "history_days": 90,
        "accepts_subscribers": True,
        "created_at": ago(days=400),
        "logo": None,
        **changes,
    }


def content(*, components=None, groups=None, page_changes=None, **changes):
    """The content of a page; `page_changes` are of the page itself."""
    if components is None:
        components = [component(group=SHOP), component(SEARCH, "Search", group=SHOP), component(MAIL, "Mail")]
    if groups is None:
        groups = []
        for uid, name in ((SHOP, "Shop"), (None, "")):
            members = [one["uuid"] for one in components if one["group"] == uid]
            groups += [{"uuid": uid, "name": name, "components": members}] if members else []
    state = states.worst([one["state"] for one in components])
    return {
        "page": page(**(page_changes or {})),
        "state": state,
        "indicator": states.INDICATORS[state],
        "groups": groups,
        "components": components,
        "open": [],
        "planned": [],
        "going_on": [],
        "history": [],
        **changes,
    }
