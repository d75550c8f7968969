"""Take alerts by mail: an SMTP listener."""

import asyncio
import signal

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from alerts import mailin


class Command(BaseCommand):
    help = "Takes mail to <integration key>[+dedup key]@MAIL_IN_DOMAIN. bin/up starts it if MAIL_IN_PORT is set."

    def add_arguments(self, parser):
        parser.add_argument("--port", type=int, default=settings.MAIL_IN_PORT, help="Default: MAIL_IN_PORT.")
        parser.add_argument("--host", default=settings.MAIL_IN_HOST, help="Default: MAIL_IN_HOST, or every address.")

    def handle(self, *, port, host, **options):
        if not port:
            raise CommandError("There is no port to listen on: set MAIL_IN_PORT, for example to 2525, or give --port.")
        try:
            asyncio.run(self._serve(host, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on port {port} ({error.strerror}): stop the program that uses it, or choose another."
            ) from error

    async def _serve(self, host, port):
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with mailin.listening(host, port, domain=settings.MAIL_IN_DOMAIN) as bound:
            self.stdout.write(f"Mail for {settings.MAIL_IN_DOMAIN} is taken on port {bound}.")
            await stopped.wait()
