"""Which rows a person may see. A model says in `team_paths` how its teams are reached, and that is all it needs.

`team_paths = ("service__team",)`: the row belongs to that team, and what is hidden there is hidden here. A path in
`seen_through` hides as well, without owning. Rows without a team are seen by everybody who may read. A model that has
exceptions defines `shown_although_hidden(user) -> Q`; one that lies below what it is about gets a rule from above by
`hidden_rows(model)`. One with readers of its own, whether or not a team is hidden, says who by `read_by(user) -> Q`,
and gets such a rule from above by `readers_of(model)`.

Sentences that were written once for everybody, such as why an alert is held, may name what only some may see:
`hushed` takes the names out.
"""

import functools
import operator
import re

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import BigIntegerField, Exists, Func, OuterRef, Q, TextField, Value
from django.db.models.functions import Cast

_rules, _readers = {}, {}
_said = []


def hidden_rows(model):
    """Decorate `(access, user) -> Q`: which rows of the model are hidden, beyond what its `team_paths` say."""

    def keep(rule):
        _rules.setdefault(model, []).append(rule)
        return rule

    return keep


def readers_of(model):
    """Decorate `(user) -> Q`: which rows of the model the person may see, also while no team is hidden."""

    def keep(rule):
        _readers.setdefault(model, []).append(rule)
        return rule

    return keep


def has_readers(model):
    """Whether more than roles and hidden teams decides who sees a row of the model."""
    return hasattr(model, "read_by") or model in _readers


def visible(queryset, user):
    """The rows of the queryset that the person may see.

    While no team is hidden, nothing is added to the query of a model without readers of its own.
    """
    access = user.access()
    model = queryset.model
    if has_readers(model):
        for rule in (*filter(None, [getattr(model, "read_by", None)]), *_readers.get(model, ())):
            queryset = queryset.filter(rule(user))
    if access.role is None:  # a key of a team: what belongs to no team is not its own either
        queryset = queryset.filter(owned(model, access.own_teams("read")))
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


def named_in(field, pattern, rows, key=BigIntegerField):
    """The condition that a text field names one of the rows, by the group of a regular expression."""
    number = Func(OuterRef(field), Value(pattern), function="substring", output_field=TextField())
    return Exists(rows.filter(pk=Cast(number, key())))


def said_in_texts(*models):
    """Their names stand in sentences, so `hushed` has to know them."""
    _said.extend(models)


def hushed(user):
    """A function `text -> text` that takes out the names of what the person may not see.

    One query for all, and none while no team is hidden.
    """
    if not user.access().hidden:
        return lambda text: text
    return _without(_hidden_names(user))


def hushed_from(teams):
    """As `hushed`, for readers without an account: takes out the names of what belongs to these teams, by number."""
    names = set()
    for model in _said if teams else ():
        theirs = functools.reduce(operator.or_, (_by_team(model, path, teams) for path in team_paths(model)))
        names.update(model._base_manager.filter(theirs).order_by().values_list("name", flat=True))
    return _without(names - {""})


def _without(names):
    if not names:
        return lambda text: text
    names = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE)
    return lambda text: pattern.sub(PRIVATE, text)


PRIVATE = "(private)"
KEPT = 1000
_statements = {}


def _hidden_names(user):
    """All names that the person may not see."""
    sql, parameters = kept_statement("names", user, _names_statement)
    if not sql:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return {name for (name,) in cursor.fetchall() if name}


def _names_statement(user):
    hidden = [
        model._base_manager.exclude(pk__in=visible(model._base_manager.all(), user).values("pk"))
        .order_by()
        .values_list("name")
        for model in _said
    ]
    return hidden[0].union(*hidden[1:])


def kept_statement(name, user, build):
    """`(SQL, parameters)` of the queryset that `build(user)` makes; no SQL: it is empty.

    For what nearly every page asks: Django takes far longer to write such a statement than the database to answer it.
    It is kept for all that it may depend on, which is who asks and what is hidden from them: never the time.
    """
    access = user.access()
    key = (name, user.pk, access.role, access.hidden, frozenset(access.own_teams("read")))
    found = _statements.get(key)
    if found is None:
        if len(_statements) >= KEPT:
            _statements.clear()
        try:
            found = build(user).query.sql_with_params()
        except EmptyResultSet:
            found = "", ()
        _statements[key] = found
    return found


def owned(model, teams):
    """The condition that a row belongs to teams, and to none but these."""
    theirs, strange = Q(), Q()
    for path in team_paths(model):
        *_, last = _fields(model, path)
        others = (last.related_model or model)._base_manager.exclude(pk__in=teams).values("pk")
        theirs |= _by_team(model, path, teams)
        strange |= _by_team(model, path, others)
    return theirs & ~strange if theirs else Q(pk__in=[])


def is_visible(record, user, teams):
    """Whether the person may see the row, which belongs to `teams`. Asks the database only where it must."""
    model, hidden = type(record), user.access().hidden
    has_more = model in _rules or hasattr(model, "seen_through") or has_readers(model)
    if not teams & hidden and not has_more:
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
