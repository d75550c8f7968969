"""How people are reached: addresses, rules, and every message with every try."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts import audited
from core.models import DueRow
from core.registry import Registry
from core.secrets import EncryptedJSONField, EncryptedTextField, FingerprintField, fingerprints
from notifications.channels.base import Channel
from notifications.message import OUTSIDE
from notifications.message import Kind as MessageKind

channels = Registry("notifications.channels")
vendors = Registry("notifications.vendors")


def channel_choices():
    return channels.choices()


def vendor_choices():
    return vendors.choices()


KINDS = [(kind.value, kind.label) for kind in MessageKind]


def kind_choices():
    return KINDS


def shown_address(kind, address):
    """An address as others may read it; see `Channel.shown`. Also that of a channel that is gone."""
    return (channels.get(kind) if kind in channels else Channel()).shown(address)


class Urgency(models.TextChoices):
    HIGH = "high", "High"
    LOW = "low", "Low"


# The urgency of rows for readers outside: a class of its own, which only what is left over of a worker is spent on.
# No word of `Urgency`, because nobody chooses it.
BULK = "bulk"


class Address(models.Model):
    """One address on one channel, and what belongs to it. Stored encrypted: many are credentials."""

    channel = models.CharField(max_length=30, choices=channel_choices)
    address = EncryptedTextField()
    address_key = FingerprintField(of="address")
    label = models.CharField(max_length=100, blank=True, help_text="For example “work phone”.")
    secret = EncryptedTextField(blank=True, help_text="Signs webhook bodies (whsec_…). Made when left empty.")
    options = EncryptedJSONField(default=dict, blank=True, help_text="What the channel wants to know besides.")
    disabled_reason = models.CharField(
        max_length=300, blank=True, help_text="Set by the system when the address is dead. Empty it to use it again."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    @property
    def shown(self):
        """The address as others may read it."""
        return shown_address(self.channel, self.address)

    def clean(self):
        if self.channel in channels and self.address:
            channel = channels.get(self.channel)
            self.address = channel.normal(self.address)
            problem = channel.problem_with(self.address)
            if problem:
                raise ValidationError({"address": problem})
            if problems := channel.problems_with_options(self.options or {}):
                raise ValidationError({"options": list(problems.values())})
            self.secret = self.secret or channel.new_secret()


class ContactMethod(Address):
    """One address of a person on one channel. Only a verified one is used."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="contact_methods")
    verified_at = models.DateTimeField(null=True, blank=True, help_text="Empty: nothing is sent to this address.")
    wants_updates = models.BooleanField(
        "told of changes",
        default=True,
        help_text="Also tell this address when an incident that it was paged for is acknowledged or resolved.",
    )
    # Verification: the hash of the code that was sent last, and how often it was guessed. See verification.py.
    code_hash = models.CharField(max_length=64, blank=True, editable=False)
    code_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    code_tries = models.PositiveIntegerField(default=0, editable=False)

    audit_ignores = ("code_expires_at", "code_hash", "code_tries")
    audit_shown = {"address": "shown"}
    audit_parent = "user"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["user", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "channel", "address_key"],
                name="one_contact_method_per_address",
                violation_error_message="This person has this address on this channel already.",
            )
        ]
        indexes = [models.Index(fields=["channel", "address_key"], name="contact_method_by_address")]

    def __str__(self):
        return f"{self.user}: {self.get_channel_display()} {self.shown}"

    def clean(self):
        super().clean()
        others = ContactMethod.objects.filter(
            user=self.user_id, channel=self.channel, address_key__in=fingerprints(self.address)
        )
        if self.address and others.exclude(pk=self.pk).exists():
            raise ValidationError({"address": "This person has this address on this channel already."})

    @property
    def is_usable(self):
        return self.verified_at is not None and not self.disabled_reason


class DestinationQuerySet(audited.Rows):
    def of_teams(self):
        """Those that teams know of; an address of somebody outside is never offered, and never listed."""
        return self.filter(is_outside=False)


class Destination(Address):
    """A place of a team: a chat channel, a webhook. What is told there is said by the floors above."""

    name = models.CharField(max_length=100, unique=True)
    is_enabled = models.BooleanField("enabled", default=True)
    is_outside = models.BooleanField(
        "outside",
        default=False,
        db_default=False,
        editable=False,
        help_text="Of a reader of a status page, who is no team: never offered, and it has a lane of its own.",
    )

    audit_shown = {"address": "shown"}
    objects = DestinationQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name

    @property
    def is_usable(self):
        return self.is_enabled and not self.disabled_reason


class QuietHours(models.Model):
    """When a person wants no low-urgency messages: they wait until it ends. High urgency always comes through."""

    class Weekday(models.IntegerChoices):
        MONDAY = 0
        TUESDAY = 1
        WEDNESDAY = 2
        THURSDAY = 3
        FRIDAY = 4
        SATURDAY = 5
        SUNDAY = 6

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quiet_hours")
    days = ArrayField(
        models.PositiveSmallIntegerField(choices=Weekday.choices), help_text="The days on which they begin."
    )
    start_time = models.TimeField("begin at", help_text="In the person's own time zone.")
    end_time = models.TimeField("end at", help_text="Not after the beginning: on the next day.")

    audit_parent = "user"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["user", "start_time"]
        verbose_name = verbose_name_plural = "quiet hours"

    def __str__(self):
        return f"{self.user}: quiet from {self.start_time:%H:%M} to {self.end_time:%H:%M}"

    def clean(self):
        if not self.days:
            raise ValidationError({"days": "Choose at least one day."})


class NotificationRule(models.Model):
    """When and where a person is told of pages of an urgency. Without any, every verified method is used at once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notification_rules")
    urgency = models.CharField(max_length=10, choices=Urgency.choices, default=Urgency.HIGH)
    contact_method = models.ForeignKey(ContactMethod, on_delete=models.CASCADE, related_name="rules")
    delay_minutes = models.PositiveIntegerField(default=0, help_text="Minutes after the page; 0 is at once.")

    audit_parent = "user"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["user", "urgency", "delay_minutes", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "urgency", "contact_method", "delay_minutes"], name="one_rule_per_urgency_method_delay"
            )
        ]

    def __str__(self):
        return f"{self.user}, {self.urgency}: {self.contact_method} after {self.delay_minutes} min"

    def clean(self):
        if self.contact_method_id and self.user_id and self.contact_method.user_id != self.user_id:
            raise ValidationError({"contact_method": "This address belongs to somebody else. Choose one of theirs."})


class NotificationQuerySet(models.QuerySet):
    def to_us(self):
        """Without what readers of status pages are told: ten thousand of those would hide everything else."""
        return self.exclude(kind__in=[str(kind) for kind in OUTSIDE])

    def unsettled(self):
        """Those that may still be sent."""
        return self.filter(state__in=[Notification.State.PENDING, Notification.State.SENDING])


class Notification(DueRow):
    """One message to one person, or to one destination, on one channel."""

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        DELIVERED = "delivered", "Delivered"
        READ = "read", "Read"
        ACKNOWLEDGED = "acknowledged", "Acknowledged"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        SUPPRESSED = "suppressed", "Suppressed"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # The plan's key, for example "incident:42:r0:l1:u5:m3". Unique: a step planned twice writes nothing.
    plan_key = models.CharField(max_length=200, unique=True)
    topic = models.CharField(max_length=100, help_text="What it is about, for example incident:42.")
    kind = models.CharField(max_length=20, choices=kind_choices, default=MessageKind.PAGE.value)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="notifications"
    )
    contact_method = models.ForeignKey(ContactMethod, on_delete=models.SET_NULL, null=True, related_name="+")
    # These three are mostly empty, and every change of a row writes to each index: theirs leave the empty ones out.
    destination = models.ForeignKey(
        Destination, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    channel = models.CharField(max_length=30)
    address = models.CharField(max_length=500, help_text="As others may read it; the whole one is the address's own.")
    share = models.CharField(
        max_length=60,
        blank=True,
        help_text="Whose turn it uses, for example service:3: nobody waits behind another's storm.",
    )
    level = models.PositiveIntegerField(default=0, help_text="The escalation level that it was sent for; 0 is none.")
    target_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="An answer is due within.")
    urgency = models.CharField(max_length=10, choices=Urgency.choices)
    is_repeat = models.BooleanField(default=False, help_text="Not the first page of its topic.")
    is_possible_repeat = models.BooleanField(
        default=False, help_text="A worker died while sending it, so it may have arrived twice."
    )
    message = models.JSONField(help_text="The message as planned: title, body, fields, url, actions.")
    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    reason = models.CharField(max_length=500, blank=True, help_text="Why it failed, was cancelled or was suppressed.")
    created_at = models.DateTimeField(default=timezone.now)
    planned_at = models.DateTimeField(help_text="When it was first due.")
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    receipt_due_at = models.DateTimeField(
        null=True, blank=True, help_text="Without a receipt by then it counts as not delivered."
    )
    receipt_missed_at = models.DateTimeField(null=True, blank=True)
    provider = models.CharField(max_length=100, blank=True, help_text="The account that it went out through.")
    provider_id = models.CharField(max_length=255, blank=True)
    provider_data = models.JSONField(default=dict, blank=True, help_text="What changing the message in place needs.")
    cost = models.CharField(max_length=40, blank=True)
    changes = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        help_text="The message it changes.",
    )
    bundle = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="members",
        db_index=False,
        help_text="It went out in it.",
    )
    reply_code = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Names it in a text reply.")
    link_expires_at = models.DateTimeField(null=True, blank=True)
    link_used_at = models.DateTimeField(null=True, blank=True)
    links_used = models.JSONField(default=list, blank=True, help_text="The verbs whose link was used.")

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["is_repeat", "urgency", "due_at"],
                name="notification_due",
                condition=Q(state__in=["pending", "sending"]),
            ),
            models.Index(fields=["topic"], name="notification_topic"),
            # Whose turn it is; the reader is written as in turns.py.
            models.Index(
                "is_repeat",
                "urgency",
                "share",
                Coalesce("user_id", -F("destination_id"), Value(0)),
                "due_at",
                name="notification_turns",
                condition=Q(state__in=["pending", "sending"]),
            ),
            models.Index(
                fields=["contact_method", "due_at"],
                name="notification_waiting",
                condition=Q(state__in=["pending", "sending"]),
            ),
            models.Index(fields=["bundle"], name="notification_members", condition=Q(bundle__isnull=False)),
            models.Index(fields=["changes"], name="notification_changes", condition=Q(changes__isnull=False)),
            models.Index(fields=["destination"], name="notification_to_place", condition=Q(destination__isnull=False)),
            models.Index(
                fields=["receipt_due_at"],
                name="notification_receipt_due",
                condition=Q(receipt_due_at__isnull=False),
            ),
            models.Index(
                fields=["channel", "provider_id"], name="notification_provider_id", condition=~Q(provider_id="")
            ),
            models.Index(fields=["contact_method", "-id"], name="notification_by_method"),
            models.Index(fields=["created_at"], name="notification_created"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=True) | Q(destination__isnull=True), name="notification_has_one_reader"
            )
        ]

    def __str__(self):
        return f"{self.channel} to {self.reader} about {self.topic}: {self.state}"

    @property
    def reader(self):
        """Who reads it: a person or a destination; None when the destination was deleted."""
        return self.user or self.destination


class Attempt(models.Model):
    """One try to send a notification: committed before the call, finished after it."""

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="tries")
    number = models.PositiveIntegerField()
    lease_token = models.UUIDField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    ok = models.BooleanField(null=True)
    error = models.CharField(max_length=500, blank=True)
    provider = models.CharField(max_length=100, blank=True, help_text="The account that was tried.")
    provider_id = models.CharField(max_length=255, blank=True)
    called_at = models.DateTimeField(null=True, blank=True, help_text="When the call began; before, it waited.")
    answer = models.CharField(max_length=500, blank=True, help_text="What the provider said.")
    cost = models.CharField(max_length=40, blank=True)

    class Meta:
        ordering = ["notification", "number"]

    def __str__(self):
        return f"try {self.number} of {self.notification_id}"


class Provider(models.Model):
    """An account at an outside service. Several of one vendor are tried in their order."""

    vendor = models.CharField(max_length=30, choices=vendor_choices)
    name = models.CharField(max_length=60, help_text="Tells several accounts apart, for example “backup”.")
    position = models.PositiveIntegerField(default=1, help_text="The lowest is tried first.")
    is_enabled = models.BooleanField("enabled", default=True)
    config = EncryptedJSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["vendor", "position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["vendor", "name"], name="one_provider_per_name"),
        ]

    def __str__(self):
        return f"{self.get_vendor_display()} ({self.name})"

    @property
    def key(self):
        """Names it in circuits, limits and attempts."""
        return f"{self.vendor}:{self.pk}"


class Circuit(models.Model):
    """Whether a provider, or a host, is called at all: after failures in a row it is left alone for a while."""

    name = models.CharField(max_length=200, primary_key=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    opened_until = models.DateTimeField(null=True, blank=True, help_text="Not called until then; then one try.")
    is_held = models.BooleanField("held open", default=False, help_text="Until somebody corrects the account.")
    last_error = models.CharField(max_length=500, blank=True)
    changed_at = models.DateTimeField()
    probed_at = models.DateTimeField(null=True, blank=True, help_text="A message is finding out if it works again.")

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Allowance(models.Model):
    """A token bucket: what is left of a rate limit, shared by all processes."""

    name = models.CharField(max_length=200, primary_key=True)
    tokens = models.FloatField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Wording(models.Model):
    """How messages of a kind are said on a channel, where the product's own words are not wanted."""

    kind = models.CharField(max_length=20, choices=kind_choices)
    channel = models.CharField(
        max_length=30, choices=channel_choices, blank=True, help_text="Empty: on every channel without one of its own."
    )
    title = models.TextField(blank=True, help_text="Empty: the product's own title.")
    body = models.TextField(blank=True, help_text="Empty: the product's own text.")
    is_enabled = models.BooleanField("enabled", default=True)
    trouble = models.CharField(max_length=500, blank=True, editable=False, help_text="Why it was not used.")
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    audit_ignores = ("trouble", "changed_at")
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["kind", "channel"]
        constraints = [models.UniqueConstraint(fields=["kind", "channel"], name="one_wording_per_kind_and_channel")]

    def __str__(self):
        return f"{self.get_kind_display()} on {self.get_channel_display() if self.channel else 'every channel'}"


class SeenRequest(models.Model):
    """A request from outside that was acted upon, so that sending it again does nothing."""

    key = models.CharField(max_length=200, primary_key=True)
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self):
        return self.key


class Alarm(models.Model):
    """The product could not do its job and says so: shown to admins, counted in /health/ready and the metrics."""

    key = models.CharField(max_length=150, help_text="One open alarm per key.")
    text = models.TextField()
    count = models.PositiveIntegerField(default=1)
    raised_at = models.DateTimeField()
    last_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=Q(cleared_at=None), name="one_open_alarm_per_key")
        ]

    def __str__(self):
        return self.text[:80]
