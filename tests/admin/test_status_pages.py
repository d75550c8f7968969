"""Status pages in the admin: components and logo, partners and their sessions, subscribers, templates."""

import io

import pytest
from django.core import mail as outbox
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from accounts import mail
from accounts.models import AuditEntry
from notifications.models import Destination, Notification
from statuspages import subscribing
from statuspages.models import (
    Audience,
    Component,
    ComponentGroup,
    Copy,
    Logo,
    Partner,
    PartnerSession,
    PostTemplate,
    StatusPage,
    Subscriber,
)
from tests import factories
from tests.admin.test_roles import House

NOTHING_IN = {f"{name}-{part}_FORMS": 0 for name in ("groups", "components") for part in ("TOTAL", "INITIAL")}


def url(model, page, *args):
    return reverse(f"admin:statuspages_{model._meta.model_name}_{page}", args=args)


def text(answer):
    return answer.content.decode()


def errors_of(answer):
    assert answer.status_code == 200, answer
    return answer.context["errors"]


@pytest.fixture
def house(db):
    return House()


@pytest.fixture
def leah(client, house):
    """Leah's browser: she leads the team Own."""
    client.force_login(house.lead)
    return client


def a_page(**fields):
    typed = {"name": "Shop status", "slug": "shop", "audience": "public", "is_enabled": "on", "time_zone": "UTC"}
    rules = {f"{one}_state": "operational" for one in ("critical", "high", "medium", "low", "info")}
    look = {"accent_colour": "#1f6feb", "language": "en", "history_days": 90, "needs_rule": "less"}
    return {**typed, **rules, **look, **NOTHING_IN, **fields}


def picture(size=(900, 300)):
    out = io.BytesIO()
    Image.new("RGB", size, "navy").save(out, "PNG")
    return SimpleUploadedFile("logo.png", out.getvalue(), "image/png")


# --- pages ----------------------------------------------------------------------------------------------------------
def test_a_team_admin_makes_a_page_with_a_group_and_components_of_their_services(leah, house, fields_of):
    service = factories.ServiceFactory(team=house.own, policy=None)
    new = {"groups-TOTAL_FORMS": 1, "groups-0-name": "Shop", "groups-0-position": 1}
    answer = leah.post(url(StatusPage, "add"), a_page(team=house.own.pk, **new))
    assert answer.status_code == 302, errors_of(answer)
    page = StatusPage.objects.get()
    assert page.team == house.own and page.groups.get().name == "Shop"

    typed = {
        "groups-TOTAL_FORMS": 1,
        "groups-INITIAL_FORMS": 1,
        "groups-0-id": page.groups.get().pk,
        "groups-0-page": page.pk,
        "groups-0-name": "Shop",
        "groups-0-position": 1,
        "components-TOTAL_FORMS": 1,
        "components-0-page": page.pk,
        "components-0-name": "Checkout",
        "components-0-group": page.groups.get().pk,
        "components-0-position": 2,
        "components-0-services": [service.pk],
        "components-0-combines": "worst",
    }
    answer = leah.post(url(StatusPage, "change", page.pk), a_page(team=house.own.pk, **typed))
    assert answer.status_code == 302, errors_of(answer)
    component = Component.objects.get()
    assert (component.group.name, list(component.services.all())) == ("Shop", [service])
    assert AuditEntry.objects.filter(kind="statuspages.component", verb="created").exists()
    shown = text(leah.get(url(StatusPage, "change", page.pk)))
    assert "/status-pages/shop" in shown and "No: incidents and posts make the state." in shown


def test_a_component_takes_neither_a_group_of_another_page_nor_a_hidden_service(leah, house):
    page = factories.StatusPageFactory(team=house.own, slug="shop")
    group = ComponentGroup.objects.create(page=factories.StatusPageFactory(team=house.own), name="Elsewhere")
    hidden = factories.ServiceFactory(team=house.private, policy=None)
    new = {"components-TOTAL_FORMS": 1, "components-0-name": "Checkout", "components-0-position": 0}
    new |= {"components-0-combines": "worst", "components-0-page": page.pk}
    for wrong in ({"components-0-group": group.pk}, {"components-0-services": [hidden.pk]}):
        answer = leah.post(url(StatusPage, "change", page.pk), a_page(team=house.own.pk, **new, **wrong))
        assert errors_of(answer), wrong
    assert not Component.objects.exists()


def test_two_components_of_one_name_are_refused_with_a_sentence(browser, said):
    page = factories.StatusPageFactory(slug="shop")
    rows = {}
    for number in range(2):
        row = {"name": "Checkout", "position": 0, "combines": "worst", "page": page.pk}
        rows |= {f"components-{number}-{name}": value for name, value in row.items()}
    answer = browser.post(url(StatusPage, "change", page.pk), a_page(**rows, **{"components-TOTAL_FORMS": 2}))
    assert answer.status_code == 200 or "already" in said(answer) or "one component per name" in said(answer)
    assert not Component.objects.exists()


def test_a_logo_is_drawn_anew_and_can_be_taken_away(browser):
    page = factories.StatusPageFactory(slug="shop")
    assert browser.post(url(StatusPage, "change", page.pk), a_page(new_logo=picture())).status_code == 302
    logo = Logo.objects.get()
    assert logo.page == page and logo.height <= 96 and logo.content_type == "image/png"
    assert f"{logo.width} × {logo.height} pixels" in text(browser.get(url(StatusPage, "change", page.pk)))
    assert browser.post(url(StatusPage, "change", page.pk), a_page()).status_code == 302
    assert Logo.objects.exists(), "no new file keeps what there is"
    browser.post(url(StatusPage, "change", page.pk), a_page(without_logo="on"))
    assert not Logo.objects.exists()


def test_a_file_that_is_no_picture_is_refused_and_what_was_typed_stays(browser):
    page = factories.StatusPageFactory(name="Before", slug="shop")
    wrong = SimpleUploadedFile("logo.png", b"<svg onload=alert(1)>", "image/png")
    answer = browser.post(url(StatusPage, "change", page.pk), a_page(name="Typed", new_logo=wrong))
    assert "no picture that can be read" in str(errors_of(answer)) and 'value="Typed"' in text(answer)
    page.refresh_from_db()
    assert page.name == "Before" and not Logo.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "partner"),
        ("accent_colour", "red; }"),
        ("time_zone", "Mars/Olympus"),
        ("history_days", 5000),
        ("website_url", "javascript:alert(1)"),
        ("audience", "nobody"),
    ],
)
def test_what_a_page_cannot_be_is_refused_at_its_field(browser, field, value):
    answer = browser.post(url(StatusPage, "add"), a_page(**{field: value}))
    assert set(answer.context["adminform"].form.errors) == {field}
    assert not StatusPage.objects.exists()


def test_a_team_admin_gives_a_page_to_no_other_team_and_writes_to_no_folder(leah, house, said):
    for other in (house.other.pk, ""):
        leah.post(url(StatusPage, "add"), a_page(team=other))
        assert not StatusPage.objects.exists(), other
    leah.post(url(StatusPage, "add"), a_page(team=house.own.pk, export_folder="/etc"))
    page = StatusPage.objects.get()
    assert page.export_folder == ""
    assert "export_folder" not in text(leah.get(url(StatusPage, "change", page.pk)))


def test_the_page_says_how_its_copy_does(browser):
    page = factories.StatusPageFactory(export_folder="/srv/status/shop")
    shown = text(browser.get(url(StatusPage, "change", page.pk)))
    assert "Not yet. A worker does it within seconds." in shown
    Copy.objects.create(page=page, version=7, made_at=factories.NOW, export_error="The folder is full.")
    shown = text(browser.get(url(StatusPage, "change", page.pk)))
    assert "Version 7" in shown and "Not written: The folder is full." in shown


# --- partners -------------------------------------------------------------------------------------------------------
@pytest.fixture
def own_page(house):
    return factories.StatusPageFactory(name="For partners", team=house.own, audience=Audience.PARTNERS)


def a_partner(page, **fields):
    none = {"sessions-TOTAL_FORMS": 0, "sessions-INITIAL_FORMS": 0}
    typed = {"name": "Dana", "email": "Dana@Elsewhere.example", "pages": [page.pk], "is_enabled": "on"}
    return {**typed, **none, **fields}


def test_a_team_admin_makes_a_partner_of_their_page_and_sends_a_link(leah, house, own_page):
    answer = leah.post(url(Partner, "add"), a_partner(own_page))
    assert answer.status_code == 302, errors_of(answer)
    partner = Partner.objects.get()
    assert (partner.email, partner.created_by) == ("dana@elsewhere.example", house.lead)
    do = url(Partner, "do", partner.pk, "send_link")
    assert "works once, within 15 minutes" in text(leah.get(do)) and not outbox.outbox
    leah.post(do)
    mail.deliver(now=timezone.now())
    assert outbox.outbox[0].to == ["dana@elsewhere.example"] and "/status/link/" in outbox.outbox[0].body


def test_a_team_admin_opens_no_page_of_others(leah, house, own_page):
    other = factories.StatusPageFactory(team=house.other, audience=Audience.PARTNERS)
    answer = leah.post(url(Partner, "add"), a_partner(own_page, pages=[own_page.pk, other.pk]))
    assert errors_of(answer) and not Partner.objects.exists()


def test_a_partner_who_reads_a_page_of_no_team_is_none_of_a_team_admins(leah, house, own_page):
    own, shared = (
        factories.PartnerFactory(name="Own", pages=[own_page]),
        factories.PartnerFactory(name="Shared", pages=[own_page, factories.StatusPageFactory(team=None)]),
    )
    sessions = [factories.PartnerSessionFactory(partner=one) for one in (own, shared)]
    visits = [factories.VisitFactory(partner=one, page=own_page) for one in (own, shared)]
    for one, other in ((own, shared), sessions, visits):
        listed = leah.get(url(type(one), "changelist")).context["cl"].queryset
        assert set(listed) == {one}
        assert leah.get(url(type(one), "change", one.pk)).status_code == 200
        assert leah.get(url(type(one), "change", other.pk)).status_code in (302, 403)
    leah.post(url(Partner, "change", shared.pk), a_partner(own_page, email="leah@elsewhere.example"))
    leah.post(url(Partner, "do", shared.pk, "send_link"))
    leah.post(url(PartnerSession, "do", sessions[1].pk, "revoke"))
    shared.refresh_from_db()
    sessions[1].refresh_from_db()
    assert shared.email != "leah@elsewhere.example" and sessions[1].revoked_at is None
    mail.deliver(now=timezone.now())
    assert not outbox.outbox


def test_two_partners_with_one_address_are_refused(browser, own_page):
    factories.PartnerFactory(email="dana@elsewhere.example")
    assert "already" in str(errors_of(browser.post(url(Partner, "add"), a_partner(own_page))))


def test_a_page_that_is_not_for_partners_is_said_to_open_nothing(browser, said):
    page = factories.StatusPageFactory(name="Inside", audience=Audience.PRIVATE)
    assert "opens nothing until its readers are partners: Inside" in said(
        browser.post(url(Partner, "add"), a_partner(page))
    )


@pytest.mark.parametrize("change", [{"is_enabled": ""}, {"email": "somebody@elsewhere.example"}])
def test_disabling_and_another_mailbox_end_the_sessions(browser, own_page, change):
    partner = factories.PartnerFactory(name="Dana", email="dana@elsewhere.example", pages=[own_page])
    session = factories.PartnerSessionFactory(partner=partner)
    browser.post(url(Partner, "change", partner.pk), a_partner(own_page))
    session.refresh_from_db()
    assert session.revoked_at is None, "saved without a change that matters"
    browser.post(url(Partner, "change", partner.pk), a_partner(own_page, **change))
    session.refresh_from_db()
    assert session.revoked_at


def test_a_session_is_ended_from_the_page_of_its_partner(browser, ada, own_page):
    session = factories.PartnerSessionFactory(partner__pages=[own_page], created_at=timezone.now(), key="the-key")
    page = text(browser.get(url(Partner, "change", session.partner_id)))
    do = url(PartnerSession, "do", session.pk, "revoke")
    assert do in page and "Firefox on Linux" in page and session.key_hash not in page
    assert session.key_hash not in text(browser.get(url(PartnerSession, "change", session.pk)))
    browser.get(do)
    session.refresh_from_db()
    assert session.revoked_at is None, "looking changes nothing"
    browser.post(do)
    session.refresh_from_db()
    assert session.revoked_at and AuditEntry.objects.filter(verb="session ended", actor=ada).exists()


def test_visits_are_found_by_partner(browser):
    ours, other = factories.VisitFactory(what="/status/a"), factories.VisitFactory(what="/status/b")
    page = text(browser.get(url(Partner, "change", ours.partner_id)))
    where = f"{url(type(ours), 'changelist')}?partner__id__exact={ours.partner_id}"
    assert where in page
    listed = browser.get(where).context["cl"]
    assert [one.pk for one in listed.queryset] == [ours.pk] and other.pk


# --- subscribers and templates --------------------------------------------------------------------------------------
def test_a_subscription_is_ended_after_a_question(browser, said):
    subscriber = factories.SubscriberFactory(address="reader@elsewhere.example")
    shown = text(browser.get(url(Subscriber, "changelist")))
    assert "reader@elsewhere.example" not in shown, "addresses are masked"
    do = url(Subscriber, "do", subscriber.pk, "end")
    assert "Nothing more is sent there" in text(browser.get(do))
    assert Subscriber.objects.told().exists()
    browser.post(do)
    subscriber.refresh_from_db()
    assert subscriber.ended_at and subscriber.end_reason == "Ended by Ada."
    assert "has ended already" in said(browser.post(do))
    listed = browser.get(url(Subscriber, "changelist"), {"state": "told"}).context["cl"]
    assert listed.result_count == 0


def test_a_page_with_many_subscribers_is_deleted_with_few_questions(browser, django_assert_max_num_queries):
    page = factories.StatusPageFactory()
    factories.SubscriberFactory.create_batch(30, page=page)
    with django_assert_max_num_queries(60):
        asked = browser.get(url(StatusPage, "delete", page.pk))
    assert "30 subscribers" in text(asked) and "reader" not in text(asked)
    with django_assert_max_num_queries(110):
        browser.post(url(StatusPage, "delete", page.pk), {"post": "yes"})
    assert not StatusPage.objects.exists() and not Destination.objects.exists()


def test_links_of_a_subscriber_are_not_shown_to_who_looks_at_messages(browser, db):
    row = factories.SubscriberFactory(page__slug="shop", confirmed_at=None)
    now = timezone.now()
    subscribing.ask(row.page, channel="email", address=row.destination.address, now=now)
    row.refresh_from_db()
    message = Notification.objects.get()
    shown = text(browser.get(reverse("admin:notifications_notification_change", args=[message.pk])))
    token = message.message["url"].rpartition("/")[2]
    assert "Confirm your subscription" in shown and "/status/shop/subscribe/confirm/[redacted]" in shown
    assert token not in shown and subscribing.links(row).leave.rpartition("/")[2] not in shown


def test_a_template_has_a_stage_of_its_kind(browser):
    typed = {"name": "Bad day", "kind": "incident", "stage": "completed", "title": "", "body": "We look into it."}
    errors = browser.post(url(PostTemplate, "add"), typed).context["adminform"].form.errors
    assert "Investigating, Identified, Monitoring, Resolved" in str(errors["stage"])
    assert browser.post(url(PostTemplate, "add"), typed | {"stage": "identified"}).status_code == 302
    assert PostTemplate.objects.get().stage == "identified"


def test_posts_and_recurring_maintenance_lead_to_where_they_are_changed(browser):
    post, series = factories.PostUpdateFactory().post, factories.SeriesFactory()
    shown = text(browser.get(reverse("admin:statuspages_post_change", args=[post.pk])))
    assert f"/status-pages/{post.page.slug}/posts/{post.uuid}" in shown
    shown = text(browser.get(reverse("admin:statuspages_series_change", args=[series.pk])))
    assert f"/status-pages/{series.page.slug}/recurring/{series.uuid}" in shown and "UTC<br>" in shown
