"""Two people write at once, and no text is lost."""

import datetime as dt

import pytest

from accounts.models import AuditEntry
from core.errors import DomainError, IllegalMove, NotFound
from postmortems import factors, writing
from postmortems.models import Factor, Postmortem, Revision, Section
from tests import factories
from tests.threads import at_once

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def section(team):
    return factories.SectionFactory(postmortem__team=team, title="What happened", body="One.\n")


def history(section):
    return list(section.revisions.values_list("version", "body").order_by("version"))


def test_every_save_is_a_version(section, bob, now):
    saved = writing.save_section(section.uuid, body="Two.\n", seen_version=1, by=bob, now=now)
    assert (saved.version, saved.body, saved.postmortem.changed_at) == (2, "Two.\n", now)
    assert history(section) == [(1, "One.\n"), (2, "Two.\n")]
    newest = section.revisions.first()
    assert (newest.by, newest.at, newest.is_autosave) == (bob, now, False)


def test_who_saw_an_older_version_gets_both_texts_and_nothing_is_stored(section, alice, bob, now):
    writing.save_section(section.uuid, body="Alice's.", seen_version=1, by=alice, now=now)
    with pytest.raises(writing.Conflict, match="Alice saved this") as refused:
        writing.save_section(section.uuid, title="Other", body="Bob's.", seen_version=1, by=bob, now=now)
    conflict = refused.value
    assert (conflict.mine, conflict.theirs, conflict.version, conflict.by) == ("Bob's.", "Alice's.", 2, alice)
    assert conflict.status == 409
    section.refresh_from_db()
    assert (section.body, section.version) == ("Alice's.", 2)
    saved = writing.save_section(section.uuid, body="Both.", seen_version=conflict.version, by=bob, now=now)
    assert saved.version == 3


def test_the_same_text_from_two_people_is_no_conflict_and_no_version(section, alice, bob, now):
    writing.save_section(section.uuid, body="Same.\r\n", seen_version=1, by=alice, now=now)
    assert writing.save_section(section.uuid, body="Same.\n", seen_version=1, by=bob, now=now).version == 2
    assert history(section) == [(1, "One.\n"), (2, "Same.\n")]


@pytest.mark.django_db(transaction=True)
def test_of_two_saves_at_one_moment_one_is_stored_and_the_other_is_told(section, alice, bob, now):
    def save(text, by):
        return lambda: writing.save_section(section.uuid, body=text, seen_version=1, by=by, now=now)

    outcomes = at_once(save("Alice's.", alice), save("Bob's.", bob))
    (stored,) = [one for one in outcomes if isinstance(one, Section)]
    (refused,) = [one for one in outcomes if isinstance(one, writing.Conflict)]
    assert {stored.body, refused.mine} == {"Alice's.", "Bob's."} and refused.theirs == stored.body
    assert history(section) == [(1, "One.\n"), (2, stored.body)]


def test_autosaves_of_one_sitting_are_one_revision_and_a_saved_one_stays(section, alice, bob, now):
    def save(text, seen, by, minutes, is_autosave=True):
        at = now + minutes * MINUTE
        return writing.save_section(section.uuid, body=text, seen_version=seen, is_autosave=is_autosave, by=by, now=at)

    save("a", 1, bob, 0)
    save("ab", 2, bob, 5)
    assert save("abc", 3, bob, 9).version == 4
    assert history(section) == [(1, "One.\n"), (4, "abc")]
    save("abcd", 4, bob, 11)  # the sitting is over
    assert history(section)[1:] == [(4, "abc"), (5, "abcd")]
    save("abcd", 5, bob, 12, is_autosave=False)  # the button: this one is to stay
    save("abcde", 5, bob, 13)
    assert history(section)[2:] == [(5, "abcd"), (6, "abcde")]
    save("alice", 6, alice, 14)  # somebody else's is never replaced
    assert history(section)[3:] == [(6, "abcde"), (7, "alice")]
    with pytest.raises(writing.Conflict):
        save("abcdef", 6, bob, 15)


def test_a_text_that_was_deleted_by_mistake_is_among_the_versions_also_after_an_autosave(section, bob, now):
    def autosave(text, seen):
        return writing.save_section(section.uuid, body=text, seen_version=seen, is_autosave=True, by=bob, now=now)

    long = "It began at noon. " * 30
    autosave(long, 1)
    autosave(f"{long}And ended.", 2)  # goes on
    autosave("Oh", 3)
    autosave("Oh no", 4)
    assert history(section)[1:] == [(3, f"{long}And ended."), (5, "Oh no")]


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ("", "", 0),
        ("", "ab", 0),
        ("ab", "", 2),
        ("abcd", "abXcd", 0),
        ("abcd", "ad", 2),
        ("aaaa", "aa", 2),
        ("ab", "ba", 2),
    ],
)
def test_what_a_change_takes_out_is_counted(old, new, count):
    assert writing.taken_out(old, new) == count


def test_an_older_version_comes_back_as_the_newest(section, bob, now):
    writing.save_section(section.uuid, title="Other", body="Two.", seen_version=1, by=bob, now=now)
    back = writing.restore(section.uuid, 1, by=bob, now=now)
    assert (back.title, back.body, back.version) == ("What happened", "One.\n", 3)
    assert history(section) == [(1, "One.\n"), (2, "Two."), (3, "One.\n")]
    with pytest.raises(NotFound, match="no version 9"):
        writing.restore(section.uuid, 9, by=bob, now=now)


def test_a_removed_section_comes_back_with_its_text_and_history(section, bob, now):
    writing.save_section(section.uuid, body="Two.", seen_version=1, by=bob, now=now)
    writing.remove_section(section.uuid, by=bob, now=now)
    with pytest.raises(IllegalMove, match="removed meanwhile"):
        writing.save_section(section.uuid, body="Three.", seen_version=2, by=bob, now=now)
    back = writing.restore_section(section.uuid, by=bob, now=now)
    assert (back.removed_at, back.body) == (None, "Two.")
    assert history(section) == [(1, "One.\n"), (2, "Two.")]
    said = AuditEntry.objects.filter(object_id=str(section.postmortem_id), actor=bob).order_by("id")
    assert [one.text for one in said] == [
        "Removed the section “What happened”.",
        "Restored the section “What happened”.",
    ]


def test_sections_are_added_at_the_end_and_moved_past_removed_ones(section, bob, now):
    number = section.postmortem_id
    second = writing.add_section(number, title=" Lessons ", by=bob, now=now)
    third = writing.add_section(number, title="Luck", body="Some.", by=bob, now=now)
    writing.remove_section(second.uuid, by=bob, now=now)
    writing.move_section(third.uuid, step=-1, by=bob, now=now)
    writing.move_section(third.uuid, step=-1, by=bob, now=now)  # it stands first already
    shown = Section.objects.filter(postmortem=number, removed_at=None)
    assert [one.title for one in shown] == ["Luck", "What happened"]
    assert third.revisions.get().body == "Some."


@pytest.mark.parametrize("values", [{"title": " "}, {"title": "x" * 101}, {"body": "x" * 50_001}])
def test_what_is_too_long_or_has_no_heading_is_refused(values, section, bob, now):
    with pytest.raises(DomainError):
        writing.save_section(section.uuid, **({"body": "x"} | values), seen_version=1, by=bob, now=now)
    assert history(section) == [(1, "One.\n")]


def test_what_the_database_refuses_is_left_out_of_a_text(section, bob, now):
    saved = writing.save_section(section.uuid, body="a\0b\ud800", seen_version=1, by=bob, now=now)
    assert saved.body == "ab?" and Revision.objects.filter(body="ab?").exists()


# --- title, summary, times ------------------------------------------------------------------------------------------
def test_the_head_takes_what_is_named_and_new_times_count_in_the_figures(section, bob, now):
    made = section.postmortem
    saved = writing.save_head(
        made.pk,
        summary="Short.\r\n",
        impact_began_at=now - 90 * MINUTE,
        impact_ended_at=now,
        owner=bob,
        visibility="team",
        seen_version=1,
        by=bob,
        now=now,
    )
    assert (saved.version, saved.summary, saved.owner, saved.title) == (2, "Short.", bob, made.title)
    assert saved.figures["impact_seconds"] == 5400
    assert writing.save_head(made.pk, impact_ended_at=None, seen_version=2, by=bob, now=now).impact_ended_at is None
    first = AuditEntry.objects.filter(verb="changed", object_id=str(made.pk)).order_by("id").first()
    assert first.changes["visibility"] == ["everyone", "team"] and first.changes["owner"] == [None, "Bob"]


def test_two_who_change_the_head_are_told_of_each_other(section, alice, bob, now):
    number = section.postmortem_id
    writing.save_head(number, summary="Alice's.", seen_version=1, by=alice, now=now)
    with pytest.raises(writing.Conflict) as refused:
        writing.save_head(number, summary="Bob's.", seen_version=1, by=bob, now=now)
    assert (refused.value.mine, refused.value.theirs, refused.value.by) == ("Bob's.", "Alice's.", alice)
    assert writing.save_head(number, summary="Alice's.", seen_version=1, by=bob, now=now).version == 2


def test_a_head_that_makes_no_sense_is_refused_as_a_whole(section, bob, charlie, now):
    made = section.postmortem
    machine = factories.UserFactory(is_machine=True)
    made.team.is_private = True
    made.team.save()
    for values in (
        {"impact_ended_at": made.impact_began_at - MINUTE},
        {"impact_began_at": dt.datetime(1, 1, 1, tzinfo=dt.UTC)},
        {"visibility": "world"},
        {"title": ""},
        {"summary": "x" * 5001},
        {"owner": machine},
        {"owner": charlie},
    ):
        with pytest.raises(DomainError):
            writing.save_head(made.pk, **({"summary": "Never."} | values), seen_version=1, by=bob, now=now)
    assert Postmortem.objects.get(pk=made.pk).summary == ""


# --- causes ---------------------------------------------------------------------------------------------------------
def test_a_cause_is_named_once_whatever_its_case(section, bob, now):
    number = section.postmortem_id
    one = factors.add(number, cause=" Expired  certificate ", text="No alarm.", is_root=True, by=bob, now=now)
    assert (one.cause, one.is_root) == ("Expired certificate", True)
    for name in ("expired CERTIFICATE", "", "x" * 101):
        with pytest.raises(DomainError):
            factors.add(number, cause=name, by=bob, now=now)
    other = factors.add(number, cause="No alarm", by=bob, now=now)
    with pytest.raises(DomainError, match="named already"):
        factors.change(other.uuid, cause="Expired Certificate", by=bob, now=now)
    assert factors.change(one.uuid, text="Changed.", by=bob, now=now).cause == "Expired certificate"
    factors.remove(one.uuid, by=bob, now=now)
    assert Factor.objects.get().cause == "No alarm"
