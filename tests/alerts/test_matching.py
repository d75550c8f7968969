import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import event as events
from alerts import matching
from alerts.matching import Facts, Wrong, facts_of, fill, from_matchers, parse, payload_of, to_matchers, value_of

FACTS = Facts(
    title="Disk of db-1 is full",
    description="line one\nline two",
    severity="high",
    service="payments",
    source="alertmanager",
    integration="Prometheus",
    action="trigger",
    key="disk:db-1",
    labels={
        "env": "staging",
        "alertname": "DiskFull",
        "app.kubernetes.io/name": "pay",
        "two words": "yes",
        "empty": "",
    },
    payload=payload_of(
        b'{"data": {"items": [{"id": 7, "ok": true, "gone": null}], "tags": ["a", "b c"]}, "a.b": {"c": "dotted"}}'
    ),
)


def holds(text, facts=FACTS):
    return parse(text).matches(facts)


# --- what conditions mean -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'labels.env = "staging"',
        'env = "staging"',
        "env = staging",
        'env == "staging"',
        "env = 'staging'",
        "env = `staging`",
        'env != "prod"',
        'missing != "prod"',
        'missing = ""',
        'severity in ("critical", "high")',
        'severity in ["critical", "high",]',
        'severity not in ("low", "info")',
        'title contains "db-1"',
        'title not contains "db-2"',
        'title =~ "Disk.*"',
        'title !~ "Disk"',
        'description =~ "line one.*two"',
        r'title =~ ".*\bdb-\d+\b.*"',
        "env exists",
        "exists env",
        "exists(labels.env)",
        "empty exists",
        "not missing exists",
        "missing not exists",
        'labels."two words" = "yes"',
        '"two words" = "yes"',
        'app.kubernetes.io/name = "pay"',
        'labels.app.kubernetes.io/name = "pay"',
        'service = "payments" and source = "alertmanager" and integration = "Prometheus" and key = "disk:db-1"',
        'action = "trigger"',
        "payload.data.items.0.id = 7",
        'payload.data.items.0.ok = "true"',
        'payload.data.items.0.gone = ""',
        "not payload.data.items.0.gone exists",
        "not payload.data.items.5.id exists",
        'payload.data.tags contains "b c"',
        'not payload.data.tags contains "b"',
        'payload.data.tags = "[\\"a\\",\\"b c\\"]"',
        'payload."a.b".c = "dotted"',
        'labels.env = "prod" or severity = "high"',
        'env = "x" and env = "y" or severity = "high"',
        'severity = "high" or env = "x" and env = "y"',
        'not (env = "x" or env = "y")',
        'not env = "x" and severity = "high"',
        '{alertname="DiskFull",env=~"prod|staging"}',
        '{alertname="DiskFull", env!="prod",}',
        'env = "staging", severity = "high"',
        'ENV = "x" or NOT env = "x" AND severity IN ("high")',
    ],
)
def test_a_condition_holds(text):
    assert holds(text)
    assert parse(text).explain(FACTS)


@pytest.mark.parametrize(
    "text",
    [
        'env = "Staging"',
        'env =~ "stag"',
        'env =~ "prod|stage"',
        'env !~ "prod|staging"',
        "empty not exists",
        "missing exists",
        'not (env = "staging" and severity = "high")',
        'env = "staging" and (severity = "low" or title contains "nothing")',
        'title contains "disk"',
        'labels.severity = "high"',
    ],
)
def test_a_condition_does_not_hold(text):
    assert not holds(text)
    assert parse(text).explain(FACTS)


def test_a_label_that_is_named_like_a_field_is_meant_by_its_full_name():
    facts = Facts(severity="critical", labels={"severity": "page"})
    assert holds('severity = "critical" and labels.severity = "page"', facts)


def test_keywords_may_be_labels_where_a_comparison_follows():
    facts = Facts(labels={"not": "1", "in": "2", "exists": "3", "and": "4"})
    assert holds('not = "1" and in = "2" and exists = "3" and and = "4"', facts)


def test_the_payload_is_read_only_when_a_condition_asks_for_it():
    def explode():
        raise AssertionError("the payload was read")

    facts = Facts(labels={"env": "prod"}, payload=explode)
    assert holds('env = "prod" or payload.a = "b"', facts)
    assert parse('payload.a = "b" or env = "prod"').reads_payload
    assert not parse('env = "prod" and not title = "x"').reads_payload


def test_a_form_is_a_payload_too_and_what_is_neither_has_no_fields():
    assert holds('payload.name = "x y"', Facts(payload=payload_of(b"name=x+y&b=2")))
    assert payload_of(b"\xff\xfe plain")() is None
    assert payload_of(b"[" * 100_000)() is None
    assert not holds("payload.name exists", Facts(payload=payload_of(b"")))


def test_facts_of_an_event_take_what_routing_knows_before_what_the_event_says():
    event = events.Event(
        "trigger", "k", severity="low", service="hint", title="T", labels={"a": "b"}, source="generic"
    )
    assert facts_of(event).service == "hint"
    facts = facts_of(event, service="payments", severity="high", integration="Tool", payload=payload_of(b'{"a": 1}'))
    assert (facts.service, facts.severity, facts.integration, facts.key) == ("payments", "high", "Tool", "k")
    assert value_of(facts, "payload.a") == "1"


# --- what is wrong with one ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The condition is empty"),
        ("  \n ", "The condition is empty"),
        ('labels.env "prod"', "in column 12: after “labels.env” a comparison is missing"),
        ("labels.env =", "in column 13: after “=” a text in quotes is missing"),
        ('labels.env = "prod', "in column 14: this quote is not closed"),
        ('(a = "b"', "in column 1: this bracket is not closed"),
        ('a = "b")', "in column 8: “)” does not belong here"),
        ('a = "b" c = "d"', "in column 9: “and” or “or” is missing before “c”"),
        ('a = "b" and', "in column 12: something is missing at the end"),
        ('a = "b" && c = "d"', "in column 9: write “and” instead of “&&”"),
        ('a = "b" || c = "d"', "in column 9: write “or”"),
        ('!a = "b"', "in column 1: write “not”"),
        ("a > 5", "in column 3: “>” means nothing here"),
        ("a = “b”", "in column 5: these quotes are curly"),
        ('a in "b"', "in column 6: a list should stand here"),
        ("a in ()", "in column 7: after “in” a text in quotes is missing"),
        ('a in ("b"', "in column 10: “)” or a comma is missing"),
        ('a contains ""', "everything contains an empty text"),
        ("a = labels.b", "in column 5: “labels.b” should be a text"),
        ('labels = "x"', "in column 1: say which label"),
        ('labels. = "x"', "in column 1: say which label"),
        ("payload exists", "in column 1: say which part of the payload"),
        ("payload.a..b exists", "in column 1: say which part of the payload"),
        ('"" = "x"', "in column 1: the name of the label is empty"),
        ('and = "x" and or', "in column 15: a field should stand here"),
        (
            'severity = "warning"',
            "in column 12: severity is one of critical, high, medium, low, info, never “warning”",
        ),
        ('action in ("trigger", "firing")', "in column 23: action is one of"),
        ('title =~ "a(?=b)"', "in column 10: the regular expression cannot be used"),
        (r'title =~ "(a)\1"', "RE2 knows no look-ahead, no back references"),
        ('title =~ "a{1001}"', "in column 10: the regular expression cannot be used"),
        ('title =~ "' + "x{0,900}" * 40 + '"', "the regular expression cannot be used"),
        ('title =~ "' + "x" * 501 + '"', "longer than 500 characters"),
        ("(" * 60 + 'a = "b"' + ")" * 60, "nested deeper than 40"),
        ("not " * 60 + 'a = "b"', "“not” stands here too often"),
        ('a = "' + "x" * 4000 + '"', "It has 4006 characters. Use at most 4000"),
        ('a = "x\0"', "in column 7: this character cannot be used"),
        ('a = "b"\nand ?', "in line 2, column 6: after “?” a comparison is missing"),
        ("{}", "in column 2: a field should stand here"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, said):
    with pytest.raises(Wrong) as wrong:
        parse(text)
    assert said in str(wrong.value)
    assert str(wrong.value).endswith((".", "missing: = != =~ !~ in contains or exists."))


# --- why ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('labels.env = "prod" and severity = "high"', "labels.env is “staging”, not “prod”"),
        ('labels.env != "staging"', "labels.env is “staging”"),
        ('labels.host = "db"', "labels.host is not set, not “db”"),
        ('severity in ("low", "info")', "severity is “high”, none of “low”, “info”"),
        ('title =~ "Disk"', "title is “Disk of db-1 is full”, which does not match as a whole “Disk”"),
        ('title contains "full"', "title is “Disk of db-1 is full”, which contains “full”"),
        ("host exists", "labels.host is not set"),
        ('env = "x" or severity = "low"', "labels.env is “staging”, not “x” and severity is “high”, not “low”"),
        ('env = "x" or severity = "high"', "severity is “high”"),
        ('not env = "x" and severity = "high"', "labels.env is “staging”, not “x” and severity is “high”"),
    ],
)
def test_the_part_that_decided_is_told(text, why):
    assert parse(text).explain(FACTS) == why


def test_an_explanation_is_short_however_long_the_value_is():
    facts = Facts(labels={"a": "x" * 4096})
    text = " or ".join(f'a = "{number}"' for number in range(200))
    assert len(parse(text).explain(facts)) <= matching.EXPLAINED


# --- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*)*x", "([a-zA-Z]+)*", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_the_classic_catastrophes_return_on_long_text(pattern):
    # A backtracking engine would not come back from one of these in the lifetime of the universe.
    condition = parse(f'title =~ "{pattern}"')
    condition.matches(Facts(title="a" * 1_000_000 + "!"))
    assert condition.matches(Facts(title="a" * 1_000_000)) == parse(f'title =~ "{pattern}"').matches(
        Facts(title="a" * matching.TEXT_LIMIT)
    )


def test_a_pattern_whose_counts_make_it_large_is_refused():
    parse('title =~ "(a{0,30}){0,30}"')
    for pattern in ("(a{0,30}){0,33}b{0,900}(c{0,30}){0,33}(d{0,30}){0,33}(e{0,30}){0,33}", "x{0,900}" * 40):
        with pytest.raises(Wrong, match="its counts make it too large|cannot be used"):
            parse(f'title =~ "{pattern}"')


def test_a_huge_payload_is_compared_in_part():
    body = json.dumps({"a": [["x" * 100] * 100] * 1000}).encode()
    assert len(value_of(Facts(payload=payload_of(body)), "payload.a")) == matching.CONTAINER_LIMIT
    deep = json.dumps({"a": json.loads("[" * 700 + "]" * 700)}).encode()
    assert value_of(Facts(payload=payload_of(deep)), "payload.a").startswith("[[[")


# --- any text -----------------------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    ["labels.a", "title", "payload.x.0", "severity", '"high"', '"b"', "'", '"', "(", ")", "{", "}", "[", "]", ","]
    + ["=", "!=", "=~", "!~", "in", "exists", "contains", "and", "or", "not", " ", "\n", "\\", ".", "“", "\0", "&"]
)


@given(
    st.text(max_size=300) | st.lists(_PIECES, max_size=30).map(" ".join) | st.lists(_PIECES, max_size=30).map("".join)
)
def test_any_text_is_read_or_refused_in_words(text):
    try:
        condition = parse(text)
    except Wrong as wrong:
        assert str(wrong)
        return
    condition.matches(FACTS)
    assert condition.explain(FACTS)


_WRITABLE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_NAMES = _WRITABLE.filter(bool)
_FIELDS = (
    st.sampled_from(["title", "description", "service", "source", "integration", "key"]).map(matching.Field)
    | _NAMES.map(lambda name: matching.Field("labels", (name,)))
    | st.lists(_NAMES, min_size=1, max_size=4).map(lambda path: matching.Field("payload", tuple(path)))
)
_TESTS = (
    st.builds(
        lambda field, op, value: matching.Test(field, op, (value,)), _FIELDS, st.sampled_from(["=", "!="]), _WRITABLE
    )
    | st.builds(lambda field, value: matching.Test(field, "contains", (value,)), _FIELDS, _NAMES)
    | st.builds(
        lambda field, values: matching.Test(field, "in", tuple(values)),
        _FIELDS,
        st.lists(_WRITABLE, min_size=1, max_size=4, unique=True),
    )
    | st.builds(lambda field, op: matching.Test(field, op, (r'a.*\d+ "b"',)), _FIELDS, st.sampled_from(["=~", "!~"]))
    | st.builds(lambda field: matching.Test(field, "exists"), _FIELDS)
)
_TREES = st.recursive(
    _TESTS,
    lambda parts: (
        st.lists(parts, min_size=2, max_size=3).map(lambda some: matching.And(tuple(some)))
        | st.lists(parts, min_size=2, max_size=3).map(lambda some: matching.Or(tuple(some)))
        | parts.map(matching.Not)
    ),
    max_leaves=6,
)


@given(_TREES)
def test_what_is_written_reads_as_the_same(tree):
    assert parse(str(tree)).tree == tree


@given(st.binary(max_size=200), st.lists(_NAMES, min_size=1, max_size=3))
def test_any_payload_can_be_asked(body, path):
    facts = Facts(payload=payload_of(body))
    assert isinstance(matching.Field("payload", tuple(path)).text(facts), str)


def test_half_characters_in_a_payload_are_compared_all_the_same():
    facts = Facts(payload=payload_of(b'{"a": "x\\ud800"}'))
    assert holds('payload.a =~ "x."', facts)


# --- Alertmanager's matchers --------------------------------------------------------------------------------------

_MATCHERS = st.lists(
    st.fixed_dictionaries({"name": _NAMES, "value": _WRITABLE, "isRegex": st.just(False), "isEqual": st.booleans()})
    | st.fixed_dictionaries(
        {
            "name": _NAMES,
            "value": st.sampled_from(["prod|stage", ".+", r'a\.b\n"quoted" \d+', "ü*\n"]),
            "isRegex": st.just(True),
            "isEqual": st.booleans(),
        }
    ),
    min_size=1,
    max_size=5,
)


@given(_MATCHERS)
def test_matchers_come_back_as_they_were(matchers):
    assert to_matchers(from_matchers(matchers)) == matchers


def test_matchers_of_amtool_mean_labels_whatever_they_are_called():
    matchers = [
        {"name": "alertname", "value": "DiskFull", "isRegex": False, "isEqual": True},
        {"name": "severity", "value": "warning|page", "isRegex": True},
        {"name": "title", "value": 'say "hi"\n', "isRegex": False, "isEqual": False},
    ]
    text = from_matchers(matchers)
    assert text == (
        r'labels.alertname = "DiskFull" and labels.severity =~ "warning|page" and labels.title != "say \"hi\"\n"'
    )
    assert holds(text, Facts(labels={"alertname": "DiskFull", "severity": "page"}))
    assert not holds(text, Facts(labels={"alertname": "DiskFull", "severity": "page", "title": 'say "hi"\n'}))


@pytest.mark.parametrize(
    "text",
    [
        'title = "x"',
        'a = "b" or c = "d"',
        'not a = "b"',
        'a in ("b")',
        "a exists",
        'a = "b" and (c = "d" or e = "f")',
        "no condition",
    ],
)
def test_what_matchers_cannot_say_has_none(text):
    assert to_matchers(text) is None


@pytest.mark.parametrize(
    "matchers",
    [
        [],
        [{"name": "", "value": "x"}],
        [{"name": "a"}],
        [{"value": "x"}],
        [{"name": "a", "value": 5}],
        [{"name": "a", "value": "(", "isRegex": True}],
        [{"name": "a", "value": "x" * 4000}],
    ],
)
def test_matchers_that_cannot_be_kept_are_refused(matchers):
    with pytest.raises(Wrong):
        from_matchers(matchers)


# --- templates and paths ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{labels.env} is down: {title}", "staging is down: Disk of db-1 is full"),
        ("{{literal}} {env}", "{literal} staging"),
        ("{missing}-{payload.data.items.0.id}", "-7"),
        ('{labels."two words"}', "yes"),
        ("plain", "plain"),
        ("{open", "{open"),
        ("", ""),
    ],
)
def test_a_template_is_filled(template, text):
    assert fill(template, FACTS) == text


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{open", "in column 1: the brace is not closed"),
        ("shut}", "in column 5: this brace closes nothing"),
        ("a {} b", "in column 3: there is no field in these braces"),
        ("{labels.}", "say which label"),
        ("{two words}", "is no field"),
    ],
)
def test_a_broken_template_is_refused_with_its_place(template, said):
    with pytest.raises(Wrong) as wrong:
        matching.check_template(template)
    assert said in str(wrong.value)


def test_a_value_is_found_by_its_path():
    assert value_of(FACTS, "labels.env") == "staging"
    assert value_of(FACTS, "env") == "staging"
    assert value_of(FACTS, "severity") == "high"
    assert value_of(FACTS, "payload.data.tags.1") == "b c"
    assert value_of(FACTS, "payload.data.items.9.id") == ""
    assert value_of(FACTS, "no = field") == ""
    with pytest.raises(Wrong):
        matching.field("a = b")


@given(st.text(max_size=60))
def test_any_template_and_any_path_give_text(text):
    assert isinstance(fill(text, FACTS), str)
    assert isinstance(value_of(FACTS, text), str)
