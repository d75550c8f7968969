"""The public read API has the shape of Statuspage's, so that its readers work."""

import json

from statuspages import drawing, states
from tests.statuspages import content as made

COMPONENT = {
    *("id", "name", "status", "created_at", "updated_at", "position", "description", "showcase", "start_date"),
    *("group_id", "page_id", "group", "only_show_if_degraded"),
}
INCIDENT = {
    *("id", "name", "status", "created_at", "updated_at", "monitoring_at", "resolved_at", "impact", "shortlink"),
    *("started_at", "page_id", "incident_updates", "components", "reminder_intervals"),
}
UPDATE = {
    *("id", "status", "body", "incident_id", "created_at", "updated_at", "display_at", "affected_components"),
    *("deliver_notifications", "custom_tweet", "tweet_id"),
}


def api(content, path):
    kind, text = drawing.draw(content, base="/status/shop")[f"api/v2/{path}.json"]
    assert kind == "application/json"
    return json.loads(text)


def test_summary_says_everything_that_is_now():
    affected = [[made.CHECKOUT, "Checkout", "operational", "partial_outage"]]
    updates = [
        made.update("monitoring", at=made.ago(minutes=2), affected=affected),
        made.update(at=made.ago(minutes=9)),
    ]
    post = made.post(stage="monitoring", updates=updates)
    planned, running = made.maintenance(), made.maintenance("Mail moves", stage="in_progress")
    components = [
        made.component(group=made.SHOP, state=states.PARTIAL),
        made.component(made.SEARCH, "Search", group=made.SHOP, description="Products"),
        made.component(made.MAIL, "Mail"),
    ]
    content = made.content(
        components=components, open=[post], planned=[planned], going_on=[running], history=[made.resolved()]
    )
    said = api(content, "summary")
    assert set(said) == {"page", "components", "incidents", "scheduled_maintenances", "status"}
    assert said["page"] == {
        "id": "shop",
        "name": "Example Shop",
        "url": "https://oncall.example.com/status/shop",
        "time_zone": "Europe/Berlin",
        "updated_at": made.ago(minutes=5),
    }
    assert said["status"] == {"indicator": "major", "description": "Partial System Outage"}
    group, checkout, search, mail = said["components"]
    assert group["group"] and group["components"] == [made.CHECKOUT, made.SEARCH]
    assert group["status"] == checkout["status"] == "partial_outage"
    assert (checkout["group_id"], mail["group_id"]) == (made.SHOP, None)
    assert (checkout["position"], search["position"], search["description"]) == (1, 2, "Products")
    for one in (checkout, search, mail):
        assert set(one) == COMPONENT and one["page_id"] == "shop"
    (incident,) = said["incidents"]
    assert set(incident) == INCIDENT
    assert incident["monitoring_at"] == made.ago(minutes=2) and incident["resolved_at"] is None
    assert incident["shortlink"] == f"https://oncall.example.com/status/shop/incidents/{post['uuid']}"
    assert incident["components"] == [checkout]
    newest, oldest = incident["incident_updates"]
    assert set(newest) == UPDATE and newest["incident_id"] == incident["id"]
    assert newest["affected_components"] == [
        {
            "code": made.CHECKOUT,
            "name": "Checkout",
            "old_status": "operational",
            "new_status": "partial_outage",
        }
    ]
    assert oldest["affected_components"] is None
    first, second = said["scheduled_maintenances"]
    assert set(first) == INCIDENT | {"scheduled_for", "scheduled_until"}
    assert (first["status"], second["status"], first["impact"]) == ("in_progress", "scheduled", "maintenance")


def test_each_list_has_its_own():
    content = made.content(
        open=[made.post("Now")],
        planned=[made.maintenance("Soon")],
        going_on=[made.maintenance("Running", stage="in_progress")],
        history=[made.resolved("Over"), made.maintenance("Done", stage="completed", ended_at=made.ago(days=1))],
    )

    def names(path, key):
        return [one["name"] for one in api(content, path)[key]]

    assert names("incidents", "incidents") == ["Now", "Over"]
    assert names("incidents/unresolved", "incidents") == ["Now"]
    assert names("scheduled-maintenances", "scheduled_maintenances") == ["Running", "Soon", "Done"]
    assert names("scheduled-maintenances/upcoming", "scheduled_maintenances") == ["Soon"]
    assert names("scheduled-maintenances/active", "scheduled_maintenances") == ["Running"]
    assert set(api(content, "status")) == {"page", "status"}
    assert len(api(content, "components")["components"]) == 4


def test_the_indicator_follows_the_worst_component():
    for state, indicator in states.INDICATORS.items():
        said = api(made.content(components=[made.component(state=state)]), "status")["status"]
        assert said["indicator"] == indicator and said["description"]


def test_no_more_than_fifty_incidents():
    content = made.content(history=[made.resolved(back=back) for back in range(1, 80)])
    assert len(api(content, "incidents")["incidents"]) == 50
