"""python manage.py shell-free timing of a 1,000-alert webhook, run inside pytest for the fixtures."""
import json, time, pytest, datetime as dt
from django.db import connection
from django.test.utils import CaptureQueriesContext
from alerts import ingest
from alerts.models import Alert, InboundEvent
from incidents.models import Incident
from tests import factories

@pytest.mark.parametrize("window,extras", [(300, False), (0, False), (300, True)])
@pytest.mark.django_db(transaction=True)
def test_time(service, now, window, extras):
    service.correlation_window_seconds = window; service.save()
    hook = factories.IntegrationFactory(source="alertmanager", service=service, incidents_per_minute=0)
    if extras:
        for n in range(20):
            factories.RuleFactory(condition=f'labels.app = "x{n}" or title =~ "zz.*{n}"')
            factories.SilenceFactory(condition=f'env = "s{n}"')
        for n in range(5):
            factories.InhibitionRuleFactory()
    def body(status):
        return json.dumps({"version": "4", "status": status, "groupKey": "g", "truncatedAlerts": 0, "alerts": [
          {"status": status, "labels": {"alertname": "Down", "instance": f"h{n}", "severity": "critical", "env": "prod", "host": f"h{n}"},
           "annotations": {"summary": f"h{n} is down", "description": "x" * 200}, "startsAt": now.isoformat(),
           "endsAt": (now + dt.timedelta(minutes=1)).isoformat() if status == "resolved" else "0001-01-01T00:00:00Z",
           "generatorURL": "http://p/x", "fingerprint": f"{n:016x}"} for n in range(1000)]}).encode()
    for name, status, at in (("open", "firing", 0), ("repeat", "firing", 30), ("resolve", "resolved", 61)):
        t = now + dt.timedelta(seconds=at)
        row = InboundEvent.objects.create(source="alertmanager", scope=f"integration:{hook.pk}", integration=hook, service=service, body=body(status), received_at=t, due_at=t)
        with CaptureQueriesContext(connection) as q:
            cpu = time.process_time(); began = time.perf_counter()
            ingest.decide_ids([row.pk], now=t)
            took = time.perf_counter() - began; cpu = time.process_time() - cpu
        row.refresh_from_db()
        print(f"\nwindow={window} extras={extras} {name}: {took:.3f}s cpu {cpu:.3f} {len(q)} queries", {o['outcome'] for o in row.result}, Incident.objects.count())
