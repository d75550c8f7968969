"""What happens when somebody proves who they are: the session remembers it, and break glass rings."""

from allauth.account.signals import user_logged_in as signed_in
from allauth.mfa import signals as mfa_signals
from allauth.mfa.models import Authenticator
from allauth.socialaccount.signals import social_account_added, social_account_removed
from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.utils import timezone

from accounts import audit, audited, lockout, mail, second_factor, sessions, signals
from accounts.models import Role, User
from core.announce import announce
from core.signals import admin_did


@receiver(mfa_signals.authenticator_used, dispatch_uid="accounts.factor_used")
def remember_factor(request, user, **kwargs):
    second_factor.prove(request.session, user)


@receiver(mfa_signals.authenticator_added, dispatch_uid="accounts.factor_added")
def remember_new_factor(request, user, authenticator, **kwargs):
    if authenticator.type in second_factor.FACTORS:
        second_factor.prove(request.session, user)
    if authenticator.type == Authenticator.Type.TOTP:
        second_factor.remember_first_code(authenticator, request.POST.get("code", ""))


@receiver(mfa_signals.authenticator_removed, dispatch_uid="accounts.factor_removed")
def forget_removed_factor(request, user, **kwargs):
    if not second_factor.factors(user).exists():
        second_factor.forget(request.session)


@receiver(signed_in, dispatch_uid="accounts.break_glass")
def ring_for_break_glass(request, user, sociallogin=None, **kwargs):
    if user.is_break_glass and sociallogin is None:
        address = lockout.address_of(request) or ""
        announce(signals.break_glass_used, user=user, address=address, now=timezone.now())


@receiver(signals.break_glass_used, dispatch_uid="accounts.break_glass_mail")
def write_to_admins(user, address, now, **kwargs):
    """Beside the alarm, which pages: a mail goes to the address of every admin, also of those without a contact."""
    where = f" from {address}" if address else ""
    body = (
        f"The break-glass account {user} ({user.email}) signed in{where} at {now:%Y-%m-%d %H:%M} UTC, without "
        "single sign-on.\n\nIf nobody among you did, deactivate the account in the admin, and change its password."
    )
    for admin in User.objects.people().filter(is_active=True, role=Role.ADMIN):
        mail.write("break-glass", admin, f"Break-glass sign-in: {user}", body, now=now)


# --- the audit ------------------------------------------------------------------------------------------------------
@receiver(user_logged_in, dispatch_uid="accounts.audit_in")
def record_sign_in(sender, request, user, **kwargs):
    audit.record("signed in", user, by=user)


@receiver(user_logged_out, dispatch_uid="accounts.audit_out")
def record_sign_out(sender, request, user, **kwargs):
    if user is not None:
        audit.record("signed out", user, by=user)


@receiver(user_login_failed, dispatch_uid="accounts.audit_failed")
def record_failed_sign_in(sender, credentials, **kwargs):
    text = "The code was wrong." if sender == lockout.__name__ else ""
    audit.record_failure("sign-in failed", name=lockout.name_of(None, credentials), text=text)


@receiver(user_locked_out, dispatch_uid="accounts.audit_locked_out")
def record_lockout(username, **kwargs):
    audit.record_failure("locked out", name=username or "")


@receiver(signals.account_unlocked, dispatch_uid="accounts.audit_unlocked")
def record_unlock(user, by, **kwargs):
    audit.record("unlocked", user, by=by)


@receiver(signals.break_glass_used, dispatch_uid="accounts.audit_break_glass")
def record_break_glass(user, **kwargs):
    audit.record("break-glass used", user, by=user)


@receiver(signals.second_factor_reset, dispatch_uid="accounts.audit_factors_reset")
def record_factor_reset(user, by, count, **kwargs):
    audit.record("second factor removed", user, by=by, text=f"All of them, {count}, were taken away.")


@receiver(signals.groups_applied, dispatch_uid="accounts.audit_groups")
def record_groups(user, groups, **kwargs):
    said = ", ".join(groups) or "none"
    audit.record("changed", user, by=user, text=f"Roles and memberships follow the groups of the provider: {said}.")


@receiver(mfa_signals.authenticator_added, dispatch_uid="accounts.audit_factor_added")
def record_new_factor(user, authenticator, **kwargs):
    audit.record("second factor added", user, text=f"{authenticator.get_type_display()}.")


@receiver(mfa_signals.authenticator_removed, dispatch_uid="accounts.audit_factor_removed")
def record_removed_factor(user, authenticator, **kwargs):
    audit.record("second factor removed", user, text=f"{authenticator.get_type_display()}.")


@receiver(mfa_signals.authenticator_reset, dispatch_uid="accounts.audit_factor_new")
def record_renewed_factor(user, authenticator, **kwargs):
    audit.record("second factor added", user, text=f"{authenticator.get_type_display()}, made anew.")


@receiver(social_account_added, dispatch_uid="accounts.audit_connected")
def record_connection(request, sociallogin, **kwargs):
    audit.record("sign-in connected", sociallogin.user, text=f"With {sociallogin.account.provider}.")


@receiver(social_account_removed, dispatch_uid="accounts.audit_disconnected")
def record_disconnection(request, socialaccount, **kwargs):
    audit.record("sign-in disconnected", socialaccount.user, text=f"From {socialaccount.provider}.")


@receiver(admin_did, dispatch_uid="accounts.audit_admin")
def record_admin(sender, row, verb, text, **kwargs):
    """What is no configuration, and the buttons: changes of configuration are seen where they are written."""
    if verb == "did" or not audited.is_audited(sender):
        audit.record(verb, row, text=text)


@receiver(post_save, sender=User, dispatch_uid="accounts.end_with_the_person")
def end_what_acts_as_who_left(instance, created, update_fields, **kwargs):
    """An inactive person's sessions and tokens end for good: activated again, they sign in again."""
    if created or instance.is_active or (update_fields is not None and "is_active" not in update_fields):
        return
    sessions.end_all(instance)
    for key in instance.api_keys.filter(is_personal=True, revoked_at=None):
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
