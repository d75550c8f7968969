"""People, teams, roles and keys."""

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
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.text import slugify

from accounts import roles, visibility
from core.models import DueRow
from core.secrets import EncryptedTextField


def zone_choices():
    """IANA time zones for a picker."""
    return [(name, name) for name in sorted(zoneinfo.available_timezones())]


class Role(models.TextChoices):
    ADMIN = roles.ADMIN, "Admin"
    RESPONDER = roles.RESPONDER, "Responder"
    OBSERVER = roles.OBSERVER, "Observer"


class UserManager(BaseUserManager):
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
    is_active = models.BooleanField("active", default=True, help_text="An inactive person is never paged.")
    is_staff = models.BooleanField("may use the admin", default=False)
    is_machine = models.BooleanField(
        "is a machine", default=False, editable=False, help_text="An API key acts as it. Nobody signs in as one."
    )
    is_break_glass = models.BooleanField(
        "break-glass",
        default=False,
        help_text="May sign in with a password when only single sign-on is allowed. All admins are told when it is used.",
    )
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)
    date_joined = models.DateTimeField(default=timezone.now)

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
        if self.is_superuser or self.role == Role.ADMIN:
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

    class Meta:
        ordering = ["team", "user"]
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="one_membership_per_team_and_user")]

    def __str__(self):
        return f"{self.user} in {self.team}"


def new_prefix():
    return secrets.token_hex(6)


class ApiKey(models.Model):
    """A key of the REST API. Only its hash is kept; `accounts.auth.issue_key` shows the text once."""

    class Scope(models.TextChoices):
        READ = "read", "Read"
        ALERTS = "alerts", "Send alerts"
        WRITE = "write", "Read and write"

    name = models.CharField(max_length=100, help_text="Where the key is used, for example “deploy script”.")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys", help_text="It acts as them.")
    scope = models.CharField(max_length=20, choices=Scope.choices, default=Scope.WRITE)
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

    class Meta:
        ordering = ["name"]
        verbose_name = "API key"

    def __str__(self):
        return f"{self.name} (wb_{self.prefix}_…)"


class GroupMapping(models.Model):
    """What a group of the sign-in provider is worth here: a role for the platform, a role in a team, or both."""

    group = models.CharField(max_length=200, help_text="The group as the provider sends it, whatever the case.")
    role = models.CharField("platform role", max_length=20, choices=Role.choices, blank=True)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, blank=True, related_name="group_mappings")
    team_role = models.CharField("role in the team", max_length=20, choices=Role.choices, blank=True)

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
    """A mail about an account: an invitation, a reset, a warning. Written with what it tells of, sent by a worker."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=40)
    address = models.EmailField(max_length=254)
    subject = models.CharField(max_length=200)
    body = EncryptedTextField(help_text="Has a link that signs in, so it is encrypted, and emptied once it is sent.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["due_at"], name="account_mail_due", condition=Q(due_at__isnull=False)),
        ]

    def __str__(self):
        return f"{self.kind} to {self.address}"


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

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["kind", "object_id", "-id"], name="audit_by_object"),
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
        ]

    def __str__(self):
        return f"{self.verb} {self.object_name}".strip()
