"""The queue's door: a wake-up that says "look now"."""

from django.utils import timezone

from accounts import audit, lockout, mail, resets, sessions  # noqa: F401  (resets says what its mails say)
from core.due import due_work, housekeeping


@due_work("account-mails", oldest=mail.oldest_due)
def send_account_mails():
    mail.deliver(now=timezone.now())


housekeeping(mail.forget_old)
housekeeping(audit.prune)
housekeeping(lockout.forget_old)
housekeeping(sessions.forget_old)
