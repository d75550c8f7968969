from django.core.management.base import BaseCommand

from core import secrets


class Command(BaseCommand):
    help = "Encrypt all stored secrets anew with the first of ENCRYPTION_KEYS, so that older keys can be taken out."

    def handle(self, **options):
        written, unreadable = secrets.rotate()
        self.stdout.write(f"{written} rows are encrypted with the first key.")
        if unreadable:
            self.stdout.write(
                f"{unreadable} rows could not be read with any key and were left as they are. "
                "Put the key that they were written with back into ENCRYPTION_KEYS, or enter their values anew."
            )
