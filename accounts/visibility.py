"""Which rows a person may see. A model says in `team_paths` how its teams are reached, and that is all it needs.

`team_paths = ("service__team",)`: the row belongs to that team, and what is hidden there is hidden here. A path in
`seen_through` hides as well, without owning. Rows without a team are seen by everybody who may read. A model that has
exceptions defines `shown_although_hidden(user) -> Q`; one that lies below what it is about gets a rule from above by
`hidden_rows(model)`.
"""

from django.db.models import Q

_rules = {}


def hidden_rows(model):
    """Decorate `(access, user) -> Q`: which rows of the model are hidden, beyond what its `team_paths` say."""

    def keep(rule):
        _rules.setdefault(model, []).append(rule)
        return rule

    return keep


def visible(queryset, user):
    """The rows of the queryset that the person may see. Nothing is added to the query while no team is hidden."""
    access = user.access()
    model = queryset.model
    if not access.hidden:
        return queryset
    paths = (*team_paths(model), *getattr(model, "seen_through", ()))
    hidden = Q()
    for path in paths:
        hidden |= _by_team(model, path, access.hidden)
    for rule in _rules.get(model, ()):
        hidden |= rule(access, user)
    if not hidden:
        return queryset
    if hasattr(model, "shown_although_hidden"):
        return queryset.filter(~hidden | model.shown_although_hidden(user))
    return queryset.filter(~hidden)


def is_visible(record, user, teams):
    """Whether the person may see the row, which belongs to `teams`. Asks the database only where it must."""
    model, hidden = type(record), user.access().hidden
    if not teams & hidden and model not in _rules and not hasattr(model, "seen_through"):
        return True
    return visible(model._base_manager.filter(pk=record.pk), user).exists()


def _by_team(model, path, teams):
    """Rows whose team by this path is among `teams`. A path over several rows is asked apart: no row comes twice."""
    if any(field.many_to_many or field.one_to_many for field in _fields(model, path)):
        return Q(pk__in=model._base_manager.filter(**{f"{path}__in": teams}).values("pk"))
    return Q(**{f"{path}__in": teams})


def _fields(model, path):
    for name in path.split("__"):
        field = model._meta.pk if name == "pk" else model._meta.get_field(name)
        yield field
        model = field.related_model


def team_paths(model):
    return getattr(model, "team_paths", ())


def teams_of(record):
    """The numbers of the teams that a row belongs to; empty when it belongs to the platform."""
    found = set()
    for path in team_paths(record):
        found.update(_walk([record], path.split("__")))
    return found


def _walk(rows, names):
    *inner, last = names
    for name in inner:
        rows = [one for row in rows for one in _follow(row, name)]
    for row in rows:
        value = getattr(row, last, None) if last == "pk" else getattr(row, f"{last}_id", None)
        if value is not None:
            yield value
        elif hasattr(getattr(row, last, None), "all"):
            yield from (one.pk for one in getattr(row, last).all())


def _follow(row, name):
    value = getattr(row, name)
    if value is None:
        return []
    return list(value.all()) if hasattr(value, "all") else [value]
