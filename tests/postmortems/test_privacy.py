"""What somebody wrote is handed out to them, and their name goes from what stays when they are erased."""

import datetime as dt
import json

import pytest
from django.core.serializers.json import DjangoJSONEncoder

from accounts import privacy
from postmortems import drafting, factors, images, moments, reviewing, writing
from postmortems.models import ActionItem, Postmortem
from tests import factories


@pytest.fixture
def made(service, alice, bob, now):
    """Bob's, in which everything of a postmortem names him."""
    one = factories.IncidentFactory(service=service, title="Bob pulled the plug", status="resolved")
    factories.TimelineEntryFactory(incident=one, text="Resolved by Bob.", by=bob)
    postmortem = drafting.start([one.pk], by=bob, now=now)
    section = postmortem.sections.first()
    writing.save_section(section.uuid, title="What Bob saw", body="Bob knew.", seen_version=1, by=bob, now=now)
    writing.save_head(postmortem.pk, summary="Bob fell over it.", seen_version=1, by=bob, now=now)
    factors.add(postmortem.pk, cause="Loose cable", text="Bob stumbled.", by=bob, now=now)
    moments.add(postmortem.pk, at=now, text="Bob fell.", by=bob, now=now)
    reviewing.comment(postmortem.pk, text="Ask Bob.", by=alice, now=now)
    images.add(postmortem.pk, name="Bob and the plug.png", body=factories.ImageFactory.body, by=bob, now=now)
    factories.ActionItemFactory(postmortem=postmortem, text="Bob tapes the cable", owner=bob)
    return postmortem


def test_an_export_has_all_that_somebody_wrote(made, bob, now):
    found = privacy.export(bob, now=now)
    assert found["postmortems"]["postmortems"][0]["number"] == made.pk
    assert "Bob knew." in [one["body"] for one in found["postmortems"]["versions"]]
    assert [one["name"] for one in found["postmortems"]["images"]] == ["Bob and the plug.png"]
    assert found["postmortem_reviews"]["action_items"][0]["text"] == "Bob tapes the cable"
    assert json.dumps(found, cls=DjangoJSONEncoder)


def test_whoever_has_open_items_is_erased_only_when_somebody_insists(made, alice, bob, now):
    with pytest.raises(privacy.Refused, match="Bob tapes the cable"):
        privacy.erase(bob, by=alice, now=now)
    erased = privacy.erase(bob, by=alice, now=now + dt.timedelta(days=1), force=True)
    assert ActionItem.objects.get().text == f"{erased.pseudonym} tapes the cable"
    section = made.sections.first()
    assert section.body == section.revisions.first().body == f"{erased.pseudonym} knew."
    assert section.title == section.revisions.first().title == f"What {erased.pseudonym} saw"
    assert made.images.get().name == f"{erased.pseudonym} and the plug.png"
    assert Postmortem.objects.get().summary == f"{erased.pseudonym} fell over it."
    for rows, name in (
        (made.moments, "text"),
        (made.moments, "said"),
        (made.comments, "text"),
        (made.factors, "text"),
    ):
        assert not rows.filter(**{f"{name}__contains": "Bob"}).exists()
    assert made.images.get().by is None and not [one for one in erased.mentions if "postmortem" in one.lower()]
