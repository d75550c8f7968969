"""Links in messages: signed, for one use, for a day."""

import base64

import pytest

from core.errors import Gone, NotFound
from notifications import links
from notifications.models import Notification
from tests.notifications.conftest import NOW, after, make_method, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def notification(bob):
    make_method(bob)
    return page(bob)[0]


def test_a_link_opens_its_notification(notification, settings):
    url = links.url(notification.uuid, "acknowledge")
    assert url.startswith(f"{settings.PUBLIC_URL}/l/")
    token = url.rpartition("/")[2]
    assert links.open_link(token, now=after(hours=23)) == notification
    assert links.verb_of(token) == "acknowledge"


def test_a_link_is_short_and_the_same_each_time(notification):
    token = links.token(notification.uuid, "acknowledge")
    assert token == links.token(notification.uuid, "acknowledge")
    assert len(token) <= 60


def test_a_link_works_once(notification):
    assert links.use(notification.pk, "acknowledge", now=NOW)
    assert not links.use(notification.pk, "acknowledge", now=after(minutes=1))
    with pytest.raises(Gone, match="already used, on 04 May at 10:15 UTC.*dashboard") as error:
        links.open_link(links.token(notification.uuid, "acknowledge"), now=NOW)
    assert error.value.code == "used_link"


def test_each_verb_works_once(notification):
    assert links.use(notification.pk, "acknowledge", now=NOW)
    resolve = links.token(notification.uuid, "resolve")
    assert links.open_link(resolve, now=NOW) == notification
    assert links.use(notification.pk, "resolve", now=after(minutes=1))
    assert not links.use(notification.pk, "resolve", now=after(minutes=1))
    notification.refresh_from_db()
    assert (notification.links_used, notification.link_used_at) == (["acknowledge", "resolve"], NOW)
    with pytest.raises(Gone, match="already used[.] Log in"):  # when this one was used is not known
        links.open_link(resolve, now=after(minutes=2))


def test_a_link_expires(notification):
    with pytest.raises(Gone, match="expired.*Log in") as error:
        links.open_link(links.token(notification.uuid, "acknowledge"), now=after(hours=24))
    assert error.value.code == "expired_link"
    assert not links.use(notification.pk, "acknowledge", now=after(hours=24))


@pytest.mark.parametrize("text", ["", "x", "ünïcode", "a" * 60, "not base64!", "AAAA" * 400])
def test_a_made_up_link_is_refused(text):
    with pytest.raises(NotFound, match="not one of ours") as error:
        links.open_link(text, now=NOW)
    assert error.value.code == "forged_link"


def test_no_bit_of_a_link_may_change(notification):
    token = links.token(notification.uuid, "acknowledge")
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(NotFound):
            links.read(base64.urlsafe_b64encode(changed).decode().rstrip("="))


def test_a_link_signed_with_an_older_key_still_works(notification, settings):
    token = links.token(notification.uuid, "acknowledge")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key", [settings.SECRET_KEY]
    assert links.open_link(token, now=NOW) == notification
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(NotFound):
        links.open_link(token, now=NOW)


def test_a_link_to_a_deleted_message_says_so(notification):
    token = links.token(notification.uuid, "acknowledge")
    Notification.objects.all().delete()
    with pytest.raises(NotFound, match="deleted"):
        links.open_link(token, now=NOW)
