from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from core.errors import DomainError
from statuspages import exporting
from statuspages.models import StatusPage


class Command(BaseCommand):
    help = "Write a status page as files into a folder: any web server can show it from there."

    def add_arguments(self, parser):
        parser.add_argument("page", help="The page's name in its address: of /status/shop it is shop.")
        parser.add_argument("folder", help="A new or empty folder, or one with an older export of the page.")

    def handle(self, page, folder, **options):
        found = StatusPage.objects.filter(slug=page).first()
        if found is None:
            known = ", ".join(StatusPage.objects.order_by("slug").values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no status page {page}. There is: {known}.")
        try:
            version = exporting.export(found.pk, folder, now=timezone.now())
        except DomainError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"The page could not be written: {error}.") from error
        self.stdout.write(f"Version {version} of {found} is in {folder}: open index.html.")
