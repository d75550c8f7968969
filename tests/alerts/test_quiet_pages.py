"""The pages of silences, maintenance and what is held, as a person without scripts uses them."""

import datetime as dt
import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from alerts import maintenance, silences
from alerts.matching import facts_of_alert, parse
from alerts.models import Alert, MaintenanceWindow, Silence
from alerts.views.quiet import condition_like
from tests import factories

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def signed_in(client, bob):
    client.force_login(bob)
    return client


@pytest.fixture
def silence(alice):
    now = timezone.now()
    return silences.create(
        condition='env = "staging"', starts_at=now, ends_at=now + HOUR, reason="Disk work", by=alice, now=now
    )


@pytest.fixture
def window(service, alice):
    now = timezone.now()
    return maintenance.create(
        name="Database upgrade",
        starts_at=now,
        ends_at=now + HOUR,
        services=[service],
        rrule="FREQ=WEEKLY",
        by=alice,
        now=now,
    )


def words(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def wall(at):
    return f"{at:%Y-%m-%dT%H:%M}"


def typed(**values):
    now = timezone.now()
    return {
        "condition": 'env = "staging"',
        "starts_at": wall(now),
        "ends_at": wall(now + 3 * HOUR),
        "reason": "Disk work",
        **values,
    }


PATHS = ["/silences", "/silences/new", "/maintenance", "/maintenance/new", "/held"]


@pytest.mark.parametrize("path", PATHS)
def test_every_page_asks_who_you_are(client, db, path):
    assert client.get(path).headers["Location"] == f"/login?next={path}"


@pytest.mark.parametrize("path", PATHS)
def test_every_page_opens_when_there_is_nothing(signed_in, path):
    assert signed_in.get(path).status_code == 200


def test_empty_lists_say_what_they_are_for(signed_in):
    assert "Nothing is silenced" in words(signed_in.get("/silences"))
    assert "No maintenance is planned" in words(signed_in.get("/maintenance"))
    assert "Nothing is held" in words(signed_in.get("/held"))


def test_an_observer_reads_and_changes_nothing(client, silence, window):
    client.force_login(factories.UserFactory(role=Role.OBSERVER))
    held = factories.AlertFactory(held_by=silences.by_of(silence))
    for path in ("/silences", f"/silences/{silence.uuid}", "/maintenance", f"/maintenance/{window.uuid}", "/held"):
        answer = client.get(path)
        assert answer.status_code == 200
        main = answer.content.decode().split("<main")[1]
        assert 'method="post"' not in main and "New silence" not in main
    for path in (
        "/silences/new",
        f"/silences/{silence.uuid}",
        f"/silences/{silence.uuid}/extend",
        f"/silences/{silence.uuid}/end",
        "/maintenance/new",
        f"/maintenance/{window.uuid}",
        f"/maintenance/{window.uuid}/enable",
        f"/maintenance/{window.uuid}/end",
        f"/held/{held.pk}/release",
    ):
        assert client.post(path, typed()).status_code == 403
    silence.refresh_from_db()
    assert silence.expired_at is None


# --- silences -----------------------------------------------------------------------------------------------------


def test_making_a_silence(signed_in, bob, service):
    answer = signed_in.post("/silences/new", typed(service=service.slug), follow=True)
    assert "The silence is made" in words(answer) and "ends in 2 h 59 m" in words(answer)
    silence = Silence.objects.get()
    assert (silence.owner, silence.service, silence.condition) == (bob, service, 'env = "staging"')


def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(signed_in, db):
    answer = signed_in.post("/silences/new", typed(condition="env = (", reason="Kept"))
    assert (
        answer.status_code == 400
        and "cannot be read: in column 7" in words(answer)
        and b'value="Kept"' in answer.content
    )
    answer = signed_in.post("/silences/new", typed(ends_at="tomorrow"))
    assert answer.status_code == 400 and "Write a date and a time" in words(answer)
    assert not Silence.objects.exists()


def test_silencing_nearly_everything_asks_first(signed_in):
    answer = signed_in.post("/silences/new", typed(condition='title =~ ".*"'))
    assert "nearly every alert" in words(answer) and b'name="everything"' in answer.content
    signed_in.post("/silences/new", typed(condition='title =~ ".*"', everything="on"))
    assert Silence.objects.get().condition == 'title =~ ".*"'


def test_the_preview_shows_what_it_would_hold_and_makes_nothing(signed_in, service):
    now = timezone.now()
    incident = factories.IncidentFactory(service=service)
    factories.AlertFactory(title="Disk full", labels={"env": "staging"}, incident=incident, last_at=now)
    factories.AlertFactory(title="Elsewhere", labels={"env": "prod"}, last_at=now)
    answer = words(signed_in.post("/silences/new", typed(preview="yes")))
    assert (
        "Of the 2 alerts of the last 7 days, 1 would have been held, and 1 incident would not have been opened"
        in answer
    )
    assert "1 fires now" in answer and "1 of these has paged already" in answer
    assert "Disk full" in answer and "Elsewhere" not in answer
    assert not Silence.objects.exists()


def test_a_script_gets_the_preview_alone(signed_in, service):
    factories.AlertFactory(title="Disk full", labels={"env": "staging"}, last_at=timezone.now())
    answer = signed_in.post("/silences/new", typed(reason=""), headers={"X-Fragment": "preview"})
    assert b"Disk full" in answer.content and b"<html" not in answer.content
    answer = signed_in.post("/silences/new", typed(condition="env = ("), headers={"X-Fragment": "preview"})
    assert b"cannot be read" in answer.content and answer.status_code == 200


def test_silencing_an_alert_fills_in_its_labels_and_service(signed_in, service):
    alert = factories.AlertFactory(service=service, labels={"alertname": "Disk", "env": 'a "b"', "host.name": "db1"})
    answer = signed_in.get(f"/silences/new?alert={alert.pk}")
    form = answer.context["form"]
    assert f'<option value="{service.slug}" selected>' in answer.content.decode()
    assert parse(form["condition"].value()).matches(facts_of_alert(alert))
    other = factories.AlertFactory(service=service, labels={"alertname": "Disk", "env": "c", "host.name": "db1"})
    assert not parse(form["condition"].value()).matches(facts_of_alert(other))


@pytest.mark.parametrize("fields", [{"labels": {}}, {"labels": {f"label{n}": "x" * 290 for n in range(50)}}])
def test_an_alert_without_labels_or_with_far_too_many_can_be_silenced(db, fields):
    alert = factories.AlertFactory(title='Say "hello"\\', **fields)
    assert parse(condition_like(alert)).matches(facts_of_alert(alert))


def test_an_address_that_names_nothing_fills_in_nothing(signed_in):
    for query in ("alert=none", "alert=00000000-0000-0000-0000-000000000000", "silence=%00", "condition=%00"):
        assert signed_in.get(f"/silences/new?{query}").status_code == 200


def test_the_list_finds_silences_by_state_and_words(signed_in, silence):
    now = timezone.now()
    factories.SilenceFactory(reason="Long over", starts_at=now - 2 * HOUR, ends_at=now - HOUR)
    factories.SilenceFactory(reason="Tomorrow", starts_at=now + HOUR, ends_at=now + 2 * HOUR)
    factories.AlertFactory(held_by=silences.by_of(silence))

    def shown(query=""):
        text = words(signed_in.get(f"/silences{query}"))
        return {one for one in ("Disk work", "Long over", "Tomorrow") if one in text}

    assert shown() == {"Disk work", "Tomorrow"}
    assert shown("?state=active") == {"Disk work"} and shown("?state=pending") == {"Tomorrow"}
    assert shown("?state=expired") == {"Long over"} and shown("?state=all") == {"Disk work", "Long over", "Tomorrow"}
    assert shown("?q=tomor") == {"Tomorrow"} and shown("?q=nothing%00") == set()
    assert shown("?q=ALICE") == {"Disk work"}
    assert "Holds 1 firing alert" in words(signed_in.get("/silences"))


def test_editing_extending_and_ending_a_silence(signed_in, silence):
    alert = factories.AlertFactory(title="Disk full", held_by=silences.by_of(silence))
    page = signed_in.get(f"/silences/{silence.uuid}")
    assert "Disk full" in words(page)
    signed_in.post(f"/silences/{silence.uuid}", typed(reason="More disks"))
    signed_in.post(f"/silences/{silence.uuid}/extend")
    silence.refresh_from_db()
    assert silence.reason == "More disks" and silence.owner.name == "Alice"
    assert silence.ends_at - timezone.now() > 3.9 * HOUR
    asked = words(signed_in.get(f"/silences/{silence.uuid}/end"))
    assert "End this silence now?" in asked and "It holds 1 firing alert." in asked
    answer = signed_in.post(f"/silences/{silence.uuid}/end", follow=True)
    assert "The silence is over" in words(answer)
    alert.refresh_from_db()
    assert alert.recheck_at
    for verb in ("extend", "end"):
        assert "This silence is over" in words(signed_in.post(f"/silences/{silence.uuid}/{verb}", follow=True))
    over = signed_in.get(f"/silences/{silence.uuid}")
    assert "Silence again" in words(over) and 'method="post"' not in over.content.decode().split("<main")[1]
    assert b"More disks" in signed_in.get(f"/silences/new?silence={silence.uuid}").content


def test_what_others_typed_is_text(signed_in, silence, window):
    evil = "<script>alert(1)</script>"
    Silence.objects.update(reason=evil, condition=f'title = "{evil}"')
    MaintenanceWindow.objects.update(name=evil, reason=evil)
    factories.AlertFactory(title=evil, held_by="silence:1", held_why=evil)
    for path in ("/silences", f"/silences/{silence.uuid}", f"/silences/{silence.uuid}/end", "/maintenance", "/held"):
        assert evil not in signed_in.get(path).content.decode()


# --- maintenance --------------------------------------------------------------------------------------------------


def planned(service, **values):
    now = timezone.now()
    return {
        "name": "Database upgrade",
        "services": [service.slug],
        "starts_at": wall(now),
        "ends_at": wall(now + HOUR),
        **values,
    }


def test_planning_maintenance_once_and_again_and_again(signed_in, service, bob):
    bob.time_zone = "Europe/Berlin"
    bob.save()
    answer = signed_in.post("/maintenance/new", planned(service, repeats="FREQ=WEEKLY"), follow=True)
    assert "The window is planned" in words(answer)
    window = MaintenanceWindow.objects.get()
    assert (window.rrule, window.time_zone, window.owner) == ("FREQ=WEEKLY", "Europe/Berlin", bob)
    assert list(window.services.all()) == [service]
    own = planned(service, repeats="own", rrule="FREQ=MONTHLY;BYDAY=1SU", time_zone="UTC", name="Patches")
    signed_in.post("/maintenance/new", own)
    assert MaintenanceWindow.objects.get(name="Patches").rrule == "FREQ=MONTHLY;BYDAY=1SU"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"services": []}, "Say what is worked on"),
        ({"repeats": "own"}, "Write the rule"),
        ({"repeats": "own", "rrule": "FREQ=SECONDLY"}, "repeats each second"),
        ({"time_zone": "Mars"}, "no time zone"),
        ({"starts_at": ""}, "Choose a date and a time"),
        ({"services": ["none"]}, "Select a valid choice"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(signed_in, service, values, said):
    answer = signed_in.post("/maintenance/new", planned(service, **values))
    assert answer.status_code == 400 and said in words(answer) and not MaintenanceWindow.objects.exists()


def test_the_preview_of_maintenance_shows_its_times_and_what_it_would_have_held(signed_in, service):
    factories.AlertFactory(title="Disk full", service=service, last_at=timezone.now())
    answer = words(signed_in.post("/maintenance/new", planned(service, repeats="FREQ=DAILY", preview="yes")))
    assert "It is open" in answer and answer.count(" to ") >= 5 and "Disk full" in answer
    answer = words(signed_in.post("/maintenance/new", planned(service, repeats="own", rrule="X", preview="yes")))
    assert "cannot be used" in answer and not MaintenanceWindow.objects.exists()


def test_changing_disabling_and_ending_maintenance(signed_in, service, window):
    alert = factories.AlertFactory(held_by=maintenance.by_of(window))
    assert "Open" in words(signed_in.get("/maintenance")) and "Holds 1 firing alert" in words(
        signed_in.get("/maintenance")
    )
    page = signed_in.get(f"/maintenance/{window.uuid}")
    assert page.context["form"]["repeats"].value() == "FREQ=WEEKLY"
    signed_in.post(f"/maintenance/{window.uuid}", planned(service, name="Network", repeats="FREQ=DAILY"))
    window.refresh_from_db()
    assert (window.name, window.rrule) == ("Network", "FREQ=DAILY")
    signed_in.post(f"/maintenance/{window.uuid}/enable", {"enabled": "no", "sure": "yes"})
    window.refresh_from_db()
    assert not window.is_enabled and "Disabled" in words(signed_in.get("/maintenance"))
    signed_in.post(f"/maintenance/{window.uuid}/enable", {"enabled": "yes"})
    assert "End this maintenance for good?" in words(signed_in.get(f"/maintenance/{window.uuid}/end"))
    signed_in.post(f"/maintenance/{window.uuid}/end")
    alert.refresh_from_db()
    assert alert.recheck_at and "No maintenance is planned" in words(signed_in.get("/maintenance"))
    assert "Network" in words(signed_in.get("/maintenance?state=over"))
    assert "was ended" in words(signed_in.post(f"/maintenance/{window.uuid}/end", follow=True))


# --- what is held -------------------------------------------------------------------------------------------------


def test_disabling_a_window_that_holds_something_asks_first(signed_in, window):
    url = f"/maintenance/{window.uuid}/enable"
    factories.AlertFactory(held_by=maintenance.by_of(window), held_why="Maintenance", held_at=timezone.now())
    asked = signed_in.post(url, {"enabled": "no"})
    assert "It holds 1 firing alert" in words(asked) and "Disable it" in words(asked)
    assert MaintenanceWindow.objects.get().is_enabled, "nobody was paged by one tap"
    sure = dict(re.findall(r'type="hidden" name="(enabled|sure)" value="(\w+)"', asked.content.decode()))
    signed_in.post(url, sure)
    assert not MaintenanceWindow.objects.get().is_enabled


def test_what_is_held_says_by_what_and_leads_there(signed_in, silence, window):
    factories.AlertFactory(title="Disk", held_by=silences.by_of(silence), held_why="Silence by Alice")
    factories.AlertFactory(title="Node", held_by=maintenance.by_of(window), held_why="Maintenance")
    factories.AlertFactory(title="Noise", held_by="rule:3", held_why="Rule “Noise” suppresses it.")
    factories.AlertFactory(title="Fires")
    answer = signed_in.get("/held")
    assert f"/silences/{silence.uuid}".encode() in answer.content
    assert f"/maintenance/{window.uuid}".encode() in answer.content
    text = words(answer)
    assert "Disk" in text and "until its rule changes" in text and "Fires" not in text and "Held now 3" in text
    assert text.count("Page now") == 2
    assert "Node" not in words(signed_in.get("/held?by=silence")) and "Node" in words(signed_in.get("/held?q=node"))
    assert "No held alert fits" in words(signed_in.get("/held?q=zzz"))


def test_letting_an_alert_go_makes_it_due(signed_in, silence):
    alert = factories.AlertFactory(held_by=silences.by_of(silence), held_why="Silence by Alice")
    answer = signed_in.post(f"/held/{alert.pk}/release", follow=True)
    assert "let go" in words(answer)
    alert.refresh_from_db()
    assert alert.recheck_at and alert.held_why == "Bob let it go. Silence by Alice"
    Alert.objects.update(held_by="")
    assert "not held any more" in words(signed_in.post(f"/held/{alert.pk}/release", follow=True))
    Alert.objects.update(held_by="rule:1")
    assert "Change the rule" in words(signed_in.post(f"/held/{alert.pk}/release", follow=True))


def test_the_number_of_queries_of_the_lists_does_not_grow(bob, service, django_assert_max_num_queries):
    client = Client()
    client.force_login(bob)
    now = timezone.now()
    for number in range(8):
        silence = factories.SilenceFactory(starts_at=now, ends_at=now + HOUR, owner=bob, service=service)
        window = factories.MaintenanceWindowFactory(starts_at=now, ends_at=now + HOUR, services=[service], owner=bob)
        for by in (silences.by_of(silence), maintenance.by_of(window)):
            factories.AlertFactory(service=service, held_by=by, title=f"Alert {number}")
    for path in ("/silences", "/maintenance", "/held"):
        with django_assert_max_num_queries(9):
            client.get(path)
