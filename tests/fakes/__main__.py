"""`python -m tests.fakes`: run the fakes of Slack, Twilio and Teams with the page that shows their messages."""

import argparse
import json
import signal
import threading

from tests.fakes.slack import FakeSlack
from tests.fakes.stage import Stage
from tests.fakes.teams import FakeTeams
from tests.fakes.twilio import FakeTwilio


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fakes", description=__doc__)
    parser.add_argument("--app-url", required=True, help="where the product answers")
    parser.add_argument("--port", type=int, required=True, help="of the page; the three after it are for the services")
    parser.add_argument("--names", default="{}", help="JSON: {member or number: name}")
    given = parser.parse_args()
    slack, teams = FakeSlack(port=given.port + 1), FakeTeams(port=given.port + 3)
    twilio = FakeTwilio(port=given.port + 2, app_url=given.app_url, is_automatic=True)
    names = json.loads(given.names)
    stage = Stage(port=given.port, slack=slack, twilio=twilio, teams=teams, names=names, app_url=given.app_url)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    print(f"Messages are shown at {stage.url()}", flush=True)
    stopping.wait()
    for server in (stage, twilio, teams, slack):
        server.stop()


if __name__ == "__main__":
    main()
