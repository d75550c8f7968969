"""Signing in, and what belongs to a person's own account. The names are those that django-allauth looks up."""

from allauth.account import views as account_views
from allauth.mfa.base import views as mfa_views
from allauth.mfa.recovery_codes import views as code_views
from allauth.mfa.totp import views as app_views
from allauth.mfa.webauthn import views as passkey_views
from django.contrib.auth.decorators import login_required
from django.urls import path
from django.views.generic import RedirectView

from accounts.views import audit, own, people, sign_in, tokens

security = sign_in.SecurityView.as_view()
to_security = RedirectView.as_view(pattern_name="security")

urlpatterns = [
    path("audit", audit.listed, name="audit"),
    path("audit/export.csv", audit.export, name="audit-export"),
    path("audit/<int:pk>", audit.one, name="audit-entry"),
    path("login", sign_in.LoginView.as_view(), name="account_login"),
    path("login", sign_in.LoginView.as_view(), name="login"),
    path("logout", account_views.logout, name="account_logout"),
    path("logout", account_views.logout, name="logout"),
    path("login/second-factor", mfa_views.authenticate, name="mfa_authenticate"),
    path("login/passkey", sign_in.PasskeyLoginView.as_view(), name="mfa_login_webauthn"),
    path("login/sso/<slug:provider_id>", sign_in.start, name="openid_connect_login"),
    path("login/sso/<slug:provider_id>/callback", sign_in.callback, name="openid_connect_callback"),
    path("account/confirm", account_views.reauthenticate, name="account_reauthenticate"),
    path("account/confirm/code", mfa_views.reauthenticate, name="mfa_reauthenticate"),
    path("account/confirm/passkey", passkey_views.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
    path("account/password", sign_in.PasswordView.as_view(), name="account_change_password"),
    path("account/no-password", sign_in.no_password, name="account_set_password"),
    path("account/security", security, name="mfa_index"),
    path("account/security", security, name="security"),
    path("account/security/app", login_required(app_views.activate_totp), name="mfa_activate_totp"),
    path("account/security/app/remove", app_views.deactivate_totp, name="mfa_deactivate_totp"),
    path("account/security/codes", code_views.view_recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "account/security/codes/new",
        login_required(code_views.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path("account/security/codes/download", code_views.download_recovery_codes, name="mfa_download_recovery_codes"),
    path("account/security/passkeys", to_security, name="mfa_list_webauthn"),
    path("account/security/passkeys/add", login_required(passkey_views.add_webauthn), name="mfa_add_webauthn"),
    path("account/security/passkeys/<int:pk>", login_required(passkey_views.edit_webauthn), name="mfa_edit_webauthn"),
    path(
        "account/security/passkeys/<int:pk>/remove",
        login_required(sign_in.RemovePasskeyView.as_view()),
        name="mfa_remove_webauthn",
    ),
    path("people/invite", people.invite, name="people-invite"),
    path("people/invite/<int:pk>/<slug:verb>", people.invitation_do, name="people-invitation-do"),
    path("invitation/<str:token>", people.invitation, name="invitation"),
    path("reset", people.forgotten, name="password-forgotten"),
    path("reset/<str:token>", people.reset, name="password-reset"),
    path("settings/tokens", tokens.listed, name="tokens"),
    path("settings/tokens/<slug:prefix>/rotate", tokens.rotate, name="token-rotate"),
    path("settings/tokens/<slug:prefix>/stop-old", tokens.stop_old, name="token-stop-old"),
    path("settings/tokens/<slug:prefix>/revoke", tokens.revoke, name="token-revoke"),
    path("settings/sessions", own.sessions_page, name="sessions"),
    path("settings/sessions/<int:pk>/end", own.end_session, name="session-end"),
    path("settings/sessions/end", own.end_other_sessions, name="sessions-end"),
    path("settings/theme", own.theme, name="theme"),
    path("settings/privacy", own.privacy_page, name="privacy"),
    path("settings/privacy/export", own.export, name="privacy-export"),
]
