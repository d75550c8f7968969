"""Partners: a link in a mail opens once, a session of theirs ends when it should, and nobody learns who is one."""

import datetime as dt
import re
import threading

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core import mail as outbox
from django.db import connection, connections
from django.test import RequestFactory

from accounts import mail
from accounts.models import AccountMail, AuditEntry
from core.errors import Gone, IllegalMove, NotFound, TooMany
from core.secrets import MARK
from statuspages import partners
from statuspages.models import Audience, MagicLink, PartnerSession, Visit
from tests import factories

pytestmark = pytest.mark.django_db
FROM = {"address": "192.0.2.7", "agent": "Firefox"}
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)


@pytest.fixture
def page(team):
    return factories.StatusPageFactory(
        name="Shop for partners", slug="shop-partners", audience=Audience.PARTNERS, team=team
    )


@pytest.fixture
def dana(page):
    """A partner of one page."""
    return factories.PartnerFactory(name="Dana", email="dana@elsewhere.example", pages=[page])


@pytest.fixture
def asked(now):
    """Ask for a link and let the worker send what there is: returns the token in the newest mail, or ""."""

    def ask(email, *, at=now, **options):
        before = len(outbox.outbox)
        partners.send_link(email, address="192.0.2.7", now=at, **options)
        mail.deliver(now=at)
        return token_in(outbox.outbox[-1]) if len(outbox.outbox) > before else ""

    return ask


def token_in(message):
    return re.search(r"/status/link/(\S+)", message.body)[1]


def coming_with(key):
    request = RequestFactory().get("/status/partner")
    request.user = AnonymousUser()
    request.COOKIES[partners.COOKIE] = key
    return request


def opened(token, now):
    return partners.open_session(token, **FROM, now=now)


# --- links ----------------------------------------------------------------------------------------------------------
def test_a_partner_gets_a_link_that_signs_them_in(dana, asked, now):
    session, key = opened(asked("Dana@Elsewhere.example"), now + MINUTE)
    assert outbox.outbox[0].to == ["dana@elsewhere.example"]
    assert "Shop for partners" in outbox.outbox[0].subject and "- Shop for partners" in outbox.outbox[0].body
    assert partners.partner_of(coming_with(key), now=now + MINUTE) == dana
    assert session.address == "192.0.2.7"


def test_neither_the_link_nor_the_key_of_a_session_can_be_read_in_the_database(dana, now):
    partners.send_link(dana.email, address="192.0.2.7", now=now)
    row = AccountMail.objects.get()
    assert partners.compose(row, now)
    row.save()
    token = token_in(row)
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM accounts_accountmail")
        stored = cursor.fetchone()[0]
    assert stored.startswith(MARK) and token not in stored
    assert MagicLink.objects.get().token_hash not in (token, "")
    _, key = opened(token, now)
    values = [str(value) for one in PartnerSession.objects.values() for value in one.values()]
    assert key not in values and token not in values


def test_a_mail_that_was_sent_keeps_no_link(dana, asked):
    assert asked(dana.email)
    assert AccountMail.objects.get().body == ""


def test_looking_at_a_link_changes_nothing(dana, asked, now):
    token = asked(dana.email)
    before = list(MagicLink.objects.values())
    assert partners.look(token, now).partner == dana
    assert list(MagicLink.objects.values()) == before and not PartnerSession.objects.exists()


def test_a_link_opens_once(dana, asked, now):
    token = asked(dana.email)
    opened(token, now)
    with pytest.raises(Gone, match="used already"):
        opened(token, now)
    assert PartnerSession.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_who_open_a_link_at_the_same_moment_one_gets_in():
    now = factories.NOW
    factories.MagicLinkFactory(token="both", created_at=now, expires_at=now + 15 * MINUTE)
    together, came = threading.Barrier(2), []

    def come():
        together.wait()
        try:
            came.append(opened("both", now)[1])
        except Gone as error:
            came.append(error)
        connections.close_all()

    threads = [threading.Thread(target=come) for _ in range(2)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert sorted(isinstance(one, Gone) for one in came) == [False, True]
    assert PartnerSession.objects.count() == 1


def test_a_link_is_good_for_fifteen_minutes(dana, asked, now):
    token = asked(dana.email)
    assert partners.look(token, now + dt.timedelta(minutes=14, seconds=59))
    with pytest.raises(Gone, match="too old"):
        opened(token, now + 15 * MINUTE)


def test_a_newer_link_replaces_an_older_one_that_was_not_used(dana, asked, now):
    old, new = asked(dana.email), asked(dana.email, at=now + MINUTE)
    with pytest.raises(NotFound, match="newer mail"):
        partners.look(old, now + MINUTE)
    assert opened(new, now + MINUTE)


def test_a_newer_link_leaves_the_sessions_alone(dana, asked, now):
    _, key = opened(asked(dana.email), now)
    asked(dana.email, at=now + MINUTE)
    assert partners.partner_of(coming_with(key), now=now + MINUTE) == dana


@pytest.mark.parametrize(
    "change",
    [
        lambda dana, now: setattr(dana, "is_enabled", False),
        lambda dana, now: setattr(dana, "expires_at", now),
        lambda dana, now: dana.pages.clear(),
        lambda dana, now: dana.pages.update(is_enabled=False),
        lambda dana, now: dana.pages.update(audience=Audience.PRIVATE),
    ],
    ids=["disabled", "over", "no page", "the page is off", "the page is not for partners"],
)
def test_who_may_read_nothing_gets_no_mail_and_the_same_answer(dana, asked, now, change):
    change(dana, now)
    dana.save()
    assert asked(dana.email) == "" and outbox.outbox == []
    assert partners.send_link(dana.email, address="192.0.2.8", now=now) == partners.ASKED


def test_an_address_of_nobody_is_forgotten_after_a_day(asked, now):
    assert asked("nobody@elsewhere.example") == ""
    mail.forget_old(now=now + 2 * DAY)
    assert not AccountMail.objects.exists()


def test_only_a_page_of_theirs_is_where_a_link_leads(dana, page, asked, now):
    other = factories.StatusPageFactory(slug="secret-one", audience=Audience.PARTNERS)
    assert partners.look(asked(dana.email, page=page.slug), now).page == page
    assert partners.look(asked(dana.email, page=other.slug), now).page is None


def test_a_client_asks_for_twenty_links_an_hour_and_a_mailbox_gets_five(dana, now):
    for number in range(20):
        partners.send_link(dana.email if number < 8 else f"{number}@elsewhere.example", address="192.0.2.7", now=now)
    assert AccountMail.objects.filter(address=dana.email).count() == 5
    with pytest.raises(TooMany, match="Wait"):
        partners.send_link("more@elsewhere.example", address="192.0.2.7", now=now)
    assert partners.send_link("more@elsewhere.example", address="198.51.100.1", now=now) == partners.ASKED


def test_an_admin_sends_a_link_and_is_named_in_its_mail(dana, alice, now):
    partners.invite(dana.pk, by=alice, now=now)
    mail.deliver(now=now)
    assert "Alice gives you access" in outbox.outbox[0].body
    assert opened(token_in(outbox.outbox[0]), now)
    assert AuditEntry.objects.get(text="A link was sent.").actor == alice


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"is_enabled": False}, "Enable them first"),
        ({"expires_at": factories.NOW}, "Give it a later end first"),
        ({"pages": []}, "Choose one first"),
    ],
)
def test_a_link_that_would_open_nothing_is_not_sent(alice, now, change, sentence):
    partner = factories.PartnerFactory(**change)
    with pytest.raises(IllegalMove, match=sentence):
        partners.invite(partner.pk, by=alice, now=now)
    assert not AccountMail.objects.exists()


# --- sessions -------------------------------------------------------------------------------------------------------
def test_a_session_ends_after_thirty_days_or_seven_without_a_visit(dana, now):
    factories.PartnerSessionFactory(partner=dana, key="k", created_at=now)
    request = coming_with("k")
    for day in range(6, 30, 6):
        assert partners.partner_of(request, now=now + day * DAY) == dana
    assert partners.partner_of(request, now=now + 29 * DAY) == dana
    assert partners.partner_of(request, now=now + 30 * DAY) is None

    factories.PartnerSessionFactory(partner=dana, key="idle", created_at=now)
    assert partners.partner_of(coming_with("idle"), now=now + 7 * DAY) is None


def test_who_is_disabled_or_over_is_out_at_the_next_request(dana, now):
    factories.PartnerSessionFactory(partner=dana, key="k")
    assert partners.partner_of(coming_with("k"), now=now) == dana
    dana.expires_at = now
    dana.save()
    assert partners.partner_of(coming_with("k"), now=now) is None
    dana.expires_at, dana.is_enabled = None, False
    dana.save()
    assert partners.partner_of(coming_with("k"), now=now) is None


def test_a_page_that_is_taken_away_is_gone_at_once(dana, page, now):
    assert partners.may_look(dana, page)
    dana.pages.remove(page)
    assert not partners.may_look(dana, page)


@pytest.mark.parametrize("change", [{"is_enabled": False}, {"audience": Audience.PRIVATE}])
def test_a_page_that_is_no_longer_for_partners_is_none_of_theirs(dana, page, change):
    type(page).objects.filter(pk=page.pk).update(**change)
    assert not partners.may_look(dana, page)


def test_a_revoked_session_is_over_and_the_audit_says_who_did_it(dana, alice, now):
    session = factories.PartnerSessionFactory(partner=dana, key="k")
    other = factories.PartnerSessionFactory(partner=dana, key="other")
    partners.revoke(session.uuid, by=alice, now=now)
    assert partners.partner_of(coming_with("k"), now=now) is None
    assert partners.partner_of(coming_with("other"), now=now) == dana
    entry = AuditEntry.objects.get(verb="session ended")
    assert (entry.actor, entry.object_name) == (alice, "Dana")
    with pytest.raises(IllegalMove, match="ended already"):
        partners.revoke(session.uuid, by=alice, now=now)
    assert other.revoked_at is None


def test_a_key_that_somebody_chose_opens_nothing(dana, asked, now):
    """Whoever planted a cookie in the browser does not know the one that signing in gives."""
    _, key = opened(asked(dana.email), now)
    assert key != "planted" and partners.partner_of(coming_with("planted"), now=now) is None
    for hostile in ("", "\0", "x" * 100_000, "ü", "' OR 1=1 --"):
        assert partners.partner_of(coming_with(hostile), now=now) is None


# --- visits ---------------------------------------------------------------------------------------------------------
def test_visits_say_what_was_opened_and_from_where(dana, page, now):
    def note(what, at=now):
        partners.note_visit(dana, page=page, what=what, **FROM, now=at)

    note("/status/shop-partners")
    note("/status/shop-partners", now + MINUTE)  # the open page asked again
    note("/status/shop-partners/history", now + MINUTE)
    note("/status/shop-partners", now + 6 * MINUTE)
    rows = Visit.objects.order_by("at", "id").values_list("what", "page", "address", "agent")
    assert list(rows) == [
        ("/status/shop-partners", page.pk, "192.0.2.7", "Firefox"),
        ("/status/shop-partners/history", page.pk, "192.0.2.7", "Firefox"),
        ("/status/shop-partners", page.pk, "192.0.2.7", "Firefox"),
    ]


def test_a_visit_with_an_agent_that_no_database_takes_is_written_down(dana, now):
    partners.note_visit(dana, page=None, what="x" * 500, address="", agent="a\0b\udcff" + "c" * 900, now=now)
    visit = Visit.objects.get()
    assert visit.agent.startswith("ab?") and len(visit.agent) == 300 and visit.address is None


def test_visits_are_kept_for_ninety_days(dana, now):
    factories.VisitFactory(partner=dana, at=now - 91 * DAY, what="old")
    factories.VisitFactory(partner=dana, at=now - 89 * DAY, what="young")
    factories.MagicLinkFactory(partner=dana, created_at=now - 3 * DAY, expires_at=now - 2 * DAY)
    factories.PartnerSessionFactory(partner=dana, created_at=now - 40 * DAY)
    good = factories.PartnerSessionFactory(partner=dana, created_at=now - DAY)
    partners.forget_old(now=now)
    assert [one.what for one in Visit.objects.all()] == ["young"]
    assert list(PartnerSession.objects.all()) == [good] and not MagicLink.objects.exists()
