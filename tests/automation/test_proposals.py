"""What machines propose about an incident, and what people say to it."""

import datetime as dt
import re

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Role
from automation import proposals
from automation.models import Hypothesis, RecommendedAction
from core.errors import DomainError, IllegalMove, NotAllowed, NotFound
from incidents import lifecycle
from notifications import links
from notifications.models import Notification
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def incident(service):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now() - MINUTE)


@pytest.fixture
def agent(db):
    return factories.UserFactory(name="agent", is_machine=True)


def posted(incident, agent, model=Hypothesis, **fields):
    given = {"text": "The disk is full.", "source": "Root cause agent", "by": agent, "now": timezone.now()}
    return proposals.propose(model, incident.pk, **{**given, **fields})


def last(incident):
    return incident.timeline.order_by("-id").first()


# --- the verbs ------------------------------------------------------------------------------------------------


def test_a_proposal_stands_in_the_timeline_and_calls_nobody(incident, agent):
    before = Notification.objects.count()
    row = posted(incident, agent, confidence=0.8, evidence=[{"text": "df says 100 %", "url": "https://a.example/1"}])
    assert last(incident).text == "Root cause agent proposes a hypothesis, 80 % sure: The disk is full."
    assert last(incident).data["proposal"] == str(row.uuid)
    assert Notification.objects.count() == before
    incident.refresh_from_db()
    assert incident.status == "triggered" and incident.next_escalation_at is not None


def test_approving_an_action_without_a_runbook_only_records_it(incident, agent, bob, now):
    row = posted(incident, agent, RecommendedAction, text="Delete the **logs**.\n\nAll of them.", risk="low")
    proposals.review(RecommendedAction, row.uuid, verdict="approved", by=bob, now=now, feedback="Did it.")
    row.refresh_from_db()
    assert (row.verdict, row.reviewed_by, row.reviewed_at, row.feedback) == ("approved", bob, now, "Did it.")
    assert last(incident).text == (
        "Bob approved the recommended action of Root cause agent: Delete the logs. Feedback: Did it. "
        "No runbook belongs to it, so nothing was run: do it by hand."
    )
    assert last(incident).by == bob


def test_the_same_verdict_twice_is_said_once(incident, agent, bob, now):
    row = posted(incident, agent)
    for _ in range(2):
        proposals.review(Hypothesis, row.uuid, verdict="rejected", by=bob, now=now, seen="")
    assert incident.timeline.filter(kind="reviewed").count() == 1


def test_a_button_that_is_pressed_twice_is_harmless(incident, agent, bob, now):
    row = posted(incident, agent)
    for _ in range(2):
        proposals.review(Hypothesis, row.uuid, verdict="approved", by=bob, now=now, feedback="Yes.", seen="open")
    assert incident.timeline.filter(kind="reviewed").count() == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("```\nkubectl rollout undo\n```", "kubectl rollout undo"),
        ("# Roll back\n\nNow.", "Roll back"),
        ("Disk & <b>\nmore", "Disk & <b>"),
        ("---", "---"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_one_line_says_the_first_thing_without_its_markdown(text, line):
    assert proposals.first_line(text) == line


def test_a_verdict_on_what_somebody_else_decided_meanwhile_is_refused(incident, agent, alice, bob, now):
    row = posted(incident, agent)
    proposals.review(Hypothesis, row.uuid, verdict="approved", by=alice, now=now, seen="open")
    with pytest.raises(IllegalMove, match="Alice approved it meanwhile. Look at it again, then decide."):
        proposals.review(Hypothesis, row.uuid, verdict="rejected", by=bob, now=now, seen="open")
    proposals.review(Hypothesis, row.uuid, verdict="rejected", by=bob, now=now, seen="approved")
    row.refresh_from_db()
    assert row.verdict == "rejected" and row.reviewed_by == bob


def test_a_machine_reviews_nothing(incident, agent, now):
    row = posted(incident, agent)
    with pytest.raises(NotAllowed, match="A machine proposes and a person reviews"):
        proposals.review(Hypothesis, row.uuid, verdict="approved", by=agent, now=now)
    row.refresh_from_db()
    assert row.verdict == "open"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"text": " \n"}, "The text is empty"),
        ({"source": " "}, "Name the program"),
        ({"confidence": 1.5}, "from 0 to 1"),
        ({"evidence": [{"text": "x"}] * 21}, "at most 20 pieces"),
    ],
)
def test_a_bad_proposal_is_refused_with_a_sentence(incident, agent, fields, sentence):
    with pytest.raises(DomainError, match=sentence):
        posted(incident, agent, **fields)
    assert not Hypothesis.objects.exists() and not incident.timeline.filter(kind="proposed").exists()


def test_a_program_in_a_loop_is_stopped(incident, agent):
    factories.HypothesisFactory.create_batch(proposals.MOST, incident=incident)
    with pytest.raises(DomainError, match="Post the strongest only"):
        posted(incident, agent)
    posted(incident, agent, RecommendedAction)


def test_a_verdict_about_nothing_is_refused(db, bob, now):
    with pytest.raises(NotFound):
        proposals.review(Hypothesis, "00000000-0000-4000-8000-000000000001", verdict="approved", by=bob, now=now)


# --- REST -----------------------------------------------------------------------------------------------------


@pytest.fixture
def api(bob):
    client = APIClient()
    client.force_authenticate(bob)
    return client


def test_programs_post_and_read_proposals(incident, service, bob):
    _, text = factories.issue_key(bob, name="agent", scopes=["proposals:write"])
    client = APIClient(headers={"Authorization": f"Bearer {text}"})
    body = {
        "incident": incident.pk,
        "text": "The *disk* is full.",
        "source": "Root cause agent",
        "confidence": 0.75,
        "evidence": [{"text": "df says 100 %", "url": "https://grafana.example.com/d/1"}, {"text": "No space left"}],
    }
    answer = client.post("/api/v1/hypotheses", body, format="json")
    assert answer.status_code == 201, answer.data
    assert answer.data["verdict"] == "open" and answer.data["evidence"][1] == {"text": "No space left", "url": ""}
    action = {"incident": incident.pk, "text": "Delete logs.", "source": "agent", "hypothesis": answer.data["uuid"]}
    followed = client.post("/api/v1/actions", {**action, "risk": "low"}, format="json")
    assert followed.status_code == 201 and str(followed.data["hypothesis"]) == answer.data["uuid"]
    listed = client.get("/api/v1/hypotheses", {"incident": incident.pk, "verdict": "open"})
    assert [one["uuid"] for one in listed.data["results"]] == [answer.data["uuid"]]
    # The key proposes; it neither reads nor answers incidents.
    assert client.post(f"/api/v1/incidents/{incident.pk}/acknowledge").status_code == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"incident": 4711}, "incident"),
        ({"incident": "x"}, "incident"),
        ({"text": ""}, "text"),
        ({"confidence": 2}, "confidence"),
        ({"evidence": [{"text": "x", "url": "javascript:alert(1)"}]}, "evidence"),
        ({"evidence": "x"}, "evidence"),
    ],
)
def test_a_bad_body_is_refused_with_the_field(incident, api, change, field):
    body = {"incident": incident.pk, "text": "Disk", "source": "agent", **change}
    answer = api.post("/api/v1/hypotheses", body, format="json")
    assert answer.status_code == 400
    assert [one["field"].split(".")[0] for one in answer.data["errors"]] == [field]
    assert not Hypothesis.objects.exists()


def test_an_action_follows_from_a_hypothesis_of_its_own_incident(incident, service, api):
    other = factories.HypothesisFactory(incident=factories.IncidentFactory(service=service))
    body = {"incident": incident.pk, "text": "Restart", "source": "agent", "hypothesis": str(other.uuid)}
    answer = api.post("/api/v1/actions", body, format="json")
    assert answer.status_code == 400 and "no hypothesis with this id" in answer.data["errors"][0]["message"]


def test_a_person_approves_and_a_machine_does_not_by_the_api(incident, agent, api, team):
    row = posted(incident, agent)
    answer = api.post(f"/api/v1/hypotheses/{row.uuid}/approve", {"feedback": "Right."}, format="json")
    assert answer.status_code == 200 and answer.data["verdict"] == "approved" and answer.data["feedback"] == "Right."
    machine = factories.UserFactory(is_machine=True, role=Role.RESPONDER)
    factories.MembershipFactory(team=team, user=machine)
    client = APIClient()
    client.force_authenticate(machine)
    assert client.post(f"/api/v1/hypotheses/{row.uuid}/reject", {}, format="json").status_code == 403
    row.refresh_from_db()
    assert row.verdict == "approved"


def test_a_program_that_says_which_verdict_it_saw_overrules_nobody(incident, agent, api, alice):
    row = posted(incident, agent)
    proposals.review(Hypothesis, row.uuid, verdict="approved", by=alice, now=timezone.now())
    path = f"/api/v1/hypotheses/{row.uuid}/reject"
    answer = api.post(path, {"seen": "open"}, format="json")
    assert answer.status_code == 409 and "Alice approved it meanwhile" in answer.data["detail"]
    assert api.post(path, {"seen": "maybe"}, format="json").status_code == 400
    answer = api.post(path, {"seen": "approved"}, format="json")
    assert answer.status_code == 200 and answer.data["verdict"] == "rejected"


def test_of_a_hidden_incident_nothing_can_be_proposed_read_or_reviewed(agent, bob, api, client):
    hidden = factories.TeamFactory(name="Secret lab", is_private=True)
    incident = factories.IncidentFactory(service=factories.ServiceFactory(team=hidden), team=hidden)
    row = factories.HypothesisFactory(incident=incident)
    assert api.get("/api/v1/hypotheses").data["results"] == []
    assert api.get(f"/api/v1/hypotheses/{row.uuid}").status_code == 404
    assert api.post(f"/api/v1/hypotheses/{row.uuid}/approve", {}, format="json").status_code == 404
    body = {"incident": incident.pk, "text": "Disk", "source": "agent"}
    answer = api.post("/api/v1/hypotheses", body, format="json")
    assert answer.status_code == 400 and "There is no incident" in answer.data["errors"][0]["message"]
    client.force_login(bob)
    assert client.get(reverse("automation:proposals", args=[incident.pk])).status_code == 404
    address = reverse("automation:proposal-review", args=[incident.pk, "hypothesis", row.uuid, "approve"])
    assert client.post(address).status_code == 404
    row.refresh_from_db()
    assert row.verdict == "open" and Hypothesis.objects.count() == 1


@pytest.mark.parametrize("is_called", [True, False])
def test_whoever_was_called_from_another_team_reviews_by_the_api_as_on_the_page(incident, agent, client, is_called):
    dora = factories.UserFactory(name="Dora", role=Role.OBSERVER)
    factories.MembershipFactory(user=dora)
    if is_called:
        factories.NotificationFactory(user=dora, topic=incident.topic, kind="page")
    api = APIClient()
    api.force_authenticate(dora)
    client.force_login(dora)
    hypothesis, action = posted(incident, agent), posted(incident, agent, RecommendedAction)
    answer = api.post(f"/api/v1/hypotheses/{hypothesis.uuid}/approve", {}, format="json")
    page = client.post(reverse("automation:proposal-review", args=[incident.pk, "action", action.uuid, "approve"]))
    assert (answer.status_code, page.status_code) == ((200, 302) if is_called else (403, 403))


# --- the pages ------------------------------------------------------------------------------------------------


def test_the_panel_shows_what_is_proposed_and_takes_a_verdict(incident, agent, client, bob):
    row = posted(incident, agent, text="The **disk** is full. <script>alert(1)</script>", confidence=0.8)
    client.force_login(bob)
    page = client.get(reverse("automation:proposals", args=[incident.pk])).content.decode()
    assert "<strong>disk</strong>" in page and "80 %" in page and "<script>alert" not in page
    address = reverse("automation:proposal-review", args=[incident.pk, "hypothesis", row.uuid, "approve"])
    answer = client.post(address, {"feedback": "Yes", "seen": "open"})
    assert answer.headers["Location"] == f"/incidents/{incident.pk}"
    row.refresh_from_db()
    assert (row.verdict, row.reviewed_by, row.feedback) == ("approved", bob, "Yes")
    panel = client.get(reverse("automation:proposals", args=[incident.pk]), headers={"X-Fragment": "panel"})
    assert b"<html" not in panel.content and b"Approved by Bob" in panel.content


def test_the_page_of_its_own_has_its_headings_in_order(incident, agent, client, bob):
    posted(incident, agent)
    client.force_login(bob)
    page = client.get(reverse("automation:proposals", args=[incident.pk])).content.decode()
    assert re.findall(r"<h([1-6])", page[page.index("<main") : page.index("</main")]) == ["1", "2", "3"]


def test_a_new_verdict_does_not_begin_with_what_somebody_else_said(incident, agent, client, alice, bob):
    row = posted(incident, agent)
    proposals.review(Hypothesis, row.uuid, verdict="approved", by=alice, now=timezone.now(), feedback="I see it too.")
    client.force_login(bob)
    page = client.get(reverse("automation:proposals", args=[incident.pk])).content.decode()
    assert "“I see it too.”" in page and 'value="I see it too."' not in page


def test_names_of_private_teams_are_in_no_part_of_it(incident, agent, client, bob):
    factories.TeamFactory(name="Secret lab", is_private=True)
    why = posted(incident, agent, text="Secret lab did it.", evidence=[{"text": "Secret lab says so."}])
    posted(incident, agent, RecommendedAction, text="Ask Secret lab.", hypothesis=why)
    client.force_login(bob)
    page = client.get(reverse("automation:proposals", args=[incident.pk])).content.decode()
    assert "Secret lab" not in page and page.count("(private)") == 4


def test_two_people_at_once_are_told_of_each_other(incident, agent, client, alice, bob):
    row = posted(incident, agent, RecommendedAction)
    address = reverse("automation:proposal-review", args=[incident.pk, "action", row.uuid, "reject"])
    proposals.review(RecommendedAction, row.uuid, verdict="approved", by=alice, now=timezone.now())
    client.force_login(bob)
    page = client.post(address, {"seen": "open"}, headers={"X-Fragment": "panel"}, follow=True).content.decode()
    assert "Alice approved it meanwhile. Look at it again, then decide." in page
    row.refresh_from_db()
    assert row.verdict == "approved"


@pytest.mark.parametrize(("kind", "verdict"), [("thing", "approve"), ("hypothesis", "explode"), ("action", "approve")])
def test_an_address_that_means_nothing_is_not_there(incident, agent, client, bob, kind, verdict):
    row = posted(incident, agent)
    client.force_login(bob)
    path = f"/incidents/{incident.pk}/proposals/{kind}/{row.uuid}/{verdict}"
    assert client.post(path).status_code == 404
    row.refresh_from_db()
    assert row.verdict == "open"


def test_a_proposal_of_another_incident_is_not_reviewed_through_this_one(incident, service, client, bob):
    other = factories.HypothesisFactory(incident=factories.IncidentFactory(service=service))
    client.force_login(bob)
    path = reverse("automation:proposal-review", args=[incident.pk, "hypothesis", other.uuid, "approve"])
    assert client.post(path).status_code == 404


def test_whoever_holds_the_link_of_a_page_reviews_without_signing_in(incident, agent, client):
    row = posted(incident, agent)
    page = Notification.objects.filter(topic=incident.topic, user__isnull=False).first()
    Notification.objects.filter(pk=page.pk).update(link_expires_at=timezone.now() + MINUTE)
    token = links.token(page.uuid, "acknowledge")
    shown = client.get(f"/l/{token}/proposals")
    assert b"The disk is full." in shown.content and shown.headers["Referrer-Policy"] == "no-referrer"
    path = f"/l/{token}/proposals/hypothesis/{row.uuid}/approve"
    assert client.post(path, {"seen": "open"}).status_code == 302
    row.refresh_from_db()
    assert row.verdict == "approved" and row.reviewed_by == page.user
    assert last(incident).via == "link"
    # It is no answer to the page: the escalation goes on.
    incident.refresh_from_db()
    assert incident.status == "triggered"


def test_whoever_has_left_sees_nothing_behind_an_old_link(incident, agent, client):
    row = posted(incident, agent)
    page = Notification.objects.filter(topic=incident.topic, user__isnull=False).first()
    Notification.objects.filter(pk=page.pk).update(link_expires_at=timezone.now() + MINUTE)
    type(page.user).objects.filter(pk=page.user_id).update(is_active=False)
    token = links.token(page.uuid, "acknowledge")
    answer = client.get(f"/l/{token}/proposals")
    assert answer.status_code == 403 and b"The disk is full." not in answer.content
    assert client.post(f"/l/{token}/proposals/hypothesis/{row.uuid}/approve").status_code == 403
    row.refresh_from_db()
    assert row.verdict == "open"


def test_an_expired_or_forged_link_shows_nothing(incident, agent, client):
    row = posted(incident, agent)
    page = Notification.objects.filter(topic=incident.topic, user__isnull=False).first()
    Notification.objects.filter(pk=page.pk).update(link_expires_at=timezone.now() - MINUTE)
    for token in (links.token(page.uuid, "acknowledge"), "A" * 43):
        assert client.get(f"/l/{token}/proposals").status_code == 404
        assert client.post(f"/l/{token}/proposals/hypothesis/{row.uuid}/approve").status_code == 404
    row.refresh_from_db()
    assert row.verdict == "open"
