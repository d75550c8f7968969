"""Postmortems over HTTP."""

import io

import pytest
from pypdf import PdfReader
from rest_framework.test import APIClient

from accounts.models import Role
from core.models import IdempotencyKey
from notifications.models import Notification
from postmortems.models import Postmortem
from tests import factories

V1 = "/api/v1"


def caller(user, *scopes):
    client = APIClient()
    key = factories.ApiKeyFactory(user=user, scopes=list(scopes or ("postmortems:write",)))
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key.text}")
    return client


@pytest.fixture
def api(bob):
    return caller(bob)


@pytest.fixture
def postmortem(team, bob):
    return factories.PostmortemFactory(team=team, owner=bob)


@pytest.fixture
def base(postmortem):
    return f"{V1}/postmortems/{postmortem.pk}"


def sent(answer, code=200):
    assert answer.status_code == code, answer.content
    return answer.json() if answer.content else None


def test_a_postmortem_is_begun_written_reviewed_published_and_exported(api, service, alice, bob):
    incident = factories.IncidentFactory(
        service=service, status="resolved", triggered_at=factories.NOW, resolved_at=factories.NOW, priority="P1"
    )
    made = sent(api.post(f"{V1}/postmortems", {"incidents": [incident.pk], "title": "Checkout"}, format="json"), 201)
    base = f"{V1}/postmortems/{made['number']}"
    assert (made["status"], made["team"], made["incidents"]) == ("draft", "shop", [incident.pk])
    assert made["owner"]["email"] == "bob@example.com" and made["sections"]
    assert sent(api.post(f"{V1}/postmortems", {"incidents": [incident.pk]}, format="json"), 409)["detail"]
    section = made["sections"][0]
    saved = {"body": "It *expired*.", "seen_version": section["version"]}
    sent(api.patch(f"{base}/sections/{section['id']}", saved, format="json"))
    head = {"summary": "Nobody could pay.", "seen_version": made["version"]}
    assert sent(api.patch(base, head, format="json"))["summary"] == "Nobody could pay."
    sent(api.post(f"{base}/factors", {"cause": "expired certificate", "is_root": True}, format="json"), 201)
    sent(api.post(f"{base}/moments", {"at": "2026-06-01T12:30:00Z", "text": "A call."}, format="json"), 201)
    item = {"text": "Renew", "owner": "bob@example.com", "link": "https://x.atlassian.net/browse/SHOP-1"}
    assert sent(api.post(f"{base}/items", item, format="json"), 201)["link_label"] == "SHOP-1"
    [review] = sent(api.post(f"{base}/reviews", {"reviewers": ["alice@example.com"]}, format="json"))
    assert review["verdict"] == "open"
    verdict = {"verdict": "changes", "note": "Who noticed?"}
    sent(caller(alice).post(f"{base}/reviews/verdict", verdict, format="json"))
    refused = sent(api.post(f"{base}/publish", {}, format="json"), 409)
    assert "Alice asks for changes: “Who noticed?”" in refused["detail"]
    assert sent(api.post(f"{base}/publish", {"force": True}, format="json"), 403)["code"] == "not_allowed"
    assert sent(caller(alice).post(f"{base}/publish", {"force": True}, format="json"))["status"] == "published"
    text = api.get(f"{base}/export.md", headers={"accept": "text/markdown"})
    assert text.headers["Content-Type"].startswith("text/markdown") and "It *expired*." in text.content.decode()
    pdf = api.get(f"{base}/export.pdf", headers={"accept": "application/pdf"})
    assert pdf.headers["Content-Disposition"] == f'attachment; filename="pm-{made["number"]}.pdf"'
    assert "Nobody could pay." in PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()
    for verb, state in (("take-back", "draft"), ("archive", "archived"), ("restore", "draft")):
        assert sent(api.post(f"{base}/{verb}", {}, format="json"))["status"] == state


def test_a_save_that_saw_an_old_version_gets_both_texts_and_changes_nothing(api, base, postmortem, alice):
    section = factories.SectionFactory(postmortem=postmortem, body="Before.")
    address = f"{base}/sections/{section.uuid}"
    sent(caller(alice).patch(address, {"body": "Hers.", "seen_version": 1}, format="json"))
    answer = api.patch(address, {"body": "His.", "seen_version": 1}, format="json")
    problem = sent(answer, 409)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert (problem["code"], problem["mine"], problem["theirs"], problem["version"]) == (
        "conflict",
        "His.",
        "Hers.",
        2,
    )
    assert sent(api.get(address))["body"] == "Hers."
    assert sent(api.patch(address, {"body": "Both.", "seen_version": 2}, format="json"))["version"] == 3
    versions = sent(api.get(f"{address}/revisions"))
    assert [one["body"] for one in versions] == ["Both.", "Hers.", "Before."]
    assert sent(api.post(f"{address}/restore", {"version": 1}, format="json"))["body"] == "Before."
    sent(api.delete(address), 204)
    sent(api.get(address), 404)


def test_lists_are_filtered_searched_and_hold_only_what_one_may_see(postmortem, team, bob, charlie):
    out = factories.PostmortemFactory(team=team, status="published", title="Certificate", severity="low")
    factories.FactorFactory(postmortem=out, cause="Full disk")
    factories.PostmortemFactory(team__is_private=True, status="published", title="Certificate")

    def found(user, **query):
        return [one["number"] for one in sent(caller(user).get(f"{V1}/postmortems", query))["results"]]

    assert found(bob) == [out.pk, postmortem.pk] and found(charlie) == [out.pk]
    for query in (
        {"q": "certif"},
        {"q": "disk"},
        {"status": "published,archived"},
        {"severity": "low"},
        {"cause": "full disk"},
        {"incident": out.incidents.get().pk},
    ):
        assert found(bob, **query) == [out.pk]
    assert found(bob, team="shop", owner="bob@example.com") == [postmortem.pk]
    assert found(bob, since="2026-06-02T00:00:00Z") == []
    for query in ({"q": "!"}, {"q": "x" * 300}, {"status": "done"}, {"team": "nobody"}, {"incident": "x"}):
        assert sent(caller(bob).get(f"{V1}/postmortems", query), 400)["detail"]
    assert sent(caller(charlie).get(f"{V1}/postmortems/{postmortem.pk}"), 404)
    assert sent(caller(charlie).get(f"{V1}/postmortems/{postmortem.pk}/comments"), 404)


def test_items_are_listed_across_postmortems_and_moved(api, postmortem, bob, alice):
    late = factories.ActionItemFactory(postmortem=postmortem, owner=bob, due_on="2020-01-01", priority="high")
    factories.ActionItemFactory(postmortem=postmortem, owner=alice, due_on="2090-01-01")
    factories.ActionItemFactory(postmortem__team__is_private=True)
    everything = sent(api.get(f"{V1}/action-items"))["results"]
    assert len(everything) == 2
    for query in ({"owner": "bob@example.com"}, {"is_overdue": "true"}, {"priority": "high"}):
        assert [one["id"] for one in sent(api.get(f"{V1}/action-items", query))["results"]] == [str(late.uuid)]
    address = f"{V1}/action-items/{late.uuid}"
    assert sent(api.patch(address, {"status": "completed"}, format="json"))["ended_at"]
    assert "Open it again first" in sent(api.patch(address, {"status": "cancelled"}, format="json"), 409)["detail"]
    assert sent(api.patch(address, {"link": "http://x.example"}, format="json"), 400)["detail"]


def test_readers_comment_and_only_author_or_team_resolves(postmortem, team, bob):
    dora, erin = (factories.UserFactory(name=name, role=Role.OBSERVER) for name in ("Dora", "Erin"))
    Postmortem.objects.filter(pk=postmortem.pk).update(status="published", published_at=factories.NOW)
    base = f"{V1}/postmortems/{postmortem.pk}/comments"
    made = sent(caller(dora).post(base, {"text": "Why?"}, format="json"), 201)
    assert sent(caller(erin).post(f"{base}/{made['id']}/resolve", {}, format="json"), 403)
    assert sent(caller(dora).post(f"{base}/{made['id']}/resolve", {}, format="json"))["resolved_by"]["name"] == "Dora"
    assert sent(caller(bob).post(f"{base}/{made['id']}/reopen", {}, format="json"))["resolved_at"] is None
    # Whoever may only read changes nothing else.
    for method, path in (("post", "factors"), ("post", "items"), ("post", "reviews"), ("post", "share-links")):
        answer = getattr(caller(dora), method)(base.replace("comments", path), {}, format="json")
        assert answer.status_code in (400, 403) and not Postmortem.objects.get().factors.exists()


def test_a_link_is_shown_once_and_revoked(api, base, postmortem, client):
    assert sent(api.post(f"{base}/share-links", {"days": 7}, format="json"), 409)["detail"]
    Postmortem.objects.filter(pk=postmortem.pk).update(status="published", published_at=factories.NOW)
    assert sent(api.post(f"{base}/share-links", {"days": 91}, format="json"), 400)
    made = sent(api.post(f"{base}/share-links", {"days": 7}, format="json"), 201)
    path = "/postmortems/shared/" + made["address"].rpartition("/")[2]
    assert made["works"] and client.get(path).status_code == 200
    [listed] = sent(api.get(f"{base}/share-links"))["results"]
    assert "address" not in listed and listed["opened_count"] == 1
    once = {"data": {"days": 7}, "format": "json", "headers": {"Idempotency-Key": "once"}}
    first, again = (sent(api.post(f"{base}/share-links", **once), 201) for _ in range(2))
    assert first["id"] == again["id"] and "address" in first and "address" not in again
    assert first["address"].rpartition("/")[2] not in str(IdempotencyKey.objects.get().response)
    assert not sent(api.post(f"{base}/share-links/{made['id']}/revoke", {}, format="json"))["works"]
    assert client.get(path).status_code == 410


def test_a_key_needs_the_scope(bob, postmortem, base):
    reader = caller(bob, "postmortems:read")
    assert sent(reader.get(base))["number"] == postmortem.pk
    assert "postmortems:write" in sent(reader.post(f"{base}/archive", {}, format="json"), 403)["detail"]
    assert sent(caller(bob, "incidents:write").get(base), 403)
    assert not Notification.objects.exists()


def test_moments_are_hidden_reworded_and_put_back(api, base, postmortem):
    drawn = factories.MomentFactory(
        postmortem=postmortem, source="entry", reference="entry:1", said="Bob took it.", text="Bob took it."
    )
    own = factories.MomentFactory(postmortem=postmortem)
    address = f"{base}/moments/{drawn.uuid}"
    changed = sent(api.patch(address, {"text": "Bob had it.", "is_shown": False}, format="json"))
    assert (changed["text"], changed["is_shown"], changed["is_reworded"]) == ("Bob had it.", False, True)
    assert sent(api.post(f"{address}/put-back", {}, format="json"))["text"] == "Bob took it."
    assert sent(api.delete(address), 409)["detail"]
    sent(api.delete(f"{base}/moments/{own.uuid}"), 204)
    assert [one["id"] for one in sent(api.get(f"{base}/moments"))["results"]] == [str(drawn.uuid)]


def test_readers_see_the_lines_that_are_shown_and_no_links(api, base, postmortem):
    Postmortem.objects.filter(pk=postmortem.pk).update(status="published", published_at=factories.NOW)
    factories.MomentFactory(postmortem=postmortem, text="Hidden.", is_shown=False)
    factories.MomentFactory(
        postmortem=postmortem, source="entry", reference="entry:1", said="Bob broke it.", text="It broke."
    )
    factories.ShareLinkFactory(postmortem=postmortem)
    reader = caller(factories.UserFactory(role=Role.OBSERVER))
    assert [(one["text"], one["said"]) for one in sent(reader.get(f"{base}/moments"))["results"]] == [
        ("It broke.", "")
    ]
    assert {one["said"] for one in sent(api.get(f"{base}/moments"))["results"]} == {"", "Bob broke it."}
    assert sent(reader.get(f"{base}/share-links"), 403)["detail"]
    assert len(sent(api.get(f"{base}/share-links"))["results"]) == 1


def test_whose_an_item_is_says_how_far_it_is_and_nobody_else_who_only_reads(postmortem):
    Postmortem.objects.filter(pk=postmortem.pk).update(status="published", published_at=factories.NOW)
    dora, erin = (factories.UserFactory(name=name, role=Role.OBSERVER) for name in ("Dora", "Erin"))
    item = factories.ActionItemFactory(postmortem=postmortem, owner=dora)
    address = f"{V1}/action-items/{item.uuid}"
    assert sent(caller(erin).patch(address, {"status": "completed"}, format="json"), 403)["detail"]
    assert sent(caller(dora).patch(address, {"status": "completed"}, format="json"))["status"] == "completed"


def test_only_who_responds_to_an_incident_writes_about_it(service, team):
    ada = factories.UserFactory(name="Ada", role=Role.OBSERVER)
    theirs = factories.TeamFactory()
    factories.MembershipFactory(team=theirs, user=ada, role=Role.RESPONDER)
    mine = factories.IncidentFactory(service__team=theirs, status="resolved")
    other = factories.IncidentFactory(service=service, status="resolved")
    both = {"incidents": [mine.pk, other.pk]}
    assert sent(caller(ada).post(f"{V1}/postmortems", both, format="json"), 403)["detail"]
    assert not Postmortem.objects.exists()
    assert sent(caller(ada).post(f"{V1}/postmortems", {"incidents": [mine.pk]}, format="json"), 201)["number"]


def test_who_was_called_is_not_said_where_an_incident_is_hidden(postmortem, charlie):
    figures = {"pages": 2, "people_paged": [{"name": "Bob", "count": 2}]}
    Postmortem.objects.filter(pk=postmortem.pk).update(status="published", published_at=factories.NOW, figures=figures)
    assert sent(caller(charlie).get(f"{V1}/postmortems"))["results"][0]["figures"] == figures
    postmortem.incidents.add(factories.IncidentFactory(service__team__is_private=True))
    assert sent(caller(charlie).get(f"{V1}/postmortems"))["results"][0]["figures"] == {"pages": 2}
