"""Who may do what: the table of verbs by role, and what it says of one person. Pure: no database, no clock.

The same table stands for people in docs/access.md. Questions are asked through `accounts.permissions.may`.
"""

import dataclasses

OBSERVER, RESPONDER, ADMIN = "observer", "responder", "admin"
RANKS = {None: 0, OBSERVER: 1, RESPONDER: 2, ADMIN: 3}

# Verb: the least role that may, and what the verb is. A role counts for the whole platform or within a team.
TABLE = {
    "read": (OBSERVER, "See incidents, alerts, services, schedules, who is on call, and figures."),
    "respond": (RESPONDER, "Open, acknowledge and resolve incidents; silence, snooze, override and swap shifts."),
    "configure": (ADMIN, "Change services, policies, schedules, integrations, rules, members and keys of the team."),
    "contacts": (ADMIN, "See the phone numbers and addresses of the people of the team."),
    "administer": (ADMIN, "Change people, providers, wordings and settings; read the audit. For the platform only."),
}
PLATFORM_ONLY = {"administer"}


@dataclasses.dataclass(frozen=True)
class Access:
    """What one person may do. `role` is that of the platform, `teams` has those in teams, by the team's number.

    `hidden` are the teams that do not exist for them: private ones of others, and all but its own for a team's key.
    """

    role: str | None
    teams: dict = dataclasses.field(default_factory=dict)
    hidden: frozenset = frozenset()

    def role_in(self, team):
        """The stronger of the two roles, or None where the team is hidden."""
        return None if team in self.hidden else max(self.role, self.teams.get(team), key=RANKS.get)

    def allows(self, verb, teams=()):
        """Whether the verb is allowed for what belongs to these teams, all of them; without any, for the platform."""
        least = RANKS[TABLE[verb][0]]
        if verb in PLATFORM_ONLY or not teams:
            return RANKS[self.role] >= least
        return all(RANKS[self.role_in(team)] >= least for team in teams)

    def allows_somewhere(self, verb):
        """Whether there is anything at all for which the verb is allowed."""
        return self.allows(verb) or (verb not in PLATFORM_ONLY and bool(self.own_teams(verb)))

    def own_teams(self, verb):
        """The teams in which the person's role there allows the verb."""
        least = RANKS[TABLE[verb][0]]
        return {team for team, role in self.teams.items() if RANKS[role] >= least and team not in self.hidden}


NOBODY = Access(None)
EVERYTHING = Access(ADMIN)


def within(access, team, everybody):
    """The same access, narrowed to one team of `everybody`: what a key of that team may."""
    return Access(None, {team: access.role_in(team)}, frozenset(everybody) - {team})
