from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import privacy
from accounts.models import User


class Command(BaseCommand):
    help = "Erase a person: who they are goes, what they did stays under a pseudonym. This cannot be undone."

    def add_arguments(self, parser):
        parser.add_argument("email")
        parser.add_argument(
            "--force", action="store_true", help="Also when turns in schedules or places in policies become empty."
        )
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, email, force, yes, **options):
        person = User.objects.filter(email__iexact=email).first()
        if person is None:
            raise CommandError(f"There is no person with the address {email}.")
        if not yes and input(f"Erase {person} for good? Type the address again: ").strip().lower() != email.lower():
            raise CommandError("That is another address. Nothing was changed.")
        try:
            erased = privacy.erase(person, now=timezone.now(), force=force)
        except privacy.Refused as refused:
            lines = "\n".join(f"- {one.text}" for one in refused.obstacles)
            hint = "\nWith --force it is done all the same." if all(one.may_force for one in refused.obstacles) else ""
            raise CommandError(f"Nothing was changed:\n{lines}{hint}") from None
        self.stdout.write(f"The person is erased; what they did stays as “{erased.pseudonym}”.")
        for text in erased.forced:
            self.stdout.write(f"Left as it is: {text}")
        if erased.keeps_name:
            self.stdout.write("Others have the same name, so it stays in texts: nobody can tell who was meant.")
        for place in erased.mentions:
            self.stdout.write(f"The name or an address still stands in {place}. Change it by hand.")
