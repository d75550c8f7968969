"""The pages on which responders keep a status page."""

import datetime as dt
import uuid
import zoneinfo

import pytest
from django.utils import timezone

from incidents import lifecycle
from statuspages import publishing
from statuspages.models import Post, Series
from tests import factories

HOUR = dt.timedelta(hours=1)
PLACE = "/status-pages/shop"
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.fixture
def page(team):
    return factories.StatusPageFactory(name="Shop status", slug="shop", team=team, time_zone="Europe/Berlin")


@pytest.fixture
def payments(page, service):
    return factories.ComponentFactory(page=page, name="Payments", services=[service])


@pytest.fixture
def bobs(client, bob, page):
    client.force_login(bob)
    return client


def new_post(**values):
    return {
        "title": "Payments fail",
        "stage": "investigating",
        "impact": "",
        "body": "We **look** into it.",
        "incident": "",
        "is_told": "on",
        **values,
    }


def a_post(page, bob, **values):
    given = {"title": "Payments fail", "body": "We look into it.", "by": bob, "now": timezone.now(), **values}
    return publishing.open_incident(page.pk, **given)


def text_of(answer):
    return " ".join(answer.content.decode().split())


# --- the list -----------------------------------------------------------------------------------------------------


def test_the_list_says_how_each_page_is_and_can_be_filtered(bobs, page, payments, bob):
    factories.StatusPageFactory(name="Office", slug="office", audience="public")
    type(payments).objects.filter(pk=payments.pk).update(state="major_outage")
    a_post(page, bob)
    shown = text_of(bobs.get("/status-pages"))
    assert shown.index("Shop status") < shown.index("Office")  # what is worst stands first
    assert "Major outage" in shown and "1 open post" in shown and "/status/shop" in shown
    for query, there, gone in (
        ("state=trouble", "Shop status", ">Office<"),
        ("state=operational", ">Office<", "Shop status"),
        ("audience=public", ">Office<", "Shop status"),
        ("team=shop", "Shop status", ">Office<"),
    ):
        shown = text_of(bobs.get(f"/status-pages?{query}"))
        assert there in shown and gone not in shown, query
    assert "No status page fits" in text_of(bobs.get("/status-pages?state=major_outage&audience=public"))
    assert bobs.get("/status-pages?state=%00&audience=x&team=nobody&page=99999999999999999999").status_code == 200


def test_without_a_page_the_list_says_what_to_do(client, alice, charlie):
    client.force_login(alice)
    assert "/admin/statuspages/statuspage/add/" in text_of(client.get("/status-pages"))
    client.force_login(charlie)
    assert "Ask an admin to make one" in text_of(client.get("/status-pages"))


def test_the_list_costs_the_same_whatever_is_on_it(bobs, page, bob, django_assert_max_num_queries):
    bobs.get("/status-pages")
    for _ in range(10):
        other = factories.StatusPageFactory()
        factories.ComponentFactory(page=other)
        factories.PostFactory(page=other)
    with django_assert_max_num_queries(14):
        bobs.get("/status-pages")


# --- one page -----------------------------------------------------------------------------------------------------


def test_the_page_says_why_a_component_is_in_trouble(bobs, page, payments, service, now):
    database = factories.ServiceFactory(name="Database", team=service.team)
    factories.DependencyFactory(service=service, needs=database)
    own = factories.IncidentFactory(service=service, title="Card declined", severity="high")
    needed = factories.IncidentFactory(service=database, title="Disk full", severity="critical")
    factories.IncidentFactory(service=service, title="A typo", severity="info")  # by the rules it changes nothing
    shown = text_of(bobs.get(PLACE))
    assert f"#{own.pk} Card declined" in shown
    assert f"#{needed.pk} Disk full" in shown and "of what Checkout needs" in shown
    assert "A typo" not in shown


def test_what_a_person_may_not_see_is_no_reason_with_a_name(client, page, payments, charlie, service):
    secret = factories.TeamFactory(is_private=True)
    hidden = factories.ServiceFactory(team=secret, name="Vault")
    factories.DependencyFactory(service=service, needs=hidden)
    factories.IncidentFactory(service=hidden, title="Vault is open", severity="critical")
    type(payments).objects.filter(pk=payments.pk).update(state="partial_outage")
    client.force_login(charlie)
    shown = text_of(client.get(PLACE))
    assert "Vault" not in shown and "an incident that you may not see" in shown


def test_a_state_is_set_by_hand_with_an_end_in_the_zone_of_the_page(bobs, page, payments):
    day = (timezone.now() + dt.timedelta(days=2)).date()
    until = f"{day}T18:30"
    form = {"state": "degraded_performance", "until": until, "reason": "Slow bank"}
    assert bobs.post(f"{PLACE}/components/{payments.uuid}/state", form).status_code == 302
    payments.refresh_from_db()
    assert payments.manual_state == "degraded_performance"
    assert f"{payments.manual_until.astimezone(BERLIN):%Y-%m-%dT%H:%M}" == until
    assert "Set by hand by Bob" in text_of(bobs.get(PLACE)) and "Slow bank" in text_of(bobs.get(PLACE))
    asked = bobs.get(f"{PLACE}/components/{payments.uuid}/clear")
    assert "Let Payments be what its incidents say?" in text_of(asked)
    bobs.post(f"{PLACE}/components/{payments.uuid}/clear")
    payments.refresh_from_db()
    assert payments.manual_state == "" and payments.manual_until is None


def test_a_service_that_is_hidden_is_not_named(bobs, payments):
    payments.services.add(factories.ServiceFactory(name="Vault", team__is_private=True))
    hidden = factories.ComponentFactory(page=payments.page, name="Safe")
    hidden.services.add(payments.services.get(name="Vault"))
    shown = text_of(bobs.get(PLACE))
    assert "Vault" not in shown and "Stands for services that you may not see." in shown
    assert f"Stands for {payments.services.exclude(name='Vault').get().name}." in shown


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"state": "broken"}, "is not one of the available choices"),
        ({"state": "major_outage", "until": "yesterday"}, "Write a date and a time"),
        ({"state": "major_outage", "until": "2001-01-01T00:00"}, "The end lies in the past"),
        ({"state": "major_outage", "until": "99999-01-01T00:00"}, "Write a date and a time"),
    ],
)
def test_a_wrong_state_gets_a_sentence(bobs, payments, form, sentence):
    answer = bobs.post(f"{PLACE}/components/{payments.uuid}/state", form)
    assert answer.status_code == 400 and sentence in text_of(answer)
    payments.refresh_from_db()
    assert payments.manual_state == ""


# --- posts --------------------------------------------------------------------------------------------------------


def test_a_post_is_opened_continued_corrected_and_deleted(bobs, page, payments):
    key = f"state-{payments.uuid}"
    answer = bobs.post(f"{PLACE}/posts/new", new_post(**{key: "partial_outage"}))
    post = Post.objects.get()
    assert answer["Location"] == f"{PLACE}/posts/{post.uuid}"
    assert (post.title, post.stage, post.impact) == ("Payments fail", "investigating", "major")
    assert [(one.component, one.state) for one in post.affected.all()] == [(payments, "partial_outage")]
    place = f"{PLACE}/posts/{post.uuid}"
    shown = text_of(bobs.get(place))
    assert "<strong>look</strong>" in shown and "partial outage" in shown

    bobs.post(place, {"stage": "identified", "body": "The bank.", key: "degraded_performance"})
    assert post.affected.get().state == "degraded_performance"
    bobs.post(place, {"stage": "monitoring", "body": "Fixed.", key: ""})
    assert not post.affected.exists()
    bobs.post(place, {"stage": "resolved", "body": "", key: ""})
    post.refresh_from_db()
    assert post.ended_at and list(post.updates.values_list("stage", "is_told")) == [
        ("resolved", False),
        ("monitoring", False),
        ("identified", False),
        ("investigating", True),
    ]

    update = post.updates.get(stage="identified")
    bobs.post(f"{place}/updates/{update.uuid}", {"body": "It was the bank."})
    bobs.post(f"{place}/edit", {"title": "Payments failed", "impact": "minor"})
    update.refresh_from_db()
    post.refresh_from_db()
    assert (update.body, bool(update.edited_at)) == ("It was the bank.", True)
    assert (post.title, post.impact) == ("Payments failed", "minor")
    assert "Payments failed" in text_of(bobs.get(f"{PLACE}/history?kind=incident&shown=over&q=bank"))

    assert "Delete this post?" in text_of(bobs.get(f"{place}/delete")) and Post.objects.exists()
    bobs.post(f"{place}/delete")
    assert not Post.objects.exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"title": ""}, "This field is required."),
        ({"title": "x" * 201}, "at most 200 characters"),
        ({"body": ""}, "This field is required."),
        ({"body": "x" * 10_001}, "at most 10000 characters"),
        ({"title": "\0", "body": "\0"}, "This field is required."),
        ({"stage": "completed"}, "is not one of the available choices"),
        ({"impact": "huge"}, "is not one of the available choices"),
        ({"incident": "999999999999999999"}, "There is no incident"),
        ({"incident": "9" * 40}, "There is no incident"),
        ({"incident": "the big one"}, "There is no incident"),
    ],
)
def test_a_wrong_post_gets_a_sentence_and_leaves_nothing(bobs, page, values, sentence):
    answer = bobs.post(f"{PLACE}/posts/new", new_post(**values))
    assert answer.status_code == 400 and sentence in text_of(answer)
    assert not Post.objects.exists()


def test_a_linked_incident_must_be_one_the_person_may_see(client, page, charlie):
    hidden = factories.IncidentFactory(service__team__is_private=True)
    client.force_login(charlie)
    answer = client.post(f"{PLACE}/posts/new", new_post(incident=str(hidden.pk)))
    assert answer.status_code == 400 and "that you may see" in text_of(answer)
    assert str(hidden.title) not in text_of(client.get(f"{PLACE}/posts/new?incident={hidden.pk}"))


def test_the_incident_of_a_post_is_named_only_to_who_may_see_it(client, page, charlie, alice):
    hidden = factories.IncidentFactory(pk=918273001, service__team__is_private=True, title="Vault is open")
    post = a_post(page, alice, incident=hidden)
    client.force_login(charlie)
    for path in (PLACE, f"{PLACE}/history", f"{PLACE}/posts/{post.uuid}"):
        shown = text_of(client.get(path))
        assert "Payments fail" in shown and "Vault" not in shown and f"#{hidden.pk}" not in shown


def test_a_template_fills_the_form_and_keeps_the_rest(bobs, page, payments):
    template = factories.PostTemplateFactory(page=page, name="Bank", title="The bank is slow", stage="identified")
    factories.PostTemplateFactory(page=factories.StatusPageFactory(), name="Of another page")
    key = f"state-{payments.uuid}"
    answer = bobs.post(
        f"{PLACE}/posts/new",
        {**new_post(title="", **{key: "major_outage"}), "template": str(template.uuid), "fill": "yes"},
    )
    form = answer.context["form"]
    assert answer.status_code == 200 and not form.is_bound and not Post.objects.exists()
    assert (form["title"].value(), form["stage"].value()) == ("The bank is slow", "identified")
    assert (form["body"].value(), form[key].value()) == (template.body, "major_outage")
    assert "Of another page" not in text_of(answer)
    foreign = {"template": str(uuid.uuid4()), "fill": "yes"}
    assert bobs.post(f"{PLACE}/posts/new", {**new_post(), **foreign}).status_code == 200


def test_the_preview_renders_markdown_and_posts_nothing(bobs, page, payments):
    key = f"state-{payments.uuid}"
    form = {**new_post(title="", **{key: "major_outage"}), "preview": "yes"}
    part = bobs.post(f"{PLACE}/posts/new", form, headers={"X-Fragment": "preview"})
    assert "<strong>look</strong>" in text_of(part) and "<html" not in text_of(part)
    whole = bobs.post(f"{PLACE}/posts/new", {**form, "body": "<script>x</script>"})
    assert whole.status_code == 200 and "&lt;script&gt;x" in text_of(whole) and "major outage" in text_of(whole)
    assert not Post.objects.exists()


def test_a_component_of_another_page_is_not_there(bobs, page, payments):
    foreign = factories.ComponentFactory(name="Foreign")
    bobs.post(f"{PLACE}/posts/new", new_post(**{f"state-{foreign.uuid}": "major_outage"}))
    assert not Post.objects.get().affected.exists()
    assert bobs.get(f"{PLACE}/components/{foreign.uuid}/state").status_code == 404
    other = factories.PostFactory()
    for path in ("", "/edit", "/delete"):
        assert bobs.get(f"{PLACE}/posts/{other.uuid}{path}").status_code == 404


def test_an_update_that_says_nothing_is_refused_with_a_sentence(bobs, page, bob):
    post = a_post(page, bob)
    answer = bobs.post(f"{PLACE}/posts/{post.uuid}", {"stage": "investigating", "body": ""})
    assert answer.status_code == 400 and "The update says nothing" in text_of(answer)
    assert post.updates.count() == 1


# --- maintenance --------------------------------------------------------------------------------------------------


def test_maintenance_is_planned_by_the_clock_of_the_page(bobs, page, payments):
    day = (timezone.now() + dt.timedelta(days=3)).date()
    form = {
        "title": "Database upgrade",
        "body": "Read-only.",
        "starts_at": f"{day}T22:00",
        "ends_at": f"{day}T23:30",
        "components": [str(payments.uuid)],
        "goes_by_itself": "on",
    }
    assert bobs.post(f"{PLACE}/maintenance/new", form).status_code == 302
    post = Post.objects.get()
    assert (post.kind, post.stage) == ("maintenance", "scheduled")
    assert f"{post.starts_at.astimezone(BERLIN):%H:%M} {post.ends_at.astimezone(BERLIN):%H:%M}" == "22:00 23:30"
    assert post.goes_by_itself and not post.updates.get().is_told and post.affected.get().component == payments
    assert "Database upgrade" in text_of(bobs.get(PLACE))
    bad = bobs.post(f"{PLACE}/maintenance/new", {**form, "ends_at": f"{day}T21:00"})
    assert bad.status_code == 400 and "The end must be later than the start" in text_of(bad)
    bad = bobs.post(f"{PLACE}/maintenance/new", {**form, "components": ["x", str(uuid.uuid4())]})
    assert bad.status_code == 400 and "is not one of the available choices" in text_of(bad)
    assert Post.objects.count() == 1


def test_recurring_maintenance_shows_its_next_three_times(bobs, page, payments):
    form = {
        "title": "Weekly work",
        "body": "Short breaks.",
        "starts_at": "2026-01-04T03:00",
        "ends_at": "2026-01-04T04:00",
        "repeats": "FREQ=WEEKLY",
        "components": [str(payments.uuid)],
        "announced_days": "2",
        "is_enabled": "on",
    }
    part = bobs.post(f"{PLACE}/recurring/new", {**form, "preview": "yes"}, headers={"X-Fragment": "preview"})
    assert text_of(part).count(" to <time") == 3 and ", 03:00 CE" in text_of(part)
    assert bobs.post(f"{PLACE}/recurring/new", form).status_code == 302
    row = Series.objects.get()
    assert (row.time_zone, row.rrule, row.due_at is not None) == ("Europe/Berlin", "FREQ=WEEKLY", True)
    shown = text_of(bobs.get(f"{PLACE}/recurring"))
    assert "Weekly work" in shown and shown.count(">Sun") >= 3 and shown.count(", 03:00 CE") == 3
    place = f"{PLACE}/recurring/{row.uuid}"
    assert 'value="2026-01-04T03:00"' in text_of(bobs.get(place))
    own = {**form, "repeats": "own", "rrule": "FREQ=NEVER"}
    assert "no FREQ that we know" in text_of(bobs.post(place, own))
    assert "Write the rule" in text_of(bobs.post(place, {**own, "rrule": ""}))
    assert "1 to 60" in text_of(bobs.post(place, {**form, "announced_days": "9" * 30}))
    assert bobs.post(place, {**form, "is_enabled": ""}).status_code == 302
    row.refresh_from_db()
    assert not row.is_enabled and row.due_at is None
    assert "Delete this recurring maintenance?" in text_of(bobs.get(f"{place}/delete"))
    bobs.post(f"{place}/delete")
    assert not Series.objects.exists()


# --- subscribers --------------------------------------------------------------------------------------------------


def test_subscribers_are_shown_with_masked_addresses_and_an_admin_ends_one(client, page, alice, bob):
    one = factories.SubscriberFactory(page=page)
    client.force_login(bob)
    place = f"{PLACE}/subscribers"
    shown = text_of(client.get(place))
    assert one.destination.shown in shown and one.destination.address not in shown
    assert client.post(f"{place}/{one.uuid}/end").status_code == 403
    client.force_login(alice)
    assert "End this subscription?" in text_of(client.get(f"{place}/{one.uuid}/end"))
    client.post(f"{place}/{one.uuid}/end")
    one.refresh_from_db()
    assert one.ended_at
    assert "No subscriber fits" in text_of(client.get(f"{place}?state=waiting"))
    assert one.destination.shown in text_of(client.get(f"{place}?state=ended&channel={one.channel}"))


# --- on the page of an incident -----------------------------------------------------------------------------------


def test_an_incident_leads_to_a_post_in_which_nothing_of_it_stands(bobs, page, payments, service):
    incident = lifecycle.trigger(service, title="db-7 lost its disk", severity="critical", now=timezone.now())
    panel = text_of(bobs.get(f"/incidents/{incident.pk}/status-pages", headers={"X-Fragment": "status-pages"}))
    address = f"{PLACE}/posts/new?incident={incident.pk}"
    assert "Shop status" in panel and address in panel
    form = bobs.get(address).context["form"]
    assert (form["incident"].value(), form[f"state-{payments.uuid}"].value()) == (str(incident.pk), "computed")
    assert not form["title"].value() and not form["body"].value()
    values = new_post(incident=f"#{incident.pk}", **{f"state-{payments.uuid}": "computed"})
    bobs.post(f"{PLACE}/posts/new", values)
    post = Post.objects.get()
    assert post.incident == incident and post.affected.get().state == ""
    panel = text_of(bobs.get(f"/incidents/{incident.pk}/status-pages"))
    assert "Payments fail" in panel and "Add an update" in panel and "the post is still open" not in panel


def test_a_resolved_incident_with_an_open_post_asks_for_its_end(bobs, page, payments, service, bob):
    now = timezone.now()
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    post = a_post(page, bob, incident=incident)
    lifecycle.resolve(incident.pk, by=bob, now=now)
    panel = text_of(bobs.get(f"/incidents/{incident.pk}/status-pages"))
    assert "this post is still open" in panel and f"/posts/{post.uuid}?stage=resolved#update" in panel
    answer = bobs.get(f"{PLACE}/posts/{post.uuid}?stage=resolved")
    assert answer.context["form"]["stage"].value() == "resolved" and "is resolved" in text_of(answer)
    bobs.post(f"{PLACE}/posts/{post.uuid}", {"stage": "resolved", "body": "It is over."})
    assert "still open" not in text_of(bobs.get(f"/incidents/{incident.pk}/status-pages"))


def test_a_service_that_no_page_shows_says_so(bobs, service):
    incident = factories.IncidentFactory(service=service)
    assert "No status page shows Checkout." in text_of(bobs.get(f"/incidents/{incident.pk}/status-pages"))


def test_who_only_reads_finds_no_way_to_post(client, page, payments):
    reader = factories.UserFactory(role="observer")
    client.force_login(reader)
    shown = text_of(client.get(PLACE))
    assert "/posts/new" not in shown and "Set by hand" not in shown
    assert client.get(f"{PLACE}/posts/new").status_code == 403
    assert client.post(f"{PLACE}/posts/new", new_post()).status_code == 403
