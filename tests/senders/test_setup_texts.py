"""What we tell people to paste, given to the programs that have to take it."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from alerts.models import sources
from alerts.sources.zabbix import SCRIPT
from tests.senders.programs import AMTOOL, needs_amtool

PROMTOOL = shutil.which("promtool")
NODE = shutil.which("node")
DOCS = Path(__file__).parent.parent.parent / "docs" / "integrations.md"
KEY = "0123456789abcdef0123456789abcdef"
ROUTE = "route: {receiver: oncall}\n"


def setup_text(kind):
    """The text of the integration's page, filled in."""
    text = sources.classes()[kind].setup_help
    for name, value in (
        ("url", f"https://oncall.example.com/in/{kind}/{KEY}"),
        ("server", "https://oncall.example.com"),
        ("key", KEY),
    ):
        text = text.replace(f"{{{name}}}", value)
    return text


def block(text, first):
    """The lines from the one that is `first` to the next empty one."""
    return re.search(rf"^{first}\n.*?(?=\n\n|\Z)", text, re.DOTALL | re.MULTILINE)[0] + "\n"


def of_docs(word):
    """The YAML block of the docs in which this word stands."""
    (found,) = [one for one in re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL) if word in one]
    return found


def checked(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


ALERTMANAGER_YML = {
    "docs, webhook": lambda: of_docs("webhook_configs"),
    "docs, pagerduty": lambda: of_docs("pagerduty_configs"),
    "docs, opsgenie": lambda: of_docs("opsgenie_configs"),
    "page, webhook": lambda: block(setup_text("alertmanager"), "receivers:"),
    "page, pagerduty": lambda: _as_receiver(block(setup_text("pagerduty"), "pagerduty_configs:")),
    "page, opsgenie": lambda: _as_receiver(block(setup_text("opsgenie"), "opsgenie_configs:")),
}


def _as_receiver(text):
    return "receivers:\n  - name: oncall\n" + "".join(f"    {line}\n" for line in text.splitlines())


@needs_amtool
@pytest.mark.parametrize("name", ALERTMANAGER_YML)
def test_alertmanager_takes_its_receiver(name, tmp_path):
    file = tmp_path / "alertmanager.yml"
    file.write_text(ROUTE + ALERTMANAGER_YML[name]())
    checked(AMTOOL, "check-config", str(file))


@pytest.mark.skipif(not PROMTOOL, reason="Debian's prometheus is not installed here")
@pytest.mark.parametrize("text", [of_docs("path_prefix"), block(setup_text("prometheus"), "alerting:")])
def test_prometheus_takes_its_configuration(text, tmp_path):
    file = tmp_path / "prometheus.yml"
    file.write_text(text)
    checked(PROMTOOL, "check", "config", str(file))


@needs_amtool
@pytest.mark.parametrize("text", [DOCS.read_text(), setup_text("prometheus")])
def test_amtool_understands_the_command_and_only_then_asks_for_the_server(text):
    command = shlex.split(re.search(r"amtool --alertmanager\.url=[^.`]*(?:\.[^.` ]+)*[^.`]*", text)[0])
    done = subprocess.run(
        [AMTOOL, "--alertmanager.url=http://127.0.0.1:1", *command[2:]],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "connection refused" in done.stderr, done.stderr


# The engine of Zabbix, as far as the script sees it.
ZABBIX = """
const sent = [];
const Zabbix = {log: () => {}};
class HttpRequest {
    addHeader(header) { sent.push(header); }
    setProxy(proxy) { sent.push(proxy); }
    post(url, body) { sent.push(url, body); return "answer"; }
    getStatus() { return STATUS; }
}
const run = new Function("value", "Zabbix", "HttpRequest", SCRIPT);
let result;
try { result = run(VALUE, Zabbix, HttpRequest); } catch (error) { result = String(error); }
console.log(JSON.stringify([result, sent]));
"""


def zabbix(status=202, **parameters):
    """`(what the script returns or throws, what it asked for)`."""
    program = ZABBIX
    values = {"SCRIPT": SCRIPT, "VALUE": json.dumps(parameters), "STATUS": status}
    for name, value in values.items():
        program = re.sub(rf"\b{name}\b", lambda _, value=value: json.dumps(value), program, count=1)
    done = subprocess.run([NODE, "-e", program], capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(not NODE, reason="node is not installed here")
def test_zabbix_script_posts_its_parameters_and_throws_when_they_were_not_taken():
    result, (header, url, body) = zabbix(url="https://oncall.example.com/in/zabbix/k", event_id="17", event_value="1")
    assert (result, url) == ("OK", "https://oncall.example.com/in/zabbix/k")
    assert header == "Content-Type: application/json"
    assert json.loads(body) == {"event_id": "17", "event_value": "1"}
    result, _ = zabbix(status=503, url="https://oncall.example.com/in/zabbix/k")
    assert result == "The alert was not delivered. The answer was 503: answer"
    assert "must be the address" in zabbix(url="{$URL}")[0]
