"""A person's settings page: their own addresses, rules and quiet hours, and nobody else's."""

import re

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications import outbox, telegram_links, verification
from notifications.models import ContactMethod, Notification, NotificationRule, QuietHours
from tests.factories import NotificationFactory, ProviderFactory, QuietHoursFactory
from tests.notifications.conftest import make_method, make_rule

pytestmark = pytest.mark.django_db
PATH = "/settings"


@pytest.fixture
def client(bob):
    """Bob's browser; forms need their token, as in a real one."""
    client = Client()
    client.force_login(bob)
    return client


@pytest.fixture
def method(bob):
    return make_method(bob, "email", "bob@example.com")


def text(response):
    """What the page says, without its markup."""
    found = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", response.content.decode(), flags=re.S)
    return " ".join(found.replace("&#x27;", "'").split())


def post(client, view, *args, **data):
    return client.post(reverse(view, args=args), data, follow=True)


def test_an_empty_page_says_what_to_do(client):
    page = text(client.get(PATH))
    assert "Nobody can reach you" in page
    assert "Add a phone number or a mail address now" in page
    assert "Add a contact method first." in page


def test_an_address_is_added_gets_a_code_and_is_verified_by_it(client, bob):
    page = post(client, "settings-contact-add", "email", address=" Bob@example.com ", label="work")
    method = bob.contact_methods.get()
    assert (method.label, method.verified_at, method.wants_updates) == ("work", None, False)
    assert "A code is on its way" in text(page)
    assert "Nobody can reach you" in text(page)
    outbox.deliver(now=timezone.now())
    code = re.search(r"(\d{3}) (\d{3})", mail.outbox[0].subject).group()
    wrong = post(client, "settings-contact-verify", method.pk, code="12345")
    assert wrong.status_code == 400
    assert "That is not the code. Look at the newest message; 4 tries are left." in text(wrong)
    assert 'aria-invalid="true"' in wrong.content.decode()
    page = post(client, "settings-contact-verify", method.pk, code=code)
    assert "is verified: you can be reached there." in text(page)
    assert "Nobody can reach you" not in text(page)
    method.refresh_from_db()
    assert method.is_usable


def test_what_is_wrong_with_an_address_stands_at_its_field(client, method):
    page = post(client, "settings-contact-add", "email", address="nonsense")
    assert page.status_code == 400
    assert "“nonsense” is not an email address." in text(page)
    page = post(client, "settings-contact-add", "email", address="bob@example.com")
    assert "You have this address already." in text(page)
    page = post(client, "settings-contact-add", "email", address="")
    assert "Enter the address." in text(page)
    assert ContactMethod.objects.count() == 1
    assert not Notification.objects.exists()


def test_channels_without_an_account_are_shown_and_cannot_be_chosen(client):
    page = client.get(reverse("settings-contact-choose"))
    assert "Ask an admin to set up Twilio." in text(page)
    assert reverse("settings-contact-add", args=["sms"]) not in page.content.decode()
    refused = client.get(reverse("settings-contact-add", args=["sms"]), follow=True)
    assert "No account of Twilio is set up." in text(refused)
    ProviderFactory()
    page = client.get(reverse("settings-contact-choose"))
    assert reverse("settings-contact-add", args=["sms"]) in page.content.decode()
    assert "Phone number" in text(client.get(reverse("settings-contact-add", args=["sms"])))


@pytest.mark.parametrize("kind", ["teams", "webpush", "pigeon"])
def test_channels_that_a_person_cannot_type_are_not_offered(client, kind):
    assert (
        reverse("settings-contact-add", args=[kind])
        not in client.get(reverse("settings-contact-choose")).content.decode()
    )
    assert client.get(reverse("settings-contact-add", args=[kind])).status_code == 404


def test_a_changed_address_has_to_be_verified_again(client, method):
    page = post(client, "settings-contact", method.pk, address="new@example.com", label="")
    method.refresh_from_db()
    assert (method.address, method.verified_at) == ("new@example.com", None)
    assert "A code is on its way to new@example.com" in text(page)


def test_a_changed_name_leaves_it_verified_and_a_secret_address_as_it_is(client, bob):
    secret = "https://hooks.slack.com/services/T000/B000/SECRET"
    method = make_method(bob, "slack_webhook", secret)
    assert "SECRET" not in client.get(reverse("settings-contact", args=[method.pk])).content.decode()
    page = post(client, "settings-contact", method.pk, address="", label="robot", wants_updates="on")
    method.refresh_from_db()
    assert (method.address, method.label) == (secret, "robot")
    assert method.is_usable
    assert "robot" in text(page)
    assert "SECRET" not in page.content.decode()


def test_a_dead_address_says_why_and_proves_itself_when_it_is_used_again(client, method):
    ContactMethod.objects.filter(pk=method.pk).update(disabled_reason="No such person here.")
    page = text(client.get(PATH))
    assert "Nothing is sent there: No such person here." in page
    assert "Nobody can reach you" in page
    page = text(post(client, "settings-contact-again", method.pk))
    method.refresh_from_db()
    assert (method.disabled_reason, method.verified_at) == ("", None)
    assert "A code is on its way" in page


def test_removing_asks_and_warns_of_the_last_one_and_of_its_rules(client, method):
    make_rule(method, delay_minutes=5)
    page = text(client.get(reverse("settings-contact-remove", args=[method.pk])))
    assert "It is the last one that can be used" in page
    assert "High urgency, after 5 min" in page
    assert ContactMethod.objects.exists()
    post(client, "settings-contact-remove", method.pk)
    assert not ContactMethod.objects.exists()
    assert not NotificationRule.objects.exists()


def test_a_test_tells_the_truth_while_it_is_under_way(client, method):
    page = post(client, "settings-contact-test", method.pk)
    assert "It waits for its turn to be sent." in text(page)
    place = re.search(r'data-poll="([^"]+)"', page.content.decode()).group(1)
    outbox.deliver(now=timezone.now())
    part = client.get(place)
    assert "The other side accepted it at" in text(part)
    assert "data-poll" not in part.content.decode()
    assert len(mail.outbox) == 1


def test_too_many_tests_say_how_long_to_wait(client, method):
    for _ in range(5):
        post(client, "settings-contact-test", method.pk)
    assert "Wait a minute" in text(post(client, "settings-contact-test", method.pk))
    assert Notification.objects.count() == 5


def test_rules_are_added_changed_and_removed_and_the_page_says_what_they_come_to(client, method, bob):
    other = make_method(bob, "email", "bob@home.example")
    assert "No rules: a page goes to every verified address at once." in text(client.get(PATH))
    post(client, "settings-rule-add", "high", contact_method=other.pk, delay_minutes="5")
    page = text(post(client, "settings-rule-add", "high", contact_method=method.pk, delay_minutes="0"))
    assert "At once: Email bob@example.com After 5 min: Email bob@home.example" in page
    rule = NotificationRule.objects.get(delay_minutes=5)
    page = text(post(client, "settings-rule-change", rule.pk, delay_minutes="75"))
    assert "After 1 h 15 min: Email bob@home.example" in page
    post(client, "settings-rule-remove", rule.pk)
    assert NotificationRule.objects.get().contact_method == method


@pytest.mark.parametrize(
    ("minutes", "sentence"),
    [
        ("-1", "0 is at once"),
        ("", "0 is at once"),
        ("soon", "Write a whole number"),
        ("99999", "at most 1440"),
        ("0", "There is a rule for this address at this time already."),
    ],
)
def test_a_rule_that_cannot_be_says_why_at_its_field(client, method, minutes, sentence):
    make_rule(method)
    page = post(client, "settings-rule-add", "high", contact_method=method.pk, delay_minutes=minutes)
    assert page.status_code == 400
    assert sentence in text(page)
    assert NotificationRule.objects.count() == 1


def test_a_rule_for_an_address_that_cannot_be_used_says_that_it_is_skipped(client, method, bob):
    make_rule(make_method(bob, "email", "new@example.com", verified_at=None))
    page = text(client.get(PATH))
    assert "skipped: it cannot be used now" in page
    assert "every verified contact method is used at once" in page


def test_quiet_hours_are_added_in_words_and_removed(client, method, bob):
    page = text(post(client, "settings-quiet-add", days=[0, 1, 2, 3, 4], start_time="22:00", end_time="07:00"))
    assert "22:00 to 07:00 on the next day Monday to Friday" in page
    page = post(client, "settings-quiet-add", start_time="late", end_time="07:00")
    assert page.status_code == 400
    assert "Choose at least one day." in text(page)
    assert "Write a time, for example 22:00." in text(page)
    post(client, "settings-quiet-remove", QuietHours.objects.get().pk)
    assert not QuietHours.objects.exists()


def test_the_profile_is_saved(client, bob):
    post(client, "settings-profile", name="Bobby", time_zone="Europe/Berlin")
    bob.refresh_from_db()
    assert (bob.name, bob.time_zone) == ("Bobby", "Europe/Berlin")
    page = post(client, "settings-profile", name="", time_zone="Mars/Base")
    assert page.status_code == 400
    assert "Write your name" in text(page)
    assert "Choose a time zone of the list" in text(page)


def test_push_in_this_browser_is_offered_with_the_keys_of_the_installation(client):
    page = client.get(PATH).content.decode()
    assert re.search(r'data-push data-reload data-key="[\w-]{87}"', page)


def test_browsers_that_get_pushes_are_listed_with_their_last_push(client, bob, charlie):
    laptop = make_method(bob, "webpush", "https://push.example.com/1", label="Firefox on Linux")
    make_method(bob, "webpush", "https://push.example.com/2", label="Chrome on Android")
    make_method(charlie, "webpush", "https://push.example.com/3", label="Safari on Mac")
    NotificationFactory(user=bob, contact_method=laptop, sent_at=timezone.now())
    page = text(client.get(PATH))
    page = page[page.index("Browsers that get your pages") : page.index("Profile")]
    assert re.search(r"Firefox on Linux last push 0 s ago Remove push to Firefox on Linux", page)
    assert re.search(r"Chrome on Android no push yet Remove push to Chrome on Android", page)
    assert "Safari" not in page


def test_what_belongs_to_somebody_else_is_not_there(client, charlie):
    theirs = make_method(charlie, "email", "charlie@example.com", verified_at=None)
    rule, quiet = make_rule(theirs), QuietHoursFactory(user=charlie)
    sent = verification.send_code(theirs.pk, by=charlie, now=timezone.now())
    assert "charlie@example.com" not in client.get(PATH).content.decode()
    for name in ("code", "verify", "test", "again", "remove"):
        assert post(client, f"settings-contact-{name}", theirs.pk, code="123456").status_code == 404
    assert client.get(reverse("settings-contact", args=[theirs.pk])).status_code == 404
    assert post(client, "settings-rule-change", rule.pk, delay_minutes="1").status_code == 404
    assert post(client, "settings-rule-remove", rule.pk).status_code == 404
    assert post(client, "settings-quiet-remove", quiet.pk).status_code == 404
    assert client.get(reverse("settings-test", args=[sent.uuid])).status_code == 404
    assert post(client, "settings-rule-add", "high", contact_method=theirs.pk, delay_minutes="0").status_code == 400
    assert (ContactMethod.objects.count(), NotificationRule.objects.count(), QuietHours.objects.count()) == (1, 1, 1)


def test_nobody_sees_or_changes_anything_without_signing_in_or_without_the_forms_token(method, bob):
    stranger = Client()
    assert stranger.get(PATH).status_code == 302
    assert stranger.post(reverse("settings-contact-remove", args=[method.pk])).status_code == 302
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(bob)
    assert forged.post(reverse("settings-contact-remove", args=[method.pk])).status_code == 403
    for name in ("code", "verify", "test", "again"):
        assert forged.get(reverse(f"settings-contact-{name}", args=[method.pk])).status_code == 405
    assert ContactMethod.objects.count() == 1


def test_a_test_that_does_not_exist_is_left_out(client, method):
    for address in ("?test=nonsense", "?test=00000000-0000-0000-0000-000000000000"):
        assert client.get(PATH + address).status_code == 200


def test_the_page_costs_the_same_with_many_addresses(client, bob, django_assert_max_num_queries):
    for number in range(12):
        make_rule(make_method(bob, "email", f"bob{number}@example.com"))
    client.get(PATH)
    with django_assert_max_num_queries(24):
        client.get(PATH)


def test_a_chat_is_connected_by_a_link_of_ones_own_once_there_is_an_account(client, bob):
    assert 'id="chat"' not in client.get(PATH).content.decode()
    config = {"bot_token": "1:x", "bot_name": "shop_oncall_bot", "webhook_secret": "s" * 32}
    ProviderFactory(vendor="telegram", config=config)
    page = client.get(PATH).content.decode()
    code = re.search(r'href="https://t\.me/shop_oncall_bot\?start=([\w-]{1,64})"', page).group(1)
    assert telegram_links.take(code, 4711, now=timezone.now()).user == bob
    assert "Verified" in text(client.get(PATH))
