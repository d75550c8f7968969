"""Links for people without an account."""

import datetime as dt

import pytest

from core.errors import DomainError, Gone, IllegalMove, NotFound
from postmortems import reviewing, sharing
from postmortems.models import ShareLink
from tests import factories

DAY = dt.timedelta(days=1)


@pytest.fixture
def postmortem(team):
    return factories.PostmortemFactory(
        team=team, status="published", summary="Ask dora@shop.example about it.", title="Checkout was down"
    )


def test_a_link_opens_it_until_its_end_and_counts(postmortem, bob, now):
    link, token = sharing.make(postmortem.pk, days=7, by=bob, now=now)
    assert len(token) >= 43 and not ShareLink.objects.filter(token_hash__contains=token).exists()
    assert len(link.token_hash) == 64 and token in sharing.address_of(token)
    for _ in range(2):
        assert sharing.open(token, now=now + 7 * DAY - dt.timedelta(seconds=1)).title == "Checkout was down"
    link.refresh_from_db()
    assert link.opened_count == 2
    with pytest.raises(Gone, match="Ask who sent it"):
        sharing.open(token, now=now + 7 * DAY)


def test_a_link_that_is_revoked_or_whose_postmortem_is_taken_back_opens_nothing(postmortem, bob, now):
    link, token = sharing.make(postmortem.pk, days=1, by=bob, now=now)
    _, other = sharing.make(postmortem.pk, days=1, by=bob, now=now)
    sharing.revoke(link.uuid, by=bob, now=now)
    assert sharing.revoke(link.uuid, by=bob, now=now + DAY).revoked_at == now
    with pytest.raises(Gone):
        sharing.open(token, now=now)
    sharing.open(other, now=now)
    reviewing.take_back(postmortem.pk, by=bob, now=now)
    with pytest.raises(Gone):
        sharing.open(other, now=now)
    for wrong in ("", "x", token[:-1], "x" * 5000, "\0", "ü"):
        with pytest.raises(NotFound):
            sharing.open(wrong, now=now)


def test_only_a_published_one_is_shared_and_for_90_days_at_most(postmortem, bob, now):
    for days in (0, -1, 91):
        with pytest.raises(DomainError, match="1 to 90 days"):
            sharing.make(postmortem.pk, days=days, by=bob, now=now)
    draft = factories.PostmortemFactory()
    with pytest.raises(IllegalMove, match="Publish it first"):
        sharing.make(draft.pk, days=7, by=bob, now=now)
    assert not ShareLink.objects.exists()


def test_strangers_see_no_comments_no_hidden_lines_and_no_addresses(postmortem, bob, now):
    factories.SectionFactory(postmortem=postmortem, title="Cause", body="carol@shop.example pressed it.")
    factories.SectionFactory(postmortem=postmortem, title="Gone", body="Removed words.", removed_at=now)
    factories.MomentFactory(postmortem=postmortem, text="Paged bob@example.com by mail")
    factories.MomentFactory(postmortem=postmortem, text="Hidden words.", is_shown=False)
    factories.CommentFactory(postmortem=postmortem, text="Whispered words.")
    factories.ReviewFactory(postmortem=postmortem, note="Reviewed words.")
    factories.FactorFactory(postmortem=postmortem, cause="expired certificate", text="Nobody looked.")
    factories.ActionItemFactory(postmortem=postmortem, text="Renew by machine", owner=bob)
    _, token = sharing.make(postmortem.pk, days=7, by=bob, now=now)
    seen = sharing.open(token, now=now)
    assert [(part.title, part.body) for part in seen.sections] == [("Cause", "(address) pressed it.")]
    assert seen.summary == "Ask (address) about it."
    assert [text for _, text in seen.moments] == ["Paged (address) by mail"]
    assert seen.factors == (("expired certificate", "Nobody looked.", False),)
    assert [item[:3] for item in seen.items] == [("Renew by machine", "Medium", "Open")]
    for word in ("Hidden", "Whispered", "Reviewed", "Removed", "@"):
        assert word not in repr(seen)


def test_pictures_are_those_of_the_postmortem_that_the_link_opens(postmortem, bob, now):
    ours = factories.ImageFactory(postmortem=postmortem)
    others = factories.ImageFactory()
    _, token = sharing.make(postmortem.pk, days=7, by=bob, now=now)
    assert sharing.image(token, ours.uuid, now=now) == ours
    with pytest.raises(NotFound):
        sharing.image(token, others.uuid, now=now)
    with pytest.raises(Gone):
        sharing.image(token, ours.uuid, now=now + 8 * DAY)


def test_strangers_read_no_name_of_another_team_that_is_private_and_no_number_of_a_telephone(postmortem, bob, now):
    vault = factories.TeamFactory(name="Vault", is_private=True)
    factories.ServiceFactory(name="Strongroom", team=vault)
    factories.ServiceFactory(name="Checkout", team=postmortem.team)
    factories.MomentFactory(postmortem=postmortem, text="Vault saw Strongroom beside Checkout.")
    factories.MomentFactory(postmortem=postmortem, text="Called +49 (30) 1234-5678 at 2026-06-01 12:00:00.")
    for is_private in (False, True):  # what is theirs is told by their own link
        postmortem.team.is_private = is_private
        postmortem.team.save()
        texts = [text for _, text in sharing.shown(postmortem).moments]
        assert texts == ["(private) saw (private) beside Checkout.", "Called (number) at 2026-06-01 12:00:00."]
