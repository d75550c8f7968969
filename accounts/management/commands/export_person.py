import json
import sys

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from accounts import audit, privacy
from accounts.models import User


class Command(BaseCommand):
    help = "Write all that is stored about a person as JSON. Passwords and keys are not in it."

    def add_arguments(self, parser):
        parser.add_argument("email")
        parser.add_argument("--output", help="A file to write to; without it the text goes to the standard output.")

    def handle(self, email, output, **options):
        person = User.objects.filter(email__iexact=email).first()
        if person is None:
            raise CommandError(f"There is no person with the address {email}.")
        audit.record("exported", person, text="All that is stored about the person.")
        data = privacy.export(person, now=timezone.now())
        text = json.dumps(data, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
        if not output:
            self.stdout.write(text)
            return
        with open(output, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
        print(f"All that is stored about {person} is in {output}. Keep it where only they read it.", file=sys.stderr)
