"""News for the floors above. Said through `core.announce`, inside the transaction that made it true."""

from django.dispatch import Signal

# A break-glass account signed in without the provider of single sign-on.
# user: the person; address: from where, as text, "" if unknown; now: when.
break_glass_used = Signal()

# An admin took somebody's second factors away.
# user: the person; by: the admin; count: how many there were; now: when.
second_factor_reset = Signal()

# The failures of somebody's address were forgotten, so that they need not wait.
# user: the person; by: the admin, or None for a command; now: when.
account_unlocked = Signal()

# A sign-in through a provider made roles and memberships follow the person's groups.
# user: the person; groups: their names, a list of text; now: when.
groups_applied = Signal()

# A mail about an account could not be delivered and is given up: an invitation, a reset, a warning.
# mail: the AccountMail; reason: a sentence; now: when.
account_mail_failed = Signal()
