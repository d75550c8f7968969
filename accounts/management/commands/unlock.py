"""The way back for who is locked out while no admin can get in either."""

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import lockout, second_factor
from accounts.models import User


class Command(BaseCommand):
    help = "Forget the failed attempts of an account, so that it can sign in at once from everywhere."

    def add_arguments(self, parser):
        parser.add_argument("email", help="the address that the account signs in with")
        parser.add_argument(
            "--second-factor",
            action="store_true",
            help="also take its second factors and recovery codes away, and end its sessions",
        )

    def handle(self, *args, email, **options):
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            raise CommandError(f"Nobody has the address {email}. The admin lists all accounts under People.")
        now = timezone.now()
        addresses = lockout.unlock(user, by=None, now=now)
        self.stdout.write(f"{user.email} is unlocked; there were failures from {addresses} addresses.")
        if options["second_factor"]:
            count = second_factor.reset(user, by=None, now=now)
            self.stdout.write(f"{count} second factors were taken away, and every session ended.")
        if not user.is_active:
            self.stdout.write("The account is deactivated, so it cannot sign in: an admin can activate it.")
