"""GitHub's events become changes, and a failed deployment an alert if that is wanted."""

import datetime as dt
import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from alerts import ingest
from alerts.models import Alert, ChangeEvent, InboundEvent
from alerts.sources.base import BadEvent
from alerts.sources.github import GitHub
from tests import factories
from tests.alerts.test_door import Server

PAYLOADS = Path(__file__).parent.parent / "payloads"
OPTED_IN = {"alert_on_failure": True}
REPOSITORY = {
    "name": "checkout-api",
    "full_name": "example/checkout-api",
    "html_url": "https://github.com/example/checkout-api",
    "default_branch": "main",
}


def sample(name):
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def parse(data, name="", options=None):
    headers = {"x-github-event": name} if name else {}
    return GitHub().parse(json.dumps(data).encode(), headers, options or {})


def deployment(state, options=None):
    data = sample("github_deployment_status_success")
    data["deployment_status"]["state"] = state
    return parse(data, "deployment_status", options)


def test_a_deployment_is_a_change():
    (event,) = parse(sample("github_deployment_status_success"), "deployment_status")
    assert (event.action, event.title) == ("change", "Deployed example/checkout-api@9c1e4d7 to production")
    assert (event.service, event.description) == ("checkout-api", "Rolled out 2.31.0")
    assert event.labels["commit"] == "9c1e4d7f852bd8fca8fcc58a9a2d6c842781e32a"
    assert (event.labels["environment"], event.labels["version"]) == ("production", "2.31.0")
    assert event.links[0]["href"] == "https://github.com/example/checkout-api/actions/runs/289782451"
    assert event.occurred_at == dt.datetime(2026, 5, 4, 10, 9, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize("state", ["failure", "error"])
def test_a_failed_deployment_is_an_alert_only_if_that_is_wanted(state):
    (change,) = deployment(state)
    assert (change.action, change.title) == (
        "change",
        "Deployment of example/checkout-api@9c1e4d7 to production failed",
    )
    change, alert = deployment(state, OPTED_IN)
    assert change.action == "change"
    assert (alert.action, alert.severity) == ("trigger", "medium")
    assert alert.dedup_key == "deploy:example/checkout-api:production"


def test_a_later_success_ends_the_alert():
    change, alert = deployment("success", OPTED_IN)
    assert (change.action, alert.action) == ("change", "resolve")
    assert alert.dedup_key == deployment("failure", OPTED_IN)[1].dedup_key


@pytest.mark.parametrize("state", ["pending", "queued", "in_progress", "waiting", "inactive", "new"])
def test_a_deployment_that_is_not_over_is_ignored(state):
    (event,) = deployment(state, OPTED_IN)
    assert event.action == "ignore"
    assert state in event.reason


def test_a_ping_is_ignored():
    (event,) = parse(sample("github_ping"), "ping")
    assert event.action == "ignore"


def workflow_run(**fields):
    run = {
        "name": "CI",
        "conclusion": "failure",
        "head_branch": "main",
        "head_sha": "9c1e4d7f852bd8",
        "html_url": "https://github.com/example/checkout-api/actions/runs/1",
        "updated_at": "2026-05-04T10:09:30Z",
    }
    return {"action": "completed", "workflow_run": run | fields, "repository": REPOSITORY}


def test_a_workflow_run_on_the_default_branch_is_a_change():
    (event,) = parse(workflow_run(), "workflow_run")
    assert (event.action, event.title) == ("change", "Workflow CI of example/checkout-api@9c1e4d7: failure")
    assert parse(workflow_run(head_branch="feature"), "workflow_run")[0].action == "ignore"
    assert parse(workflow_run() | {"action": "requested"}, "workflow_run")[0].action == "ignore"


def test_a_release_is_a_change_when_it_is_published():
    data = {
        "action": "published",
        "release": {"tag_name": "v2", "body": "Faster", "published_at": "2026-05-04T10:09:30Z"},
        "repository": REPOSITORY,
    }
    (event,) = parse(data, "release")
    assert (event.action, event.title, event.description) == ("change", "Released example/checkout-api v2", "Faster")
    assert parse(data | {"action": "created"}, "release")[0].action == "ignore"


def test_a_push_counts_on_the_default_branch():
    data = {
        "ref": "refs/heads/main",
        "after": "9c1e4d7f852bd8",
        "compare": "https://github.com/example/checkout-api/compare/a...b",
        "commits": [{}, {}],
        "head_commit": {"message": "Fix it\n\nReally", "timestamp": "2026-05-04T12:09:30+02:00"},
        "repository": REPOSITORY,
    }
    (event,) = parse(data, "push")
    assert (event.action, event.title) == ("change", "Pushed to example/checkout-api, main: Fix it")
    assert event.labels["commits"] == "2"
    assert event.occurred_at == dt.datetime(2026, 5, 4, 10, 9, 30, tzinfo=dt.UTC)
    for ref in ("refs/heads/feature", "refs/tags/main", "main"):
        assert parse(data | {"ref": ref}, "push")[0].action == "ignore"


def test_other_events_are_ignored():
    (event,) = parse({"action": "opened", "issue": {}}, "issues")
    assert event.action == "ignore"
    assert "issues" in event.reason


@pytest.mark.parametrize("name", ["deployment_status", "workflow_run", "release", "push", ""])
@pytest.mark.parametrize("data", [{}, {name: 7 for name in ("deployment_status", "repository", "release", "commits")}])
def test_a_crooked_event_is_read_as_far_as_it_goes(name, data):
    assert [event.action for event in parse(data, name)] == ["ignore"]


def test_what_is_no_object_says_so():
    with pytest.raises(BadEvent, match="GitHub"):
        parse([])


# --- through the door ---------------------------------------------------------------------------------------------

SECRET = "It's a Secret to Everybody"


def headers_of(body, name, delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958", kind="application/json"):
    return {
        "X-GitHub-Event": name,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
        "Content-Type": kind,
    }


@pytest.mark.django_db(transaction=True)
def test_a_delivery_is_stored_once_and_its_form_is_read(service):
    integration = factories.IntegrationFactory(source="github", service=service, signing_secret=SECRET)
    address = f"/in/github/{integration.key}"
    body = (PAYLOADS / "github_ping.json").read_bytes()
    with Server() as server:
        for _ in range(2):
            reply = server.post(address, body, headers_of(body, "ping"))
            assert (reply.status, reply.json) == (200, {"ok": True})
        assert InboundEvent.objects.count() == 1
        text = (PAYLOADS / "github_deployment_status_failure.json").read_text()
        form = urlencode({"payload": text}).encode()
        headers = headers_of(form, "deployment_status", "another", "application/x-www-form-urlencoded")
        assert server.post(address, form, headers).status == 200
        bad = server.post(address, form + b"&", headers)
        assert bad.status == 401
        assert "X-Hub-Signature-256" in bad.json["message"]
    row = InboundEvent.objects.latest("received_at")
    (event,) = GitHub().parse(bytes(row.body), row.headers, {})
    assert (event.action, InboundEvent.objects.count()) == ("change", 2)


@pytest.mark.django_db(transaction=True)
def test_a_failed_deployment_is_a_change_and_an_alert_until_one_succeeds(service):
    integration = factories.IntegrationFactory(source="github", service=service, options=OPTED_IN)
    with Server() as server:
        for state in ("failure", "success"):
            data = sample(f"github_deployment_status_{state}")
            data["deployment_status"]["created_at"] = dt.datetime.now(dt.UTC).isoformat()
            reply = server.post(f"/in/github/{integration.key}", data, {"X-GitHub-Event": "deployment_status"})
            assert reply.status == 200
            ingest.sweep(now=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=3))
            assert Alert.objects.get().status == {"failure": "firing", "success": "resolved"}[state]
    assert ChangeEvent.objects.filter(service=service).count() == 2
