import signal

from django.core.management.base import BaseCommand

from core.ticker import Ticker


class Command(BaseCommand):
    help = "Watch for due work and wake the workers. Any number may run; SIGTERM stops it."

    def handle(self, **options):
        ticker = Ticker()
        signal.signal(signal.SIGTERM, ticker.stop)
        signal.signal(signal.SIGINT, ticker.stop)
        ticker.run()
