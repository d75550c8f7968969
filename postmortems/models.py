"""Postmortems: what happened, why, what was learned, and what is done about it."""

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts import audited
from accounts.models import Team
from accounts.roles import ADMIN
from catalog.links import web_address
from core.models import DueRow
from incidents.models import Incident, Severity
from postmortems import states

WORDS = SearchVector("title", "summary", config="simple")
SECTION_WORDS = SearchVector("title", "body", config="simple")


def _read_with(path):
    """The `read_by` of rows that are read with their postmortem."""

    def read_by(cls, user):
        wanted = Postmortem.read_by(user)
        return Q(**{f"{path}__in": Postmortem.objects.filter(wanted).order_by().values("pk")}) if wanted else wanted

    return classmethod(read_by)


class Template(models.Model):
    """Which sections a new postmortem has, and what their writers are asked."""

    name = models.CharField(max_length=100)
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="postmortem_templates",
        help_text="Empty: offered to every team.",
    )
    is_default = models.BooleanField(
        "chosen first", default=False, help_text="What a new postmortem of the team begins with. One a team can be."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    team_paths = ("team",)
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["team"],
                condition=Q(is_default=True),
                nulls_distinct=False,
                name="one_first_template_per_team",
                violation_error_message="Another template is chosen first already. Take that off it.",
            )
        ]

    def __str__(self):
        return self.name


class TemplateSection(models.Model):
    """A section of a template: its heading, what is asked, and the text that it begins with."""

    template = models.ForeignKey(Template, on_delete=models.CASCADE, related_name="sections")
    title = models.CharField(max_length=100)
    help = models.CharField(max_length=500, blank=True, help_text="What belongs here; shown to those who write.")
    body = models.TextField(blank=True, max_length=10_000, help_text="What it begins with. Markdown.")
    position = models.PositiveIntegerField(default=0, help_text="The lowest stands first.")

    team_paths = ("template__team",)
    audit_parent = "template"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["template", "position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["template", "title"], name="one_section_per_title_and_template")
        ]

    def __str__(self):
        return self.title


class Postmortem(models.Model):
    """What a team writes after an incident, or after several of them."""

    class Visibility(models.TextChoices):
        TEAM = "team", "The team"
        EVERYONE = "everyone", "Everyone with an account"

    number = models.BigAutoField(primary_key=True)
    title = models.CharField(max_length=300)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="postmortems")
    incidents = models.ManyToManyField(Incident, related_name="postmortems")
    status = models.CharField(max_length=20, choices=states.CHOICES, default=states.DRAFT)
    visibility = models.CharField(
        "who may read it", max_length=10, choices=Visibility.choices, default=Visibility.EVERYONE
    )
    severity = models.CharField(max_length=10, choices=Severity.choices, help_text="The worst of its incidents.")
    summary = models.TextField(blank=True, max_length=5_000, help_text="In a few sentences, for who reads no more.")
    version = models.PositiveIntegerField(
        default=1, help_text="Of title, summary and times; a save names the one it saw."
    )
    # The time of impact; what the figures count from. At first that of the incidents.
    impact_began_at = models.DateTimeField()
    impact_ended_at = models.DateTimeField(null=True, blank=True)
    figures = models.JSONField(default=dict, blank=True, help_text="What postmortems/figures.py computed last.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="owned_postmortems"
    )
    template = models.ForeignKey(Template, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    archived_at = models.DateTimeField(null=True, blank=True)

    team_paths = ("team",)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status=states.PUBLISHED) | Q(published_at__isnull=False),
                name="published_postmortem_has_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(status=states.ARCHIVED) | Q(archived_at__isnull=False),
                name="archived_postmortem_has_a_time",
            ),
            models.CheckConstraint(
                condition=Q(impact_ended_at__isnull=True) | Q(impact_ended_at__gte=F("impact_began_at")),
                name="impact_ends_after_it_began",
                violation_error_message="The impact cannot end before it began.",
            ),
        ]
        indexes = [GinIndex(WORDS, name="postmortem_by_words")]

    def __str__(self):
        return f"PM-{self.number} {self.title}"

    @classmethod
    def read_by(cls, user):
        """Its team reads it from the first word on, with its owner and its reviewers. Others read what is published,
        unless it is for the team alone. Admins of the platform read all.
        """
        access = user.access()
        if access.role == ADMIN:
            return Q()
        is_out = Q(status=states.PUBLISHED) | Q(status=states.ARCHIVED, published_at__isnull=False)
        return (
            Q(team__in=access.own_teams("read"))
            | Q(owner=user)
            | Q(pk__in=Review.objects.filter(user=user).order_by().values("postmortem"))
            | is_out & Q(visibility=cls.Visibility.EVERYONE)
        )

    @property
    def topic(self):
        return f"postmortem:{self.number}"

    @property
    def is_editable(self):
        return self.status in states.EDITABLE


class Section(models.Model):
    """A part of a postmortem: a heading and a Markdown text. Its version tells two writers apart."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    postmortem = models.ForeignKey(Postmortem, on_delete=models.CASCADE, related_name="sections")
    title = models.CharField(max_length=100)
    help = models.CharField(max_length=500, blank=True)
    body = models.TextField(blank=True)
    position = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=1, help_text="That of its newest revision.")
    removed_at = models.DateTimeField(null=True, blank=True, help_text="Its revisions stay, and it can be restored.")

    team_paths = ("postmortem__team",)
    read_by = _read_with("postmortem")

    class Meta:
        ordering = ["postmortem", "position", "id"]
        indexes = [GinIndex(SECTION_WORDS, name="section_by_words")]

    def __str__(self):
        return self.title


class Revision(models.Model):
    """A section as it was saved. None is ever changed; autosaves of one writer in a row replace each other."""

    section = models.ForeignKey(Section, on_delete=models.CASCADE, related_name="revisions")
    version = models.PositiveIntegerField()
    title = models.CharField(max_length=100)
    body = models.TextField(blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField()
    is_autosave = models.BooleanField(default=False)

    team_paths = ("section__postmortem__team",)
    read_by = _read_with("section__postmortem")

    class Meta:
        ordering = ["section", "-version"]
        constraints = [models.UniqueConstraint(fields=["section", "version"], name="one_revision_per_version")]

    def __str__(self):
        return f"{self.section}, version {self.version}"


class Moment(models.Model):
    """One line of a postmortem's timeline: drawn from what is stored about its incidents, or written by somebody."""

    class Source(models.TextChoices):
        ENTRY = "entry", "Timeline"
        ALERT = "alert", "Alert"
        CHANGE = "change", "Change"
        CHAT = "chat", "Chat"
        NOTIFICATION = "notification", "Notification"
        OWN = "own", "Written by hand"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    postmortem = models.ForeignKey(Postmortem, on_delete=models.CASCADE, related_name="moments")
    at = models.DateTimeField()
    text = models.TextField(max_length=2000, help_text="As it is shown.")
    said = models.TextField(blank=True, help_text="As it was drawn, so that a reworded line can be put back.")
    source = models.CharField(max_length=20, choices=Source.choices)
    reference = models.CharField(max_length=100, blank=True, help_text="Of the row it was drawn from: entry:17.")
    incident = models.ForeignKey(Incident, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    is_shown = models.BooleanField("shown", default=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    team_paths = ("postmortem__team",)
    read_by = _read_with("postmortem")
    seen_through = ("incident__team",)  # which may have become private since

    class Meta:
        ordering = ["postmortem", "at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["postmortem", "reference"], condition=~Q(reference=""), name="one_moment_per_row"
            )
        ]

    def __str__(self):
        return f"{self.at:%Y-%m-%d %H:%M} {self.text[:60]}"

    @property
    def is_reworded(self):
        return bool(self.said) and self.said != self.text


class Factor(models.Model):
    """A contributing factor. Its cause is a word of a list that grows, so that repeats can be counted."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    postmortem = models.ForeignKey(Postmortem, on_delete=models.CASCADE, related_name="factors")
    cause = models.CharField(max_length=100, help_text="In a few words, the same ones each time: expired certificate.")
    text = models.TextField(blank=True, max_length=2000, help_text="How it contributed.")
    is_root = models.BooleanField("main cause", default=False)
    position = models.PositiveIntegerField(default=0)

    team_paths = ("postmortem__team",)
    read_by = _read_with("postmortem")

    class Meta:
        ordering = ["postmortem", "position", "id"]
        constraints = [
            models.UniqueConstraint(
                "postmortem",
                models.functions.Lower("cause"),
                name="one_factor_per_cause",
                violation_error_message="This cause is named already.",
            )
        ]

    def __str__(self):
        return self.cause


class Review(models.Model):
    """Somebody who is asked to read a postmortem before it is published, and what they said."""

    class Verdict(models.TextChoices):
        OPEN = "open", "Not said yet"
        APPROVED = "approved", "Approved"
        CHANGES = "changes", "Asks for changes"

    postmortem = models.ForeignKey(Postmortem, on_delete=models.CASCADE, related_name="reviews")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="postmortem_reviews")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    asked_at = models.DateTimeField()
    verdict = models.CharField(max_length=10, choices=Verdict.choices, default=Verdict.OPEN)
    note = models.CharField(max_length=1000, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    team_paths = ("postmortem__team",)
    read_by = _read_with("postmortem")

    class Meta:
        ordering = ["postmortem", "asked_at", "id"]
        constraints = [models.UniqueConstraint(fields=["postmortem", "user"], name="one_review_per_person")]

    def __str__(self):
        return f"{self.user}: {self.get_verdict_display()}"


class Comment(models.Model):
    """What somebody says to a section, until it is resolved."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    postmortem = models.ForeignKey(Postmortem, on_delete=models.CASCADE, related_name="comments")
    section = models.ForeignKey(
        Section,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="comments",
        help_text="Empty: the whole.",
    )
    text = models.TextField(max_length=5000, help_text="Markdown.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    team_paths = ("postmortem__team",)
    read_by = _read_with("postmortem")

    class Meta:
        ordering = ["postmortem", "at", "id"]

    def __str__(self):
        return self.text[:80]


class ActionItem(DueRow):
    """What is to be done so that it does not come again. `due_at` is the next reminder."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        IN_PROGRESS = "in_progress", "In progress"
        COMPLETED = "completed", "Completed"
        CANCELLED = "cancelled", "Cancelled"

    class Priority(models.TextChoices):
        HIGH = "high", "High"
        MEDIUM = "medium", "Medium"
        LOW = "low", "Low"

    OPEN = (Status.OPEN, Status.IN_PROGRESS)

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    postmortem = models.ForeignKey(Postmortem, on_delete=models.CASCADE, related_name="items")
    text = models.CharField(max_length=500)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="action_items"
    )
    due_on = models.DateField(null=True, blank=True, help_text="The day by which it is to be done.")
    priority = models.CharField(max_length=10, choices=Priority.choices, default=Priority.MEDIUM)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.OPEN)
    link = models.URLField(
        max_length=500, blank=True, validators=[web_address], help_text="The issue in Jira, Linear or elsewhere."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it was completed or cancelled.")

    team_paths = ("postmortem__team",)
    read_by = _read_with("postmortem")

    class Meta:
        ordering = ["postmortem", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["open", "in_progress"], ended_at__isnull=True)
                | Q(status__in=["completed", "cancelled"], ended_at__isnull=False, due_at__isnull=True),
                name="action_item_that_is_over_has_an_end",
            )
        ]
        indexes = [models.Index(fields=["due_at"], name="action_item_due", condition=Q(due_at__isnull=False))]

    def __str__(self):
        return self.text


class Image(models.Model):
    """A picture in a postmortem, checked and drawn anew."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    postmortem = models.ForeignKey(Postmortem, on_delete=models.CASCADE, related_name="images")
    name = models.CharField(max_length=200)
    body = models.BinaryField()
    content_type = models.CharField(max_length=40)
    size = models.PositiveIntegerField(help_text="Bytes.")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField()

    team_paths = ("postmortem__team",)
    read_by = _read_with("postmortem")

    class Meta:
        ordering = ["postmortem", "at", "id"]

    def __str__(self):
        return self.name


class ShareLink(models.Model):
    """An address that shows a published postmortem to people without an account, until a time. Its hash is kept."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    postmortem = models.ForeignKey(Postmortem, on_delete=models.CASCADE, related_name="share_links")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    opened_count = models.PositiveIntegerField(default=0)

    team_paths = ("postmortem__team",)
    read_by = _read_with("postmortem")

    class Meta:
        ordering = ["postmortem", "-id"]

    def __str__(self):
        return f"Link to {self.postmortem} until {self.expires_at:%Y-%m-%d}"


class Wanted(DueRow):
    """An incident that ought to have a postmortem. At `due_at` somebody is reminded, if it has none by then."""

    incident = models.OneToOneField(Incident, on_delete=models.CASCADE, related_name="wanted_postmortem")
    since = models.DateTimeField()
    reminded_at = models.DateTimeField(null=True, blank=True)
    declined_at = models.DateTimeField(null=True, blank=True, help_text="Somebody said that it needs none.")
    declined_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decline_reason = models.CharField(max_length=300, blank=True)

    team_paths = ("incident__team",)

    class Meta:
        ordering = ["incident"]
        verbose_name_plural = "wanted"
        indexes = [models.Index(fields=["due_at"], name="wanted_due", condition=Q(due_at__isnull=False))]

    def __str__(self):
        return f"Postmortem of {self.incident}"
