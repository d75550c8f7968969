"""A company in which every text that is stored is an attack, and a reader of pages that finds what came through.

The texts are written beneath all forms: what a form refuses today may be in the database since yesterday.
"""

import contextlib
import html.parser
import re
import types
from urllib.parse import quote

from django.apps import apps
from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.db import IntegrityError, InternalError, connection, models, transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry
from alerts.models import Alert
from core.secrets import EncryptedTextField
from notifications.models import Notification
from tests import factories, private_team
from tests.access import stage
from tests.access.test_pages import ROWS

MARK = "xssprobe"
SCRIPT = f"\"'><script>window.{MARK}=1</script>"
TEXTS = [
    SCRIPT,
    f'"><img src=x onerror="window.{MARK}=1"><{MARK}>',
    f"'\"--></textarea></title></style></script><svg onload=window.{MARK}=1><{MARK}>",
    f'" autofocus onfocus="window.{MARK}=1" x="',
    "{{7*1912003}} ${7*1912003} {% debug %} #{7*1912003} <%= 7*1912003 %>",
    f"javascript:window.{MARK}=1//",
    f'[x](javascript:window.{MARK}=1) <a href="javascript:window.{MARK}=1">x</a> ![x](x" onerror="window.{MARK}=1)',
]
RUN = str(7 * 1912003)  # what a template that was run would say; no number of a row is as large
# Of these columns the words are keys of ours, or a form of something: another text in them is no text, but damage.
MEANT = re.compile(
    r"slug$|_key$|^key|hash|prefix|time_zone|channel|source$|scope$|vendor|^state$|kind|status|severity|priority|urgency"
    r"|^role$|_role$|topic|condition|^target$|password|provider|held_by|plan_key|secret|^code|recurrence|rule$|rrule"
    r"|share|method|zone|^about$|^object_id$|^verb$|^via$|plain|etag|^uid$|equal|routing|weekday|cron|^arn$|^ref"
)
NOT_OURS = {"sessions", "contenttypes", "auth", "django_q", "axes", "socialaccount", "usersessions", "admin"}
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
SCHEMES = {"http", "https", "mailto", "tel", "sms", "webcal", "otpauth", "data"}  # of data, the images of the admin
ADDRESSED = {"href", "src", "action", "formaction", "data", "xlink:href", "poster", "cite", "data-src", "hx-get"}


def company(service, boss):
    """Furnished teams whose texts are attacks. Returns `{name of a thing: row}`."""
    private_team.build(service)
    one = stage.furnish(service.team)
    found = types.SimpleNamespace(**vars(one), boss=boss)
    for text in TEXTS:
        factories.TimelineEntryFactory(incident=one.incident, text=text, by=boss)
        AuditEntry.objects.create(
            at=timezone.now(),
            actor_name=text,
            verb="changed",
            kind="catalog.service",
            object_id=str(one.service.pk),
            object_name=text,
            changes={text: [text, text]},
            text=text,
            agent=text[:300],
        )
    factories.WordingFactory()
    factories.QuietHoursFactory(user=boss)
    factories.ProviderFactory()
    plant()
    now = timezone.now()
    links = [{"href": "https://ok.example/", "text": SCRIPT}]
    labels = {SCRIPT: TEXTS[1], "onclick": TEXTS[3], "x": TEXTS[5]}
    Alert.objects.update(labels=labels, links=links, changed_at=now)
    message = {"title": TEXTS[1], "body": TEXTS[2], "url": "https://ok.example/"}
    for row in Notification.objects.all():
        Notification.objects.filter(pk=row.pk).update(message={**row.message, **message})
    return found


def plant():
    """Write an attack into every text column there is."""
    planted = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            if model._meta.app_label in NOT_OURS or not model._meta.managed or model._meta.proxy:
                continue
            columns = [one for one in model._meta.concrete_fields if _is_text(one)]
            for field in columns:
                text = TEXTS[len(planted) % len(TEXTS)]
                value = f"({model._meta.pk.column}::text || %s)" if _is_unique(model, field) else "%s"
                size = f"::varchar({field.max_length})" if field.max_length else ""
                statement = f'UPDATE "{model._meta.db_table}" SET "{field.column}" = {value}{size}'
                # What the database refuses, such as a change of the audit, nobody plants.
                with contextlib.suppress(IntegrityError, InternalError), transaction.atomic():
                    cursor.execute(f"""{statement} WHERE "{field.column}" <> ''""", [text])
                    if cursor.rowcount:
                        planted.append(f"{model._meta.label}.{field.name}")
    return planted


def _is_text(field):
    if field.primary_key or field.choices or field.is_relation or isinstance(field, (EncryptedTextField, ArrayField)):
        return False
    if isinstance(field, (models.SlugField, models.EmailField, models.UUIDField)):
        return False
    return isinstance(field, (models.CharField, models.TextField)) and not MEANT.search(field.name)


def _is_unique(model, field):
    return field.unique or any(field.name in getattr(one, "fields", ()) for one in model._meta.constraints)


class Reader(html.parser.HTMLParser):
    """Reads a page as a browser would and keeps what should not be in it."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found, self.is_script = [], False

    def handle_starttag(self, tag, attributes):
        if tag == MARK:
            self.found.append(f"an element of the attacker's: <{tag}>")
        # A block of data does not run.
        self.is_script = tag == "style" or (tag == "script" and dict(attributes).get("type") != "application/json")
        for name, value in attributes:
            value = value or ""
            if name.startswith("on"):
                self.found.append(f"<{tag} {name}={value[:60]!r}>")
            if name in ADDRESSED and _runs(value):
                self.found.append(f"<{tag} {name}={value[:60]!r}>")
            # Alpine, in the admin, runs what stands in these.
            if name.startswith(("x-", ":", "@", "hx-on")) and (MARK in value or "1912003" in value):
                self.found.append(f"<{tag} {name}={value[:60]!r}>")
            if name == "srcdoc" or (name == "style" and MARK in value):
                self.found.append(f"<{tag} {name}={value[:60]!r}>")

    def handle_endtag(self, tag):
        self.is_script = False

    def handle_data(self, data):
        if self.is_script and MARK in data:
            self.found.append(f"in a script: {data[:80]!r}")


def _runs(address):
    """Whether an address leads to a script: its scheme, read as a browser does, is not one of those that are known."""
    scheme = SCHEME.match("".join(sign for sign in address if sign > " "))
    return bool(scheme) and (scheme[1].lower() not in SCHEMES or address.strip().lower().startswith("data:text"))


def smuggled(text):
    """What of an attack works in this HTML: `[what was found]`."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    return [*reader.found, *(["a template was run"] if re.search(rf"(?<!\d){RUN}(?!\d)", text) else [])]


def paths_of(one):
    """Every page that shows something, with rows of the company in it."""
    one.soon = f"{one.now + stage.HOUR:%Y-%m-%dT%H:%MZ}"
    one.method = one.boss.contact_methods.order_by("pk").first()
    one.key = one.boss.api_keys.first() or one.key
    one.contact_rule = one.quiet = one.method
    found = []
    for key, (_, address, *_) in ROWS.items():
        if key.startswith("GET "):
            with contextlib.suppress(AttributeError, KeyError):  # a thing of somebody else, which is not there here
                found.append(address.format(**vars(one)))
    return list(dict.fromkeys(found))


def admin_paths():
    """The list, and the page of the first row, of everything in the admin."""
    for model in admin.site._registry:
        place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{place}_changelist")
        yield f"{reverse(f'{place}_changelist')}?q={quote(SCRIPT)}"
        for row in model._default_manager.order_by("-pk")[:2]:
            yield reverse(f"{place}_change", args=[quote(str(row.pk), safe="")])
