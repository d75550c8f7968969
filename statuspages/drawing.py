"""A page's content as the files that readers get. Pure: the same content gives the same files, byte for byte."""

import dataclasses
import functools
import hashlib
import json
from html import escape
from pathlib import Path

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from core import markdown
from statuspages import badges, colours, feeds, states, summary, words

HTML, CSS, JSON, SVG = "text/html; charset=utf-8", "text/css; charset=utf-8", "application/json", "image/svg+xml"
RECENT_POSTS = 10
BAR_STEP, BAR_WIDTH, BAR_HEIGHT = 5, 3, 32
# What a bar looks like: one letter a class, since a page has thousands of them.
BAR_CLASSES = {None: "n", **dict(zip(states.RANKS, "omdpf", strict=True))}
SHAPES = [(state, mark_safe(ground), mark) for state, (ground, mark) in badges.SHAPES.items()]


@dataclasses.dataclass(frozen=True)
class Links:
    """Where the files of a page are, seen from one of them.

    Served ones have a base such as /status/shop. Without a base they lie in a folder: links are relative, so that any
    web server can show it at any address, and pages end in .html.
    """

    base: str | None
    depth: int = 0

    def to(self, path):
        """The address of a file of the page: "" is the page itself."""
        if self.base is not None:
            return f"{self.base}/{path}" if path else self.base
        return "../" * self.depth + filename(path)


def filename(path):
    """The name of a file of the page in a folder."""
    if path in ("", "history") or path.startswith("incidents/"):
        return f"{path or 'index'}.html"
    return path


def draw(content, *, base):
    """All files of a page: `{path: [content type, text]}`; "" is the page itself. `base` as in `Links`."""
    page = content["page"]
    said = words.of(page["language"], page["time_zone"])
    style = stylesheet(page["accent_colour"])
    frame = _Frame(content, said, base, hashlib.sha256(style.encode()).hexdigest()[:12])
    every = _every_post(content)
    files = {
        "": [HTML, _index(content, said, frame)],
        "history": [HTML, _history(content, said, frame)],
        "status.css": [CSS, style],
        "history.atom": [feeds.ATOM_TYPE, feeds.atom(content, every, said)],
        "history.rss": [feeds.RSS_TYPE, feeds.rss(content, every, said)],
        "icon.svg": [SVG, badges.icon(content["state"])],
        "badge.svg": [SVG, badges.draw(page["name"], content["state"], page["language"])],
    }
    for language in words.LANGUAGES:
        files[f"badge.{language}.svg"] = [SVG, badges.draw(page["name"], content["state"], language)]
    for path, value in summary.files(content).items():
        files[f"api/v2/{path}.json"] = [JSON, json.dumps(value, ensure_ascii=False, separators=(",", ":"))]
    # A post that did not change is not drawn anew: of the hundreds on a page, one changes at a time.
    shown = json.dumps({**page, "uptime": None}, sort_keys=True)
    for post in every:
        files[f"incidents/{post['uuid']}"] = [HTML, _incident(shown, json.dumps(post), base, frame.version)]
    return files


def _every_post(content):
    """All posts, the newest first."""
    found = [*content["open"], *content["going_on"], *content["planned"], *content["history"]]
    return sorted(found, key=lambda post: (post["created_at"], post["uuid"]), reverse=True)


# --- the frame of each page -----------------------------------------------------------------------------------


class _Frame:
    """What the head and the foot of each page show."""

    def __init__(self, content, said, base, version):
        self.page = content["page"]
        self.said = said
        self.base = base
        self.version = version

    def render(self, template, path, context):
        links = Links(self.base, path.count("/"))
        page = self.page
        shared = {
            "page": page,
            "words": _Said(self.said),
            "description": _text(page["description"]) if page["description"] else "",
            "home": links.to(""),
            "history": links.to("history"),
            "atom": links.to("history.atom"),
            "rss": links.to("history.rss"),
            "style": f"{links.to('status.css')}?v={self.version}",
            "icon": links.to("icon.svg"),
            "logo": f"{links.to('logo')}?v={page['logo']['version']}" if page["logo"] else "",
            # Whoever looks at a copy elsewhere subscribes here.
            "subscribe": f"{page['address'] if self.base is None else self.base}/subscribe",
            "canonical": f"{page['address']}/{path}" if path else page["address"],
            "zone": self.said["zone"].format(zone=page["time_zone"].replace("_", " ")),
            "is_public": page["audience"] == "public",
            "note": {"partners": self.said["for_partners"], "private": self.said["for_people"]}.get(
                page["audience"], ""
            ),
            "shapes": SHAPES,
            "here": path,
        }
        return render_to_string(f"statuspages/public/{template}.html", {**shared, **context(links)})


class _Said(dict):
    """Words for templates, which look names up."""

    def __init__(self, said):
        self._words = said

    def __missing__(self, name):
        return self._words[name]


_text = functools.lru_cache(maxsize=4096)(markdown.render)


@functools.lru_cache(maxsize=64)
def stylesheet(accent):
    """The style sheet of a page: the house's, with the page's colour."""
    rules = Path(finders.find("statuspages/status.css")).read_text()
    return f"{rules}\n{colours.rules(accent)}"


# --- posts ----------------------------------------------------------------------------------------------------


def _moment(said, text):
    """A `<time>` with words of the page's language and zone."""
    return format_html('<time datetime="{}">{}</time>', text, said.moment(words.read(text))) if text else ""


def _post(post, said, links, *, updates=None):
    """A post as templates show it; `updates` is how many of them."""
    is_maintenance = post["kind"] == "maintenance"
    when = ""
    if is_maintenance:
        end = words.read(post["ended_at"] or post["ends_at"])
        start = words.read(post["starts_at"])
        when = said.span(start, end) if start < end else said.moment(start)
    return {
        "uuid": post["uuid"],
        "title": post["title"],
        "address": links.to(f"incidents/{post['uuid']}"),
        "is_maintenance": is_maintenance,
        "is_over": post["stage"] in states.OVER,
        "stage": post["stage"],
        "stage_words": said[post["stage"]],
        "impact": "maintenance" if is_maintenance else post["impact"],
        "impact_words": "" if is_maintenance or post["impact"] == "none" else said[post["impact"]],
        "when": when,
        "began": _moment(said, post["starts_at"]),
        "ended": _moment(said, post["ended_at"]),
        "components": [one["name"] for one in post["components"]],
        "updates": [_update(one, said) for one in post["updates"][:updates]],
    }


def _update(update, said):
    edited = update["edited_at"]
    return {
        "stage": update["stage"],
        "stage_words": said[update["stage"]],
        "body": _text(update["body"]) if update["body"] else "",
        "at": _moment(said, update["at"]),
        "edited": said["edited"].format(at=said.moment(words.read(edited))) if edited else "",
        "affected": [
            {"name": name, "state": new, "state_words": said[new]}
            for _, name, old, new in update["affected"]
            if new in states.RANKS and new != old
        ],
    }


@functools.lru_cache(maxsize=4096)
def _incident(page_text, post_text, base, version):
    page, post = json.loads(page_text), json.loads(post_text)
    said = words.of(page["language"], page["time_zone"])
    frame = _Frame({"page": page}, said, base, version)
    path = f"incidents/{post['uuid']}"
    title = f"{post['title']}: {said[post['stage']]} · {page['name']}"
    return frame.render("incident", path, lambda links: {"title": title, "post": _post(post, said, links)})


# --- pages ----------------------------------------------------------------------------------------------------


def _index(content, said, frame):
    state = content["state"]
    headline = said[f"all_{state}"]
    components = {one["uuid"]: one for one in content["components"]}
    known = {}

    def context(links):
        groups = []
        for group in content["groups"]:
            shown = [_component(components[uuid], content, said, known) for uuid in group["components"]]
            if shown:
                bad = states.worst([one["state"] for one in shown])
                name = group["name"] or (said["others"] if groups else "")
                groups.append(
                    {
                        "name": name,
                        "level": 4 if name else 3,  # of the headings of its components
                        "components": shown,
                        "state": bad,
                        "state_words": said[bad],
                    }
                )
        return {
            "title": f"{headline} · {content['page']['name']}",
            "state": state,
            "headline": headline,
            "changed": said["changed"].format(at=said.moment(words.read(summary.changed_at(content)))),
            "open": [_post(one, said, links) for one in content["open"]],
            "going_on": [_post(one, said, links) for one in content["going_on"]],
            "planned": [_post(one, said, links, updates=1) for one in content["planned"]],
            "groups": groups,
            "past": [_post(one, said, links, updates=1) for one in content["history"][:RECENT_POSTS]],
        }

    return frame.render("index", "", context)


def _history(content, said, frame):
    def context(links):
        months = {}
        for post in content["history"]:
            day = said.local(words.read(post["starts_at"])).date().replace(day=1)
            months.setdefault(day, []).append(_post(post, said, links, updates=1))
        return {
            "title": f"{said['history']} · {content['page']['name']}",
            "months": [{"name": said.month(day), "posts": months[day]} for day in sorted(months, reverse=True)],
        }

    return frame.render("history", "history", context)


def _component(component, content, said, known):
    state = component["state"]
    shown = {
        "uuid": component["uuid"],
        "name": component["name"],
        "description": component["description"],
        "state": state,
        "state_words": said[state],
        "since": _moment(said, component["since"]) if state != states.OPERATIONAL else "",
        "bars": "",
    }
    if content["page"]["shows_uptime"] and component["days"]:
        days = [_day(one, said, known) for one in component["days"]]
        bad = [day for day in days if day["is_bad"]]
        uptime = component["uptime"]
        share = said["no_data"] if uptime is None else said["uptime"].format(percent=said.percent(uptime))
        trouble = said.count("bad_days", len(bad)) if bad else said["no_bad_days"]
        label = f"{component['name']}, {said.count('last_days', len(days))}: {share}. {trouble}."
        shown |= {
            "bars": _bars(days, label),
            "uptime": share,
            "first_day": said.count("days_ago", len(days) - 1),
            "bad_days": bad[::-1],
            "bad_words": trouble,
        }
    return shown


def _day(day, said, known):
    """One day of a component: its class, and what is said of it. Most have nothing to tell, and are `known` then."""
    worst = None if day["uptime"] is None else day["worst"]
    if worst in (None, states.OPERATIONAL):
        key = day["date"], worst
        if key not in known:
            known[key] = _bar(worst, f"{_date(day, said)}: {said['no_data' if worst is None else worst]}")
        return known[key]
    spent = [
        f"{said[state]} {said.duration(seconds)}"
        for state, seconds in sorted(day["seconds"].items(), key=lambda one: -states.RANKS[one[0]])
        if state != states.OPERATIONAL and seconds
    ]
    words_of_it = ", ".join(spent) or said[worst]
    return _bar(worst, f"{_date(day, said)}: {said.percent(day['uptime'])}, {words_of_it}")


def _date(day, said):
    return said.date(words.read(day["date"]))


def _bar(worst, text):
    return {"class": BAR_CLASSES[worst], "words": text, "title": escape(text), "is_bad": worst in states.TROUBLE}


def _bars(days, label):
    """The bars of a component as one picture. Its label says the sum; the bad days stand below it as a list."""
    width = len(days) * BAR_STEP - (BAR_STEP - BAR_WIDTH)
    # Put together by hand: a page has thousands, and what escapes each part on its way takes most of the time.
    start = f'" width="{BAR_WIDTH}" height="{BAR_HEIGHT}" rx="1"><title>'
    bars = "".join(
        f'<rect class="{day["class"]}" x="{place * BAR_STEP}{start}{day["title"]}</title></rect>'
        for place, day in enumerate(days)
    )
    return mark_safe(
        f'<svg class="bars" viewBox="0 0 {width} {BAR_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{bars}</svg>'
    )
