"""The service that takes the rest of a team: what reaches the team and names no service."""

from django.db import IntegrityError, transaction

from catalog.models import Service

NAME = "Everything else"


def catch_all(team):
    """The service that takes the rest of this team. It is made when there is none; its policy is the team's."""
    found = Service.objects.filter(team=team, is_catch_all=True).first()
    if found:
        return found
    for number in range(1, 100):
        # Somebody else may have a service of this name, or make the same one at this moment.
        ending = f" {number}" if number > 1 else ""
        name = f"{team.name[: 95 - len(NAME) - len(ending)]}: {NAME}{ending}"
        slug = f"{team.slug[:75]}-everything-else{ending.replace(' ', '-')}"
        try:
            with transaction.atomic():
                return Service.objects.create(
                    name=name,
                    slug=slug,
                    team=team,
                    is_catch_all=True,
                    description="Alerts that reach the team and name no service. Made when the first one came.",
                )
        except IntegrityError:
            if found := Service.objects.filter(team=team, is_catch_all=True).first():
                return found
    raise LookupError(f"No service could be made that takes the rest of {team}. Choose a service for the integration.")
