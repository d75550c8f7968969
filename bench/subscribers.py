"""10,000 subscribers of a status page are told of a post; pages to a person in the middle of it, and before."""

import http.server
import os
import statistics
import threading
import time

# No limit that matters: what is measured is the worst that subscribers can do to pages.
os.environ.setdefault("SUBSCRIBER_MESSAGES_PER_MINUTE", "1000000")

from bench import house

from django.utils import timezone  # isort: skip

from notifications import outbox  # isort: skip
from notifications.message import Message  # isort: skip
from notifications.models import Destination, Notification  # isort: skip
from statuspages import publishing, subscribing  # isort: skip
from statuspages.models import PostUpdate, StatusPage, Subscriber  # isort: skip

SUBSCRIBERS = int(os.environ.get("SUBSCRIBERS", "10000"))
PAGES = 20
EVERY_SECONDS = 0.5
arrived = {}


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        arrived[self.headers["webhook-id"]] = time.time()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def make_readers():
    """A public page with so many readers, all told by mail."""
    now = timezone.now()
    page = StatusPage.objects.create(name="Bench", slug="bench", audience="public")
    places = [
        Destination(name=f"subscriber {n}", channel="email", address=f"r{n}@elsewhere.example", is_outside=True)
        for n in range(SUBSCRIBERS)
    ]
    Destination.objects.bulk_create(places)
    Subscriber.objects.bulk_create(
        Subscriber(
            page=page, channel="email", destination=place, token_hash=place.name, confirmed_at=now, asked_at=now
        )
        for place in places
    )
    return page


def page_person(person, name, count):
    """Page somebody again and again; return the seconds until each page arrived."""
    message = Message(title="Checkout errors", body="5 % of orders fail.")
    began = {}
    for number in range(count):
        key = f"incident:{name}{number}"
        outbox.plan_many([outbox.Page(key, key, person.pk, message, share="service:1")], now=timezone.now())
        uuid = str(Notification.objects.get(topic=key).uuid)
        began[uuid] = time.time()
        time.sleep(EVERY_SECONDS)
    until = time.monotonic() + 60
    while began.keys() - arrived.keys() and time.monotonic() < until:
        time.sleep(0.05)
    return [arrived.get(uuid, float("inf")) - at for uuid, at in began.items()]


def told():
    return Notification.objects.filter(kind="status").exclude(state__in=["pending", "sending"]).count()


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    company = house.Company(page_url=f"http://127.0.0.1:{server.server_port}/")
    person = company.people[0]
    page = make_readers()
    # First the planning alone, without a worker that could take part in it.
    post = publishing.open_incident(page.pk, title="Payments fail", body="We look.", by=None, now=timezone.now())
    began = time.monotonic()
    while PostUpdate.objects.filter(tell_due_at__isnull=False).exists():
        subscribing.tell_due(timezone.now())
    print(f"planning {SUBSCRIBERS} notices: {time.monotonic() - began:.1f} s", flush=True)
    outbox.settle([f"status-post:{post.uuid}"], reason="They were only planned.", now=timezone.now())
    settled = told()
    with house.ticker(), house.worker():
        page_person(person, "warm", 5)
        alone = page_person(person, "alone", PAGES)
        began = time.monotonic()
        publishing.add_update(post.uuid, body="We still look.", by=None, now=timezone.now())
        amid = page_person(person, "amid", PAGES)
        sent = told() - settled
        seconds = time.monotonic() - began
    for name, figures in (("without subscribers", alone), ("amid their notices", amid)):
        p50, worst = statistics.median(figures), max(figures)
        print(
            f"a page {name}: median {p50 * 1000:.0f} ms, worst {worst * 1000:.0f} ms ({len(figures)} pages)",
            flush=True,
        )
    print(f"meanwhile {sent} of {SUBSCRIBERS} subscribers were told in {seconds:.0f} s")
    house.close()


if __name__ == "__main__":
    main()
