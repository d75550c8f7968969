"""Schedules and policies are edited on one page each, and the page says what they mean."""

import datetime as dt
import html
import zoneinfo

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from catalog.models import Service
from oncall import lookup
from oncall.models import EscalationPolicy, Layer, Override, Schedule
from tests import factories

ADD_SCHEDULE, ADD_POLICY = "admin:oncall_schedule_add", "admin:oncall_escalationpolicy_add"


def page_of(row):
    return reverse(f"admin:oncall_{row._meta.model_name}_change", args=[row.pk])


def errors_of(response):
    """What the inline forms of the page say is wrong."""
    assert response.status_code == 200
    said = []
    for inline in response.context["inline_admin_formsets"]:
        said += inline.formset.non_form_errors()
        for form in inline.formset.forms:
            for errors in form.errors.values():
                said += errors
    return said


# --- schedules ----------------------------------------------------------------------------------------------------
LAYER = {
    "position": "1",
    "role": "PRIMARY",
    "unit": "week",
    "every": "1",
    "rule": "",
    "start_date": "2026-01-05",
    "handoff_time": "09:00",
    "time_zone": "",
    "first_slot": "1",
}


def places(*people):
    """Places as the page sends them: each a person, a list of people, or None for nobody."""
    sent = []
    for one in people:
        group = one if isinstance(one, list) else [one]
        sent += ["place", *("nobody" if user is None else str(user.pk) for user in group)]
    return [*sent, "place"]  # one more that nobody filled in


def a_layer(number, name, people, **fields):
    fields = LAYER | {"position": number + 1, "name": name, "slots": places(*people)} | fields
    return {f"layers-{number}-{key}": value for key, value in fields.items()}


def people_of(layer):
    """The names in each slot, in order."""
    slots = {}
    for one in layer.participants.select_related("user"):
        slots.setdefault(one.position, []).append(str(one))
    return [slots[position] for position in sorted(slots)]


@pytest.fixture
def new_schedule(team):
    data = {"name": "Shop on call", "slug": "shop-on-call", "team": team.pk, "time_zone": "Europe/Berlin"}
    return data | {"notice_minutes": 60, "layers-TOTAL_FORMS": 1, "layers-INITIAL_FORMS": 0}


@pytest.fixture
def the_past():
    """What was on call in the year before now, to compare before and after a change."""
    now = timezone.now()

    def past(schedule):
        finals = lookup.finals([schedule.pk], start=now - dt.timedelta(days=300), end=now)[schedule.pk]
        return {
            role: [(one.start_at, one.end_at, [each.user_id for each in one.people]) for one in spans]
            for role, spans in finals.items()
        }

    return past


def test_a_schedule_is_made_on_one_page(browser, new_schedule, alice, bob, charlie):
    data = new_schedule | {"layers-TOTAL_FORMS": 2} | a_layer(0, "Days", [bob, alice, bob])
    data |= a_layer(1, "Nights", [charlie])
    response = browser.post(reverse(ADD_SCHEDULE), data)
    assert response.status_code == 302, errors_of(response)
    layers = Schedule.objects.get().layers.all()
    assert [people_of(layer) for layer in layers] == [[["Bob"], ["Alice"], ["Bob"]], [["Charlie"]]]


def test_places_may_hold_several_people_or_nobody(browser, new_schedule, alice, bob, charlie):
    data = new_schedule | a_layer(0, "Days", [[alice, bob], None, charlie])
    assert browser.post(reverse(ADD_SCHEDULE), data).status_code == 302
    assert people_of(Layer.objects.get()) == [["Alice", "Bob"], ["nobody"], ["Charlie"]]


def test_long_rotations_in_several_layers_are_saved(browser, new_schedule, alice, bob):
    """Each place is two fields of the form: more of them than Django takes by default."""
    data = new_schedule | {"layers-TOTAL_FORMS": 3}
    for number in range(3):
        data |= a_layer(number, f"Layer {number}", [alice, bob] * 100)
    assert browser.post(reverse(ADD_SCHEDULE), data).status_code == 302
    assert Layer.objects.count() == 3


def test_people_may_be_typed_by_their_addresses_where_no_script_runs(browser, new_schedule, alice, bob, charlie):
    User.objects.filter(pk=alice.pk).update(email="Alice@example.com")
    typed = ["place", "alice@example.com, Bob@Example.com", "place", "", "place", str(charlie.pk), ""]
    data = new_schedule | a_layer(0, "Days", [], slots=typed)
    assert browser.post(reverse(ADD_SCHEDULE), data).status_code == 302
    assert people_of(Layer.objects.get()) == [["Alice", "Bob"], ["Charlie"]]


@pytest.mark.parametrize(
    ("slots", "sentence"),
    [
        (["place", "999999"], "Nobody here is “999999”. Choose the people from the list."),
        (["place", "eve@example.com"], "Nobody here is “eve@example.com”. Choose the people from the list."),
        (["place", "x" * 500], f"Nobody here is “{'x' * 80}”. Choose the people from the list."),
        (["place", "²"], "Nobody here is “²”. Choose the people from the list."),
    ],
)
def test_people_who_are_not_there_are_refused(browser, new_schedule, slots, sentence):
    response = browser.post(reverse(ADD_SCHEDULE), new_schedule | a_layer(0, "Days", [], slots=slots))
    assert errors_of(response) == [sentence]


def test_a_place_is_for_people_or_for_nobody(browser, new_schedule, alice):
    response = browser.post(reverse(ADD_SCHEDULE), new_schedule | a_layer(0, "Days", [[alice, None]]))
    assert errors_of(response) == ["A place is marked “nobody” and has people. Choose one of the two."]


def test_restrictions_are_made_on_the_page(browser, fields_of, new_schedule, alice):
    windows = {"layers-0-restrictions-0-days": ["0", "1"], "layers-0-restrictions-0-opens": "09:00"}
    windows |= {"layers-0-restrictions-0-closes": "17:00", "layers-0-restrictions-0-until": ""}
    windows |= {"layers-0-restrictions-7-days": ["4"], "layers-0-restrictions-7-opens": "18:00"}
    windows |= {"layers-0-restrictions-7-closes": "08:00", "layers-0-restrictions-7-until": "0"}
    response = browser.post(reverse(ADD_SCHEDULE), new_schedule | a_layer(0, "Days", [alice]) | windows)
    assert response.status_code == 302, errors_of(response)
    layer = Layer.objects.get()
    assert [str(one) for one in layer.restrictions.all()] == [
        "Monday, Tuesday 09:00 until 17:00",
        "Friday 18:00 until Monday 08:00",
    ]
    data = fields_of(page_of(layer.schedule))
    assert data["layers-0-restrictions-0-days"] == ["0", "1"]
    assert data["layers-0-restrictions-1-until"] == "0"


BAD_WINDOWS = [
    ({"days": ["0"], "opens": "09:00", "closes": "09:00"}, "The window opens and closes at the same time."),
    ({"days": [], "opens": "09:00", "closes": "17:00"}, "Choose the days on which the window opens."),
    ({"days": ["0"], "opens": "", "closes": "17:00"}, "Window 1: say when it opens and when it closes."),
    ({"days": ["0"], "opens": "25:00", "closes": "17:00"}, "Window 1: write times like 09:00."),
    ({"days": ["9"], "opens": "09:00", "closes": "17:00"}, "Window 1: choose days of the week."),
    ({"days": ["0", "1"], "opens": "09:00", "closes": "17:00", "until": "3"}, "opens on one day only. Choose one."),
]


@pytest.mark.parametrize(("window", "sentence"), BAD_WINDOWS)
def test_a_wrong_restriction_is_refused(browser, new_schedule, alice, window, sentence):
    windows = {f"layers-0-restrictions-0-{part}": value for part, value in ({"until": ""} | window).items()}
    response = browser.post(reverse(ADD_SCHEDULE), new_schedule | a_layer(0, "Days", [alice]) | windows)
    assert sentence in " ".join(errors_of(response))
    assert not Schedule.objects.exists()


BAD_LAYERS = [
    ({"slots": ["place"]}, "Layer Days has no participants. Add one, or delete the layer."),
    ({"slots": ["place", "nobody"]}, "Layer Days has no participants. Add one, or delete the layer."),
    ({"ends_at_0": "2099-01-01", "ends_at_1": "10:00", "starts_at_0": "2099-01-02", "starts_at_1": "10:00"}, "ends"),
    ({"time_zone": "Europe/Atlantis"}, "“Europe/Atlantis” is not a time zone. Use one like Europe/Berlin."),
    ({"unit": "rrule", "rule": "FREQ=SECONDLY"}, "This rule hands over too often."),
    ({"unit": "rrule", "rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "never fires"),
    ({"unit": "rrule", "rule": ""}, "Write the recurrence rule, for example FREQ=WEEKLY;BYDAY=MO,TH."),
    ({"unit": "rrule", "rule": "every Monday"}, "is not a part of a recurrence rule"),
    ({"every": "0"}, "A shift lasts 1 to 365 units."),
    ({"start_date": "0999-01-01"}, "Choose a start date"),
    ({"first_slot": "0"}, "greater than or equal to 1"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "sentence"), BAD_LAYERS)
def test_a_wrong_layer_is_refused_at_its_field(browser, new_schedule, alice, fields, sentence):
    response = browser.post(reverse(ADD_SCHEDULE), new_schedule | a_layer(0, "Days", [alice], **fields))
    assert sentence in " ".join(errors_of(response))
    assert not Schedule.objects.exists()


def test_an_unknown_zone_of_a_schedule_is_refused(browser, new_schedule, alice):
    data = new_schedule | a_layer(0, "Days", [alice]) | {"time_zone": "Europe/Atlantis"}
    response = browser.post(reverse(ADD_SCHEDULE), data)
    assert response.context["adminform"].form.errors["time_zone"] == [
        "“Europe/Atlantis” is not a time zone. Choose one like Europe/Berlin."
    ]


def test_two_layers_of_one_position_are_refused(browser, new_schedule, alice, bob):
    data = new_schedule | {"layers-TOTAL_FORMS": 2} | a_layer(0, "Days", [alice])
    response = browser.post(reverse(ADD_SCHEDULE), data | a_layer(1, "Nights", [bob], position=1))
    assert "has the same position as layer Days" in " ".join(errors_of(response))


def test_a_layer_that_lost_its_participants_may_be_deleted(browser, fields_of, alice):
    schedule = factories.ScheduleFactory(people=[alice])
    data = fields_of(page_of(schedule)) | {"layers-0-slots": ["place"]}
    assert errors_of(browser.post(page_of(schedule), data))
    assert browser.post(page_of(schedule), data | {"layers-0-DELETE": "on"}).status_code == 302
    assert not schedule.layers.running(timezone.now()).exists()


def test_a_page_that_is_saved_unchanged_changes_nothing(browser, fields_of, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice, bob, alice])
    layer = schedule.layers.get()
    factories.RestrictionFactory(layer=layer, start_time=dt.time(9, 0, 30))
    Layer.objects.filter(pk=layer.pk).update(starts_at=timezone.now() - dt.timedelta(days=3, microseconds=17))
    before = list(layer.participants.values_list("pk", flat=True))
    assert browser.post(page_of(schedule), fields_of(page_of(schedule)) | {"name": "New name"}).status_code == 302
    assert list(schedule.layers.values_list("pk", "ends_at")) == [(layer.pk, None)]
    assert list(layer.participants.values_list("pk", flat=True)) == before
    assert Schedule.objects.get().name == "New name"


CHANGES = [
    {"layers-0-every": "2"},
    {"layers-0-unit": "day"},
    {"layers-0-handoff_time": "17:00"},
    {"layers-0-time_zone": "Asia/Tokyo"},
    {"layers-0-first_slot": "2"},
    {"layers-0-role": "SECONDARY"},
    {"layers-0-DELETE": "on"},
    {"time_zone": "America/New_York"},
    {"time_zone": "America/New_York", "layers-0-every": "2"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_changing_a_running_layer_never_changes_the_past(browser, fields_of, the_past, alice, bob, charlie, change):
    schedule = factories.ScheduleFactory(people=[alice, bob, charlie], time_zone="Europe/Berlin")
    before = the_past(schedule)
    response = browser.post(page_of(schedule), fields_of(page_of(schedule)) | change)
    assert response.status_code == 302, errors_of(response)
    assert the_past(schedule) == before
    old = schedule.layers.order_by("pk").first()
    assert old.ends_at is not None
    schedule.refresh_from_db()
    assert schedule.time_zone == change.get("time_zone", "Europe/Berlin")


def test_participants_are_put_in_another_order(browser, fields_of, the_past, alice, bob, charlie):
    schedule = factories.ScheduleFactory(people=[alice, bob])
    before = the_past(schedule)
    data = fields_of(page_of(schedule))
    assert data["layers-0-slots"][:4] == ["place", str(alice.pk), "place", str(bob.pk)]
    response = browser.post(page_of(schedule), data | {"layers-0-slots": places(charlie, [bob, alice])})
    assert response.status_code == 302, errors_of(response)
    running = schedule.layers.running(timezone.now()).get()
    assert people_of(running) == [["Charlie"], ["Bob", "Alice"]]
    assert people_of(running.follows) == [["Alice"], ["Bob"]]
    assert the_past(schedule) == before


def test_layers_that_ended_are_listed_to_look_at(browser, fields_of, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice, bob])
    browser.post(page_of(schedule), fields_of(page_of(schedule)) | {"layers-0-name": "Days"})
    response = browser.get(page_of(schedule))
    page = response.content.decode()
    assert "Earlier layers" in page
    assert "every week, 09:00 UTC" in page
    formset = response.context["inline_admin_formsets"][0].formset
    assert [form.instance.name for form in formset.initial_forms] == ["Days"]


def test_a_layer_that_somebody_added_meanwhile_is_not_ended(browser, fields_of, alice):
    schedule = factories.ScheduleFactory(people=[alice])
    data = fields_of(page_of(schedule))
    other = factories.LayerFactory(schedule=schedule, name="Nights", position=2, people=[alice])
    assert "meanwhile" in " ".join(errors_of(browser.post(page_of(schedule), data)))
    other.refresh_from_db()
    assert other.ends_at is None


def test_a_layer_that_somebody_changed_meanwhile_is_a_sentence(browser, fields_of, alice):
    schedule = factories.ScheduleFactory(people=[alice])
    data = fields_of(page_of(schedule)) | {"layers-0-every": "2"}
    assert browser.post(page_of(schedule), data).status_code == 302
    response = browser.post(page_of(schedule), data)
    assert "Load the page again" in " ".join(errors_of(response))
    assert schedule.layers.count() == 2


def test_the_list_says_who_is_on_call_now(browser, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice])
    factories.LayerFactory(schedule=schedule, role="SECONDARY", people=[bob])
    factories.ScheduleFactory()
    page = browser.get(reverse("admin:oncall_schedule_changelist")).content.decode()
    assert "Alice; secondary: Bob" in page
    assert "<strong>nobody</strong>" in page


# --- the preview --------------------------------------------------------------------------------------------------
def preview_of(schedule):
    return reverse("admin:oncall_schedule_preview", args=[schedule.pk])


def test_the_page_shows_the_next_four_weeks_in_the_zone_of_the_schedule(browser, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice, bob], time_zone="America/New_York")
    now = timezone.now()
    spans = lookup.final(schedule, start=now, end=now + dt.timedelta(weeks=4))
    page = browser.get(page_of(schedule)).content.decode()
    assert "Times in America/New_York." in page
    assert page.count("<td>Alice</td>") == len([one for one in spans if one.people[0].user_id == alice.pk]) >= 2
    assert "09:00" in page


def test_a_gap_is_shown_as_nobody(browser):
    page = browser.get(page_of(factories.ScheduleFactory())).content.decode()
    assert "<strong>nobody</strong>" in page
    assert "1 gap: nobody is on call" in page


def test_the_preview_shows_what_is_typed_and_saves_nothing(browser, fields_of, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice])
    data = fields_of(page_of(schedule)) | {"layers-0-slots": places(bob)}
    page = browser.post(preview_of(schedule), data).content.decode()
    assert "<td>Bob</td>" in page
    assert "Nothing is saved yet." in page
    assert people_of(schedule.layers.get()) == [["Alice"]]
    assert "<td>Alice</td>" in browser.get(page_of(schedule)).content.decode()


def test_the_preview_of_a_schedule_that_does_not_exist_yet(browser, new_schedule, alice):
    data = new_schedule | a_layer(0, "Days", [alice])
    page = browser.post(reverse("admin:oncall_schedule_add_preview"), data).content.decode()
    assert "<td>Alice</td>" in page
    assert "Times in Europe/Berlin." in page
    assert not Schedule.objects.exists()


def test_the_preview_shows_roles_gaps_and_overrides_that_are_typed(browser, fields_of, alice, bob, charlie):
    schedule = factories.ScheduleFactory(people=[alice])
    data = fields_of(page_of(schedule)) | {"layers-TOTAL_FORMS": 2}
    windows = {f"layers-1-restrictions-0-{part}": value for part, value in BAD_WINDOWS[0][0].items()}
    data |= a_layer(1, "Second", [bob], role="SECONDARY") | windows | {"layers-1-restrictions-0-closes": "17:00"}
    day = timezone.now().date() + dt.timedelta(days=2)
    data |= {"overrides-TOTAL_FORMS": 1, "overrides-0-user": charlie.pk, "overrides-0-role": "PRIMARY"}
    data |= {"overrides-0-start_at_0": str(day), "overrides-0-start_at_1": "10:00"}
    data |= {"overrides-0-end_at_0": str(day), "overrides-0-end_at_1": "12:00"}
    page = browser.post(preview_of(schedule), data).content.decode()
    assert "Secondary" in page
    assert "gaps: nobody is on call" in page
    assert page.count("<td>Charlie</td>") == 1
    assert not schedule.overrides.exists()


def test_the_preview_tells_coverage_problems_of_what_is_typed(browser, fields_of, new_schedule, alice, bob):
    bob.contact_methods.all().delete()
    sentence = "Bob has no verified contact method"
    schedule = factories.ScheduleFactory(people=[alice])
    data = fields_of(page_of(schedule))
    assert sentence not in browser.post(preview_of(schedule), data).content.decode()
    assert sentence in browser.post(preview_of(schedule), data | {"layers-0-slots": places(bob)}).content.decode()
    data = new_schedule | a_layer(0, "Days", [bob])
    assert sentence in browser.post(reverse("admin:oncall_schedule_add_preview"), data).content.decode()


@pytest.mark.parametrize(("fields", "sentence"), BAD_LAYERS)
def test_the_preview_says_what_is_wrong(browser, fields_of, alice, fields, sentence):
    schedule = factories.ScheduleFactory(people=[alice])
    data = fields_of(page_of(schedule)) | a_layer(0, "Days", [alice], **fields)
    response = browser.post(preview_of(schedule), data)
    assert response.status_code == 200
    assert html.escape(sentence) in response.content.decode()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"layers-TOTAL_FORMS": "x"},
        {"time_zone": "x"},
        {"name": "\x00"},
        {"layers-TOTAL_FORMS": "1", "layers-INITIAL_FORMS": "0", "layers-0-slots": ["place", "a\x00b"]},
    ],
)
def test_garbage_in_the_preview_is_a_sentence(browser, alice, data):
    schedule = factories.ScheduleFactory(people=[alice])
    assert browser.post(preview_of(schedule), data).status_code == 200


def test_the_preview_costs_the_same_for_a_long_rotation(browser, fields_of, alice):
    def cost(people):
        schedule = factories.ScheduleFactory(people=people)
        data = fields_of(page_of(schedule))
        with CaptureQueriesContext(connection) as queries:
            browser.post(preview_of(schedule), data)
        return len(queries)

    cost([alice])
    assert cost([factories.UserFactory()]) == cost([factories.UserFactory() for _ in range(20)])


def test_the_page_costs_the_same_for_a_long_rotation(browser, alice):
    def cost(people):
        schedule = factories.ScheduleFactory(people=people)
        with CaptureQueriesContext(connection) as queries:
            browser.get(page_of(schedule))
        return len(queries)

    cost([alice])
    assert cost([factories.UserFactory()]) == cost([factories.UserFactory() for _ in range(20)])


def test_a_responder_gets_no_preview(client, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice])
    client.force_login(bob)
    response = client.post(preview_of(schedule), {})
    assert response.status_code == 403


def test_the_preview_is_posted_only(browser, alice):
    schedule = factories.ScheduleFactory(people=[alice])
    assert browser.get(preview_of(schedule)).status_code == 405
    assert browser.post(reverse("admin:oncall_schedule_preview", args=[schedule.pk + 1])).status_code == 404


def test_the_preview_wants_the_token_of_the_page(ada, alice):
    schedule = factories.ScheduleFactory(people=[alice])
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    assert strict.post(preview_of(schedule), {}).status_code == 403


# --- what a save says ---------------------------------------------------------------------------------------------
def test_a_save_tells_the_problems_of_the_next_weeks(browser, fields_of, said, alice):
    schedule = factories.ScheduleFactory(people=[alice], name="Days")
    factories.RestrictionFactory(layer=schedule.layers.get())
    response = browser.post(page_of(schedule), fields_of(page_of(schedule)))
    assert response.status_code == 302, errors_of(response)
    told = [message for message in get_messages(response.wsgi_request) if message.level_tag == "warning"]
    assert len(told) == 6
    assert "Nobody is on call as primary in Days" in said(response)
    assert "Look at the schedule" in said(response)


def test_a_save_is_silent_when_all_is_fine(browser, fields_of, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice, bob])
    response = browser.post(page_of(schedule), fields_of(page_of(schedule)))
    assert [message.level_tag for message in get_messages(response.wsgi_request)] == ["success"]


# --- overrides on the page ----------------------------------------------------------------------------------------
def an_override(user, day, start="10:00", end="12:00", **fields):
    """An override typed on the page of a schedule."""
    data = {"TOTAL_FORMS": 1, "0-user": user.pk, "0-role": "PRIMARY", "0-reason": ""}
    data |= {"0-start_at_0": str(day), "0-start_at_1": start, "0-end_at_0": str(day), "0-end_at_1": end} | fields
    return {f"overrides-{key}": value for key, value in data.items()}


def test_an_override_is_made_on_the_page_and_shows_in_the_preview(browser, fields_of, ada, alice, charlie):
    schedule = factories.ScheduleFactory(people=[alice], time_zone="Asia/Tokyo")
    day = timezone.now().date() + dt.timedelta(days=2)
    data = fields_of(page_of(schedule)) | an_override(charlie, day)
    response = browser.post(page_of(schedule), data)
    assert response.status_code == 302, errors_of(response)
    override = Override.objects.get()
    assert override.created_by == ada
    assert override.start_at == dt.datetime.combine(day, dt.time(10), zoneinfo.ZoneInfo("Asia/Tokyo"))
    assert "<td>Charlie</td>" in browser.get(page_of(schedule)).content.decode()


def test_overrides_that_are_there_stay_when_the_page_is_saved(browser, fields_of, alice, charlie):
    schedule = factories.ScheduleFactory(people=[alice])
    now = timezone.now()
    for days in (-9, -0.01, 9):
        start = now + dt.timedelta(days=days, microseconds=5)
        end = start + dt.timedelta(hours=1)
        factories.OverrideFactory(schedule=schedule, user=charlie, start_at=start, end_at=end)
    before = set(Override.objects.values_list("pk", "start_at", "end_at"))
    data = fields_of(page_of(schedule))
    assert browser.post(page_of(schedule), data).status_code == 302
    assert set(Override.objects.values_list("pk", "start_at", "end_at")) == before


def test_an_override_is_deleted_on_the_page_and_a_running_one_ends(browser, fields_of, alice, charlie):
    schedule = factories.ScheduleFactory(people=[alice])
    now = timezone.now()
    for days in (-0.01, 9):
        start = now + dt.timedelta(days=days)
        end = start + dt.timedelta(hours=1)
        factories.OverrideFactory(schedule=schedule, user=charlie, start_at=start, end_at=end)
    data = fields_of(page_of(schedule)) | {"overrides-0-DELETE": "on", "overrides-1-DELETE": "on"}
    response = browser.post(page_of(schedule), data)
    assert response.status_code == 302, errors_of(response)
    assert now <= Override.objects.get().end_at <= timezone.now()


def test_the_page_says_in_which_zone_a_time_is_typed(browser, alice, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    page = browser.get(page_of(factories.ScheduleFactory(people=[alice], time_zone="Asia/Tokyo"))).content.decode()
    assert "Time zone: Asia/Tokyo." in page
    assert "Time zone: that of the schedule." in browser.get(reverse(ADD_SCHEDULE)).content.decode()


def test_a_wrong_override_is_a_field_error_on_the_page(browser, fields_of, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice], name="Days")
    data = fields_of(page_of(schedule))
    day = timezone.now().date() + dt.timedelta(days=2)
    response = browser.post(page_of(schedule), data | an_override(alice, day, end="09:00"))
    assert "The override ends before it starts. Choose a later end." in errors_of(response)
    response = browser.post(page_of(schedule), data | an_override(alice, day, **{"0-replaces": bob.pk}))
    assert errors_of(response) == ["Bob is not on call in Days then. Choose whom to replace, or leave it empty."]
    assert not Override.objects.exists()


# --- policies -----------------------------------------------------------------------------------------------------
def a_level(index, *, order="", people=(), schedules=(), delay=5):
    level = {"order": order, "delay_minutes": delay, "people": [one.pk for one in people]}
    level["schedules"] = [one.pk for one in schedules]
    return {f"levels-{index}-{key}": value for key, value in level.items()}


@pytest.fixture
def new_policy(team):
    data = {"name": "Shop", "slug": "shop", "team": team.pk, "repeats": 2, "nobody_action": "next_level"}
    return data | {"levels-TOTAL_FORMS": 1, "levels-INITIAL_FORMS": 0}


def levels_of(policy):
    return [
        (level.number, level.delay_minutes, [str(one) for one in level.targets.all()])
        for level in policy.levels.order_by("number")
    ]


def test_a_policy_is_made_on_one_page(browser, new_policy, alice, bob):
    schedule = factories.ScheduleFactory(people=[bob], name="Primary")
    data = new_policy | {"levels-TOTAL_FORMS": 2} | a_level(0, people=[alice], schedules=[schedule], delay=7)
    response = browser.post(reverse(ADD_POLICY), data | a_level(1, people=[bob], delay=9))
    assert response.status_code == 302, errors_of(response)
    assert levels_of(EscalationPolicy.objects.get()) == [(1, 7, ["Alice", "Primary"]), (2, 9, ["Bob"])]


def test_levels_are_numbered_by_their_order_without_holes(browser, fields_of, alice, bob, charlie):
    policy = factories.EscalationPolicyFactory(calls=[alice, bob, charlie])
    data = fields_of(page_of(policy)) | {"levels-0-order": 9, "levels-1-DELETE": "on", "levels-2-order": 4}
    response = browser.post(page_of(policy), data)
    assert response.status_code == 302, errors_of(response)
    assert levels_of(policy) == [(1, 15, ["Charlie"]), (2, 5, ["Alice"])]


def test_two_levels_change_places(browser, fields_of, alice, bob):
    policy = factories.EscalationPolicyFactory(calls=[alice, bob])
    data = fields_of(page_of(policy)) | {"levels-0-order": 2, "levels-1-order": 1}
    assert browser.post(page_of(policy), data).status_code == 302
    assert levels_of(policy) == [(1, 10, ["Bob"]), (2, 5, ["Alice"])]


def test_a_level_without_targets_is_refused(browser, fields_of, alice, bob):
    policy = factories.EscalationPolicyFactory(calls=[alice, bob])
    data = fields_of(page_of(policy)) | {"levels-1-people": []}
    assert errors_of(browser.post(page_of(policy), data)) == [
        "Level 2 calls nobody. Add a person or a schedule, or delete the level."
    ]
    assert levels_of(policy) == [(1, 5, ["Alice"]), (2, 10, ["Bob"])]


def test_a_policy_without_levels_is_refused(browser, new_policy, fields_of, alice):
    words = ["The policy calls nobody. Add a level with a person or a schedule."]
    assert errors_of(browser.post(reverse(ADD_POLICY), new_policy | a_level(0))) == words
    policy = factories.EscalationPolicyFactory(calls=[alice])
    data = fields_of(page_of(policy)) | {"levels-0-DELETE": "on"}
    assert errors_of(browser.post(page_of(policy), data)) == words
    assert levels_of(policy)


def test_targets_that_stay_keep_their_rows(browser, fields_of, alice, bob, charlie):
    policy = factories.EscalationPolicyFactory(calls=[alice])
    row = policy.levels.get().targets.get()
    data = fields_of(page_of(policy)) | {"levels-0-people": [bob.pk, alice.pk]}
    assert browser.post(page_of(policy), data).status_code == 302
    assert row in policy.levels.get().targets.all()
    assert levels_of(policy) == [(1, 5, ["Alice", "Bob"])]


def test_a_level_calls_roles_of_schedules(browser, new_policy, fields_of, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice], name="Nights")
    data = new_policy | a_level(0, schedules=[schedule])
    data |= {"levels-0-secondaries": [schedule.pk], "levels-0-tertiaries": [schedule.pk]}
    response = browser.post(reverse(ADD_POLICY), data)
    assert response.status_code == 302, errors_of(response)
    policy = EscalationPolicy.objects.get()
    assert levels_of(policy) == [(1, 5, ["Nights", "Nights (secondary)", "Nights (tertiary)"])]
    rows = list(policy.levels.get().targets.values_list("pk", "role"))
    data = fields_of(page_of(policy)) | {"levels-0-secondaries": []}
    assert browser.post(page_of(policy), data).status_code == 302
    assert list(policy.levels.get().targets.values_list("pk", "role")) == [rows[0], rows[2]]


def test_a_second_default_policy_of_a_team_is_a_field_error(browser, new_policy, team, alice):
    factories.EscalationPolicyFactory(name="First", team=team, is_team_default=True)
    response = browser.post(reverse(ADD_POLICY), new_policy | a_level(0, people=[alice]) | {"is_team_default": "on"})
    assert response.context["adminform"].form.errors == {
        "is_team_default": ["“First” is the default policy of Shop. Take the mark off there first."]
    }


def test_the_page_says_who_would_be_called_now(browser, alice, bob):
    empty = factories.ScheduleFactory(name="Nights")
    policy = factories.EscalationPolicyFactory(calls=[alice, empty, bob])
    bob.contact_methods.all().delete()
    page = browser.get(page_of(policy)).content.decode()
    assert "<td>Alice</td><td>named in the policy</td><td>email</td>" in page
    assert "nobody is on call in Nights" in page
    assert "not at all: Bob has no verified contact method" in page


def test_the_page_says_who_is_skipped_and_who_is_called_after_all(browser, alice, bob, charlie):
    schedule = factories.ScheduleFactory(people=[alice], name="Days")
    factories.LayerFactory(schedule=schedule, role="SECONDARY", people=[bob])
    policy = factories.EscalationPolicyFactory(calls=[schedule, charlie])
    since = timezone.now() - dt.timedelta(hours=1)
    factories.AvailabilityFactory(user=alice, since_at=since)
    factories.AvailabilityFactory(user=charlie, since_at=since)
    page = browser.get(page_of(policy)).content.decode()
    assert "skipped: Alice is busy" in page
    assert "<td>Bob</td><td>on call: Days, Layer 1, as secondary</td><td>email</td>" in page
    assert "email, although Charlie is busy: nobody else can be called" in page


# --- services -----------------------------------------------------------------------------------------------------
def test_a_service_shows_the_policy_it_uses(browser, team, alice):
    service = factories.ServiceFactory(team=team, policy=None)
    url = reverse("admin:catalog_service_change", args=[service.pk])
    assert "Shop has no default policy" in browser.get(url).content.decode()
    policy = factories.EscalationPolicyFactory(name="All of Shop", team=team, is_team_default=True, calls=[alice])
    page = browser.get(url).content.decode()
    assert page_of(policy) in page
    assert "the default policy of Shop" in page
    assert "<td>Alice</td>" in page
    assert "All of Shop (default)" in browser.get(reverse("admin:catalog_service_changelist")).content.decode()


def test_a_routing_key_is_shown_and_never_changed(browser, fields_of, service):
    url = reverse("admin:catalog_service_change", args=[service.pk])
    assert service.routing_key in browser.get(url).content.decode()
    response = browser.post(url, fields_of(url) | {"routing_key": "0" * 32, "name": "Checkout 2"})
    assert response.status_code == 302
    changed = Service.objects.get()
    assert (changed.routing_key, changed.name) == (service.routing_key, "Checkout 2")


def test_a_schedule_whose_zone_is_gone_can_be_repaired(browser, fields_of, team, bob):
    schedule = factories.ScheduleFactory(team=team, people=[bob])
    Schedule.objects.filter(pk=schedule.pk).update(time_zone="US/Pacific-New")
    assert b"cannot be worked out" in browser.get("/admin/oncall/schedule/").content
    url = f"/admin/oncall/schedule/{schedule.pk}/change/"
    assert "“US/Pacific-New” is not a time zone any more" in browser.get(url).content.decode()
    response = browser.post(url, fields_of(url) | {"time_zone": "America/Los_Angeles"})
    assert response.status_code == 302
    (answer,) = lookup.who(Schedule.objects.get(pk=schedule.pk), at=timezone.now())
    assert answer.user_id == bob.pk


def test_a_layer_whose_zone_is_gone_can_be_repaired(browser, fields_of, team, bob):
    schedule = factories.ScheduleFactory(team=team, people=[bob])
    schedule.layers.update(time_zone="US/Pacific-New")
    assert b"cannot be worked out" in browser.get("/admin/oncall/schedule/").content
    url = f"/admin/oncall/schedule/{schedule.pk}/change/"
    fields = fields_of(url)
    assert browser.post(url, fields).status_code == 200  # the form says what is wrong
    assert browser.post(url, fields | {"layers-0-time_zone": ""}).status_code == 302
    (answer,) = lookup.who(schedule, at=timezone.now())
    assert answer.user_id == bob.pk
