"""Schedules: layers of rotations, and what stands above them: fixed shifts, overrides, time off."""

import datetime as dt
import uuid
import zoneinfo

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, RangeOperators
from django.contrib.postgres.functions import RandomUUID
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now

from accounts import audited
from accounts.models import Team
from oncall import rotation, shifts, windows


class Duty(models.TextChoices):
    """The role of a person on call. A shadow watches and learns: never called, and no cover."""

    PRIMARY = shifts.PRIMARY, "Primary"
    SECONDARY = shifts.SECONDARY, "Secondary"
    TERTIARY = shifts.TERTIARY, "Tertiary"
    SHADOW = shifts.SHADOW, "Shadow"


class Weekday(models.IntegerChoices):
    """As Python counts them."""

    MONDAY = 0, "Monday"
    TUESDAY = 1, "Tuesday"
    WEDNESDAY = 2, "Wednesday"
    THURSDAY = 3, "Thursday"
    FRIDAY = 4, "Friday"
    SATURDAY = 5, "Saturday"
    SUNDAY = 6, "Sunday"


def check_zone(name):
    """Refuse a name that is not an IANA time zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationError(f"“{name}” is not a time zone. Use one like Europe/Berlin.") from error


def is_zone(name):
    """Whether the system knows this time zone. One that it knew may go with an upgrade."""
    try:
        check_zone(name)
    except ValidationError:
        return False
    return True


def check_span(start_at, end_at, what):
    """Refuse a span that ends before it starts. `what` begins the sentence, for example "The override"."""
    if start_at and end_at and end_at <= start_at:
        raise ValidationError({"end_at": f"{what} ends before it starts. Choose a later end."})


class TstzRange(Func):
    """The half-open span of two columns."""

    function = "tstzrange"


class Schedule(models.Model):
    """Who is on call when: layers stacked, the higher wins, and overrides win over all."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True, help_text="Used in addresses and in the API.")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="schedules")
    time_zone = models.CharField(
        max_length=64, default="UTC", validators=[check_zone], help_text="An IANA name, for example Europe/Berlin."
    )
    description = models.TextField(blank=True)
    skips_time_off = models.BooleanField(
        "skip people with time off",
        default=False,
        help_text="The next of the rotation takes the turn of somebody with time off. "
        "Otherwise they stay on call until somebody covers them, and coverage says so.",
    )
    swaps_need_approval = models.BooleanField(
        default=False, help_text="A swap or cover counts only when an admin of the team has approved it."
    )
    sends_handoff_notices = models.BooleanField(
        "tell people about handoffs",
        default=True,
        help_text="A message before a shift, at its start and at its end.",
    )
    notice_minutes = models.PositiveIntegerField(
        "minutes of notice before a shift",
        default=60,
        validators=[MaxValueValidator(7 * 24 * 60)],
        help_text="How long before a shift the person is told. 0: only when it starts.",
    )
    # Handoffs up to `handoffs_seen_at` were told; the next look is due at `handoffs_due_at`.
    handoffs_seen_at = models.DateTimeField(null=True, editable=False)
    handoffs_due_at = models.DateTimeField(null=True, editable=False, db_default=Now())

    team_paths = ("team",)
    audit_ignores = ("handoffs_seen_at", "handoffs_due_at")
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name"]
        indexes = [models.Index(fields=["handoffs_due_at"], name="schedule_by_handoffs_due")]

    def __str__(self):
        return self.name

    @classmethod
    def shown_although_hidden(cls, user):
        """Whoever takes turns in it sees it, whosever it is: nobody is on call for what they cannot see."""
        turns = Layer.objects.filter(participants__user=user).values("schedule")
        shifts = FixedShift.objects.filter(user=user).values("schedule")
        overrides = Override.objects.filter(user=user).values("schedule")
        return Q(pk__in=turns) | Q(pk__in=shifts) | Q(pk__in=overrides)


class LayerQuerySet(audited.Rows):
    def running(self, now):
        """Layers that hold now or will: not those that a change has ended."""
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=now))


class Layer(models.Model):
    """One rotation of participants, with handoffs at a wall-clock time in its zone.

    A layer that has begun is never changed, since that would change the past: it ends, and another follows it.
    `oncall.layers` does that.
    """

    class Unit(models.TextChoices):
        HOUR = rotation.HOUR, "Hours"
        DAY = rotation.DAY, "Days"
        WEEK = rotation.WEEK, "Weeks"
        MONTH = rotation.MONTH, "Months"
        RULE = rotation.RULE, "By a recurrence rule"

    uuid = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="layers")
    name = models.CharField(max_length=100, default="Layer 1")
    position = models.PositiveIntegerField(default=1, help_text="The highest number wins where layers overlap.")
    role = models.CharField(
        max_length=10,
        choices=Duty.choices,
        default=Duty.PRIMARY,
        help_text="Layers of one role are stacked; roles stand beside each other. A shadow is never called.",
    )
    unit = models.CharField(max_length=10, choices=Unit.choices, default=Unit.WEEK)
    every = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text="A shift lasts this many units, for example 2 weeks.",
    )
    rule = models.CharField(
        "recurrence rule",
        max_length=rotation.LONGEST_RULE,
        blank=True,
        help_text="For handoffs by a rule (RFC 5545), for example FREQ=WEEKLY;BYDAY=MO,TH.",
    )
    start_date = models.DateField(
        # Far enough for every shift, and near enough that no calendar arithmetic overflows.
        validators=[MinValueValidator(dt.date(1990, 1, 1)), MaxValueValidator(dt.date(2100, 1, 1))],
        help_text="The first shift begins on this day; a weekly handoff is on its weekday.",
    )
    handoff_time = models.TimeField(default=dt.time(9, 0), help_text="Wall-clock time of the handoff.")
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        validators=[check_zone],
        help_text="Empty: the zone of the schedule. Set it to follow the sun.",
    )
    first_slot = models.PositiveIntegerField(
        "starts with",
        default=0,
        help_text="Who has the first shift: 0 is the first of the participants, 1 the second.",
    )
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Empty: from the first shift on.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: the layer has no end.")
    follows = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="followed_by", editable=False
    )

    team_paths = ("schedule__team",)
    audit_parent = "schedule"
    objects = LayerQuerySet.as_manager()

    class Meta:
        ordering = ["schedule", "position", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(every__gte=1), name="layer_shift_lasts_at_least_one_unit"),
            # Equal times: a layer that was ended before it began.
            models.CheckConstraint(
                condition=Q(starts_at=None) | Q(ends_at=None) | Q(ends_at__gte=F("starts_at")),
                name="layer_ends_after_it_starts",
                violation_error_message="The layer ends before it starts. Choose a later end.",
            ),
            models.CheckConstraint(
                condition=Q(unit="rrule") ^ Q(rule=""),
                name="layer_has_a_rule_or_a_unit",
                violation_error_message="Give a recurrence rule only with the unit “By a recurrence rule”.",
            ),
        ]

    def __str__(self):
        return f"{self.schedule}: {self.name}"

    @classmethod
    def shown_although_hidden(cls, user):
        return Q(schedule__in=Schedule.objects.filter(Schedule.shown_although_hidden(user)))

    @property
    def zone(self):
        """The IANA name of the zone its handoffs are in."""
        return self.time_zone or self.schedule.time_zone

    def clean(self):
        problems = {}
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            problems["ends_at"] = f"Layer {self.name} ends before it starts. Choose a later end."
        if self.unit == self.Unit.RULE:
            if not self.rule:
                problems["rule"] = "Write the recurrence rule, for example FREQ=WEEKLY;BYDAY=MO,TH."
            elif self.start_date and self.handoff_time:
                try:
                    zone = self.time_zone if is_zone(self.time_zone) else "UTC"  # a wrong one has its own sentence
                    rotation.check_rule(self.rule, dt.datetime.combine(self.start_date, self.handoff_time), zone)
                except rotation.BadRule as error:
                    problems["rule"] = str(error)
        elif self.rule:
            problems["rule"] = "This rule is not used: choose the unit “By a recurrence rule”, or empty it."
        if problems:
            raise ValidationError(problems)


class Participant(models.Model):
    """A place in a layer's rotation. Those at one position share a slot; without a person it is empty."""

    layer = models.ForeignKey(Layer, on_delete=models.CASCADE, related_name="participants")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="rotations"
    )
    position = models.PositiveIntegerField(default=0)

    team_paths = ("layer__schedule__team",)
    audit_parent = "layer__schedule"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["layer", "position", "id"]

    def __str__(self):
        return str(self.user) if self.user_id else "nobody"


class Restriction(models.Model):
    """A weekly window in which a layer holds; without any it always does. It never eats a turn."""

    layer = models.ForeignKey(Layer, on_delete=models.CASCADE, related_name="restrictions")
    days = ArrayField(
        models.PositiveSmallIntegerField(choices=Weekday.choices), help_text="The days on which the window opens."
    )
    start_time = models.TimeField("opens at")
    end_time = models.TimeField("closes at", help_text="Before the opening: on the next day.")
    until_day = models.PositiveSmallIntegerField(
        "closes on",
        choices=Weekday.choices,
        null=True,
        blank=True,
        help_text="For a window over several days, for example Friday 17:00 until Monday 09:00.",
    )

    team_paths = ("layer__schedule__team",)
    audit_parent = "layer__schedule"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["layer", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(days__len__gte=1), name="restriction_opens_on_a_day"),
        ]

    def __str__(self):
        days = ", ".join(Weekday(day).label for day in self.days)
        until = f"{Weekday(self.until_day).label} " if self.until_day is not None else ""
        return f"{days} {self.start_time:%H:%M} until {until}{self.end_time:%H:%M}"

    @property
    def window(self):
        """The restriction as the engine reads it."""
        return windows.Window(tuple(sorted(set(self.days))), self.start_time, self.end_time, self.until_day)

    def clean(self):
        if not self.days:
            raise ValidationError({"days": "Choose the days on which the window opens."})
        if self.start_time is None or self.end_time is None:
            return
        if self.until_day is not None and len(set(self.days)) > 1:
            raise ValidationError(
                {"until_day": "A window that closes on a day of its own opens on one day only. Choose one."}
            )
        if self.start_time == self.end_time and self.until_day in (None, self.days[0]):
            raise ValidationError(
                {
                    "end_time": "The window opens and closes at the same time. Choose another time; for whole days "
                    "let it close on another day at 00:00, or leave the restriction out."
                }
            )


class FixedShift(models.Model):
    """A shift written down for one person, on top of the layers. Several at once are on call together."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="fixed_shifts")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="fixed_shifts")
    role = models.CharField(max_length=10, choices=Duty.choices, default=Duty.PRIMARY)
    start_at = models.DateTimeField("starts at")
    end_at = models.DateTimeField("ends at")
    note = models.CharField(max_length=200, blank=True)
    calendar = models.ForeignKey(
        "oncall.CalendarImport",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="fixed_shifts",
    )
    calendar_uid = models.CharField(max_length=500, blank=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    team_paths = ("schedule__team",)
    audit_ignores = ("created_by",)
    audit_parent = "schedule"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["-start_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(end_at__gt=F("start_at")), name="fixed_shift_ends_after_start"),
            ExclusionConstraint(
                name="one_fixed_shift_of_a_person_at_a_time",
                expressions=[
                    ("schedule", RangeOperators.EQUAL),
                    ("user", RangeOperators.EQUAL),
                    (TstzRange("start_at", "end_at"), RangeOperators.OVERLAPS),
                ],
                # Somebody else's calendar may hold what it likes; what is left of one that was deleted, too.
                condition=Q(calendar=None, calendar_uid=""),
                violation_error_message="This person already has a fixed shift in this schedule at that time. "
                "Change that one, or choose another time.",
            ),
        ]
        indexes = [models.Index(fields=["schedule", "end_at"], name="fixed_shift_by_end")]

    def __str__(self):
        return f"{self.user} for {self.schedule}, {self.start_at:%Y-%m-%d %H:%M} to {self.end_at:%Y-%m-%d %H:%M}"

    @classmethod
    def shown_although_hidden(cls, user):
        return Q(schedule__in=Schedule.objects.filter(Schedule.shown_although_hidden(user)))

    def clean(self):
        check_span(self.start_at, self.end_at, "The shift")


class Override(models.Model):
    """Somebody takes a span of a schedule, whatever the layers say. They apply in the order they were made."""

    uuid = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="overrides")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="overrides")
    role = models.CharField(max_length=10, choices=Duty.choices, default=Duty.PRIMARY)
    replaces = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Only this person's part is taken. Empty: everybody of the role is replaced.",
    )
    start_at = models.DateTimeField("starts at")
    end_at = models.DateTimeField("ends at")
    reason = models.CharField(max_length=200, blank=True)
    offer = models.ForeignKey(
        "oncall.Offer", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="overrides"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    team_paths = ("schedule__team",)
    audit_ignores = ("created_by",)
    audit_parent = "schedule"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["-start_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(end_at__gt=F("start_at")), name="override_ends_after_start"),
            # An offer makes one override for the shift and one for what is given in return: never two of either.
            models.UniqueConstraint(fields=["offer", "replaces"], name="an_offer_is_applied_once"),
        ]
        indexes = [models.Index(fields=["schedule", "end_at"], name="override_by_end")]

    def __str__(self):
        return f"{self.user} for {self.schedule}, {self.start_at:%Y-%m-%d %H:%M} to {self.end_at:%Y-%m-%d %H:%M}"

    @classmethod
    def shown_although_hidden(cls, user):
        return Q(schedule__in=Schedule.objects.filter(Schedule.shown_although_hidden(user)))

    def clean(self):
        check_span(self.start_at, self.end_at, "The override")
        if self.replaces_id and self.replaces_id == self.user_id:
            raise ValidationError({"replaces": "Somebody cannot replace themselves. Choose another person."})


class TimeOff(models.Model):
    """A span in which somebody is off: a gap to cover, and skipped where the schedule says so."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="time_off")
    start_at = models.DateTimeField("starts at")
    end_at = models.DateTimeField("ends at")
    reason = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    audit_ignores = ("created_by",)
    audit_parent = "user"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["-start_at", "-id"]
        verbose_name_plural = "time off"
        constraints = [models.CheckConstraint(condition=Q(end_at__gt=F("start_at")), name="time_off_ends_after_start")]
        indexes = [models.Index(fields=["user", "end_at"], name="time_off_by_end")]

    def __str__(self):
        return f"{self.user} off, {self.start_at:%Y-%m-%d %H:%M} to {self.end_at:%Y-%m-%d %H:%M}"

    def clean(self):
        check_span(self.start_at, self.end_at, "The time off")


class Availability(models.Model):
    """What a person says of themselves now. Whoever is not available is skipped while anybody else can be called."""

    class Status(models.TextChoices):
        AVAILABLE = "available", "Available"
        BUSY = "busy", "Busy"
        OFFLINE = "offline", "Offline"
        AWAY = "away", "Away"

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="availability")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.AVAILABLE)
    since_at = models.DateTimeField("since")
    until_at = models.DateTimeField(
        "until", null=True, blank=True, help_text="Then the person is available again. Needed for “away”."
    )
    note = models.CharField(max_length=200, blank=True)

    audit_parent = "user"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["user"]
        verbose_name_plural = "availability"
        constraints = [
            models.CheckConstraint(
                condition=Q(until_at=None) | Q(until_at__gt=F("since_at")), name="availability_ends_after_it_starts"
            ),
            models.CheckConstraint(condition=~Q(status="away") | Q(until_at__isnull=False), name="away_has_an_end"),
        ]

    def __str__(self):
        return f"{self.user} is {self.get_status_display().lower()}"

    def holds(self, at):
        """Whether this keeps the person from being called at `at`."""
        if self.status == self.Status.AVAILABLE or at < self.since_at:
            return False
        return self.until_at is None or at < self.until_at


class Holiday(models.Model):
    """A day off for a team, or for everybody: counted apart in the load of each person."""

    day = models.DateField()
    name = models.CharField(max_length=100)
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, null=True, blank=True, related_name="holidays", help_text="Empty: all teams."
    )
    calendar = models.ForeignKey(
        "oncall.CalendarImport",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="holidays",
    )

    team_paths = ("team",)
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["day", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["day", "team", "name"], nulls_distinct=False, name="one_holiday_per_day_team_and_name"
            )
        ]

    def __str__(self):
        return f"{self.name}, {self.day}"
