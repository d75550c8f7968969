"""People, teams, roles and keys."""

import secrets
import uuid
import zoneinfo

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.text import slugify


def zone_choices():
    """IANA time zones for a picker."""
    return [(name, name) for name in sorted(zoneinfo.available_timezones())]


class Role(models.TextChoices):
    ADMIN = "admin", "Admin"
    RESPONDER = "responder", "Responder"
    OBSERVER = "observer", "Observer"


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
        help_text="Admins configure, responders work on incidents, observers read.",
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="An IANA name, for example Europe/Berlin.")
    is_active = models.BooleanField("active", default=True, help_text="An inactive person is never paged.")
    is_staff = models.BooleanField("may use the admin", default=False)
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

    def get_full_name(self):
        return str(self)

    def get_short_name(self):
        return str(self).split(" ")[0]


class Team(models.Model):
    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True, help_text="Used in addresses and in the API.")
    description = models.TextField(blank=True)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

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
    prefix = models.CharField(max_length=12, unique=True, default=new_prefix, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = "API key"

    def __str__(self):
        return f"{self.name} (wb_{self.prefix}_…)"
