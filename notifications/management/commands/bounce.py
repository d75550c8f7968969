"""manage.py bounce: take in a mail that came back, from the pipe of a mail server."""

import sys

from django.core.management.base import BaseCommand
from django.utils import timezone

from notifications import bounces


class Command(BaseCommand):
    help = (
        "Read a mail that came back from standard input and note what became of the message. "
        'In Postfix: bounces: "|/path/to/manage.py bounce --recipient ${original_recipient}"'
    )

    def add_arguments(self, parser):
        parser.add_argument("--recipient", default="", help="The envelope's recipient, bounces+…@example.com.")

    def handle(self, *, recipient, **options):
        raw = sys.stdin.buffer.read(bounces.MAIL_BYTES)
        found = bounces.receive(raw, now=timezone.now(), recipient=recipient)
        # Always a success to the mail server: a bounce of a bounce would help nobody.
        self.stdout.write(
            f"{found.message_id}: {found.state} {found.text}" if found else "Ignored: not about a message."
        )
