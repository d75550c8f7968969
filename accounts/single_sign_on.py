"""Who comes in through a provider: the person behind the claims, and what their groups are worth here.

An answer of a provider opens a local account by its email address only when the provider vouches for the address:
anybody can write somebody else's into a profile.
"""

import logging

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import oidc, second_factor, signals
from accounts.models import GroupMapping, Membership, Role, User
from accounts.roles import RANKS
from core.announce import announce

logger = logging.getLogger(__name__)

GIVEN_BY_GROUP = "role_given_by_group"  # in the account of the provider: whether the platform role came from there


def account_of(provider, claims):
    """The account of the provider that the claims describe, not saved; what a saved one knows is kept."""
    uid = provider.uid(claims["sub"])
    known = SocialAccount.objects.filter(provider=provider.id, uid=uid).first()
    return SocialAccount(
        provider=provider.id,
        uid=uid,
        extra_data={
            "sub": claims["sub"],
            "email": str(claims.get("email") or "").strip(),
            "email_verified": provider.trusts_email or claims.get("email_verified") in (True, "true"),
            "name": str(claims.get("name") or claims.get("preferred_username") or "")[:150],
            "groups": oidc.groups_in(provider, claims),
            GIVEN_BY_GROUP: bool(known and known.extra_data.get(GIVEN_BY_GROUP)),
        },
    )


def admit(request, sociallogin, *, now):
    """Find, connect or make the person of this sign-in, and give them what their groups are worth.

    Raises SignInRefused with a sentence. Nothing of a refused sign-in stays.
    """
    account = sociallogin.account
    provider = oidc.provider_of(account.provider)
    try:
        with transaction.atomic():
            if not sociallogin.is_existing:
                sociallogin.user = _person(provider, account.extra_data)
                account.user = sociallogin.user
                account.save()
            if not sociallogin.user.is_active:
                raise oidc.SignInRefused("Your account here is deactivated. Ask an admin to activate it.")
            if sociallogin.user.is_machine:
                raise oidc.SignInRefused("This is the account of a machine, and nobody signs in as one.")
            apply_groups(sociallogin.user, account, now=now)
    except IntegrityError:  # two first sign-ins of one person in the same moment
        raise oidc.SignInRefused("Your account is being made at this moment. Press the button once more.") from None
    if provider.asks_second_factor:
        second_factor.prove(request.session, sociallogin.user)


def _person(provider, said):
    email = User.objects.normalize_email(said["email"])
    domain = email.rpartition("@")[2].lower()
    if not email or len(email) > User._meta.get_field("email").max_length:
        raise oidc.SignInRefused(
            f"{provider.name} did not say an email address that we can use. Ask an admin to release it there."
        )
    if not said["email_verified"]:
        raise oidc.SignInRefused(
            f"{provider.name} does not vouch for the address {email}, so it opens no account here. "
            "Confirm your address there, or ask an admin."
        )
    if provider.email_domains and domain not in {one.lower() for one in provider.email_domains}:
        raise oidc.SignInRefused(f"Addresses at {domain} may not sign in through {provider.name}. Ask an admin.")
    person = User.objects.filter(email__iexact=email).first()
    if person is not None:
        return person
    if not settings.OIDC_CREATE_ACCOUNTS:
        raise oidc.SignInRefused(f"There is no account for {email} yet. Ask an admin to invite you.")
    return User.objects.create_user(email, name=said["name"], role=settings.OIDC_DEFAULT_ROLE)


def worth(mappings, groups):
    """What groups give: the strongest platform role or "", and the strongest role by team. Pure.

    `mappings` have group, role, team_id and team_role; groups are compared in any case.
    """
    names = {one.lower() for one in groups}
    platform, teams = "", {}
    for one in mappings:
        if one.group.lower() not in names:
            continue
        if RANKS[one.role or None] > RANKS[platform or None]:
            platform = one.role
        if one.team_id and RANKS[one.team_role] > RANKS[teams.get(one.team_id)]:
            teams[one.team_id] = one.team_role
    return platform, teams


@transaction.atomic
def apply_groups(user, account, *, now):
    """Make the person's role and memberships follow their groups. What an admin gave by hand stays."""
    groups = account.extra_data["groups"]
    if groups is None:
        logger.warning(
            "The provider %s sent too many groups to list: roles of person %s stay.", account.provider, user.pk
        )
        return
    role, teams = worth(GroupMapping.objects.all(), groups)
    if not role and account.extra_data[GIVEN_BY_GROUP]:
        _give_role(user, settings.OIDC_DEFAULT_ROLE)
    elif role:
        _give_role(user, role)
    if bool(role) != account.extra_data[GIVEN_BY_GROUP]:
        account.extra_data[GIVEN_BY_GROUP] = bool(role)
        account.save(update_fields=["extra_data"])
    had = {one.team_id: one for one in user.memberships.all()}
    for team_id, one in had.items():
        if one.is_from_group and team_id not in teams:
            one.delete()
    for team_id, team_role in teams.items():
        one = had.get(team_id)
        if one is None:
            Membership.objects.create(user=user, team_id=team_id, role=team_role, is_from_group=True)
        elif one.is_from_group and one.role != team_role:
            one.role = team_role
            one.save(update_fields=["role"])
    announce(signals.groups_applied, user=user, groups=groups, now=now)


def _give_role(user, role):
    if user.role == role:
        return
    others = User.objects.people().filter(is_active=True, role=Role.ADMIN).exclude(pk=user.pk)
    if user.role == Role.ADMIN and not others.exists():
        logger.warning("Person %s stays admin against their groups: there is no other.", user.pk)
        return
    user.role = role
    user.is_staff = user.is_superuser = role == Role.ADMIN
    user.save(update_fields=["role", "is_staff", "is_superuser"])
