"""The whole way, with every part real: an alert, the status page, a subscriber's mail, the end, the lesson."""

import datetime as dt
import json
import re
import urllib.request

import pytest
from django.utils import timezone

from alerts.keys import issue_key
from alerts.models import Integration
from core.models import WorkerBeat
from incidents.models import Incident
from postmortems.models import Postmortem
from statuspages import copying
from statuspages.models import Audience, Subscriber
from tests import factories
from tests.browser.conftest import sign_in
from tests.browser.stage import expect
from tests.fakes.smtp import mail_server
from tests.house import House, wait_until


@pytest.fixture
def mails():
    with mail_server() as server:
        yield server


@pytest.fixture
def house(transactional_db, tmp_path, mails):
    """Web, worker and ticker, with mail through a real SMTP server."""
    tmp_path.chmod(0o755)
    house = House(tmp_path, EMAIL_URL=f"smtp://127.0.0.1:{mails.port}")
    house.start_all()
    wait_until(WorkerBeat.objects.exists, 60, "the worker works")
    yield house
    house.stop()


@pytest.fixture
def readers_page(house, team, service):
    row = factories.StatusPageFactory(slug="shop", name="Shop status", team=team, audience=Audience.PUBLIC)
    factories.ComponentFactory(page=row, name="Paying", services=[service])
    copying.refresh(row.pk, now=timezone.now())
    return row


@pytest.fixture
def browser_of(chromium, house):
    contexts = []

    def browser_of(user=None):
        context = chromium.new_context(base_url=house.base_url)
        contexts.append(context)
        if user:
            sign_in(context, user, house)
        return context.new_page()

    yield browser_of
    for context in contexts:
        context.close()


def mail_to(mails, address, words):
    """The first mail to this address whose text has these words, once it is there."""

    def found():
        for mail in mails.mails:
            text = mail.get_body(("plain",)).get_content()
            if mail["To"] == address and words in text:
                return text
        return None

    return wait_until(found, 30, f"{address} gets a mail with “{words}”")


def reads(page, state, path="/status/shop", seconds=20):
    """Load the status page again and again until it shows this."""
    until = timezone.now() + dt.timedelta(seconds=seconds)
    while page.goto(path) and page.get_by_text(state, exact=False).count() == 0:
        assert timezone.now() < until, f"the page does not say “{state}”"
        page.wait_for_timeout(200)


def test_from_an_alert_to_the_status_page_to_the_published_postmortem(
    house, mails, readers_page, service, browser_of, alice, bob
):
    reader, hers = browser_of(), browser_of(alice)

    # A stranger asks to be told, and says yes in the mail.
    reader.goto("/status/shop/subscribe")
    reader.get_by_label("Address").fill("reader@else.example.com")
    reader.get_by_role("button", name="Subscribe").click()
    link = re.search(r"http://\S+/subscribe/confirm/\S+", mail_to(mails, "reader@else.example.com", "confirm"))[0]
    reader.goto(link)
    assert not Subscriber.objects.told().exists()  # opening it is not enough: scanners open mails
    reader.get_by_role("button").click()
    wait_until(Subscriber.objects.told().exists, 10, "the subscription is confirmed")

    # An alert comes in: Alice is paged, and the page says so by itself.
    integration = Integration(name="Checks", source="generic", service=service)
    key = issue_key(integration)
    integration.save()
    body = {"title": "Card gateway: TLS handshake fails", "severity": "critical", "dedup_key": "cards"}
    request = urllib.request.Request(
        f"{house.base_url}/in/generic/{key}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    assert urllib.request.urlopen(request, timeout=10).status == 202
    mail_to(mails, "alice@example.com", "Card gateway")
    reads(reader, "Major outage")
    assert "Card gateway" not in reader.content()
    incident = Incident.objects.get()

    # She tells the readers, in her words.
    hers.goto(f"/incidents/{incident.pk}")
    hers.locator("#status-pages").get_by_role("link", name="Post to a status page: Shop status").click()
    hers.get_by_label("Title").fill("Paying by card fails")
    hers.get_by_label("What readers are told").fill("We look into it. Transfers work.")
    hers.get_by_role("button", name="Post it").click()
    expect(hers.get_by_role("status")).to_contain_text("is posted")
    reads(reader, "Paying by card fails")
    mail_to(mails, "reader@else.example.com", "Transfers work")

    # It is over: the component is well at once, the post when she says so.
    hers.goto(f"/incidents/{incident.pk}")
    hers.locator("#verb-resolve > summary").click()
    hers.locator("#resolve-note").fill("The bank's new certificate is trusted.")
    hers.get_by_role("button", name="Resolve the incident").click()
    reads(reader, "All systems operational")
    assert reader.get_by_text("Paying by card fails").count()
    hers.locator("#status-pages").get_by_role("link", name="Resolve the post on Shop status").click()
    expect(hers.get_by_label("Stage")).to_have_value("resolved")
    hers.get_by_label("What readers are told").fill("Cards work again.")
    hers.get_by_role("button", name="Post the update").click()
    expect(hers.get_by_role("status")).to_be_visible()
    mail_to(mails, "reader@else.example.com", "Cards work again")
    reads(reader, "Cards work again.", path="/status/shop/history")

    # And what was learned.
    hers.goto(f"/incidents/{incident.pk}")
    hers.locator("#postmortem").get_by_role("link", name="Write a postmortem").click()
    hers.get_by_role("button", name="Begin").click()
    expect(hers.get_by_role("heading", level=1)).to_be_visible()
    row = Postmortem.objects.get()
    assert row.moments.filter(text__startswith="Resolved by Alice").exists()
    hers.goto(f"/postmortems/{row.number}/edit")
    section = row.sections.first()
    hers.locator(f"#body-{section.uuid}").fill("The certificate was **pinned**.")
    expect(hers.locator("#save-state")).to_have_text("Saved")
    hers.goto(f"/postmortems/{row.number}/do/publish")
    hers.get_by_role("button", name="Publish").click()
    expect(hers.locator(".pm-head .chip").first).to_have_text("Published")
    mail_to(mails, "bob@example.com", "published what was learned")
    his = browser_of(bob)
    his.goto("/postmortems")
    his.get_by_role("link", name=re.compile(re.escape(row.title))).first.click()
    expect(his.get_by_text("pinned")).to_be_visible()
