"""People, teams, roles and keys."""

import functools
import ipaddress
import operator
import secrets
import uuid
import zoneinfo

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import FilteredRelation, Q
from django.db.models.functions import Cast, Lower
from django.utils import timezone
from django.utils.text import slugify

from accounts import audit, audited, permissions, roles, visibility
from core.models import DueRow
from core.secrets import EncryptedTextField


def zone_choices():
    """IANA time zones for a picker."""
    return [(name, name) for name in sorted(zoneinfo.available_timezones())]


class Role(models.TextChoices):
    ADMIN = roles.ADMIN, "Admin"
    RESPONDER = roles.RESPONDER, "Responder"
    OBSERVER = roles.OBSERVER, "Observer"


class UserQuerySet(audited.Rows):
    def people(self):
        """Humans: whoever can be paged, picked, mentioned. A machine only acts, through its API key."""
        return self.filter(is_machine=False)

    def who_may(self, verb, team):
        """The active people who may do it for what belongs to the team; `team` is one, or its number."""
        enough = [role for role in Role.values if roles.RANKS[role] >= roles.RANKS[roles.TABLE[verb][0]]]
        there = Membership.objects.filter(team=team, role__in=enough).values("user")
        return self.people().filter(Q(role__in=enough) | Q(pk__in=there), is_active=True)


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):
    def create_user(self, email, password=None, **fields):
        """Create a person who signs in with an email address."""
        if not email:
            raise ValueError("A user needs an email address.")
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email, password=None, **fields):
        fields = {"is_staff": True, "is_superuser": True, "role": Role.ADMIN, **fields}
        return self.create_user(email, password, **fields)

    def get_by_natural_key(self, email):
        return self.get(email__iexact=email)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Signs in with the email address; is reached through contact methods."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=150, blank=True)
    role = models.CharField(
        max_length=20,
        choices=Role.choices,
        default=Role.RESPONDER,
        help_text="Admins configure, responders work on incidents, observers read. In a team the stronger of this and "
        "the role there counts.",
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="An IANA name, for example Europe/Berlin.")
    theme = models.CharField(
        max_length=10,
        choices=[("system", "As the device"), ("light", "Light"), ("dark", "Dark")],
        default="system",
        db_default="system",
        help_text="How the pages look.",
    )
    guide_hidden_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the guide of the first steps was put away."
    )
    is_active = models.BooleanField("active", default=True, help_text="An inactive person is never paged.")
    # Written beside the role for Django's sake. It opens nothing: the role says who may do what.
    is_staff = models.BooleanField("may use the admin", default=False)
    is_machine = models.BooleanField(
        "is a machine", default=False, editable=False, help_text="An API key acts as it. Nobody signs in as one."
    )
    is_break_glass = models.BooleanField(
        "break-glass",
        default=False,
        help_text="May sign in with a password where only single sign-on is allowed. Its use is told to all admins.",
    )
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)
    date_joined = models.DateTimeField(default=timezone.now)

    audit_ignores = ("last_login", "date_joined", "theme", "guide_hidden_at")
    objects = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        ordering = ["name", "email"]
        constraints = [models.UniqueConstraint(Lower("email"), name="one_user_per_email_whatever_the_case")]

    def __str__(self):
        return self.name or self.email

    def clean(self):
        super().clean()
        if self.time_zone not in dict(zone_choices()):
            raise ValidationError({"time_zone": f"“{self.time_zone}” is not a time zone. Use one like Europe/Berlin."})

    def check_password(self, raw_password):
        """As Django's, which makes a hash of an older kind anew: nobody changed a password then."""
        with audit.quiet():
            return super().check_password(raw_password)

    def access(self):
        """What the person may do in which team: one query, and none for an admin.

        The user of a request keeps the answer, see `remember_access`; anywhere else it is fresh each time.
        """
        if self._access is None:
            access = self._read_access()
            if not self._remembers_access:
                return access
            self._access = access
        return self._access

    _access, _remembers_access = None, False

    def remember_access(self, access=None):
        """Ask for the roles once only: for the user of one request, or one whose roles `access` says."""
        self._access, self._remembers_access = access, True
        return self

    def _read_access(self):
        if self.role == Role.ADMIN:
            return roles.EVERYTHING
        own = FilteredRelation("memberships", condition=Q(memberships__user=self))
        teams = Team.objects.annotate(own=own).filter(Q(is_private=True) | Q(own__isnull=False)).order_by()
        rows = list(teams.values_list("pk", "own__role"))
        return roles.Access(
            str(self.role),
            {team: role for team, role in rows if role},
            frozenset(team for team, role in rows if not role),
        )

    def visible(self, queryset):
        """The rows of the queryset that the person may see."""
        return visibility.visible(queryset, self)

    def may(self, verb, record=None):
        """Whether the person may do it: `accounts.permissions.may`, for floors that know no table of roles."""
        return permissions.may(self, verb, record)

    def may_somewhere(self, verb):
        return permissions.may_somewhere(self, verb)

    @property
    def uses_admin(self):
        """Whether there is anything for them in the admin."""
        return self.may_somewhere("configure")

    def where_may(self, queryset, verb):
        """The rows of the queryset for which the person may do it."""
        return permissions.where_may(queryset, self, verb)

    def hushed(self):
        """A function `text -> text` that takes out the names of what the person may not see."""
        return visibility.hushed(self)

    def get_full_name(self):
        return str(self)

    def get_short_name(self):
        return str(self).split(" ")[0]


class Team(models.Model):
    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True, help_text="Used in addresses and in the API.")
    description = models.TextField(blank=True)
    is_private = models.BooleanField(
        "private",
        default=False,
        help_text="Its incidents, services, schedules and postmortems exist for its members and for the platform's "
        "admins only. Whoever is called to one of its incidents sees that incident.",
    )
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

    team_paths = ("pk",)
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name

    def clean(self):
        if not self.slug:
            self.slug = slugify(self.name)


class Membership(models.Model):
    """A person in a team, with the role they have there."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.RESPONDER)
    is_from_group = models.BooleanField(
        "from single sign-on",
        default=False,
        editable=False,
        help_text="It comes and goes with a group of the provider.",
    )

    team_paths = ("team",)
    audit_parent = "team"
    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["team", "user"]
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="one_membership_per_team_and_user")]

    def __str__(self):
        return f"{self.user} in {self.team}"


def new_prefix():
    return secrets.token_hex(6)


class ApiKeyQuerySet(audited.Rows):
    def in_state(self, state, *, now):
        """Those that are `valid`, `expired` or `revoked` at this time."""
        if state == ApiKey.REVOKED:
            return self.filter(revoked_at__isnull=False)
        is_over = Q(expires_at__isnull=False, expires_at__lte=now)
        return self.filter(is_over if state == ApiKey.EXPIRED else ~is_over, revoked_at=None)

    def ending(self, *, now, within):
        """Those that still work and stop within the timedelta, the first to end first."""
        return self.filter(revoked_at=None, expires_at__gt=now, expires_at__lte=now + within).order_by("expires_at")


class ApiKey(models.Model):
    """A key of the REST API. Only its hash is kept; `accounts.keys` shows the text once."""

    VALID, EXPIRED, REVOKED = "valid", "expired", "revoked"

    name = models.CharField(max_length=100, help_text="Where the key is used, for example “deploy script”.")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys", help_text="It acts as them.")
    scopes = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="api_keys",
        help_text="With a team the key reaches nothing but what belongs to it.",
    )
    is_personal = models.BooleanField(
        "personal token", default=False, editable=False, help_text="Made by its person; it acts as them."
    )
    prefix = models.CharField(max_length=12, unique=True, default=new_prefix, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    old_secret_hash = models.CharField(max_length=64, blank=True, editable=False)
    old_secret_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until then the text before the last rotation works too."
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    team_paths = ("team",)
    audit_ignores = ("last_used_at",)
    audit_parent = "user"
    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = "API key"

    def __str__(self):
        return f"{self.name} (wb_{self.prefix}_…)"

    def state_at(self, now):
        """`valid`, `expired` or `revoked`."""
        if self.revoked_at:
            return self.REVOKED
        return self.EXPIRED if self.expires_at and self.expires_at <= now else self.VALID


class GroupMapping(models.Model):
    """What a group of the sign-in provider is worth here: a role for the platform, a role in a team, or both."""

    group = models.CharField(max_length=200, help_text="The group as the provider sends it, whatever the case.")
    role = models.CharField("platform role", max_length=20, choices=Role.choices, blank=True)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="group_mappings")
    team_role = models.CharField("role in the team", max_length=20, choices=Role.choices, blank=True)

    objects = audited.Rows.as_manager()

    class Meta:
        ordering = ["group"]
        constraints = [
            models.UniqueConstraint(
                Lower("group"), "team", name="one_mapping_per_group_and_team", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=~Q(role="") | Q(team__isnull=False), name="mapping_gives_a_role_or_a_team"
            ),
            models.CheckConstraint(
                condition=Q(team__isnull=True, team_role="") | (Q(team__isnull=False) & ~Q(team_role="")),
                name="mapping_to_a_team_has_a_role_there",
            ),
        ]

    def __str__(self):
        return self.group

    def clean(self):
        if self.team_id and not self.team_role:
            raise ValidationError({"team_role": "Choose the role that the group has in the team."})
        if self.team_role and not self.team_id:
            raise ValidationError({"team": "Choose the team, or take the role in it away."})
        if not self.role and not self.team_id:
            raise ValidationError("Choose a platform role, a team, or both: this mapping would do nothing.")


class AccountMail(DueRow):
    """A mail about an account: an invitation, a reset, a warning. Written with what it tells of, sent by a worker.

    It may have a link that can be used once. Only its hash is kept; `accounts.links` shows the text once.
    """

    class LinkEnd(models.TextChoices):
        USED = "used", "Used"
        REPLACED = "replaced", "Replaced by a newer one"
        WITHDRAWN = "withdrawn", "Withdrawn"

    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: nobody has looked yet whose address it is, or it is nobody's.",
    )
    by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", help_text="Who is told if it fails."
    )
    kind = models.CharField(max_length=40)
    address = models.EmailField(max_length=254)
    subject = models.CharField(max_length=200)
    body = EncryptedTextField(help_text="May have a link that signs in, so it is encrypted, and emptied once sent.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    link_hash = models.CharField(max_length=64, blank=True, editable=False)
    link_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    link_end = models.CharField(max_length=20, choices=LinkEnd.choices, blank=True, editable=False)
    link_ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["due_at"], name="account_mail_due", condition=Q(due_at__isnull=False)),
            models.Index(fields=["link_hash"], name="account_mail_by_link", condition=~Q(link_hash="")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "kind"],
                condition=~Q(link_hash="") & Q(link_end=""),
                name="one_open_link_per_person_and_kind",
            ),
        ]

    def __str__(self):
        return f"{self.kind} to {self.address}"


class AuditEntryQuerySet(models.QuerySet):
    def by(self, text):
        """Entries of who is called like this: a person, a key, an address that was tried."""
        people = User.objects.filter(Q(name__icontains=text) | Q(email__icontains=text))
        return self.filter(Q(actor__in=people) | Q(actor_name__icontains=text))

    def of(self, text):
        """The history of one object and its parts, named like catalog.service:7."""
        kind, _, object_id = text.partition(":")
        return self.filter(Q(kind=kind, object_id=object_id) | Q(about=text))

    def from_address(self, text):
        """Entries that came from this address; none when it is no address."""
        try:
            return self.filter(address=str(ipaddress.ip_address(text)))
        except ValueError:
            return self.none()

    def telling(self, text):
        """Entries in which every word stands: in a name, a text, or a value before or after."""
        rows = self.annotate(changes_text=Cast("changes", models.TextField()))
        names = ("object_name", "text", "actor_name", "changes_text")
        for word in text.split()[:6]:
            found = [Q(**{f"{name}__icontains": word}) for name in names]
            rows = rows.filter(functools.reduce(operator.or_, found))
        return rows


class AuditEntry(models.Model):
    """Who changed, signed in, exported: what, when and from where. The database refuses to change or delete one."""

    at = models.DateTimeField(db_index=True)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="audit_entries")
    actor_name = models.CharField(
        max_length=254, blank=True, help_text="For who is no person: a key, a command, an address that was tried."
    )
    verb = models.CharField(max_length=40, help_text="created, changed, deleted, signed in, exported …")
    kind = models.CharField(max_length=100, blank=True, help_text="What it was done to, for example catalog.service.")
    object_id = models.CharField(max_length=100, blank=True)
    object_name = models.CharField(max_length=300, blank=True)
    about = models.CharField(
        max_length=140, blank=True, help_text="What the object is a part of, such as oncall.escalationpolicy:7."
    )
    team = models.ForeignKey(
        Team, on_delete=models.DO_NOTHING, null=True, blank=True, related_name="+", db_constraint=False
    )
    changes = models.JSONField(
        default=dict,
        blank=True,
        encoder=DjangoJSONEncoder,
        help_text="{field: [before, after]}; secrets are only said to be there.",
    )
    text = models.CharField(max_length=500, blank=True)
    via = models.CharField(max_length=20, blank=True, help_text="web, admin, api, command, system …")
    address = models.GenericIPAddressField(null=True, blank=True)
    agent = models.CharField(max_length=300, blank=True, help_text="The browser or program, as it calls itself.")
    request_id = models.CharField(max_length=32, blank=True, help_text="The same for what was done in one step.")

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["kind", "object_id", "-id"], name="audit_by_object"),
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
            models.Index(fields=["about", "-id"], name="audit_by_about", condition=~Q(about="")),
            models.Index(fields=["request_id"], name="audit_by_request", condition=~Q(request_id="")),
        ]

    def __str__(self):
        return f"{self.verb} {self.object_name}".strip()
