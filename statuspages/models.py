"""Status pages: what they show, what is posted on them, who is told, and which partners may look."""

import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts import audited
from accounts.models import Team
from catalog.links import web_address
from catalog.models import Service
from core.models import DueRow
from incidents import states as incident_states
from incidents.models import Incident
from notifications.models import Destination
from oncall.models.schedules import check_zone
from oncall.occurrences import BadWindow, Window
from statuspages import states
from statuspages.folders import below_root

# Addresses of ours below /status/, so that no page can have them.
RESERVED = frozenset({"new", "link", "partner", "assets"})

COLOUR = RegexValidator(r"^#[0-9a-fA-F]{6}\Z", "Write the colour as # and six hexadecimal digits, such as #1f6feb.")


def free_slug(slug):
    """Refuse a slug that is an address of ours. Raises ValidationError."""
    if slug in RESERVED:
        raise ValidationError(f"“{slug}” is an address of ours. Choose another, such as {slug}-status.")


class Audience(models.TextChoices):
    PUBLIC = "public", "Everybody"
    PARTNERS = "partners", "Partners, by a link in a mail, and people with an account"
    PRIVATE = "private", "People with an account"


class StatusPage(models.Model):
    """A page that says how things are. What it shows is computed into its `Copy`; readers see only that."""

    name = models.CharField(max_length=100, help_text="The heading, for example “Example Shop status”.")
    slug = models.SlugField(
        max_length=60, unique=True, validators=[free_slug], help_text="Its address: /status/ and this."
    )
    description = models.TextField(blank=True, max_length=2000, help_text="Stands below the heading. Markdown.")
    team = models.ForeignKey(
        Team,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="status_pages",
        help_text="Who keeps it. Empty: the admins of the platform.",
    )
    audience = models.CharField("who may read it", max_length=10, choices=Audience.choices, default=Audience.PRIVATE)
    is_enabled = models.BooleanField("enabled", default=True, help_text="Off: readers are told that there is no page.")
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_zone], help_text="Europe/Berlin …")
    language = models.CharField(
        max_length=5,
        default="en",
        choices=[("en", "English"), ("de", "Deutsch"), ("fr", "Français"), ("es", "Español"), ("it", "Italiano")],
        help_text="Of the page's own words. What you post stays as you write it.",
    )
    accent_colour = models.CharField(
        max_length=7, default="#1f6feb", validators=[COLOUR], help_text="Of the head of the page and its links."
    )
    website_url = models.URLField(
        "website", max_length=500, blank=True, validators=[web_address], help_text="Where the logo leads."
    )
    support_url = models.URLField(
        "support", max_length=500, blank=True, validators=[web_address], help_text="“Get help” leads there."
    )
    # The rules: what an open incident makes of a component.
    critical_state = models.CharField(
        "critical incident", max_length=30, choices=states.COMPONENT_STATES, default=states.MAJOR
    )
    high_state = models.CharField(
        "high incident", max_length=30, choices=states.COMPONENT_STATES, default=states.PARTIAL
    )
    medium_state = models.CharField(
        "medium incident", max_length=30, choices=states.COMPONENT_STATES, default=states.DEGRADED
    )
    low_state = models.CharField(
        "low incident", max_length=30, choices=states.COMPONENT_STATES, default=states.OPERATIONAL
    )
    info_state = models.CharField(
        "info incident", max_length=30, choices=states.COMPONENT_STATES, default=states.OPERATIONAL
    )
    needs_rule = models.CharField(
        "trouble of what a service needs",
        max_length=10,
        default="less",
        choices=[("same", "Counts as its own"), ("less", "Counts one step less"), ("nothing", "Does not count")],
    )
    history_days = models.PositiveSmallIntegerField(
        default=90, validators=[MinValueValidator(7), MaxValueValidator(90)], help_text="Of the uptime bars; 7 to 90."
    )
    shows_uptime = models.BooleanField("shows uptime", default=True)
    accepts_subscribers = models.BooleanField("accepts subscribers", default=True)
    export_folder = models.CharField(
        "folder of the copy",
        max_length=500,
        blank=True,
        help_text="A folder on the server. After each change the whole page is written there as files, so that "
        "another web server can show it when this one is away. It must be below STATUS_EXPORT_ROOT.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    team_paths = ("team",)
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name", "id"]

    def __str__(self):
        return self.name

    def clean(self):
        if self.export_folder:
            try:
                below_root(self.export_folder)
            except ValidationError as error:
                raise ValidationError({"export_folder": error.messages}) from None

    @property
    def rules(self):
        """What this page makes of incidents, as a value of `states.Rules`."""
        severities = ("critical", "high", "medium", "low", "info")
        return states.Rules({one: getattr(self, f"{one}_state") for one in severities}, self.needs_rule)

    @property
    def address(self):
        """Its whole address."""
        return f"{settings.PUBLIC_URL}/status/{self.slug}"


class Logo(models.Model):
    """The picture in the head of a page, checked and drawn anew: nothing of what was uploaded is kept as it came."""

    page = models.OneToOneField(StatusPage, on_delete=models.CASCADE, related_name="logo")
    body = models.BinaryField()
    content_type = models.CharField(max_length=40)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    changed_at = models.DateTimeField(default=timezone.now)

    def __str__(self):
        return f"Logo of {self.page}"


class ComponentGroup(models.Model):
    """A heading with components under it."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    page = models.ForeignKey(StatusPage, on_delete=models.CASCADE, related_name="groups")
    name = models.CharField(max_length=100)
    position = models.PositiveIntegerField(default=0, help_text="The lowest stands first.")

    team_paths = ("page__team",)
    audit_parent = "page"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["page", "position", "id"]
        verbose_name = "group"
        constraints = [models.UniqueConstraint(fields=["page", "name"], name="one_group_per_name_and_page")]

    def __str__(self):
        return self.name


class Component(models.Model):
    """What readers know by name. It stands for services, one or many, or for none: then people set its state."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    page = models.ForeignKey(StatusPage, on_delete=models.CASCADE, related_name="components")
    group = models.ForeignKey(
        ComponentGroup, on_delete=models.SET_NULL, null=True, blank=True, related_name="components"
    )
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=300, blank=True)
    position = models.PositiveIntegerField(default=0, help_text="The lowest stands first.")
    services = models.ManyToManyField(
        Service, blank=True, related_name="components", help_text="Their open incidents make its state."
    )
    combines = models.CharField(
        "of several services",
        max_length=10,
        default="worst",
        choices=[("worst", "The worst counts"), ("all", "A major outage only when all have one")],
    )
    # What a person set. It wins over everything until it ends.
    manual_state = models.CharField(max_length=30, blank=True, choices=states.COMPONENT_STATES)
    manual_until = models.DateTimeField(null=True, blank=True, help_text="Empty: until somebody ends it.")
    manual_reason = models.CharField(
        max_length=300, blank=True, help_text="For your own people; readers don't see it."
    )
    manual_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    # What was computed last. Only `statuspages.copying` writes it.
    state = models.CharField(
        max_length=30, choices=states.COMPONENT_STATES, default=states.OPERATIONAL, editable=False
    )
    state_since = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    team_paths = ("page__team",)
    audit_parent = "page"
    audit_ignores = ("state", "state_since")
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["page", "position", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["page", "name"],
                name="one_component_per_name_and_page",
                violation_error_message="The page has a component of this name already.",
            ),
            models.CheckConstraint(
                condition=~Q(manual_state="") | Q(manual_until__isnull=True), name="manual_end_needs_a_manual_state"
            ),
        ]
        indexes = [
            models.Index(fields=["manual_until"], name="component_manual_end", condition=Q(manual_until__isnull=False))
        ]

    def __str__(self):
        return self.name

    def clean(self):
        if self.group_id and self.page_id and self.group.page_id != self.page_id:
            raise ValidationError({"group": "Choose a group of the same page."})


class Span(models.Model):
    """How long a component was in a state: `began_at <= t < ended_at`. Nothing is kept of good times."""

    component = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="spans")
    state = models.CharField(max_length=30, choices=states.COMPONENT_STATES)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    team_paths = ("component__page__team",)

    class Meta:
        ordering = ["component", "began_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["component"], condition=Q(ended_at__isnull=True), name="one_open_span_per_component"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("began_at")), name="span_ends_after_it_begins"
            ),
        ]
        indexes = [models.Index(fields=["component", "ended_at"], name="span_by_end")]

    def __str__(self):
        return f"{self.component}: {self.state} from {self.began_at:%Y-%m-%d %H:%M}"


class Series(models.Model):
    """Maintenance that comes again and again. Each time is announced as a post of its own."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    page = models.ForeignKey(StatusPage, on_delete=models.CASCADE, related_name="series")
    title = models.CharField(max_length=200)
    body = models.TextField(max_length=10_000, help_text="What is done, and what readers notice. Markdown.")
    components = models.ManyToManyField(Component, blank=True, related_name="+")
    starts_at = models.DateTimeField(help_text="The first time.")
    ends_at = models.DateTimeField(help_text="The end of the first time.")
    rrule = models.CharField(
        "repeats", max_length=1000, help_text="A recurrence rule of iCalendar such as FREQ=MONTHLY;BYDAY=1SU."
    )
    time_zone = models.CharField(
        max_length=64, default="UTC", validators=[check_zone], help_text="In which it repeats."
    )
    announced_days = models.PositiveSmallIntegerField(
        default=7,
        validators=[MinValueValidator(1), MaxValueValidator(60)],
        help_text="So many days before is the next time announced.",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    announced_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="All times that begin before this have their post."
    )
    due_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When the next is announced.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    team_paths = ("page__team",)
    audit_parent = "page"
    audit_ignores = ("announced_until", "due_at")
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["page", "title", "id"]
        verbose_name = "recurring maintenance"
        verbose_name_plural = "recurring maintenance"
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="series_ends_after_it_starts",
                violation_error_message="The end must be later than the start.",
            )
        ]
        indexes = [models.Index(fields=["due_at"], name="series_due", condition=Q(due_at__isnull=False))]

    def __str__(self):
        return self.title

    @property
    def window(self):
        """When it is, as a value of `oncall.occurrences`."""
        return Window(self.starts_at, self.ends_at, self.rrule, self.time_zone)

    def clean(self):
        if self.starts_at and self.ends_at and self.rrule:
            try:
                self.window.coming(self.starts_at, count=1)
            except BadWindow as error:
                raise ValidationError({"rrule": str(error)}) from None


class PostQuerySet(models.QuerySet):
    def going_on(self):
        """Posts that are not over: trouble now, and maintenance that is planned or goes on."""
        return self.filter(ended_at__isnull=True)

    def to_be_ended(self):
        """Posts that still tell of trouble although the incident is over: a person should say so to readers."""
        return self.going_on().filter(incident__isnull=False).exclude(incident__status__in=incident_states.OPEN)


class Post(models.Model):
    """What is told on a page about an incident, or about maintenance."""

    class Kind(models.TextChoices):
        INCIDENT = "incident", "Incident"
        MAINTENANCE = "maintenance", "Maintenance"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    page = models.ForeignKey(StatusPage, on_delete=models.CASCADE, related_name="posts")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    title = models.CharField(max_length=200)
    stage = models.CharField(max_length=20, choices=states.STAGES)
    impact = models.CharField(max_length=10, choices=states.IMPACTS, default="none")
    incident = models.ForeignKey(
        Incident,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="posts",
        help_text="Ours; never shown.",
    )
    components = models.ManyToManyField(Component, through="Affected", related_name="posts")
    starts_at = models.DateTimeField(help_text="When it began; of maintenance, when it is planned to.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Of maintenance: when it is planned to end.")
    goes_by_itself = models.BooleanField(
        "begins and ends by itself", default=True, help_text="Maintenance only: at its times, without anybody."
    )
    series = models.ForeignKey(Series, on_delete=models.SET_NULL, null=True, blank=True, related_name="posts")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it was over.")
    due_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When it next changes by itself.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    team_paths = ("page__team",)
    objects = PostQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="incident", stage__in=[one for one, _ in states.INCIDENT_STAGES])
                | Q(kind="maintenance", stage__in=[one for one, _ in states.MAINTENANCE_STAGES]),
                name="post_has_a_stage_of_its_kind",
            ),
            models.CheckConstraint(
                condition=Q(stage__in=states.OVER, ended_at__isnull=False)
                | ~Q(stage__in=states.OVER) & Q(ended_at__isnull=True),
                name="post_that_is_over_has_an_end",
            ),
            models.CheckConstraint(
                condition=Q(kind="incident") | Q(ends_at__gt=F("starts_at")),
                name="maintenance_post_ends_after_it_starts",
                violation_error_message="The end must be later than the start.",
            ),
            models.UniqueConstraint(
                fields=["series", "starts_at"],
                condition=Q(series__isnull=False),
                name="one_post_per_time_of_a_series",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="post_due", condition=Q(due_at__isnull=False)),
            models.Index(fields=["page", "-starts_at"], name="post_by_page"),
        ]

    def __str__(self):
        return self.title


class Affected(models.Model):
    """A component that a post is about, and the state that the post gives it while it goes on."""

    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="affected")
    component = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="affected")
    state = models.CharField(
        max_length=30, blank=True, choices=states.COMPONENT_STATES, help_text="Empty: what incidents say."
    )

    team_paths = ("post__page__team",)

    class Meta:
        ordering = ["component__position", "id"]
        constraints = [models.UniqueConstraint(fields=["post", "component"], name="one_state_per_post_and_component")]

    def __str__(self):
        return f"{self.component}: {self.state}"


class PostUpdate(models.Model):
    """One entry of a post. Readers see them newest first."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="updates")
    stage = models.CharField(max_length=20, choices=states.STAGES)
    body = models.TextField(max_length=10_000, blank=True, help_text="Markdown.")
    affected = models.JSONField(default=list, blank=True, help_text="[component uuid, name, old state, new state]")
    at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    via = models.CharField(max_length=20, blank=True)
    is_told = models.BooleanField("told to subscribers", default=True)
    # Subscribers are told in batches, in the order of their numbers, so that ten thousand of them hold nothing up.
    tell_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    told_up_to = models.BigIntegerField(default=0, editable=False, help_text="The number of the last one told.")
    edited_at = models.DateTimeField(null=True, blank=True)

    team_paths = ("post__page__team",)

    class Meta:
        ordering = ["post", "-at", "-id"]
        verbose_name = "update"
        indexes = [
            models.Index(fields=["tell_due_at"], name="post_update_due", condition=Q(tell_due_at__isnull=False))
        ]

    def __str__(self):
        return f"{self.post}: {self.get_stage_display()}"


class PostTemplate(models.Model):
    """Words that are ready for a bad moment."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    page = models.ForeignKey(
        StatusPage,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="templates",
        help_text="Empty: offered on every page.",
    )
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=Post.Kind.choices, default=Post.Kind.INCIDENT)
    title = models.CharField(max_length=200, blank=True, help_text="Used for a new post.")
    stage = models.CharField(max_length=20, blank=True, choices=states.STAGES, help_text="Empty: not changed.")
    body = models.TextField(max_length=10_000, help_text="Markdown.")

    team_paths = ("page__team",)
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name", "id"]

    def __str__(self):
        return self.name


class Nudge(DueRow):
    """Something changed that pages may show: whoever claims it computes them anew. See `statuspages.copying`."""

    page = models.ForeignKey(StatusPage, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    service = models.ForeignKey(
        Service, on_delete=models.CASCADE, null=True, blank=True, related_name="+", help_text="Pages that show it."
    )
    at = models.DateTimeField(help_text="When it changed: what is computed counts from then.")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["due_at"], name="nudge_due", condition=Q(due_at__isnull=False))]

    def __str__(self):
        return f"{self.page or self.service or 'every page'} at {self.at:%H:%M:%S}"


class Copy(models.Model):
    """What a page shows, computed: facts in `content`, and every file of it ready to be sent. One row a page."""

    page = models.OneToOneField(StatusPage, on_delete=models.CASCADE, related_name="copy")
    version = models.PositiveIntegerField(default=0, help_text="Grows with each change, so that readers see it.")
    content = models.JSONField(default=dict)
    files = models.JSONField(default=dict, help_text="{path: [content type, text]}; made of content.")
    made_at = models.DateTimeField()
    refresh_at = models.DateTimeField(
        null=True, blank=True, help_text="When it must be made anew although nothing happened: a day or a state ends."
    )
    exported_version = models.PositiveIntegerField(default=0)
    export_due_at = models.DateTimeField(null=True, blank=True)
    export_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name_plural = "copies"
        indexes = [
            models.Index(fields=["refresh_at"], name="copy_refresh", condition=Q(refresh_at__isnull=False)),
            models.Index(fields=["export_due_at"], name="copy_export_due", condition=Q(export_due_at__isnull=False)),
        ]

    def __str__(self):
        return f"{self.page}, version {self.version}"


class SubscriberQuerySet(models.QuerySet):
    def told(self):
        """Those who are told: confirmed, and not gone."""
        return self.filter(confirmed_at__isnull=False, ended_at__isnull=True)


class Subscriber(models.Model):
    """Somebody outside who is told what is posted: an address on one channel, for the whole page or components."""

    class Channel(models.TextChoices):
        EMAIL = "email", "Email"
        WEBHOOK = "webhook", "Webhook"
        SLACK = "slack_webhook", "Slack"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    page = models.ForeignKey(StatusPage, on_delete=models.CASCADE, related_name="subscribers")
    channel = models.CharField(max_length=30, choices=Channel.choices)
    destination = models.OneToOneField(
        Destination, on_delete=models.PROTECT, related_name="subscriber", help_text="Where messages go; is_outside."
    )
    components = models.ManyToManyField(
        Component, blank=True, related_name="subscribers", help_text="Empty: everything on the page."
    )
    token_hash = models.CharField(max_length=64, unique=True, editable=False, help_text="Of the link that confirms.")
    confirmed_at = models.DateTimeField(null=True, blank=True, help_text="Empty: nothing is sent but the question.")
    asked_at = models.DateTimeField(help_text="When the question was sent last.")
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    team_paths = ("page__team",)
    objects = SubscriberQuerySet.as_manager()

    class Meta:
        ordering = ["page", "-id"]
        indexes = [
            models.Index(
                fields=["page"],
                name="subscriber_told",
                condition=Q(confirmed_at__isnull=False, ended_at__isnull=True),
            )
        ]

    def __str__(self):
        return f"{self.get_channel_display()} {self.destination.shown}"


class Partner(models.Model):
    """Somebody of another company who may read certain pages. No account: nothing else can be reached with it."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    email = models.EmailField(max_length=254)
    company = models.CharField(max_length=100, blank=True)
    pages = models.ManyToManyField(StatusPage, related_name="partners", help_text="Those whose readers are partners.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="From then on nothing opens. Empty: never.")
    is_enabled = models.BooleanField("enabled", default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    team_paths = ("pages__team",)
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                models.functions.Lower("email"),
                name="one_partner_per_email",
                violation_error_message="There is a partner with this address already. Give that one the page too.",
            )
        ]

    def __str__(self):
        return self.name

    def is_open(self, now):
        """Whether anything opens for them."""
        return self.is_enabled and (self.expires_at is None or now < self.expires_at)


class MagicLink(models.Model):
    """A link that was mailed to a partner. It opens once, within 15 minutes; only its hash is kept."""

    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="links")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    page = models.ForeignKey(StatusPage, on_delete=models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    team_paths = ("partner__pages__team",)

    class Meta:
        ordering = ["-id"]

    def __str__(self):
        return f"Link for {self.partner}"


class PartnerSession(models.Model):
    """A browser in which a partner is signed in."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="sessions")
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    agent = models.CharField(max_length=300, blank=True)

    team_paths = ("partner__pages__team",)

    class Meta:
        ordering = ["-id"]

    def __str__(self):
        return f"{self.partner} since {self.created_at:%Y-%m-%d %H:%M}"


class Visit(models.Model):
    """What a partner opened, when and from where. Kept for 90 days."""

    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="visits")
    page = models.ForeignKey(StatusPage, on_delete=models.SET_NULL, null=True, related_name="visits")
    at = models.DateTimeField(db_index=True)
    what = models.CharField(max_length=200, help_text="The path, or what was done: signed in, signed out, refused.")
    address = models.GenericIPAddressField(null=True, blank=True)
    agent = models.CharField(max_length=300, blank=True)

    team_paths = ("partner__pages__team",)

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self):
        return f"{self.partner}: {self.what}"
