from django.core.management.base import BaseCommand
from django.utils import timezone

from config import demo


class Command(BaseCommand):
    help = "Fill an empty database with the demo company, or show the logins of the one that is there."

    def add_arguments(self, parser):
        parser.add_argument("--base-url", default="http://127.0.0.1:8000", help="Where the web process answers.")

    def handle(self, base_url, **options):
        base_url = base_url.rstrip("/")
        if demo.is_wanted():
            return demo.banner(demo.fill(base_url=base_url, now=timezone.now()))
        content = demo.refresh(base_url=base_url)
        return demo.banner(content) if content else f"\n  Watchbill runs at {base_url}\n"
