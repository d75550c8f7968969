"""The pages of partners: how they come in and go, and that their cookie opens nothing else of the product."""

import datetime as dt
import re

import pytest
from django.core import mail as outbox
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import mail
from statuspages import copying, partners
from statuspages.models import Audience, MagicLink, PartnerSession, StatusPage, Visit
from tests import factories
from tests.access import stage
from tests.attacks import addresses

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def page(team):
    return factories.StatusPageFactory(
        name="Shop for partners", slug="shop-partners", audience=Audience.PARTNERS, team=team
    )


@pytest.fixture
def dana(page):
    return factories.PartnerFactory(name="Dana", email="dana@elsewhere.example", pages=[page])


def browser_of(partner, **options):
    """A browser in which the partner is signed in."""
    client, now = Client(headers={"user-agent": FIREFOX}, **options), timezone.now()
    key = f"key-{PartnerSession.objects.count()}"
    factories.PartnerSessionFactory(partner=partner, key=key, created_at=now)
    client.cookies[partners.COOKIE] = key
    return client


def mailed_link():
    mail.deliver(now=timezone.now())
    return re.search(r"(/status/link/\S+)", outbox.outbox[-1].body)[1]


def text(answer):
    return answer.content.decode()


def test_from_the_address_to_the_page_and_out_again(client, dana, page):
    assert 'name="email"' in text(client.get("/status/partner"))
    client.post("/status/partner", {"email": "dana@elsewhere.example"})
    link = mailed_link()
    opened = client.get(link)
    assert opened.status_code == 200 and "Dana" in text(opened) and "<button" in text(opened)
    assert partners.COOKIE not in client.cookies
    answer = client.post(link)
    assert (answer.status_code, answer["Location"]) == (302, "/status/shop-partners")
    assert "Shop for partners" in text(client.get("/status/partner"))
    assert client.post("/status/partner/sign-out")["Location"] == "/status/partner"
    assert 'name="email"' in text(client.get("/status/partner"))
    assert list(Visit.objects.order_by("id").values_list("what", flat=True)) == ["signed in", "signed out"]


def test_a_scanner_that_opens_the_link_does_not_use_it_up(client, dana):
    client.post("/status/partner", {"email": dana.email})
    link = mailed_link()
    for _ in range(3):
        assert Client().get(link).status_code == 200
        assert Client().head(link).status_code == 200
    assert client.post(link).status_code == 302
    used = client.get(link)
    assert used.status_code == 410 and "used already" in text(used)
    assert client.post(link).status_code == 410


def test_a_link_of_ours_that_does_not_exist_says_what_to_do(client):
    answer = client.get(f"/status/link/{'A' * 43}")
    assert answer.status_code == 404 and "Ask for a new one" in text(answer)


def test_known_and_unknown_addresses_get_the_same_answer_for_the_same_work(dana):
    answers, work = [], []
    for email in ("dana@elsewhere.example", "nobody@elsewhere.example"):
        with CaptureQueriesContext(connection) as queries:
            answer = Client().post("/status/partner", {"email": email, "page": "shop-partners"})
        answers.append((answer.status_code, text(answer), sorted(answer.headers)))
        work.append([re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in queries])
    assert answers[0] == answers[1] and answers[0][0] == 200
    assert work[0] == work[1]


def test_asking_for_a_page_tells_nobody_whether_there_is_one(client, page):
    shown = [text(client.get(f"/status/partner?page={slug}")) for slug in ("shop-partners", "none-of-ours-x")]
    plain = [re.sub(r'csrfmiddlewaretoken" value="[^"]+"|shop-partners|none-of-ours-x', "", one) for one in shown]
    assert plain[0] == plain[1] and "Shop for partners" not in plain[0]


@pytest.mark.parametrize("email", ["", "nobody", "a@b\0.example", "x" * 300 + "@elsewhere.example"])
def test_what_is_no_address_gets_a_sentence(client, email):
    answer = client.post("/status/partner", {"email": email})
    assert answer.status_code == 400 and 'class="error"' in text(answer)


def test_a_client_that_asks_too_often_is_told_to_wait(client):
    for number in range(20):
        client.post("/status/partner", {"email": f"p{number}@elsewhere.example"})
    answer = client.post("/status/partner", {"email": "more@elsewhere.example"})
    assert answer.status_code == 429 and "Wait" in text(answer)


def test_the_cookie_is_for_status_addresses_only_and_no_script_reads_it(client, dana, settings):
    settings.SESSION_COOKIE_SECURE = True
    client.post("/status/partner", {"email": dana.email})
    client.post(mailed_link())
    cookie = client.cookies[partners.COOKIE]
    assert (cookie["path"], cookie["samesite"]) == ("/status", "Lax")
    assert cookie["httponly"] and cookie["secure"] and int(cookie["max-age"]) == 30 * 24 * 3600


def test_signing_in_takes_no_key_over_that_was_there_before(dana):
    """Somebody planted their own cookie in the browser, or another partner was signed in there."""
    other = browser_of(factories.PartnerFactory(name="Eve", pages=[]))
    before = other.cookies[partners.COOKIE].value
    other.post("/status/partner", {"email": dana.email})
    other.post(mailed_link())
    after = other.cookies[partners.COOKIE].value
    assert after != before
    assert PartnerSession.objects.get(partner__name="Eve").revoked_at
    assert PartnerSession.objects.get(partner=dana).revoked_at is None


def test_forms_of_other_sites_open_and_end_nothing(dana):
    strict = browser_of(dana, enforce_csrf_checks=True)
    link = factories.MagicLinkFactory(
        partner=dana, token="x", created_at=timezone.now(), expires_at=timezone.now() + dt.timedelta(minutes=15)
    )
    for path in ("/status/link/x", "/status/partner/sign-out", "/status/partner"):
        assert strict.post(path, {"email": dana.email}).status_code == 403
    link.refresh_from_db()
    assert link.used_at is None and not PartnerSession.objects.filter(revoked_at__isnull=False).exists()


def test_own_sessions_are_listed_and_can_be_ended(dana):
    here, there = browser_of(dana), browser_of(dana)
    shown = text(here.get("/status/partner"))
    assert shown.count("Firefox on Linux") >= 2 and "This one" in shown
    other = PartnerSession.objects.order_by("id").last()
    here.post(f"/status/partner/sessions/{other.uuid}/end")
    assert 'name="email"' in text(there.get("/status/partner"))
    assert "Dana" in text(here.get("/status/partner"))


def test_nobody_ends_the_session_of_another_partner(dana):
    browser_of(dana)
    theirs = PartnerSession.objects.get()
    stranger = browser_of(factories.PartnerFactory())
    stranger.post(f"/status/partner/sessions/{theirs.uuid}/end")
    Client().post(f"/status/partner/sessions/{theirs.uuid}/end")
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


def test_the_list_has_no_page_that_is_off_or_not_theirs_or_not_for_partners(dana, page):
    factories.StatusPageFactory(name="Another one", audience=Audience.PARTNERS)
    factories.StatusPageFactory(name="For all", audience=Audience.PUBLIC)
    dana.pages.add(factories.StatusPageFactory(name="Inside", audience=Audience.PRIVATE))
    dana.pages.add(factories.StatusPageFactory(name="Off", audience=Audience.PARTNERS, is_enabled=False))
    shown = text(browser_of(dana).get("/status/partner"))
    assert re.findall(r'href="/status/([\w-]+)"', shown) == ["shop-partners"]


def test_a_name_that_is_a_script_is_shown_as_text(page):
    mean = "<script>alert(1)</script>"
    partner = factories.PartnerFactory(name=mean, pages=[page])
    StatusPage.objects.update(name=mean)
    shown = text(browser_of(partner).get("/status/partner"))
    assert "<script>alert" not in shown and "&lt;script&gt;alert" in shown


def test_the_pages_are_not_kept_and_not_found_by_search_engines(client, dana):
    for path in ("/status/partner", "/status/link/x"):
        answer = client.get(path)
        assert "no-store" in answer["Cache-Control"] and answer["X-Robots-Tag"] == "noindex"
    assert client.get("/status/link/x")["Referrer-Policy"] in ("strict-origin", "no-referrer")


def test_a_partner_who_is_disabled_reads_nothing_from_then_on(dana):
    client = browser_of(dana)
    assert "Dana" in text(client.get("/status/partner"))
    dana.is_enabled = False
    dana.save()
    assert "Dana" not in text(client.get("/status/partner"))


def test_a_partner_reads_the_pages_that_are_theirs_and_no_others(dana, page, now):
    others = [
        factories.StatusPageFactory(slug="of-others", audience=Audience.PARTNERS),
        factories.StatusPageFactory(slug="inside", audience=Audience.PRIVATE),
    ]
    dana.pages.add(others[1])
    for one in (page, *others):
        copying.refresh(one.pk, now=timezone.now())
    client = browser_of(dana)
    assert client.get("/status/shop-partners").status_code == 200
    assert client.get("/status/shop-partners/api/v2/summary.json").status_code == 200
    for path in (
        "/status/of-others",
        "/status/inside",
        "/status/of-others/api/v2/summary.json",
        "/status/inside/logo",
    ):
        assert client.get(path).status_code == 404, path
    assert Visit.objects.filter(partner=dana, page=page, what="/status/shop-partners").exists()
    assert Client().get("/status/shop-partners").status_code == 404


@pytest.mark.parametrize("end", ["taken away", "page off", "page private", "disabled", "over", "revoked"])
def test_what_ends_their_access_ends_it_at_the_next_request(dana, page, alice, end):
    copying.refresh(page.pk, now=timezone.now())
    client = browser_of(dana)
    assert client.get("/status/shop-partners").status_code == 200
    if end == "taken away":
        dana.pages.clear()
    elif end == "page off":
        StatusPage.objects.update(is_enabled=False)
    elif end == "page private":
        StatusPage.objects.update(audience=Audience.PRIVATE)
    elif end == "disabled":
        type(dana).objects.update(is_enabled=False)
    elif end == "over":
        type(dana).objects.update(expires_at=timezone.now())
    else:
        partners.revoke(PartnerSession.objects.get().uuid, by=alice, now=timezone.now())
    assert client.get("/status/shop-partners").status_code == 404
    assert client.get("/status/shop-partners/api/v2/status.json").status_code == 404


def test_a_person_with_an_account_is_no_partner_by_it(client, alice, dana):
    client.force_login(alice)
    shown = text(client.get("/status/partner"))
    assert 'name="email"' in shown and "Alice" not in shown


# --- nothing else ---------------------------------------------------------------------------------------------------
def plain(answer):
    """What an answer says, without what is new each time."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    body = re.sub(rb'(csrfmiddlewaretoken" value|nonce|name="csrf-token" content)="[^"]+"', b"", body)
    body = re.sub(rb'csrfToken": "[^"]+"|"request_id": ?"[^"]+"|[\w-]{64}', b"", body)
    return answer.status_code, answer.headers.get("Location", ""), body


# Where partners come in and go, and the list of pages, which has theirs.
OWN = ("status/partner", "status/link/")
BESIDES = ("status", "metrics", "health/ready")


def test_nothing_else_of_the_product_opens_with_the_cookie_of_a_partner(dana, team, settings):
    """Every address there is, asked with nothing but this cookie, answers as it answers anybody."""
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, "off")
    one = stage.furnish(team)
    values = {
        "pk": one.incident.pk,
        "slug": one.service.slug,
        "token": "A" * 43,
        "name": "channels",
        "object_id": one.incident.pk,
        "number": one.incident.pk,
    }
    signed_in, anybody = browser_of(dana), Client(headers={"user-agent": FIREFOX})
    differing, asked = [], 0
    for route, _ in addresses.walk():
        path = path_of(route, values)
        if path is None or route in BESIDES or route.startswith(OWN):
            continue
        for method in ("get", "post"):
            asked += 1
            if plain(getattr(anybody, method)(path)) != plain(getattr(signed_in, method)(path)):
                differing.append(f"{method} {path}")
    assert asked > 400
    assert differing == [], "\n".join(differing)
    assert MagicLink.objects.count() == 0


def path_of(route, values):
    """The path of a route, also of one that is written as a regular expression; None where none can be made."""
    route = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", route)
    route = re.sub(r"\\(.)", r"\1", route).replace("^", "").replace("$", "").replace("/?", "/").replace("\\Z", "")
    if re.search(r"[()|?*+]", route):
        return None
    return addresses.fill(route, _Known(values))


class _Known(dict):
    def __missing__(self, name):
        return "1"

    def get(self, name, default=None):
        return self[name]
