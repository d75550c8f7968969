"""Every page of ours keeps to WCAG 2.2 AA as far as axe can see: at a desk in light, and on a phone in the dark."""

import collections

import pytest

from notifications import links
from notifications.models import Notification
from tests.browser.test_content_policy import is_page, paths_of_pages, simple_pages

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Swagger's page is its maker's, and what monitors read is no page.
NOT_OURS = {"/api/docs", "/api/schema", "/health/ready"}
DEVICES = {
    "desk": {"size": {"width": 1440, "height": 900}, "scheme": "light"},
    "phone": {"size": {"width": 390, "height": 844}, "scheme": "dark"},
}


def complaints(page, axe):
    """What axe says about the page, as one line for each kind of element."""
    page.evaluate(axe)
    found = page.evaluate(
        "(rules) => axe.run(document, {runOnly: {type: 'tag', values: rules}}).then((found) => found.violations)",
        RULES,
    )
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}" for one in found for node in one["nodes"]
    ]


def listed(found):
    """Each complaint with the pages where it is."""
    return "\n".join(f"{said}\n    on {', '.join(paths)}" for said, paths in found.items())


def use(page, device):
    page.set_viewport_size(DEVICES[device]["size"])
    page.emulate_media(color_scheme=DEVICES[device]["scheme"], reduced_motion="reduce")


@pytest.mark.parametrize("device", DEVICES)
def test_every_page_can_be_used_by_everybody(visit, boss, axe, device):
    paths = paths_of_pages(boss)
    known = {path.rstrip("/") for path in paths}
    paths += [path for path in simple_pages() if path.rstrip("/") not in known and is_page(path, boss)]
    signed_in = visit(boss)
    use(signed_in.page, device)
    found = collections.defaultdict(list)
    for path in paths:
        if path in NOT_OURS:
            continue
        signed_in(path)
        signed_in.page.wait_for_timeout(150)  # panels that the page fetches
        for said in complaints(signed_in.page, axe):
            found[said].append(path)
        width = signed_in.page.evaluate("document.documentElement.scrollWidth")
        if width > DEVICES[device]["size"]["width"]:
            found[f"The page is {width} px wide."].append(path)
    assert not found, listed(found)


@pytest.mark.parametrize("device", DEVICES)
def test_the_pages_before_signing_in_can_be_used_by_everybody(visit, boss, axe, device):
    paths_of_pages(boss)
    notification = Notification.objects.filter(user__isnull=False, topic__startswith="incident:").earliest("pk")
    stranger = visit()
    use(stranger.page, device)
    found = collections.defaultdict(list)
    verbs = [f"/l/{links.token(notification.uuid, verb)}" for verb in ("resolve", "escalate")]
    for path in ("/login", "/reset", *verbs):
        stranger(path)
        for said in complaints(stranger.page, axe):
            found[said].append(path)
    assert not found, listed(found)


def test_axe_sees_what_is_wrong(visit, boss, axe):
    """Else the tests above would prove nothing."""
    signed_in = visit(boss)
    signed_in("/")
    signed_in.page.evaluate("document.getElementById('main').append(document.createElement('button'))")
    assert any(one.startswith("button-name") for one in complaints(signed_in.page, axe))
