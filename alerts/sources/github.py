"""GitHub: deployments, workflow runs, releases and pushes as change events; a failed deployment may be an alert."""

import hashlib

from alerts import signatures
from alerts.event import (
    CHANGE,
    DESCRIPTION_LIMIT,
    IGNORE,
    RESOLVE,
    SERVICE_LIMIT,
    TRIGGER,
    Event,
    as_text,
    clean_key,
    clean_labels,
    clean_line,
    clean_links,
    clean_text,
    parse_time,
)
from alerts.sources.base import BadEvent, Option, Source, read_form, read_json, too_deep

FAILED = ("failure", "error")
SHORT = 7  # characters of a commit, as GitHub shows it


class GitHub(Source):
    kind = "github"
    label = "GitHub"
    setup_help = (
        "In the repository or the organisation, under Settings, Webhooks, add this payload URL:\n\n{url}\n\n"
        "Choose the content type application/json, enter the same secret here and there, and let it send deployment "
        "statuses, workflow runs, releases and pushes, or as many of them as you want to see beside incidents."
    )
    keep_headers = ("x-github-event", "x-github-delivery")
    options = (
        Option(
            "alert_on_failure",
            "A failed deployment is an alert",
            "It opens an alert of medium severity, which the next deployment that succeeds resolves. Otherwise it is "
            "only a change event.",
            default=False,
            is_switch=True,
        ),
    )

    async def check(self, secret, headers, body, *, now):
        return signatures.github(secret, headers, body) if secret else signatures.Verdict(True)

    def delivery_id(self, headers, body):
        name = headers.get("x-github-delivery", "")
        # The header is not signed: the same name with other words is another delivery.
        return f"{name}:{hashlib.sha256(body).hexdigest()}" if name else ""

    def accepted(self, events, event_id):
        return 200, {"ok": True}

    def parse(self, body, headers, options=None):
        content_type = headers.get("content-type", "")
        if "form" in content_type.lower():
            body = read_form(body, content_type).get("payload", "").encode("utf-8", "surrogatepass")
        try:
            return self.read(read_json(body), headers, options or {})
        except RecursionError:
            raise too_deep() from None

    def read(self, data, headers, options):
        if not isinstance(data, dict):
            raise BadEvent.about("", "The body is not a JSON object as GitHub sends it.")
        name = clean_line(headers.get("x-github-event"), 40).lower() or _guess(data)
        read = {
            "deployment_status": self._deployment_status,
            "workflow_run": self._workflow_run,
            "release": self._release,
            "push": self._push,
        }.get(name)
        if name == "ping":
            return [_ignored("GitHub asks whether this address is right. It is.")]
        if read is None:
            return [_ignored(f"Nothing follows from GitHub's event “{name or 'without a name'}”.")]
        return read(data, options)

    def _deployment_status(self, data, options):
        status, deployment = _inner(data, "deployment_status"), _inner(data, "deployment")
        state = clean_line(status.get("state"), 40).lower()
        repo, commit = _repo(data), _short(deployment.get("sha"))
        environment = text_in(status, "environment") or text_in(deployment, "environment") or "an environment"
        what = f"{repo}@{commit}" if commit else repo
        if state != "success" and state not in FAILED:
            return [_ignored(f"The deployment of {what} to {environment} is “{state}”: it is not over yet.")]
        succeeded = state == "success"
        title = f"Deployed {what} to {environment}" if succeeded else f"Deployment of {what} to {environment} failed"
        event = self._change(
            data,
            title,
            status.get("description") or deployment.get("description"),
            {
                "environment": environment,
                "state": state,
                "commit": deployment.get("sha"),
                "ref": deployment.get("ref"),
                "task": deployment.get("task"),
                "creator": text_in(_inner(status, "creator"), "login") or None,
                "version": _inner(deployment, "payload").get("version"),
            },
            [
                (status.get("target_url") or status.get("log_url"), "Log of the deployment"),
                (status.get("environment_url"), environment),
            ],
            status.get("created_at"),
        )
        if not options.get("alert_on_failure"):
            return [event]
        alert = Event(
            action=RESOLVE if succeeded else TRIGGER,
            dedup_key=clean_key(f"deploy:{repo}:{environment}"),
            severity="" if succeeded else "medium",
            title=title,
            description=event.description,
            service=event.service,
            labels=event.labels,
            links=event.links,
            occurred_at=event.occurred_at,
            source=self.kind,
        )
        return [event, alert]

    def _workflow_run(self, data, options):
        run = _inner(data, "workflow_run")
        repo, branch = _repo(data), text_in(run, "head_branch")
        name = text_in(run, "name") or "a workflow"
        conclusion = text_in(run, "conclusion")
        if data.get("action") != "completed":
            return [_ignored(f"The run of “{name}” is not over yet.")]
        main = text_in(_inner(data, "repository"), "default_branch")
        if main and branch and branch != main:
            return [_ignored(f"The run of “{name}” was on the branch {branch}, which changes nothing that runs.")]
        title = f"Workflow {name} of {repo}@{_short(run.get('head_sha'))}: {conclusion or 'over'}"
        labels = {
            "workflow": name,
            "conclusion": conclusion or None,
            "branch": branch or None,
            "commit": run.get("head_sha"),
            "trigger": run.get("event"),
        }
        at = run.get("updated_at") or run.get("created_at")
        links = [(run.get("html_url"), "Workflow run")]
        return [self._change(data, title, run.get("display_title"), labels, links, at)]

    def _release(self, data, options):
        release = _inner(data, "release")
        if data.get("action") != "published":
            return [_ignored(f"Nothing follows from “{clean_line(data.get('action'), 40)}” of a release.")]
        tag = text_in(release, "tag_name") or text_in(release, "name")
        labels = {
            "tag": tag or None,
            "branch": release.get("target_commitish"),
            "prerelease": release.get("prerelease") or None,
            "author": text_in(_inner(release, "author"), "login") or None,
        }
        links = [(release.get("html_url"), f"Release {tag}")]
        about = release.get("body") or release.get("name")
        return [self._change(data, f"Released {_repo(data)} {tag}", about, labels, links, release.get("published_at"))]

    def _push(self, data, options):
        ref = text_in(data, "ref")
        branch, main = ref.removeprefix("refs/heads/"), text_in(_inner(data, "repository"), "default_branch")
        if not ref.startswith("refs/heads/") or branch != main or data.get("deleted"):
            return [_ignored(f"The push was to {ref or 'nowhere'}, and only those to the default branch count.")]
        commits = data.get("commits") if isinstance(data.get("commits"), list) else []
        head = _inner(data, "head_commit")
        first = clean_line(as_text(head.get("message")).partition("\n")[0], 200)
        title = f"Pushed to {_repo(data)}, {branch}" + (f": {first}" if first else "")
        labels = {
            "branch": branch,
            "commit": data.get("after"),
            "commits": len(commits) or None,
            "pusher": text_in(_inner(data, "pusher"), "name") or None,
        }
        links = [(data.get("compare"), "What changed")]
        return [self._change(data, title, head.get("message"), labels, links, head.get("timestamp"))]

    def _change(self, data, title, description, labels, links, at):
        repository = _inner(data, "repository")
        return Event(
            action=CHANGE,
            title=clean_line(title),
            description=clean_text(description, DESCRIPTION_LIMIT),
            service=text_in(repository, "name")[:SERVICE_LIMIT],
            labels=clean_labels({"repository": text_in(repository, "full_name") or None}, labels),
            links=clean_links([*links, (repository.get("html_url"), "Repository")]),
            occurred_at=parse_time(at),
            source=self.kind,
        )


def text_in(data, name):
    """A field on one line, or ""."""
    return clean_line(data.get(name), 255)


def _ignored(reason):
    return Event(action=IGNORE, reason=reason, source=GitHub.kind)


def _inner(data, name):
    return data[name] if isinstance(data.get(name), dict) else {}


def _guess(data):
    """The event of a body whose header was lost on its way."""
    names = {"deployment_status": "deployment_status", "workflow_run": "workflow_run", "release": "release"}
    names |= {"head_commit": "push", "zen": "ping"}
    return next((event for name, event in names.items() if data.get(name)), "")


def _repo(data):
    repository = _inner(data, "repository")
    return text_in(repository, "full_name") or text_in(repository, "name") or "a repository"


def _short(commit):
    return clean_line(commit, 64)[:SHORT]
