"""What subscribers of a page are sent: the question whether they meant it, and a notice of each update.

Plain values go out: nothing here knows a number of ours, a service of ours or a person. Machines get a body in the
shape of Statuspage's webhooks, so that what reads those reads ours.
"""

import dataclasses
import datetime as dt

from django.conf import settings

from notifications.message import Kind, Message
from statuspages import states, summary, words

SHOWN_COMPONENTS = 30  # in a letter; a webhook has them all
STORY = 100  # updates of a post that a webhook is told of at most


@dataclasses.dataclass(frozen=True)
class Links:
    """Where one subscriber changes, or ends, what they are told."""

    manage: str
    leave: str


def question(page, *, channel, shown, link, links):
    """Ask whether they want it; `link` confirms. Nothing of what is posted is in it."""
    said = words.of(page.language, page.time_zone)
    text = said["question_body"].format(address=shown, name=page.name)
    action = said["confirm"], link
    return _asked(page, said, channel, said["confirm_title"], text, action, links, state="unconfirmed")


def already(page, *, channel, shown, links):
    """Tell somebody who is subscribed that they, or others, asked for it once more."""
    said = words.of(page.language, page.time_zone)
    text = said["already_body"].format(address=shown, name=page.name)
    return _asked(page, said, channel, said["your_subscription"], text, (said["manage"], links.manage), links)


def _asked(page, said, channel, title, text, action, links, *, state="confirmed"):
    label, link = action
    data = _data(page, said, links, word="", open_word=label)
    if state == "unconfirmed":
        data["manage"] = ""  # there is nothing to change before they confirm
    if channel == "webhook":
        data["body"] = {
            "meta": _meta(links),
            "page": {"id": page.slug, "name": page.name, "url": page.address},
            "subscription": {
                "state": state,
                "confirm_url": link if state == "unconfirmed" else None,
                "manage_url": links.manage if state == "confirmed" else None,
                "text": text,
            },
        }
    return Message(
        title=f"{title}: {page.name}",
        body=text,
        url=link,
        urgency="low",
        subject=f"[{page.name}] {title}",
        kind=Kind.STATUS,
        data=data,
    )


class Notice:
    """One update of a post, said once and addressed to many. Load the update with its post, page and components."""

    def __init__(self, update, *, updates, components, known):
        """`updates` are those of the post, newest first, and `components` those that it is about.

        `known` is the state of every component of the page by uuid, as it was computed last. What the update itself
        says of them is newer.
        """
        self.update, self.post, self.page = update, update.post, update.post.page
        self.said = words.of(self.page.language, self.page.time_zone)
        self.word = self.said[update.stage]
        self.url = f"{self.page.address}/incidents/{self.post.uuid}"
        self._states = known | {uuid: new for uuid, _, _, new in update.affected}
        self.fields = tuple(self._fields(components))
        self._components = {str(one.uuid): one for one in components}
        self._incident = self._story(updates, components)

    def message(self, links):
        """For people, by mail or in a chat."""
        return Message(
            title=f"{self.word}: {self.post.title}",
            body=self.update.body,
            url=self.url,
            urgency="low",
            fields=self.fields,
            thread=f"status-{self.post.uuid}",
            subject=f"[{self.page.name}] {self.post.title}",
            kind=Kind.STATUS,
            data=_data(self.page, self.said, links, word=self.word, open_word=self.said["open_page"]),
        )

    def bodies(self, links, chosen):
        """For machines: `[(what sets it apart, Message)]`, of the post and of each component that it changed.

        `chosen` are the uuids of the components that the reader wants to hear of; empty: all.
        """
        head = {"meta": _meta(links), "page": self._page_shape()}
        found = [("", head | {"incident": self._incident})]
        for uuid, name, old, new in self.update.affected:
            if old != new and (not chosen or uuid in chosen):
                found.append((f":c{uuid}", head | self._component_update(uuid, name, old, new)))
        return [(key, self._to_machine(links, body)) for key, body in found]

    def _to_machine(self, links, body):
        message = self.message(links)
        return dataclasses.replace(message, data={"body": body})

    def _fields(self, components):
        post, said = self.post, self.said
        if post.kind == post.Kind.MAINTENANCE and post.ends_at:
            yield said["maintenance_time"], said.span(post.starts_at, post.ends_at)
        if components:
            names = [f"{one.name}: {said[self._states[str(one.uuid)]]}" for one in components[:SHOWN_COMPONENTS]]
            rest = len(components) - SHOWN_COMPONENTS
            yield said["affected"], "\n".join(names) + (f"\n… +{rest}" if rest > 0 else "")

    def _page_shape(self):
        indicator = states.INDICATORS[states.worst(self._states.values())]
        return {
            "id": self.page.slug,
            "status_indicator": indicator,
            "status_description": summary.SENTENCES[indicator],
        }

    def _story(self, updates, components):
        post = self.post
        is_maintenance = post.kind == post.Kind.MAINTENANCE
        return {
            "id": str(post.uuid),
            "page_id": self.page.slug,
            "name": post.title,
            "status": self.update.stage,
            "impact": "maintenance" if is_maintenance else post.impact,
            "impact_override": None,
            "shortlink": self.url,
            "created_at": iso(post.created_at),
            "updated_at": iso(self.update.at),
            "monitoring_at": iso(min((one.at for one in updates if one.stage == states.MONITORING), default=None)),
            "resolved_at": iso(post.ended_at),
            "backfilled": False,
            "scheduled_for": iso(post.starts_at) if is_maintenance else None,
            "scheduled_until": iso(post.ends_at) if is_maintenance else None,
            "scheduled_auto_in_progress": is_maintenance and post.goes_by_itself,
            "scheduled_auto_completed": is_maintenance and post.goes_by_itself,
            "postmortem_body": None,
            "incident_updates": [_update_shape(one, post) for one in updates[:STORY]],
            "components": [self._component_shape(one) for one in components],
        }

    def _component_update(self, uuid, name, old, new):
        at = iso(self.update.at)
        known = self._components.get(uuid)
        shape = self._component_shape(known) if known else {"id": uuid, "page_id": self.page.slug, "name": name}
        return {
            "component_update": {
                "id": f"{self.update.uuid}:{uuid}",
                "component_id": uuid,
                "created_at": at,
                "old_status": old,
                "new_status": new,
            },
            "component": shape | {"status": new, "updated_at": at},
        }

    def _component_shape(self, component):
        return {
            "id": str(component.uuid),
            "page_id": self.page.slug,
            "name": component.name,
            "status": self._states[str(component.uuid)],
            "created_at": iso(component.created_at),
            "updated_at": iso(self.update.at),
            "position": component.position,
            "description": component.description or None,
            "group": False,
        }


def _update_shape(update, post):
    affected = [
        {"code": uuid, "name": name, "old_status": old, "new_status": new} for uuid, name, old, new in update.affected
    ]
    return {
        "id": str(update.uuid),
        "incident_id": str(post.uuid),
        "status": update.stage,
        "body": update.body,
        "created_at": iso(update.at),
        "updated_at": iso(update.edited_at or update.at),
        "display_at": iso(update.at),
        "deliver_notifications": update.is_told,
        "affected_components": affected or None,
    }


def _meta(links):
    return {"unsubscribe": links.leave, "manage": links.manage, "documentation": f"{settings.PUBLIC_URL}/docs"}


def _data(page, said, links, *, word, open_word):
    """What channels show of a letter besides its text, in the page's language."""
    return {
        "sender": page.name,
        "language": page.language,
        "colour": page.accent_colour,
        "word": word,
        "is_markdown": bool(word),  # what was posted; the question is in words of ours
        "open_word": open_word,
        "manage": links.manage,
        "manage_word": said["manage"],
        "leave": links.leave,
        "leave_word": said["unsubscribe"],
        "why": said["why_told"].format(name=page.name) if word else "",
    }


def iso(at):
    """A time as a page's content has it, or None."""
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
