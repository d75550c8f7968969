"""Reading, reviewing, publishing and sharing postmortems, as a person without scripts does it."""

import datetime as dt
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from incidents import lifecycle
from postmortems import drafting, reviewing, sharing, states
from postmortems.models import Comment, Postmortem, Review, Wanted
from tests import factories

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def signed_in(client, bob):
    client.force_login(bob)
    return client


@pytest.fixture
def incident(service, alice):
    made = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now() - HOUR)
    lifecycle.acknowledge(made.pk, by=alice, now=timezone.now() - HOUR / 2)
    lifecycle.resolve(made.pk, by=alice, now=timezone.now())
    return made


@pytest.fixture
def postmortem(incident, alice):
    return drafting.start([incident.pk], by=alice, now=timezone.now())


@pytest.fixture
def page(postmortem):
    return reverse("postmortems:postmortem", args=[postmortem.number])


def words(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def as_somebody(user):
    client = Client()
    client.force_login(user)
    return client


# --- beginning --------------------------------------------------------------------------------------------------


def test_a_resolved_incident_leads_to_its_postmortem(signed_in, incident):
    panel = signed_in.get(f"/incidents/{incident.pk}/postmortem")
    assert "ought to have one" in words(panel)
    to = re.search(r'href="(/postmortems/new[^"]+)"', panel.content.decode())[1]
    form = signed_in.get(to)
    assert f'value="{incident.pk}"' in form.content.decode() and "Checkout is down" in words(form)
    answer = signed_in.post("/postmortems/new", {"incidents": str(incident.pk)}, follow=True)
    made = Postmortem.objects.get()
    assert answer.redirect_chain[-1][0] == f"/postmortems/{made.number}/edit"
    assert "What went badly" in answer.content.decode()
    assert f"PM-{made.number}" in words(signed_in.get(f"/incidents/{incident.pk}/postmortem"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "This field is required"),
        ("abc", "“abc” is not the number of an incident"),
        ("999999", "no incident #999999"),
        ("9" * 30, "is not the number of an incident"),
        ("-4", "“-4” is not the number of an incident"),
        ("\0", "This field is required"),
    ],
)
def test_numbers_that_are_none_are_answered_with_a_sentence(signed_in, db, typed, said):
    answer = signed_in.post("/postmortems/new", {"incidents": typed, "title": "Kept"})
    assert answer.status_code == 400 and said in words(answer)
    assert 'value="Kept"' in answer.content.decode()
    assert not Postmortem.objects.exists()


def test_an_address_with_numbers_that_are_none_says_so(signed_in, incident):
    answer = signed_in.get(f"/postmortems/new?incident={incident.pk}&incident=x&incident=999999&incident=%00")
    assert answer.status_code == 200
    assert "There is no incident #999999, “x”" in words(answer)
    assert f'value="{incident.pk}"' in answer.content.decode()


def test_the_same_incident_is_not_written_about_twice(signed_in, postmortem, incident):
    assert f"PM-{postmortem.number}" in words(signed_in.get(f"/postmortems/new?incident={incident.pk}"))
    answer = signed_in.post("/postmortems/new", {"incidents": str(incident.pk)})
    assert answer.status_code == 400 and f"PM-{postmortem.number} is about #{incident.pk} already" in words(answer)


def test_what_ought_to_be_written_stands_in_the_list_until_somebody_says_why_not(signed_in, incident):
    assert "To be written" in words(signed_in.get("/postmortems"))
    assert f"/postmortems/new?incident={incident.pk}" in signed_in.get("/postmortems").content.decode()
    ask = f"/postmortems/wanted/{incident.pk}"
    assert "Does it need no postmortem?" in words(signed_in.get(ask))
    assert signed_in.post(ask, {"reason": " "}).status_code == 400
    assert Wanted.objects.get().declined_at is None
    assert signed_in.post(ask, {"reason": "A drill"}).status_code == 302
    assert "To be written" not in words(signed_in.get("/postmortems"))
    assert "needs none: “A drill”" in words(signed_in.get(f"/incidents/{incident.pk}/postmortem"))
    signed_in.post(ask, {"do": "want"})
    assert "To be written" in words(signed_in.get("/postmortems"))


# --- the list ---------------------------------------------------------------------------------------------------


def test_the_list_is_found_by_every_filter_and_by_words(signed_in, postmortem, alice, team):
    factories.FactorFactory(postmortem=postmortem, cause="Expired certificate")
    other = factories.PostmortemFactory(team=team, title="Search was slow", severity="low", status="published")
    for query, finds, leaves in [
        ("", "Checkout is down", "nothing"),
        ("status=published", "Search was slow", "Checkout is down"),
        ("severity=critical", "Checkout is down", "Search was slow"),
        (f"owner={alice.uuid}", "Checkout is down", "Search was slow"),
        ("team=shop&status=draft", "Checkout is down", "Search was slow"),
        ("cause=Expired+certificate", "Checkout is down", "Search was slow"),
        ("q=slow", "Search was slow", "Checkout is down"),
    ]:
        rows = signed_in.get(f"/postmortems?{query}").content.decode().partition("<tbody>")[2]
        assert finds in rows and leaves not in rows, query
    assert "No postmortem fits" in words(signed_in.get("/postmortems?q=nothingofthesort"))
    for query in ("status=%00", "owner=x", "team=%F0", "severity=9", "page=-4", "q=%00%27", f"q={'x' * 5000}"):
        assert signed_in.get(f"/postmortems?{query}").status_code == 200, query
    assert other.number


def test_without_any_the_list_says_what_a_postmortem_is(signed_in, db):
    assert "Nobody has written one yet" in words(signed_in.get("/postmortems"))


# --- reading ----------------------------------------------------------------------------------------------------


def test_the_page_shows_all_of_it_and_no_script_of_its_text(signed_in, postmortem, page, alice):
    section = postmortem.sections.first()
    section.body = "It was **bad**.\n\n<script>alert(1)</script>\n\n![x](https://evil.example/a.png)"
    section.save()
    factories.FactorFactory(postmortem=postmortem, cause="Expired certificate", is_root=True)
    factories.ActionItemFactory(postmortem=postmortem, text="Renew by machine", owner=alice)
    factories.MomentFactory(postmortem=postmortem, text="A customer called", is_shown=True)
    factories.MomentFactory(postmortem=postmortem, text="Nobody needs this", is_shown=False)
    answer = signed_in.get(page)
    said, html = words(answer), answer.content.decode()
    assert "<strong>bad</strong>" in html and "<script>alert" not in html and 'evil.example/a.png"' not in html
    for text in ("Expired certificate", "Main cause", "Renew by machine", "A customer called", "Checkout is down"):
        assert text in said
    assert "Nobody needs this" not in said
    assert "Until acknowledged" in said and "Until resolved" in said


def test_a_draft_is_there_for_its_team_and_its_reviewers_only(postmortem, page, bob, charlie):
    assert as_somebody(bob).get(page).status_code == 200
    assert as_somebody(charlie).get(page).status_code == 404
    assert as_somebody(charlie).get(f"{page}.md").status_code == 404
    assert as_somebody(charlie).get(f"{page}/edit").status_code == 404
    factories.ReviewFactory(postmortem=postmortem, user=charlie)
    assert as_somebody(charlie).get(page).status_code == 200


def test_it_is_taken_along_as_markdown_and_as_pdf(signed_in, postmortem, page):
    text = signed_in.get(f"{page}.md")
    assert text.headers["Content-Type"].startswith("text/markdown") and "Checkout is down" in text.content.decode()
    assert text.headers["Content-Disposition"] == f'attachment; filename="postmortem-{postmortem.number}.md"'
    paper = signed_in.get(f"{page}.pdf")
    assert paper.headers["Content-Type"] == "application/pdf" and paper.content.startswith(b"%PDF-")


@pytest.mark.parametrize("number", ["0", "999999999", "9" * 40])
def test_a_number_of_nothing_is_not_there(signed_in, db, number):
    for rest in ("", "/edit", "/timeline", ".md", ".pdf", "/do/publish"):
        assert signed_in.get(f"/postmortems/{number}{rest}").status_code == 404


# --- reviewing --------------------------------------------------------------------------------------------------


def test_a_reviewer_asks_for_changes_and_then_approves(signed_in, postmortem, page, alice, bob):
    writes = as_somebody(alice)
    assert "Choose at least one reviewer" in words(writes.post(f"{page}/reviewers", follow=True))
    assert "Asked to read it" in words(writes.post(f"{page}/reviewers", {"reviewer": [str(bob.uuid)]}, follow=True))
    assert "Your review is asked for" in words(signed_in.get("/postmortems"))
    answer = signed_in.post(f"{page}/verdict", {"verdict": "changes", "note": ""}, follow=True)
    assert "Say what is to be changed" in words(answer)
    signed_in.post(f"{page}/verdict", {"verdict": "changes", "note": "Say how many customers"})
    assert "Say how many customers" in words(writes.get(page))
    ask = words(writes.get(f"{page}/do/publish"))
    assert "asks for changes" in ask
    signed_in.post(f"{page}/verdict", {"verdict": "approved"})
    assert Review.objects.get().verdict == Review.Verdict.APPROVED
    writes.post(f"{page}/do/publish")
    postmortem.refresh_from_db()
    assert postmortem.status == states.PUBLISHED and postmortem.published_by == alice


def test_who_was_not_asked_says_no_verdict(postmortem, page, bob):
    assert as_somebody(bob).post(f"{page}/verdict", {"verdict": "approved"}).status_code == 403


def test_it_is_published_taken_back_archived_and_restored_after_a_question(signed_in, postmortem, page):
    for verb, button, status in [
        ("publish", "Publish", "published"),
        ("take-back", "Take back", "draft"),
        ("archive", "Archive", "archived"),
        ("restore", "Restore", "draft"),
    ]:
        assert f'href="{page}/do/{verb}"' in signed_in.get(page).content.decode()
        assert button in words(signed_in.get(f"{page}/do/{verb}"))
        before = Postmortem.objects.get().status
        assert before != status  # a question changes nothing
        signed_in.post(f"{page}/do/{verb}")
        assert Postmortem.objects.get().status == status
    refused = signed_in.post(f"{page}/do/restore", follow=True)
    assert "It is draft, so it cannot be restored" in words(refused)
    assert signed_in.get(f"{page}/do/burn").status_code == 404


def test_a_comment_stands_at_its_section_until_it_is_resolved(signed_in, postmortem, page, alice, charlie):
    section = postmortem.sections.first()
    signed_in.post(f"{page}/comments", {"section": str(section.uuid), "text": "How **many**?"})
    comment = Comment.objects.get()
    html = as_somebody(alice).get(page).content.decode()
    assert "How <strong>many</strong>?" in html.partition(f'id="section-{section.uuid}"')[2].partition("</section>")[0]
    assert "The comment is empty" in words(signed_in.post(f"{page}/comments", {"text": " "}, follow=True))
    assert signed_in.post(f"{page}/comments", {"text": "x", "section": "nothing"}).status_code == 404
    assert as_somebody(charlie).post(f"{page}/comments/{comment.uuid}/resolve").status_code == 404
    signed_in.post(f"{page}/comments/{comment.uuid}/resolve")
    assert "resolved by Bob" in words(signed_in.get(page))
    signed_in.post(f"{page}/comments/{comment.uuid}/resolve", {"do": "reopen"})
    comment.refresh_from_db()
    assert comment.resolved_at is None


def test_an_observer_reads_and_writes_nothing(postmortem, page, team):
    reader = as_somebody(factories.UserFactory(role=Role.OBSERVER))  # but may say something
    reviewing.publish(postmortem.number, by=None, now=timezone.now())
    assert reader.get(page).status_code == 200
    assert f"{page}/edit" not in reader.get(page).content.decode()
    for path in ("edit", "timeline", "factors", "links", "do/archive"):
        assert reader.get(f"{page}/{path}").status_code == 403, path
    for path in ("reviewers", "images", "items", "timeline/add", "timeline/redraw", "incidents"):
        assert reader.post(f"{page}/{path}", {"text": "x"}).status_code == 403, path


# --- incidents --------------------------------------------------------------------------------------------------


def test_another_incident_is_taken_in_and_let_go(signed_in, postmortem, page, service, incident):
    second = factories.IncidentFactory(service=service, title="Payments were slow", status="resolved")
    signed_in.post(f"{page}/incidents", {"incident": f"#{second.pk}"})
    assert "Payments were slow" in words(signed_in.get(page))
    signed_in.post(f"{page}/incidents", {"incident": str(second.pk), "do": "remove"})
    assert "Payments were slow" not in words(signed_in.get(page))
    alone = signed_in.post(f"{page}/incidents", {"incident": str(incident.pk), "do": "remove"}, follow=True)
    assert "It is about this incident alone" in words(alone)
    for typed in ("", "x", "999999", "9" * 30):
        answer = signed_in.post(f"{page}/incidents", {"incident": typed}, follow=True)
        assert "There is no incident of this number" in words(answer), typed


# --- sharing ----------------------------------------------------------------------------------------------------


@pytest.fixture
def published(postmortem, alice):
    return reviewing.publish(postmortem.number, by=alice, now=timezone.now())


def shared_address(answer):
    return re.search(r"/postmortems/shared/[\w-]{20,}", answer.content.decode())[0]


def test_a_link_shows_it_to_strangers_until_it_is_revoked(signed_in, published, page, client):
    factories.MomentFactory(postmortem=published, text="A customer called", is_shown=True)
    factories.CommentFactory(postmortem=published, text="For us alone")
    made = signed_in.post(f"{page}/links", {"days": "14"})
    address = shared_address(made)
    assert address not in signed_in.get(f"{page}/links").content.decode()  # only once
    stranger = Client()
    shown = stranger.get(address)
    assert shown.status_code == 200 and "Checkout is down" in words(shown) and "A customer called" in words(shown)
    assert "For us alone" not in words(shown)
    assert shown.headers["Referrer-Policy"] == "no-referrer" and "noindex" in shown.headers["X-Robots-Tag"]
    assert "no-store" in shown.headers["Cache-Control"]
    link = published.share_links.get()
    signed_in.post(f"{page}/links/{link.uuid}/revoke")
    over = stranger.get(address)
    assert over.status_code == 410 and "works no more" in words(over) and "Checkout" not in words(over)


def test_a_link_that_ended_or_never_was_says_so_and_shows_nothing(published, alice, client):
    _, token = sharing.make(published.number, days=1, by=alice, now=timezone.now() - dt.timedelta(days=2))
    assert client.get(f"/postmortems/shared/{token}").status_code == 410
    for token in ("A" * 43, "x", "%00", "é" * 50, "A" * 4000):
        answer = client.get(f"/postmortems/shared/{token}")
        assert answer.status_code == 404 and "Checkout" not in words(answer)


@pytest.mark.parametrize("days", ["0", "91", "x", "", "1e9", "9" * 40])
def test_days_that_are_none_are_refused_with_a_sentence(signed_in, published, page, days):
    answer = signed_in.post(f"{page}/links", {"days": days})
    assert answer.status_code == 400 and 'aria-invalid="true"' in answer.content.decode()
    assert not published.share_links.exists()


def test_a_draft_is_not_shared(signed_in, postmortem, page):
    assert "Only a published postmortem is shared" in words(signed_in.get(f"{page}/links"))
    answer = signed_in.post(f"{page}/links", {"days": "5"})
    assert answer.status_code == 400 and not postmortem.share_links.exists()


def test_a_comment_that_came_too_late_is_said_again(signed_in, postmortem, page):
    reviewing.archive(postmortem.number, by=None, now=timezone.now())
    answer = signed_in.post(f"{page}/comments", {"text": "How many customers <b>?"}, follow=True)
    assert "You wrote: “How many customers &lt;b&gt;?”" in answer.content.decode()
    assert not Comment.objects.exists()
