"""Postmortems in the admin: templates are made there, the rest is read."""

import pytest
from django.urls import reverse

from accounts.models import Role
from postmortems.models import Template
from tests import factories

ADD = "admin:postmortems_template_add"


def new_template(**fields):
    empty = {"sections-TOTAL_FORMS": "2", "sections-INITIAL_FORMS": "0"}
    one = {"title": "What happened", "position": "1", "help": "In order.", "body": "It began with…"}
    two = {"title": "Lessons", "position": "2", "help": "", "body": ""}
    sections = {
        f"sections-{number}-{name}": value
        for number, section in enumerate((one, two))
        for name, value in section.items()
    }
    return {"name": "Outage", "team": "", **empty, **sections, **fields}


@pytest.fixture
def team_admin(client, team):
    user = factories.UserFactory(name="Tina", role=Role.OBSERVER)
    factories.MembershipFactory(team=team, user=user, role=Role.ADMIN)
    client.force_login(user)
    return client


def test_a_template_is_made_with_its_sections(browser, team):
    answer = browser.post(reverse(ADD), new_template(team=team.pk, is_default="on"))
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    template = Template.objects.get()
    assert (template.name, template.team, template.is_default) == ("Outage", team, True)
    assert [(one.title, one.help) for one in template.sections.all()] == [
        ("What happened", "In order."),
        ("Lessons", ""),
    ]


def test_admins_of_a_team_edit_its_templates_and_no_others(team_admin, team):
    own, general = factories.PostmortemTemplateFactory(team=team), factories.PostmortemTemplateFactory()
    others = factories.PostmortemTemplateFactory(team=factories.TeamFactory())
    for template, may_save in ((own, True), (general, False), (others, False)):
        address = reverse("admin:postmortems_template_change", args=[template.pk])
        team_admin.post(address, new_template(name="Changed", team=team.pk))
        template.refresh_from_db()
        assert (template.name == "Changed") is may_save


def test_two_templates_chosen_first_are_refused_in_words(browser, team):
    factories.PostmortemTemplateFactory(team=team, is_default=True)
    answer = browser.post(reverse(ADD), new_template(team=team.pk, is_default="on"))
    assert "Another template is chosen first already. Take that off it." in answer.content.decode()


def test_what_was_written_is_read_and_leads_to_its_page(browser):
    item = factories.ActionItemFactory()
    number = item.postmortem_id
    page = browser.get(reverse("admin:postmortems_postmortem_changelist")).content.decode()
    assert f'href="{reverse("postmortems:postmortem", args=[number])}"' in page
    for kind, pk in (("postmortem", number), ("actionitem", item.pk), ("wanted", factories.WantedFactory().pk)):
        address = reverse(f"admin:postmortems_{kind}_change", args=[pk])
        assert browser.get(address).status_code == 200
        assert browser.post(address, {"title": "x"}).status_code == 403
        assert browser.get(reverse(f"admin:postmortems_{kind}_add")).status_code == 403
