"""What a private team has does not exist for strangers: on pages, in figures, in chats and on the live socket."""

import asyncio
import json
import re

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Membership, Role
from core.errors import DomainError
from incidents import lifecycle, live
from incidents.models import Incident
from incidents.replies import answers, slack, telegram, twilio
from notifications import links
from notifications.message import Kind
from notifications.models import Notification
from postmortems import drafting, reviewing, sharing
from tests import factories, private_team
from tests.incidents.test_live import PATIENCE, Talk, _stop_pump, do, key_of
from tests.private_team import WORD

# What differs from answer to answer, and the address itself, which a form sends along to come back to it.
TOKEN = re.compile(r'(csrfmiddlewaretoken" value|nonce|name="next" value)="[^"]*"')
STRANGERS = ["observer", "responder", "admin of another team"]


@pytest.fixture
def world(service):
    return private_team.build(service)


@pytest.fixture
def strangers(db):
    return private_team.strangers()


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def text_of(answer):
    return TOKEN.sub("", answer.content.decode())


PAGES = [
    "/",
    "/?fragment=board,duty,trends,noise",
    "/incidents",
    "/incidents?status=all",
    f"/incidents?q={WORD}",
    "/incidents?status=all&team=zugspitze-team",
    "/incidents?status=all&service=zugspitze-ledger",
    f"/incidents?status=all&q={private_team.FIRST}",
    "/incidents?fragment=rows",
    "/services",
    f"/services?q={WORD}",
    "/services/graph",
    f"/go?q={WORD}",
    "/incidents/new",
    "/incidents/{public}",
    "/incidents/{public}?all",
    "/incidents/{public}?fragment=head,people,timeline",
    "/incidents/{public}/alerts",
    "/oncall?team=all",
    "/oncall?team=zugspitze-team",
    f"/oncall?team=all&q={WORD}",
    "/alerts",
    f"/alerts?q={WORD}",
    "/alerts?team=zugspitze-team",
    "/alerts?integration={integration}",
    "/alerts/{mine}",
    "/alerts/{tied[0]}",
    "/alerts/{tied[1]}",
    "/alerts/{tied[2]}",
    "/alerts/{tied[3]}",
    "/integrations",
    f"/integrations?q={WORD}",
    "/integrations/{public_door}",
    "/silences",
    "/silences?state=all",
    f"/silences?q={WORD}",
    "/silences/new",
    "/silences/new?alert={alert}",
    "/silences/new?silence={silence}",
    "/maintenance?state=all",
    "/maintenance/new",
    "/held",
    f"/held?q={WORD}",
    "/heartbeats",
    f"/heartbeats?q={WORD}",
    "/heartbeats/new",
    "/heartbeats/{pinged}",
    "/notifications",
    f"/notifications?q={WORD}",
    f"/notifications?q=%23{private_team.FIRST}",
    "/settings",
]
SPEAKING = {
    *("/incidents?status=all", "/services", "/services/graph"),
    *("/", "/oncall?team=all", "/alerts", "/held", "/silences", "/heartbeats", "/notifications"),
    *("/incidents/new", "/incidents/{public}", "/integrations", "/maintenance?state=all", "/silences/new"),
    *("/alerts/{mine}", "/alerts/{tied[0]}", "/alerts/{tied[1]}", "/alerts/{tied[2]}", "/alerts/{tied[3]}"),
    *("/integrations/{public_door}", "/heartbeats/{pinged}", "/alerts?team=zugspitze-team"),
}
HIDDEN = [
    "/incidents/{incident}",
    "/incidents/{incident}/alerts",
    "/incidents/{incident}?fragment=head",
    "/alerts/{alert}",
    "/alerts/{held}",
    "/alerts/{joined}",
    "/integrations/{integration}",
    "/silences/{silence}",
    "/silences/{silence}/end",
    "/silences/{door_silence}",
    "/maintenance/{window}",
    "/maintenance/{window}/end",
    "/heartbeats/{heartbeat}",
    "/heartbeats/{heartbeat}/edit",
    "/heartbeats/{heartbeat}/pause",
    "/heartbeats/{heartbeat}/delete",
    "/notifications/{message}",
]
ACTS = [
    *(
        f"/incidents/{{incident}}/do/{verb}"
        for verb in ("acknowledge", "resolve", "note", "reassign", "escalate", "snooze", "nonsense")
    ),
    "/silences/{silence}/extend",
    "/silences/{silence}/end",
    "/silences/{silence}",
    "/maintenance/{window}/enable",
    "/maintenance/{window}/end",
    "/maintenance/{window}",
    "/held/{held}/release",
    "/heartbeats/{heartbeat}/edit",
    "/heartbeats/{heartbeat}/arm",
    "/heartbeats/{heartbeat}/delete",
    "/integrations/{integration}/retry",
    "/notifications/{message}/resend",
    "/notifications/{message}/stop",
]
NOWHERE = {"incident": 999999999, None: "00000000-0000-4000-8000-000000000000"}


def names_of(world):
    """What the addresses above call things."""
    names = {
        name: getattr(row, "uuid", row.pk)
        for name, row in vars(world).items()
        if hasattr(row, "pk") and not isinstance(row, Incident)
    }
    names |= {"incident": world.incident.pk, "public": world.public.pk, "tied": [one.pk for one in world.tied]}
    message = Notification.objects.filter(topic=world.incident.topic).first()
    pinged = world.integration.heartbeats.get()
    return names | {"message": message.uuid, "pinged": pinged.uuid}


@pytest.mark.parametrize("who", STRANGERS)
def test_no_page_says_a_word_of_a_private_team(world, strangers, who):
    client, names = signed_in(strangers[who]), names_of(world)
    # What the stranger typed is said back, also as a filter that can be taken off.
    searched = re.compile(
        r'(name="q" value="|[?&;"]q=)[^"&]*|<a class="chosen-chip"[^>]*><span>[^<]*</span>|There is no \w+ “[^”]*”'
    )
    asked = re.compile(r"(\?|&amp;|&)(team|service|integration|alert|silence)=[\w-]*")
    for page in PAGES:
        path = page.format(**names)
        answer = client.get(path)
        assert answer.status_code in (200, 403), path
        text = asked.sub("", searched.sub("", text_of(answer)))
        assert private_team.leaks(world, text) == [], path


def test_the_same_pages_speak_of_it_to_its_members_and_to_admins(world, strangers, alice):
    for user in (world.member, alice):
        client, names = signed_in(user), names_of(world)
        for page in [*PAGES, *HIDDEN]:
            answer = client.get(page.format(**names))
            assert answer.status_code == 200, page
            if page in SPEAKING or page in HIDDEN:
                assert WORD in text_of(answer), page


@pytest.mark.parametrize("who", STRANGERS)
def test_what_is_hidden_answers_as_what_does_not_exist(world, strangers, who):
    client, names = signed_in(strangers[who]), names_of(world)
    nowhere = {name: NOWHERE.get(name, NOWHERE[None]) for name in names}
    for method, paths in (("get", HIDDEN), ("post", ACTS)):
        for path in paths:
            hidden = getattr(client, method)(path.format(**names), follow=True)
            missing = getattr(client, method)(path.format(**nowhere), follow=True)
            assert hidden.status_code == missing.status_code == 404, (method, path)
            assert text_of(hidden) == text_of(missing), (method, path)
    world.incident.refresh_from_db()
    assert world.incident.status == "triggered"


def test_previews_count_what_the_person_sees(world, strangers):
    client = signed_in(strangers["responder"])
    day = f"{timezone.now() + 24 * private_team.HOUR:%Y-%m-%d}"
    form = {"condition": f'host = "{WORD}"', "starts_at": f"{day}T10:00", "ends_at": f"{day}T11:00", "preview": "yes"}
    for path in ("/silences/new", "/maintenance/new"):
        said = client.post(path, form, headers={"X-Fragment": "x"})
        assert said.status_code == 200
        assert "<strong>0</strong> would have been held" in text_of(said)
        assert private_team.leaks(world, text_of(said)) == []


def test_figures_leave_out_what_is_hidden(world, strangers, alice):
    lifecycle.acknowledge(world.incident.pk, by=world.member, now=timezone.now())
    # Only the private team's incident was acknowledged, after half an hour.
    assert "30 m" in text_of(signed_in(alice).get("/?fragment=trends"))
    stranger = signed_in(strangers["responder"])
    assert "30 m" not in text_of(stranger.get("/?fragment=trends"))
    page = stranger.get("/?fragment=board")
    assert page.context["open_count"] == page.context["waiting_count"] == 1


def test_alarms_are_said_to_who_may_see_what_they_are_about(world, strangers, alice):
    theirs = text_of(signed_in(strangers["observer"]).get("/"))
    assert "The mail server does not answer." in theirs and "Nobody can be reached for Checkout." in theirs
    assert WORD in text_of(signed_in(alice).get("/"))


def test_without_private_teams_everybody_sees_every_alarm(world, strangers):
    world.team.is_private = False
    world.team.save()
    page = signed_in(strangers["observer"]).get("/")
    assert len(page.context["alarms"]) == 5 and page.context["has_more_alarms"]  # six in all


@pytest.fixture
def written(world, alice):
    """`(postmortem of the private team, one of the public team that is about its incident too)`, both published."""
    now = timezone.now()
    secret = drafting.start([world.incident.pk], by=world.member, now=now)
    shared = drafting.start([world.public.pk], title="Checkout was down", by=alice, now=now)
    shared.incidents.add(world.incident)
    factories.MomentFactory(postmortem=shared, incident=world.incident, text=f"{WORD} was unsealed")
    for one in (secret, shared):
        factories.FactorFactory(postmortem=one, cause=f"{WORD} cause" if one == secret else "Cause")
        factories.ActionItemFactory(postmortem=one, text=f"Mend {WORD}" if one == secret else "Mend it")
        reviewing.publish(one.pk, by=alice, now=now)
    return secret, shared


@pytest.mark.parametrize("who", STRANGERS)
def test_postmortems_say_nothing_of_it(world, strangers, written, who):
    secret, shared = written
    client = signed_in(strangers[who])
    pages = ["", "?status=all", "/items", "/figures", f"/{shared.pk}", f"/{shared.pk}.md", f"/{shared.pk}/timeline"]
    pages += [f"?status=all&q={WORD}", f"?cause={WORD}+cause", "/new"]
    paths = [f"/postmortems{one}" for one in pages]
    paths += [f"/incidents/{world.public.pk}/postmortem", f"/postmortems/{shared.pk}/factors"]
    paths += [f"/api/v1/{one}" for one in ("postmortems", "action-items", f"postmortems/{shared.pk}")]
    paths += [f"/api/v1/postmortems/{shared.pk}/moments", f"/api/v1/postmortems/{shared.pk}/export.md"]
    for path in paths:
        answer = client.get(path)
        assert answer.status_code in (200, 403), path
        assert private_team.leaks(world, text_of(answer).replace(f'value="{WORD}"', "")) == [], path
    for rest in ("", ".md", ".pdf", "/edit", "/timeline", "/links", "/do/archive"):
        assert client.get(f"/postmortems/{secret.pk}{rest}").status_code == 404, rest
    assert client.get(f"/postmortems/items/{secret.items.get().uuid}").status_code == 404
    assert client.get(f"/api/v1/postmortems/{secret.pk}").status_code == 404
    link = sharing.make(shared.pk, days=1, by=None, now=timezone.now())[1]
    assert private_team.leaks(world, text_of(Client().get(f"/postmortems/shared/{link}"))) == []


def test_the_same_postmortems_speak_of_it_to_its_members(world, written):
    client = signed_in(world.member)
    for path in ("", "/items", f"/{written[0].pk}", f"/{written[1].pk}", f"/{written[1].pk}.md"):
        assert WORD in text_of(client.get(f"/postmortems{path}")), path


# --- who was called -----------------------------------------------------------------------------------------------
def test_who_is_called_to_a_hidden_incident_sees_that_one_and_may_answer(world, strangers):
    rita = strangers["responder"]
    second = lifecycle.trigger(world.hidden, title=f"{WORD} again", severity="low", now=timezone.now())
    client = signed_in(rita)
    lifecycle.reassign(world.incident.pk, to=rita, by=world.member, now=timezone.now())
    assert WORD in text_of(client.get("/"))
    assert client.get(f"/incidents/{world.incident.pk}").status_code == 200
    assert client.get(f"/incidents/{world.incident.pk}/alerts").status_code == 200
    assert client.get(f"/alerts/{world.alert.pk}").status_code == 200
    assert client.get(f"/incidents/{second.pk}").status_code == 404
    client.post(f"/incidents/{world.incident.pk}/do/acknowledge")
    world.incident.refresh_from_db()
    assert world.incident.acknowledged_by == rita


def test_an_incident_goes_only_to_who_may_answer_it(world, strangers):
    with pytest.raises(DomainError, match="may only look"):
        lifecycle.reassign(world.incident.pk, to=strangers["observer"], by=world.member, now=timezone.now())
    world.incident.refresh_from_db()
    assert world.incident.assignee is None
    lifecycle.reassign(world.incident.pk, to=world.member, by=None, now=timezone.now())  # responds in this team


def test_a_role_in_a_team_counts_there_and_only_there(world, strangers, service):
    ada = strangers["admin of another team"]
    ours = factories.ServiceFactory(name="Stock", slug="stock", team=ada.memberships.get().team)
    mine = lifecycle.trigger(ours, title="Stock is down", severity="high", now=timezone.now())
    client = signed_in(ada)
    page = text_of(client.get("/"))
    assert f"/incidents/{mine.pk}/do/acknowledge" in page
    assert f"/incidents/{world.public.pk}/do/acknowledge" not in page
    assert "note-text" not in text_of(client.get(f"/incidents/{world.public.pk}"))
    refused = client.post(f"/incidents/{world.public.pk}/do/acknowledge")
    assert refused.status_code == 403 and "You may not do this" in text_of(refused)
    assert client.post(f"/incidents/{mine.pk}/do/acknowledge").status_code == 302
    mine.refresh_from_db()
    assert mine.acknowledged_by == ada
    form = client.get("/incidents/new")
    assert [one.slug for one in form.context["services"]] == ["stock"]
    fields = {"title": "x", "severity": "high"}
    assert client.post("/incidents/new", {**fields, "service": service.slug}).status_code == 400
    assert client.post("/incidents/new", {**fields, "service": "stock"}).status_code == 302


@pytest.mark.parametrize("whose", ["public", "incident"])
def test_who_responds_in_a_team_answers_what_another_team_called_them_to(world, strangers, whose):
    ada, number = strangers["admin of another team"], getattr(world, whose).pk
    factories.NotificationFactory(topic=f"incident:{number}", user=ada, kind=Kind.PAGE)
    client = signed_in(ada)
    assert "note-text" in text_of(client.get(f"/incidents/{number}"))
    assert client.post(f"/incidents/{number}/do/acknowledge").status_code == 302
    assert Incident.objects.get(pk=number).acknowledged_by == ada
    note = client.post(f"/api/v1/incidents/{number}/notes", {"text": "I look."}, "application/json")
    assert note.status_code == 201
    assert answers.answer(number, "resolve", by=ada, via="sms", now=timezone.now()).is_done


def test_an_observer_answers_nothing_also_when_called(world, strangers):
    olga = strangers["observer"]
    factories.NotificationFactory(topic=world.public.topic, user=olga, kind=Kind.PAGE)
    client = signed_in(olga)
    assert client.post(f"/incidents/{world.public.pk}/do/acknowledge").status_code == 403
    assert not answers.answer(world.public.pk, "acknowledge", by=olga, via="sms", now=timezone.now()).is_done


# --- chats, phones and links --------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", STRANGERS)
def test_chats_say_nothing_of_it(world, strangers, who):
    person, now, number = strangers[who], timezone.now(), world.incident.pk
    said = [
        slack._incident("", person, now),
        slack._oncall("", person, now),
        slack._oncall("zugspitze-team", person, now).replace("“zugspitze-team”", ""),
        slack._new(f"critical zugspitze-ledger {WORD}", person, now).replace(f"“zugspitze-ledger {WORD}”", ""),
        telegram._on_call(person, now),
        *(answers.answer(number, verb, by=person, via="x", now=now).text for verb in answers.VERBS),
    ]
    said = [one.replace(f"There is no incident #{number}.", "") for one in said]
    assert [private_team.leaks(world, one) for one in said] == [[]] * len(said)
    assert slack._incident(f"{number}", person, now) == f"There is no incident #{number}."
    assert WORD in slack._incident("", world.member, now) and WORD in telegram._on_call(world.member, now)


def test_answering_for_all_of_a_service_leaves_out_what_is_hidden(world, strangers, bob):
    """An alert may have opened an incident of this service when the service was another team's."""
    old = factories.IncidentFactory(service=world.service, team=world.team)
    assert old.pk not in twilio._of_the_same_services({world.public.pk}, "acknowledge", bob)
    assert world.public.pk in twilio._of_the_same_services(set(), "acknowledge", bob) | {world.public.pk}


def test_the_button_in_a_channel_answers_only_for_who_may_see_it(world, strangers):
    message = Notification.objects.get(topic=world.incident.topic, user=None)
    reply = answers.answer_message(message, "acknowledge", by=strangers["responder"], via="slack", now=timezone.now())
    assert not reply.is_done and reply.text == f"There is no incident #{world.incident.pk}."


def test_a_link_is_the_right_of_who_was_called(world, strangers, client):
    rita = strangers["responder"]
    factories.ContactMethodFactory(user=rita)
    lifecycle.reassign(world.incident.pk, to=rita, by=world.member, now=timezone.now())
    page = Notification.objects.filter(user=rita, kind=Kind.PAGE).latest("pk")
    page.link_expires_at = timezone.now() + private_team.HOUR
    page.save()
    path = f"/l/{links.token(page.uuid, 'acknowledge')}"
    assert WORD in text_of(client.get(path))
    assert client.post(path).status_code == 200
    world.incident.refresh_from_db()
    assert world.incident.acknowledged_by == rita


# --- the live socket ----------------------------------------------------------------------------------------------
@pytest.fixture
def short_lived(transactional_db, monkeypatch):
    """Connections of other threads end with their work, so that the test's database can be dropped."""
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)


async def told(talk, seen):
    """Wait until a socket has named these incidents; returns all that it named."""
    async with asyncio.timeout(PATIENCE):
        while not numbers_of(talk) >= seen:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return numbers_of(talk)


def numbers_of(talk):
    return {number for text in said_by(talk) for number in text.get("incidents", ())}


def said_by(talk):
    return [json.loads(one["text"]) for one in talk.said if one["type"] == "websocket.send"]


async def connected(*talks):
    tasks = [talk.run() for talk in talks]
    async with asyncio.timeout(PATIENCE):
        while not all(said_by(talk) for talk in talks):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return tasks


async def hang_up(talks, tasks):
    for talk in talks:
        talk.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
    await _stop_pump()


def test_a_socket_hears_only_of_what_its_person_may_see(short_lived, world, strangers, alice):
    people = {"alice": alice, "member": world.member, **strangers}

    async def journey():
        talks = {name: Talk(key) for name, key in keys.items()}
        tasks = await connected(*talks.values())
        await do(lifecycle.add_note, hidden, text=WORD, by=None)
        assert await told(talks["member"], {hidden}) == await told(talks["alice"], {hidden}) == {hidden}
        await do(lifecycle.add_note, public, text="x", by=None)
        heard = {name: await told(talk, {public}) for name, talk in talks.items()}
        quiet = [json.dumps(said_by(talks[name])) for name in strangers]
        # From now on one stranger has it, and hears of it from the very message that says so.
        await do(lifecycle.reassign, hidden, to=people["responder"], by=None)
        assert await told(talks["responder"], {hidden}) == {hidden, public}
        await do(lifecycle.add_note, public, text="y", by=None)
        await hang_up(talks.values(), tasks)
        return heard, quiet, {name: numbers_of(talk) for name, talk in talks.items()}

    hidden, public = world.incident.pk, world.public.pk
    keys = {name: key_of(user) for name, user in people.items()}
    heard, quiet, last = asyncio.run(journey())
    assert heard == {name: {public} if name in strangers else {hidden, public} for name in people}
    assert not any(str(hidden) in one for one in quiet)
    assert last["observer"] == last["admin of another team"] == {public}
    assert not live._listening and not live.get_channel_layer().groups


def test_a_page_that_comes_back_hears_nothing_hidden(short_lived, world, strangers):
    async def journey(key):
        talk = Talk(key)
        talk.scope["query_string"] = b"since=0"
        tasks = await connected(talk)
        await hang_up([talk], tasks)
        return said_by(talk)[0]["incidents"]

    hidden, public = world.incident.pk, world.public.pk
    assert asyncio.run(journey(key_of(strangers["observer"]))) == [public]
    assert asyncio.run(journey(key_of(world.member))) == [hidden, public]


@pytest.mark.parametrize("change", ["the team becomes private", "the member leaves", "a stranger joins"])
def test_a_socket_ends_when_other_teams_are_hidden_than_before(short_lived, monkeypatch, world, strangers, change):
    person = world.member if change == "the member leaves" else strangers["observer"]
    if change == "the team becomes private":
        world.team.is_private = False
        world.team.save()

    def turn():
        if change == "the team becomes private":
            world.team.is_private = True
            world.team.save()
        elif change == "the member leaves":
            person.memberships.all().delete()
        else:
            Membership.objects.create(team=world.team, user=person, role=Role.OBSERVER)
        connection.close()

    async def journey():
        talk = Talk(key)
        (socket,) = await connected(talk)
        await asyncio.to_thread(turn)
        await asyncio.wait_for(socket, PATIENCE)
        await _stop_pump()
        return talk.said[-2:]

    monkeypatch.setattr(live, "CHECK_SECONDS", 0.1)
    key = key_of(person)
    reload, end = asyncio.run(journey())
    assert json.loads(reload["text"]) == {"reload": True}
    assert end == {"type": "websocket.close", "code": live.COME_BACK}


def test_a_thousand_sockets_cost_one_query_and_one_message_for_each_set_of_hidden_teams(world, monkeypatch):
    """Without a database: the pump is told of rows, and asks one question for all who are blind to some of them."""
    hidden = frozenset({world.team.pk})
    asked, sent = [], []

    class Connection:
        async def execute(self, statement, values):
            asked.append(values)
            return self

        async def fetchall(self):
            return [(7, world.incident.pk)]

    class Layer:
        async def group_send(self, group, message):
            sent.append((group, json.loads(message["text"])["incidents"]))

    async def journey():
        pump = live.Pump.__new__(live.Pump)
        pump._last = 5
        await pump._spread(Connection(), rows)

    monkeypatch.setattr(live, "get_channel_layer", Layer)
    monkeypatch.setattr(live, "_listening", live.Counter({(pk, hidden): 1 for pk in range(1000)}))
    rows = [
        (4, world.incident.pk, "note", world.team.pk),
        (5, world.public.pk, "note", world.service.team_id),
    ]
    asyncio.run(journey())
    assert len(asked) == 1
    assert sorted(sent) == sorted(
        [
            (live.GROUP, sorted([world.incident.pk, world.public.pk])),
            (live.group_of(hidden), [world.public.pk]),
            (live.group_of(hidden, 7), [world.incident.pk]),
        ]
    )


# --- what it costs ------------------------------------------------------------------------------------------------
def queries_of(client, path):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    return [one["sql"] for one in queries]


@pytest.mark.parametrize("who", STRANGERS)
def test_the_list_of_incidents_costs_the_same_for_one_and_for_fifty(world, strangers, who):
    client = signed_in(strangers[who])
    client.get("/incidents")  # the first visit writes down when the session was last seen
    counts = []
    for missing in (0, 19, 30):
        for _ in range(missing):
            lifecycle.trigger(world.service, title="More", severity="low", now=timezone.now())
            lifecycle.trigger(world.hidden, title="More", severity="low", now=timezone.now())
        counts.append(len(queries_of(client, "/incidents")))
    assert len(client.get("/incidents").context["page"].rows) == 50
    assert counts[0] == counts[1] == counts[2] < 20, counts


def test_asking_for_permission_costs_at_most_two_queries_on_each_page(world, strangers):
    """Those that read roles or names of what is hidden: whatever else a page asks has the answer in its own rows."""
    client, names = signed_in(strangers["responder"]), names_of(world)
    for page in PAGES:
        asked = queries_of(client, page.format(**names)) if "heartbeats/new" not in page else []
        about = [sql for sql in asked if "is_private" in sql and "own" in sql or " UNION (" in sql and "NOT" in sql]
        assert len(about) <= 2, (page, about)
