import pytest

from accounts.models import AuditEntry


def test_the_pages_look_as_somebody_chose(client, bob):
    client.force_login(bob)
    assert 'data-theme="system"' in client.get("/settings").content.decode()
    answer = client.post("/settings/theme", {"theme": "dark", "next": "/oncall?team=all"})
    assert answer.status_code == 302 and answer.url == "/oncall?team=all"
    page = client.get("/oncall").content.decode()
    assert '<html lang="en" data-theme="dark">' in page
    assert page.count('name="theme-color"') == page.count('content="#12161d"') == 2


def test_a_script_is_answered_with_nothing(client, bob):
    client.force_login(bob)
    answer = client.post("/settings/theme", {"theme": "light"}, headers={"accept": "application/json"})
    assert answer.status_code == 204 and not answer.content
    bob.refresh_from_db()
    assert bob.theme == "light"


def test_what_is_no_theme_changes_nothing(client, bob):
    client.force_login(bob)
    assert client.post("/settings/theme", {"theme": "pink"}).status_code == 302
    assert client.post("/settings/theme", {"theme": "pink"}, headers={"accept": "application/json"}).status_code == 400
    bob.refresh_from_db()
    assert bob.theme == "system"
    assert "Choose how the pages look" in client.get("/settings").content.decode()


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "settings", ""])
def test_the_way_back_stays_on_this_site(client, bob, back):
    client.force_login(bob)
    assert client.post("/settings/theme", {"theme": "dark", "next": back}).url == "/settings"


def test_how_somebody_likes_it_is_no_matter_for_the_audit(client, bob):
    client.force_login(bob)
    before = AuditEntry.objects.count()
    client.post("/settings/theme", {"theme": "dark"})
    assert AuditEntry.objects.count() == before
