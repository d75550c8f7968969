"""Who decides for a team."""

from accounts.models import Role
from accounts.permissions import leads
from tests import factories


def test_the_admins_of_a_team_lead_it_and_its_members_do_not(team, bob, charlie):
    assert not leads(bob, team)
    assert not leads(charlie, team)
    factories.MembershipFactory(team=team, user=charlie, role=Role.ADMIN)
    assert leads(charlie, team)
    assert not leads(charlie, factories.TeamFactory())


def test_an_admin_of_the_platform_leads_every_team(alice):
    assert leads(alice, factories.TeamFactory())


def test_a_deactivated_person_leads_nothing(team, charlie):
    factories.MembershipFactory(team=team, user=charlie, role=Role.ADMIN)
    charlie.is_active = False
    charlie.save()
    assert not leads(charlie, team)
