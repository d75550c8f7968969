"""Mails about accounts: written with what they tell of, sent by a worker, tried again, and given up loudly."""

import datetime as dt

import pytest
from django.db import connection, transaction

from accounts import invitations, mail
from accounts.models import AccountMail, Role
from core.due import kinds
from notifications.models import Alarm
from tests import factories
from tests.accounts.conftest import text_of

pytestmark = pytest.mark.django_db


def write(person, now, **fields):
    fields = {"kind": "notice", "subject": "A subject", "body": "Something happened.", **fields}
    return mail.write(fields.pop("kind"), person, fields.pop("subject"), fields.pop("body"), now=now, **fields)


def test_a_mail_is_sent_from_the_address_of_the_site_and_says_that_no_person_wrote_it(bob, now, sent):
    write(bob, now)
    (message,) = sent(now)
    assert message["To"] == "bob@example.com" and message["From"] == "Watchbill <watchbill@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert text_of(message).startswith("Something happened.")


def test_what_was_sent_is_emptied_and_not_sent_again(bob, now, sent):
    row = write(bob, now)
    sent(now)
    assert len(sent(now + dt.timedelta(days=1))) == 1
    row.refresh_from_db()
    assert row.body == "" and row.sent_at == now and row.due_at is None


def test_the_body_is_encrypted_while_it_waits(bob, now):
    row = write(bob, now, body="the link https://example.com/reset/abc")
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM accounts_accountmail WHERE id = %s", [row.pk])
        assert "reset/abc" not in cursor.fetchone()[0]


def test_what_is_rolled_back_is_never_told(bob, now, sent):
    with pytest.raises(RuntimeError), transaction.atomic():
        write(bob, now)
        raise RuntimeError
    assert sent(now) == []


def test_a_line_break_in_a_subject_makes_no_header(bob, now, sent):
    write(bob, now, subject="Hello\r\nBcc: everybody@example.com")
    (message,) = sent(now)
    assert message["Subject"] == "Hello Bcc: everybody@example.com" and message["Bcc"] is None


def test_a_server_that_is_down_is_tried_again_after_5_10_and_20_seconds(bob, now, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    row, waits, at = write(bob, now), [], now
    for _ in range(4):
        mail.deliver(now=at)
        row.refresh_from_db()
        waits.append((row.due_at - at).total_seconds())
        at = row.due_at
    assert waits == [5, 10, 20, 60]
    assert row.error.startswith("The mail server could not be reached") and row.body


def test_a_server_that_comes_back_gets_the_mail(bob, now, settings, sent):
    row = write(bob, now)
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 9
    mail.deliver(now=now)
    settings.EMAIL_PORT = port
    assert len(sent(now + dt.timedelta(seconds=5))) == 1
    row.refresh_from_db()
    assert row.error == ""


def test_an_address_that_the_server_refuses_is_given_up_and_whoever_sent_it_is_told(alice, now, sent):
    person = invitations.invite("gone@example.com", by=alice, now=now)
    sent(now)
    (message,) = sent(now)
    assert message["To"] == "alice@example.com"
    assert message["Subject"] == "Your invitation to gone@example.com did not arrive"
    assert "No such person here" in text_of(message)
    row = AccountMail.objects.get(user=person)
    assert row.due_at is None and row.body == "" and "550" in row.error


def test_a_mail_that_is_given_up_raises_an_alarm(alice, now, sent):
    invitations.invite("gone@example.com", by=alice, now=now)
    sent(now)
    assert "invitation" in Alarm.objects.get(key="account-mail:invitation").text


def test_a_mail_whose_link_would_be_too_old_is_not_tried_again(alice, now, settings):
    settings.INVITATION_HOURS = 1
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    person = invitations.invite("dora@example.com", by=alice, now=now)
    row = AccountMail.objects.get(user=person)
    mail.deliver(now=now + dt.timedelta(minutes=59, seconds=58))
    row.refresh_from_db()
    assert row.due_at is None and row.error


def test_a_worker_that_lost_its_lease_writes_nothing(bob, now, sent):
    row = write(bob, now)
    (held,) = mail.due.claim(AccountMail.objects.filter(pk=row.pk), now=now, lease=dt.timedelta(0), limit=1)
    sent(now)  # another worker
    assert not mail._finish(held, error="late")
    row.refresh_from_db()
    assert row.sent_at == now and row.error == ""


def test_the_ticker_knows_when_a_mail_is_due(bob, now):
    assert kinds()["account-mails"].oldest(now) is None
    write(bob, now)
    assert kinds()["account-mails"].oldest(now) == now


def test_old_mails_are_forgotten_but_not_one_with_a_link_that_works(alice, bob, now, settings):
    settings.INVITATION_HOURS = 24 * 60
    write(bob, now)
    invitations.invite("dora@example.com", by=alice, now=now)
    AccountMail.objects.update(due_at=None)
    mail.forget_old(now=now + dt.timedelta(days=31))
    assert [row.kind for row in AccountMail.objects.all()] == ["invitation"]


def test_the_admin_shows_mails_but_never_what_they_say(alice, now, browser):
    invitations.invite("dora@example.com", by=alice, now=now)
    row = AccountMail.objects.get()
    client = browser(alice)
    for path in ("/admin/accounts/accountmail/", f"/admin/accounts/accountmail/{row.pk}/change/"):
        page = client.get(path).content.decode()
        assert "dora@example.com" in page
        assert row.link_hash not in page and "/invitation/" not in page


def test_team_admins_do_not_read_account_mails(alice, team, now, browser):
    lead = factories.UserFactory(email="lead@example.com", password=None)
    factories.MembershipFactory(team=team, user=lead, role=Role.ADMIN)
    invitations.invite("dora@example.com", by=alice, now=now)
    assert browser(lead).get("/admin/accounts/accountmail/").status_code in (302, 403)
