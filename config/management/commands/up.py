import sys

from django.core.management.base import BaseCommand

from config.supervisor import Refused, Supervisor


def port(text):
    number = int(text)
    if not 1 <= number <= 65_535:
        raise ValueError
    return number


class Command(BaseCommand):
    help = "Run Watchbill: database, web server, worker and ticker. Ctrl-C stops it."
    requires_system_checks = []  # the children check; here they would only cost time

    def add_arguments(self, parser):
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=port, default=8000, help="port to listen on (8000)")
        parser.add_argument("--no-demo", action="store_true", help="do not fill an empty database with a demo company")
        parser.add_argument(
            "--fakes", action="store_true", help="stand in for Slack, Twilio and Teams on this machine"
        )

    def handle(self, *, host, port, no_demo, fakes, **options):
        if fakes and no_demo:
            sys.exit("--fakes shows the messages of the demo company: leave --no-demo out.")
        try:
            code = Supervisor(host=host, port=port, with_demo=not no_demo, with_fakes=fakes).run()
        except Refused as error:
            sys.exit(str(error))
        sys.exit(code)
