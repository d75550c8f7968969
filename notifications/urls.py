from django.urls import path

from notifications import mail, push, twilio_receipts
from notifications.views import history, settings

urlpatterns = [
    path("settings", settings.page, name="settings"),
    path("settings/profile", settings.save_profile, name="settings-profile"),
    path("settings/contacts/new", settings.choose_channel, name="settings-contact-choose"),
    path("settings/contacts/new/<slug:kind>", settings.add_contact, name="settings-contact-add"),
    path("settings/contacts/<int:pk>", settings.contact, name="settings-contact"),
    path("settings/contacts/<int:pk>/code", settings.send_code, name="settings-contact-code"),
    path("settings/contacts/<int:pk>/verify", settings.verify, name="settings-contact-verify"),
    path("settings/contacts/<int:pk>/test", settings.send_test, name="settings-contact-test"),
    path("settings/contacts/<int:pk>/again", settings.use_again, name="settings-contact-again"),
    path("settings/contacts/<int:pk>/remove", settings.remove_contact, name="settings-contact-remove"),
    path("settings/tests/<uuid:uuid>", settings.test, name="settings-test"),
    path("settings/rules/<slug:urgency>/add", settings.add_rule, name="settings-rule-add"),
    path("settings/rules/<int:pk>", settings.change_rule, name="settings-rule-change"),
    path("settings/rules/<int:pk>/remove", settings.remove_rule, name="settings-rule-remove"),
    path("settings/quiet", settings.add_quiet, name="settings-quiet-add"),
    path("settings/quiet/<int:pk>/remove", settings.remove_quiet, name="settings-quiet-remove"),
    path("mail/bounces", mail.bounce, name="mail-bounce"),
    path("mail/updates/<str:token>", mail.updates, name="mail-updates"),
    path("notifications", history.listed, name="notifications"),
    path("notifications/<uuid:uuid>", history.one, name="notification"),
    path("notifications/<uuid:uuid>/<slug:verb>", history.do, name="notification-do"),
    path("sw.js", push.service_worker, name="service-worker"),
    path("manifest.webmanifest", push.manifest, name="manifest"),
    path("offline", push.offline, name="offline"),
    path("push/session", push.session, name="push-session"),
    path("push/subscribe", push.subscribe, name="push-subscribe"),
    path("push/unsubscribe", push.unsubscribe, name="push-unsubscribe"),
    path("push/receipt", push.receipt, name="push-receipt"),
    path("twilio/status/sms", twilio_receipts.sms_status, name="twilio-sms-status"),
    path("twilio/status/voice", twilio_receipts.voice_status, name="twilio-voice-status"),
]
