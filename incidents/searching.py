"""Which incidents somebody looks for: filters, words and order, read from an address, and the rows page by page.

Everything stays fast with a million incidents: pages go on from the last row instead of counting from the first, large
numbers are estimates of the planner, and a search that would take long ends with a sentence.
"""

import contextlib
import dataclasses
import datetime as dt
import functools
import json
import operator
import re
import uuid
from urllib.parse import urlencode

from django.contrib.postgres.search import SearchQuery
from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from psycopg.errors import QueryCanceled

from accounts.models import Team, User
from accounts.permissions import visible
from catalog.models import Service
from core.errors import DomainError
from core.zones import zone_of
from incidents import states
from incidents.models import WORDS, Incident, Priority, Responder, Severity
from notifications.message import storable

A_PAGE = 50
LONGEST_SEARCH = 200  # characters
MOST_WORDS = 10
MOST_VALUES = 50  # of one filter
LONGEST_NUMBER = 18  # so many digits fit a bigint
COUNTED = 1000  # more than so many are said as about so many
SEARCH_SECONDS = 3
GUESS_SECONDS = 0.3
COMMON = 20_000  # from so many on reading in the order is cheaper, with a million incidents
STATES = [("open", "Open"), *states.CHOICES]
LASTS = [
    ("1h", "Last hour"),
    ("24h", "Last 24 hours"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
    ("90d", "Last 90 days"),
]
SORTS = {
    "newest": ("Newest first", ("-number",)),
    "oldest": ("Oldest first", ("number",)),
    "priority": ("Priority", ("priority", "-number")),
    "longest": ("Longest open", ("triggered_at", "number")),
}
MERGED = {"yes": "Merged ones only", "no": "Without merged ones"}
LISTS = {"state": "State", "priority": "Priority", "severity": "Severity", "service": "Service", "team": "Team"}
LISTS["responder"] = "Responder"
SPELLED = {"priority": str.upper, "severity": str.lower}  # how we write what people write otherwise
SINGLES = ("last", "from", "to", "merged", "sort")
SAID_IN_SEARCH = re.compile(rf'(?<!\S)({"|".join([*LISTS, *SINGLES])}):("[^"]*"|\S+)', re.IGNORECASE)
TERM = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
SPAN = re.compile(r"(\d{1,4})([mhdw])")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FIRST_YEAR, LAST_YEAR = 1990, 2100


class TooSlow(DomainError):
    code = "search_narrower"


def slow():
    return TooSlow(
        "This search takes too long. Search narrower: use a rarer word, or choose a service, a team or a time."
    )


@dataclasses.dataclass
class Chip:
    """One filter that is on: what it says, and the address of the list without it."""

    label: str
    without: str


@dataclasses.dataclass
class Page:
    """Rows of the list, and the cursors of its neighbours; empty when there are none."""

    rows: list
    newer: str = ""
    older: str = ""


class Search:
    """What an address asks for. `problems` says in sentences what it gets wrong; nothing is found by mistake."""

    def __init__(self, params, *, user, now):
        """`params` is a QueryDict."""
        self.user, self.now = user, now
        self.problems = []
        self.chosen = {name: [] for name in LISTS}  # what the person wrote and what is right
        self.single = dict.fromkeys(SINGLES, "")
        self._nothing = False
        self._zone = zone_of(user.time_zone)
        given = self._read(params)
        self._where = {}
        for name in LISTS:
            self._take_list(name, given[name])
        self._take_times(given)
        self._take_words()
        if merged := given["merged"]:
            self._take_one("merged", merged, MERGED)
        self._take_one("sort", given["sort"] or "newest", SORTS)
        self.sort = self.single["sort"] or "newest"
        if self.sort == "longest":
            over = [one for one in self._where.get("state", ()) if one not in states.OPEN]
            if over or (self.chosen["state"] == [] and self._is_any_state):
                self.problems.append("“Longest open” sorts what is open: incidents that are over are left out.")

    # --- reading ----------------------------------------------------------------------------------------------

    def _read(self, params):
        """`{name: [values] or text}` of the address, with what the search itself says in words like `state:open`."""
        given = {name: [] for name in LISTS} | dict.fromkeys(SINGLES, "")
        for name in LISTS:
            for text in params.getlist(name):
                given[name] += [one for one in storable(text).strip().split(",") if one.strip()]
        for name in SINGLES:
            given[name] = storable(params.get(name, "")).strip()
        given["state"] += [one for one in storable(params.get("status", "")).strip().split(",") if one]
        text = storable(params.get("q", "")).strip()
        if len(text) > LONGEST_SEARCH:
            self.problems.append(f"A search has at most {LONGEST_SEARCH} characters. What follows was left out.")
            text = text[:LONGEST_SEARCH]
        text = text.replace("“", '"').replace("”", '"').replace("„", '"')
        for name, value in SAID_IN_SEARCH.findall(text):
            name, value = name.lower(), value.strip('"')
            if name in LISTS:
                given[name] += [one for one in value.split(",") if one]
            else:
                given[name] = value
        self.q = " ".join(SAID_IN_SEARCH.sub(" ", text).split())
        number = re.fullmatch(r"(#?)([0-9]+)", self.q)
        self.number = int(number[2]) if number and len(number[2]) <= LONGEST_NUMBER else None
        self._is_number_only = bool(number and (number[1] or self.number is None))
        # Without a word about it the open ones are shown; who searches for words looks at all there ever were.
        self._is_any_state = bool(self.q) or given["merged"] == "yes"
        given["state"] = [one.strip().lower() for one in given["state"]]
        if "all" in given["state"]:
            given["state"] = [one for one in given["state"] if one != "all"]
            self._is_any_state = True
        elif not given["state"] and not self._is_any_state:
            given["state"] = ["open"]
        if "mine" in given["state"]:  # how older links say it
            given["state"] = [one for one in given["state"] if one != "mine"] or ["open"]
            given["responder"].append("me")
        return given

    def _take_list(self, name, values):
        spelled = SPELLED.get(name, str)
        values = list(dict.fromkeys(spelled(one.strip()) for one in values))
        if len(values) > MOST_VALUES:
            self.problems.append(f"A filter takes at most {MOST_VALUES} values. The rest was left out.")
            values = values[:MOST_VALUES]
        if not values:
            return
        found = getattr(self, f"_take_{name}")(values)
        for value in values:
            if value not in found:
                self.problems.append(self._unknown(name, value))
        self.chosen[name] = [value for value in values if value in found]
        self._where[name] = list(dict.fromkeys(one for value in self.chosen[name] for one in found[value]))
        if not self.chosen[name]:
            self._nothing = True

    def _unknown(self, name, value):
        value = value[:60]
        if name in ("service", "team"):
            return f"There is no {name} “{value}” that you can see. Choose one from the filters."
        if name == "responder":
            return f"There is no person “{value}”. Choose one from the filters, or write “me” or “nobody”."
        words = {"state": [*dict(STATES), "all"], "priority": Priority.values, "severity": Severity.values}[name]
        return f"“{value}” is not a {name}. Use {', '.join(words)}."

    def _take_state(self, values):
        return {one: list(states.OPEN) if one == "open" else [one] for one in values if one in dict(STATES)}

    def _take_priority(self, values):
        return {one: [one] for one in values if one in Priority.values}

    def _take_severity(self, values):
        return {one: [one] for one in values if one in Severity.values}

    def _take_service(self, values):
        return {slug: [one.pk] for slug in values for one in self.services if one.slug == slug}

    def _take_team(self, values):
        return {slug: [one.pk] for slug in values for one in self.teams if one.slug == slug}

    def _take_responder(self, values):
        found = {"me": [self.user.pk], "nobody": [None]}
        self.names = {"me": "Me", "nobody": "Nobody"}
        wanted = {value: _person(value) for value in values if value not in found}
        if not wanted:
            return found
        uuids = [one for one in wanted.values() if isinstance(one, uuid.UUID)]
        emails = [one for one in wanted.values() if isinstance(one, str)]
        people = User.objects.people().annotate(lower=Lower("email"))
        people = people.filter(Q(uuid__in=uuids) | Q(lower__in=emails)).order_by()
        known = {key: person for person in people for key in (person.uuid, person.lower)}
        for value, key in wanted.items():
            if person := known.get(key):
                found[value], self.names[value] = [person.pk], str(person)
        return found

    def _take_one(self, name, value, words):
        if value in words:
            self.single[name] = value
        else:
            self.problems.append(f"“{value[:60]}” is not a word for “{name}”. Use {', '.join(words)}.")
            self._nothing = self._nothing or name != "sort"

    def _take_times(self, given):
        """`last` and `from` begin, `to` ends; a day that is named as the end is part of it."""
        self.since = self.until = None
        for name in ("last", "from", "to"):
            if not given[name]:
                continue
            at = self._moment(given[name], is_end=name == "to")
            if at is None or (name == "last" and not SPAN.fullmatch(given[name])):
                hint = (
                    "a span such as 24h or 7d" if name == "last" else "a day such as 2026-06-01, or a span such as 7d"
                )
                self.problems.append(f"“{given[name][:60]}” is not a time for “{name}”. Write {hint}.")
                self._nothing = True
                continue
            self.single[name] = given[name]
            if name == "to":
                self.until = at
            else:
                self.since = max(at, self.since) if self.since else at
        if self.since and self.until and self.until <= self.since:
            self.problems.append("The end of the time is before its beginning. Choose a later end.")
            self._nothing = True

    def _moment(self, text, *, is_end):
        if span := SPAN.fullmatch(text):
            return self.now - dt.timedelta(**{UNITS[span[2]]: int(span[1])})
        try:
            at = dt.datetime.fromisoformat(text)
        except ValueError:
            return None
        if not FIRST_YEAR <= at.year < LAST_YEAR:
            return None
        if is_end and len(text) <= 10:
            at += dt.timedelta(days=1)
        return at if at.tzinfo else at.replace(tzinfo=self._zone)

    def _take_words(self):
        """The words of the search as conditions: by prefix, in quotes as a phrase, with a minus not there.

        `_branches` are the ways in which they can match: each is asked for by itself, since each has its own index.
        """
        self._branches = []
        if self._is_number_only:
            return
        terms = TERM.findall(self.q)
        if len(terms) > MOST_WORDS:
            self.problems.append(f"A search has at most {MOST_WORDS} words. The rest was left out.")
        self._has_phrase = any(phrase for _, phrase, _ in terms)
        everything, others, named, without = None, None, None, Q()
        for minus, phrase, word in terms[:MOST_WORDS]:
            text = re.sub(r"['\\]", " ", phrase or word).strip()
            if not re.search(r"\w", text):
                continue
            if phrase:
                query = SearchQuery(text, config="simple", search_type="phrase")
            else:
                query = SearchQuery(f"'{text}':*", config="simple", search_type="raw")
            services = self._named(text)
            if minus:
                without &= ~Q(words=query) & ~Q(service__in=services)
                continue
            everything = query if everything is None else everything & query
            if services:
                named = services if named is None else named & services
            else:
                others = query if others is None else others & query
        if everything is not None:
            self._branches.append(Q(words=everything) & without)
        elif without:
            self._branches.append(without)
        if named:  # the service says some of the words, and the incident the others
            self._branches.append(Q(service__in=sorted(named)) & (Q(words=others) if others else Q()) & without)
        if self.q and not self._branches:
            self.problems.append("A search needs a letter or a digit. Write a word of the title, or a number.")
            self._nothing = True
        elif self.number is not None:
            self._branches.append(Q(number=self.number))

    def _named(self, text):
        """The numbers of the services in whose name or slug a word begins so."""
        begins = re.compile(rf"(?<!\w){re.escape(text)}", re.IGNORECASE)
        return {one.pk for one in self.services if begins.search(one.name) or begins.search(one.slug)}

    @functools.cached_property
    def services(self):
        return list(visible(Service.objects.order_by("name").only("pk", "slug", "name", "team"), self.user))

    @functools.cached_property
    def teams(self):
        return list(visible(Team.objects.order_by("name").only("pk", "slug", "name"), self.user))

    # --- saying -----------------------------------------------------------------------------------------------

    def pairs(self, *, without=None):
        """The filters as `[(name, value)]`, always said in the same order; `without` is one of them, or the words."""
        found = [("q", self.q)] if self.q else []
        is_default = self.chosen["state"] == ["open"] and not self._is_any_state
        for name in LISTS:
            values = [] if name == "state" and is_default else sorted(self.chosen[name])
            found += [(name, value) for value in values]
        if self._is_any_state and not self.chosen["state"] and not self.q and self.single["merged"] != "yes":
            found.append(("state", "all"))
        found += [(name, self.single[name]) for name in SINGLES if self.single[name] and self.single[name] != "newest"]
        return [pair for pair in found if pair != without]

    @property
    def query(self):
        """The filters as they stand in an address, in one order."""
        return urlencode(self.pairs())

    @property
    def is_all_open(self):
        """Whether it asks for all that is open and for nothing else, in whatever order."""
        return not self._nothing and {name for name, _ in self.pairs()} <= {"sort"}

    @property
    def is_filtered(self):
        return bool(self.pairs() or self.problems)

    def chips(self):
        """What is on, as chips; the order is not a filter."""
        labels = {
            "state": dict([*STATES, ("all", "All")]),
            "priority": {},
            "severity": dict(Severity.choices),
            "service": {one.slug: one.name for one in self.services} if self.chosen["service"] else {},
            "team": {one.slug: one.name for one in self.teams} if self.chosen["team"] else {},
            "responder": getattr(self, "names", {}),
            "last": dict(LASTS),
            "merged": MERGED,
        }
        found = []
        for name, value in self.pairs():
            if name == "sort":
                continue
            text = labels.get(name, {}).get(value, value)
            before = {"q": "Search", "from": "From", "to": "Until", **LISTS}.get(name)
            label = f"{before}: {text}" if before else text.replace("7d", "7 days")
            found.append(Chip(label, urlencode(self.pairs(without=(name, value)))))
        return found

    # --- finding ----------------------------------------------------------------------------------------------

    def rows(self):
        """All that matches and that the person may see, in no order."""
        return self._rows(functools.reduce(operator.or_, self._branches, Q()))

    def _rows(self, words):
        rows = visible(Incident.objects.all(), self.user)
        if self._nothing:
            return rows.none()
        if self._branches:
            rows = rows.annotate(words=WORDS)
        return rows.filter(*self._conditions(), words)

    def _conditions(self):
        where = self._where
        for name, field in (
            ("state", "status"),
            ("priority",) * 2,
            ("severity",) * 2,
            ("service",) * 2,
            ("team",) * 2,
        ):
            if values := where.get(name):
                yield Q(**{f"{field}__in": values})
        if self.sort == "longest":
            yield Q(status__in=states.OPEN)
        if people := where.get("responder"):
            yield self._of_people(people)
        if self.since:
            yield Q(triggered_at__gte=self.since)
        if self.until:
            yield Q(triggered_at__lt=self.until)
        if self.single["merged"]:
            yield Q(merged_into__isnull=self.single["merged"] == "no")
        if self._is_number_only:
            yield Q(number=self.number) if self.number is not None else Q(pk__in=[])

    def _of_people(self, people):
        """Whoever has it or works on it. Two indexes give the numbers; OR would read every incident there is."""
        known = [one for one in people if one is not None]
        theirs = Incident.objects.filter(assignee__in=known).order_by().values("pk")
        joined = Responder.objects.filter(user__in=known, declined_at=None).order_by()
        found = Q(pk__in=theirs.union(joined.values("incident"))) if known else Q()
        return found | Q(assignee=None) if None in people else found

    def order(self):
        """The fields of the order. Within a time it is by time, whose index then gives the rows in order."""
        if self.sort in ("newest", "oldest") and (self.since or self.until):
            sign = "-" if self.sort == "newest" else ""
            return (f"{sign}triggered_at", f"{sign}number")
        return SORTS[self.sort][1]

    def page(self, rows, *, before="", after=""):
        """One page of the rows: those that follow the cursor `before`, or that stand ahead of the cursor `after`.

        Raises TooSlow, and DomainError for a cursor that is none of this order.
        """
        cursor, is_back = (after, True) if after else (before, False)
        order = self.order()
        if is_back:
            order = tuple(one.removeprefix("-") if one.startswith("-") else f"-{one}" for one in order)
        at = self._place(cursor, order) if cursor else None
        found = self._first(rows, order, at)
        has_more = len(found) > A_PAGE
        found = found[:A_PAGE]
        if is_back:
            found.reverse()
        if not found:
            return Page([])
        newer, older = (has_more, True) if is_back else (bool(cursor), has_more)
        return Page(found, self._cursor(found[0]) if newer else "", self._cursor(found[-1]) if older else "")

    def _first(self, rows, order, at):
        """The rows of a page, and one more when there is."""
        if self.is_all_open and self.sort in ("newest", "oldest"):  # an index has these, and in this order: never slow
            return _following(rows, order, at, A_PAGE + 1)
        if not self._branches or self._nothing:
            with time_limit():
                return _following(rows, order, at, A_PAGE + 1)
        numbers = {number for branch in self._branches for number in self._numbers(self._rows(branch), order, at)}
        found = list(rows.filter(pk__in=numbers).order_by())
        return sorted(found, key=functools.cmp_to_key(functools.partial(_compare, order)))[: A_PAGE + 1]

    def _numbers(self, rows, order, at):
        """Common words are found by reading in the order; rare ones, and those that seldom meet, by their index.

        The planner knows neither how much a row costs nor which words meet, so it is told.
        """
        rows = rows.values_list("pk", flat=True)
        # The index knows the words of a phrase and not their order, so it means many rows that are read for nothing.
        if self._has_phrase or _estimate(rows) > COMMON:
            with contextlib.suppress(TooSlow), time_limit(GUESS_SECONDS):
                return _following(rows, order, at, A_PAGE + 1)
        with time_limit(by_words=True):
            return _following(rows, order, at, A_PAGE + 1)

    def _cursor(self, row):
        return "_".join(_said(getattr(row, name.removeprefix("-"))) for name in self.order())

    def _place(self, cursor, order):
        parts = cursor.split("_")
        try:
            if len(parts) != len(order):
                raise ValueError
            return [_meant(name.removeprefix("-"), part) for name, part in zip(order, parts, strict=True)]
        except (ValueError, OverflowError):
            raise DomainError("This page is not one of this list. Here is the first one.") from None

    def count(self, rows):
        """How many match: `(number, whether it is exact)`; `(None, False)` when nobody can say quickly."""
        plain = rows.order_by().values("pk")
        if self._nothing:
            return 0, True
        estimate = _estimate(plain)
        if estimate > COUNTED:
            digits = 10 ** max(0, len(str(estimate)) - 2)
            return estimate // digits * digits, False
        try:
            with time_limit(0.25):
                found = plain[: COUNTED + 1].count()
        except TooSlow:
            return None, False
        return min(found, COUNTED), found <= COUNTED

    def still(self, rows, numbers):
        """Of the numbers, those that match still."""
        with time_limit():
            return set(rows.filter(pk__in=numbers).order_by().values_list("pk", flat=True))

    def sort_key(self):
        """A key that puts incidents in the order of the list."""
        return functools.cmp_to_key(functools.partial(_compare, self.order()))


def _person(text):
    """By what a person is named: their UUID, or else their email as it is compared."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return text.lower()


def _estimate(rows):
    """How many rows the planner expects: it does not count them."""
    return json.loads(rows.order_by().explain(format="json"))[0]["Plan"]["Plan Rows"]


def _compare(order, one, other):
    for name in order:
        field = name.removeprefix("-")
        mine, theirs = getattr(one, field), getattr(other, field)
        if mine != theirs:
            return (-1 if mine < theirs else 1) * (-1 if name != field else 1)
    return 0


def _following(rows, order, at, most):
    """Up to `most` rows after the place `at` in the order; from the first when there is none.

    Equal values of the first field come first, by a query of their own: each of the two goes along one index.
    """
    rows = rows.order_by(*order)
    if at is None:
        return list(rows[:most])
    found = []
    for same in range(len(order) - 1, -1, -1):
        name = order[same].removeprefix("-")
        beyond = "lt" if order[same] != name else "gt"
        equal = {one.removeprefix("-"): value for one, value in zip(order[:same], at, strict=False)}
        found += rows.filter(**equal, **{f"{name}__{beyond}": at[same]})[: most - len(found)]
        if len(found) >= most:
            break
    return found


def _said(value):
    return f"{value.astimezone(dt.UTC):%Y%m%dT%H%M%S.%f}" if isinstance(value, dt.datetime) else str(value)


def _meant(name, text):
    if name == "triggered_at":
        return dt.datetime.strptime(text, "%Y%m%dT%H%M%S.%f").replace(tzinfo=dt.UTC)
    if name == "priority":
        if text not in Priority.values:
            raise ValueError
        return text
    if not re.fullmatch(rf"[0-9]{{1,{LONGEST_NUMBER}}}", text):
        raise ValueError
    return int(text)


@contextlib.contextmanager
def time_limit(seconds=SEARCH_SECONDS, *, by_words=False):
    """End what takes longer in the database; `by_words` keeps it from reading in the order. Raises TooSlow."""
    settings = {"statement_timeout": int(seconds * 1000), "jit": "off"}
    if by_words:
        # With less memory the index forgets which rows of a page it means, and the words of all are read again.
        settings |= {"enable_indexscan": "off", "enable_seqscan": "off", "work_mem": "'64MB'"}
    try:
        is_nested = connection.in_atomic_block
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("; ".join(f"SET LOCAL {name} = {value}" for name, value in settings.items()))
            yield
            if is_nested:  # otherwise they would stay for what follows in the larger transaction
                cursor.execute("; ".join(f"SET LOCAL {name} TO DEFAULT" for name in settings))
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise slow() from None
        raise
