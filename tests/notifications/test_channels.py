"""What holds for every channel."""

from pathlib import Path

import pytest

from notifications.models import ContactMethod, channels, shown_address

ROOT = Path(__file__).resolve().parents[2]


def test_every_channel_has_a_row_in_the_docs():
    rows = [line for line in (ROOT / "docs" / "channels.md").read_text().splitlines() if line.startswith("|")]
    for kind, channel in channels.classes().items():
        assert any(f"| {channel.label} | `{kind}` |" in row for row in rows), (
            f"docs/channels.md lacks a row for {kind}."
        )


@pytest.mark.parametrize("kind", sorted(channels.classes()))
def test_every_channel_says_what_an_address_looks_like(kind):
    channel = channels.get(kind)
    assert channel.label
    assert channel.address_help
    assert channel.problem_with("?!").endswith((".", "://."))


@pytest.mark.parametrize(
    "kind, address, shown",
    [
        ("email", "bob@example.com", "b•••@example.com"),
        ("email", "bob/oncall@example.com", "b•••@example.com"),
        ("webhook", "https://hooks.example.com/T0/SECRET?key=SECRET", "https://hooks.example.com/…"),
        ("webhook", "https://user:SECRET@hooks.example.com:8443/", "https://hooks.example.com/…"),
        ("webhook", "https://[SECRET", "…"),
        ("webhook", "https:///SECRET", "…"),
        ("gone", "https://hooks.example.com/SECRET", "https://hooks.example.com/…"),
    ],
)
def test_an_address_is_shown_without_its_secret(kind, address, shown):
    assert shown_address(kind, address) == shown


@pytest.mark.django_db
def test_a_webhook_gets_a_secret_of_its_own():
    one, two = (ContactMethod(channel="webhook", address="https://example.com/") for _ in range(2))
    one.clean()
    two.clean()
    assert one.secret.startswith("whsec_")
    assert one.secret != two.secret
