"""A page's content in the shape of Statuspage's public read API (/api/v2), so that its readers work here. Pure.

Fields that we have no use for are there with the value that the shape allows for nothing.
"""

from statuspages import states

LIMIT = 50  # of incidents and of maintenance in one answer
SENTENCES = {
    "none": "All Systems Operational",
    "maintenance": "Service Under Maintenance",
    "minor": "Minor Service Outage",
    "major": "Partial System Outage",
    "critical": "Major Service Outage",
}


def files(content):
    """`{path below api/v2, without .json: value}`."""
    page = _page(content)
    components = _components(content)
    by_id = {one["id"]: one for one in components}
    unresolved = [_post(one, page, by_id) for one in content["open"]]
    ended = [one for one in content["history"] if one["kind"] == "incident"]
    upcoming = [_maintenance(one, page, by_id) for one in content["planned"]]
    active = [_maintenance(one, page, by_id) for one in content["going_on"]]
    over = [one for one in content["history"] if one["kind"] == "maintenance"]
    status = {"indicator": content["indicator"], "description": SENTENCES[content["indicator"]]}
    return {
        "summary": {
            "page": page,
            "components": components,
            "incidents": unresolved,
            "scheduled_maintenances": [*active, *upcoming],
            "status": status,
        },
        "status": {"page": page, "status": status},
        "components": {"page": page, "components": components},
        "incidents": {
            "page": page,
            "incidents": [*unresolved, *(_post(one, page, by_id) for one in ended)][:LIMIT],
        },
        "incidents/unresolved": {"page": page, "incidents": unresolved},
        "scheduled-maintenances": {
            "page": page,
            "scheduled_maintenances": [*active, *upcoming, *(_maintenance(one, page, by_id) for one in over)][:LIMIT],
        },
        "scheduled-maintenances/upcoming": {"page": page, "scheduled_maintenances": upcoming},
        "scheduled-maintenances/active": {"page": page, "scheduled_maintenances": active},
    }


def changed_at(content):
    """When what the page says last changed."""
    posts = [*content["open"], *content["going_on"], *content["planned"], *content["history"]]
    times = [post["changed_at"] for post in posts] + [one["changed_at"] for one in content["components"]]
    return max([content["page"]["created_at"], *times])


def _page(content):
    page = content["page"]
    return {
        "id": page["slug"],
        "name": page["name"],
        "url": page["address"],
        "time_zone": page["time_zone"],
        "updated_at": changed_at(content),
    }


def _components(content):
    """Components, and groups as components that name theirs, as Statuspage has them."""
    page_id = content["page"]["slug"]
    by_uuid = {one["uuid"]: one for one in content["components"]}
    found = []
    for position, group in enumerate(content["groups"], start=1):
        members = [by_uuid[uuid] for uuid in group["components"]]
        if group["uuid"] is not None and members:
            shape = _component(
                page_id,
                uuid=group["uuid"],
                name=group["name"],
                status=states.worst([one["state"] for one in members]),
                position=position,
                created_at=min(one["created_at"] for one in members),
                updated_at=max(one["changed_at"] for one in members),
            )
            found.append({**shape, "group": True, "components": [one["uuid"] for one in members]})
        found += [
            _component(
                page_id,
                uuid=one["uuid"],
                name=one["name"],
                status=one["state"],
                position=place,
                created_at=one["created_at"],
                updated_at=one["changed_at"],
                description=one["description"] or None,
                group_id=group["uuid"],
            )
            for place, one in enumerate(members, start=1)
        ]
    return found


def _component(page_id, *, uuid, name, status, position, created_at, updated_at, description=None, group_id=None):
    return {
        "id": uuid,
        "name": name,
        "status": status,
        "created_at": created_at,
        "updated_at": updated_at,
        "position": position,
        "description": description,
        "showcase": True,
        "start_date": created_at[:10],
        "group_id": group_id,
        "page_id": page_id,
        "group": False,
        "only_show_if_degraded": False,
    }


def _post(post, page, by_id):
    return {
        "id": post["uuid"],
        "name": post["title"],
        "status": post["stage"],
        "created_at": post["created_at"],
        "updated_at": post["changed_at"],
        "monitoring_at": _first(post, "monitoring"),
        "resolved_at": post["ended_at"],
        "impact": "maintenance" if post["kind"] == "maintenance" else post["impact"],
        "shortlink": f"{page['url']}/incidents/{post['uuid']}",
        "started_at": post["starts_at"],
        "page_id": page["id"],
        "incident_updates": [_update(one, post) for one in post["updates"]],
        "components": [by_id[one["uuid"]] for one in post["components"] if one["uuid"] in by_id],
        "reminder_intervals": None,
    }


def _maintenance(post, page, by_id):
    return {**_post(post, page, by_id), "scheduled_for": post["starts_at"], "scheduled_until": post["ends_at"]}


def _first(post, stage):
    times = [one["at"] for one in post["updates"] if one["stage"] == stage]
    return min(times) if times else None


def _update(update, post):
    affected = [
        {"code": uuid, "name": name, "old_status": old, "new_status": new}
        for uuid, name, old, new in update["affected"]
    ]
    return {
        "id": update["uuid"],
        "status": update["stage"],
        "body": update["body"],
        "incident_id": post["uuid"],
        "created_at": update["at"],
        "updated_at": update["edited_at"] or update["at"],
        "display_at": update["at"],
        "affected_components": affected or None,
        "deliver_notifications": True,
        "custom_tweet": None,
        "tweet_id": None,
    }
