"""Reviews, publishing, the archive and comments."""

import datetime as dt

import pytest

from accounts.models import AuditEntry, Role
from accounts.permissions import may
from core.errors import DomainError, IllegalMove, NotAllowed, NotFound
from notifications.models import Notification
from postmortems import reviewing, states
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def postmortem(team, alice, bob):
    return factories.PostmortemFactory(team=team, owner=bob, title="Checkout was down")


def told(postmortem):
    """`[(name, title)]` of what was planned about it."""
    rows = Notification.objects.filter(topic=postmortem.topic).order_by("pk")
    assert all((row.kind, row.urgency, row.channel) == ("notice", "low", "email") for row in rows)
    return [(row.user.name, row.message["title"]) for row in rows]


def test_reviewers_are_asked_by_a_quiet_message_and_their_word_reaches_the_owner(postmortem, alice, bob, now):
    reviewing.ask(postmortem.pk, [alice, alice], by=bob, now=now)
    postmortem.refresh_from_db()
    assert postmortem.status == states.IN_REVIEW
    assert told(postmortem) == [("Alice", "Your review is asked for: Checkout was down")]
    assert [one.user for one in reviewing.waiting_for(alice)] == [alice]
    reviewing.say(postmortem.pk, verdict="approved", by=alice, now=now + MINUTE)
    assert told(postmortem)[-1] == ("Bob", f"Alice approved PM-{postmortem.pk} Checkout was down")
    assert not reviewing.waiting_for(alice).exists()


def test_somebody_from_elsewhere_sees_a_draft_once_asked_and_nobody_is_asked_who_may_not(
    postmortem, alice, bob, charlie, now
):
    assert not charlie.may("read", postmortem)
    reviewing.ask(postmortem.pk, [charlie], by=bob, now=now)
    assert charlie.may("read", postmortem)
    secret = factories.PostmortemFactory(team__is_private=True)
    with pytest.raises(DomainError, match="Charlie may not see PM-"):
        reviewing.ask(secret.pk, [alice, charlie], by=None, now=now)
    secret.refresh_from_db()
    assert secret.status == states.DRAFT and not secret.reviews.exists()
    machine = factories.UserFactory(is_machine=True)
    for wrong, sentence in (([machine], "whose account is active"), ([], "at least one person")):
        with pytest.raises(DomainError, match=sentence):
            reviewing.ask(postmortem.pk, wrong, by=bob, now=now)


def test_changes_keep_it_from_being_published_until_said_otherwise(postmortem, alice, bob, charlie, now):
    reviewing.ask(postmortem.pk, [charlie], by=bob, now=now)
    with pytest.raises(DomainError, match="Say what is to be changed"):
        reviewing.say(postmortem.pk, verdict="changes", note="  ", by=charlie, now=now)
    reviewing.say(postmortem.pk, verdict="changes", note="The times are wrong.", by=charlie, now=now)
    with pytest.raises(IllegalMove, match="Charlie asks for changes: “The times are wrong.”"):
        reviewing.publish(postmortem.pk, by=bob, now=now)
    with pytest.raises(NotAllowed, match="Only an admin of the team Shop"):
        reviewing.publish(postmortem.pk, is_forced=True, by=bob, now=now)
    with pytest.raises(NotAllowed, match="asks for changes"):
        reviewing.unask(postmortem.pk, charlie, by=bob, now=now)
    # Asked again, they are reminded, and what they said stands.
    reviewing.ask(postmortem.pk, [charlie], by=bob, now=now + MINUTE)
    assert reviewing.waiting_for(charlie).exists()
    with pytest.raises(IllegalMove):
        reviewing.publish(postmortem.pk, by=bob, now=now + MINUTE)
    reviewing.say(postmortem.pk, verdict="approved", by=charlie, now=now + 2 * MINUTE)
    assert reviewing.publish(postmortem.pk, by=bob, now=now + 2 * MINUTE).status == states.PUBLISHED


def test_an_admin_of_the_team_publishes_anyway_and_the_audit_says_so(postmortem, alice, bob, charlie, now):
    reviewing.ask(postmortem.pk, [charlie], by=bob, now=now)
    reviewing.say(postmortem.pk, verdict="changes", note="No.", by=charlie, now=now)
    reviewing.publish(postmortem.pk, is_forced=True, by=alice, now=now)
    entry = AuditEntry.objects.filter(kind="postmortems.postmortem", object_id=str(postmortem.pk)).latest("pk")
    assert (entry.actor, entry.text) == (alice, "Published it. Although Charlie asked for changes.")


def test_only_who_was_asked_reviews_and_only_while_it_is_in_review(postmortem, alice, bob, charlie, now):
    with pytest.raises(NotAllowed, match="You were not asked"):
        reviewing.say(postmortem.pk, verdict="approved", by=charlie, now=now)
    reviewing.ask(postmortem.pk, [charlie], by=bob, now=now)
    reviewing.publish(postmortem.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match="It is published, so there is nothing to review"):
        reviewing.say(postmortem.pk, verdict="approved", by=charlie, now=now)


def test_publishing_tells_the_team_responders_and_followers_once(postmortem, alice, bob, charlie, now):
    incident = postmortem.incidents.get()
    factories.ResponderFactory(incident=incident, user=charlie)
    dora, erin, fred = (
        factories.UserFactory(name=name, email=f"{name.lower()}@example.com", role=Role.OBSERVER)
        for name in ("Dora", "Erin", "Fred")
    )
    for one in (dora, erin, fred):
        factories.ContactMethodFactory(user=one)
    factories.FollowerFactory(incident=incident, user=dora)
    factories.ResponderFactory(incident=incident, user=erin, declined_at=now)
    reviewing.publish(postmortem.pk, by=bob, now=now)
    expected = [(name, "Postmortem: Checkout was down") for name in ("Alice", "Charlie", "Dora")]
    assert sorted(told(postmortem)) == expected
    published_at = reviewing.take_back(postmortem.pk, by=bob, now=now + MINUTE).published_at
    again = reviewing.publish(postmortem.pk, by=bob, now=now + 2 * MINUTE)
    assert sorted(told(postmortem)) == expected and again.published_at == published_at == now


def test_what_only_the_team_reads_is_told_to_the_team_only(team, alice, bob, charlie, now):
    postmortem = factories.PostmortemFactory(team=team, visibility="team")
    factories.FollowerFactory(incident=postmortem.incidents.get(), user=charlie)
    reviewing.publish(postmortem.pk, by=None, now=now)
    assert sorted(name for name, _ in told(postmortem)) == ["Alice", "Bob"]


def test_the_archive_keeps_it_as_it_is_until_it_is_restored(postmortem, alice, bob, now):
    comment = reviewing.comment(postmortem.pk, text="Why?", by=alice, now=now)
    reviewing.archive(postmortem.pk, by=bob, now=now)
    for refused in (
        lambda: reviewing.comment(postmortem.pk, text="Too late.", by=alice, now=now),
        lambda: reviewing.resolve_comment(comment.uuid, by=alice, now=now),
        lambda: reviewing.publish(postmortem.pk, by=bob, now=now),
    ):
        with pytest.raises(IllegalMove, match="archived"):
            refused()
    restored = reviewing.restore(postmortem.pk, by=bob, now=now)
    assert (restored.status, restored.archived_at) == (states.DRAFT, None)
    with pytest.raises(IllegalMove, match="It is draft"):
        reviewing.restore(postmortem.pk, by=bob, now=now)


def test_a_draft_that_was_published_once_is_not_shown_to_others_by_the_archive(postmortem, bob, charlie, now):
    reviewing.publish(postmortem.pk, by=bob, now=now)
    archived = reviewing.archive(postmortem.pk, by=bob, now=now)
    assert may(charlie, "read", archived)  # as it was published
    reviewing.restore(postmortem.pk, by=bob, now=now)
    assert not may(charlie, "read", reviewing.archive(postmortem.pk, by=bob, now=now))


def test_a_comment_on_a_section_tells_the_owner_and_is_resolved_by_author_or_team(
    postmortem, alice, bob, charlie, now
):
    section = factories.SectionFactory(postmortem=postmortem, title="What happened")
    dora = factories.UserFactory(name="Dora", role=Role.OBSERVER)
    comment = reviewing.comment(postmortem.pk, text=" Who was *first*? ", section=section.uuid, by=alice, now=now)
    assert (comment.text, comment.section) == ("Who was *first*?", section)
    assert told(postmortem) == [("Bob", f"Alice commented on PM-{postmortem.pk} What happened")]
    with pytest.raises(NotAllowed):
        reviewing.resolve_comment(comment.uuid, by=dora, now=now)
    assert reviewing.resolve_comment(comment.uuid, by=bob, now=now).resolved_by == bob
    assert reviewing.resolve_comment(comment.uuid, by=alice, now=now + MINUTE).resolved_by == bob
    assert reviewing.reopen_comment(comment.uuid, by=alice, now=now).resolved_at is None
    hers = reviewing.comment(postmortem.pk, text="Mine.", by=dora, now=now)
    assert reviewing.resolve_comment(hers.uuid, by=dora, now=now).resolved_by == dora


def test_a_comment_that_cannot_be_kept_is_refused_in_words(postmortem, bob, now):
    elsewhere = factories.SectionFactory()
    gone = factories.SectionFactory(postmortem=postmortem, removed_at=now)
    for error, given in (
        (DomainError, {"text": " \0 "}),
        (DomainError, {"text": "x" * 5001}),
        (NotFound, {"text": "x", "section": elsewhere.uuid}),
        (NotFound, {"text": "x", "section": gone.uuid}),
    ):
        with pytest.raises(error):
            reviewing.comment(postmortem.pk, by=bob, now=now, **given)
    with pytest.raises(NotFound, match="no postmortem PM-999999"):
        reviewing.archive(999999, by=bob, now=now)
    assert not postmortem.comments.exists()
