"""The product as an app on a phone: what Chromium says about it, and that its worker takes over by itself."""

import json

from tests.house import wait_until

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def test_chromium_finds_nothing_that_keeps_it_from_being_installed(open_page, alice):
    page = open_page("/", alice, **PHONE)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    tools = page.context.new_cdp_session(page)
    manifest = tools.send("Page.getAppManifest")
    assert manifest["url"].endswith("/manifest.webmanifest")
    assert manifest["errors"] == []
    # A context of a test is a private window, in which nothing can be installed.
    problems = {one["errorId"] for one in tools.send("Page.getInstallabilityErrors")["installabilityErrors"]}
    assert problems <= {"in-incognito"}


def test_every_icon_and_shortcut_of_the_manifest_is_there(client, open_page, alice):
    manifest = client.get("/manifest.webmanifest").json()
    page = open_page("/", alice)
    for icon in [*manifest["icons"], *(one for shortcut in manifest["shortcuts"] for one in shortcut["icons"])]:
        answer = page.request.get(icon["src"])
        assert answer.status == 200
        assert answer.headers["content-type"] == icon["type"]
        if icon["type"] == "image/png":
            size = page.evaluate(
                "(src) => new Promise((done) => { const image = new Image();"
                " image.onload = () => done(`${image.naturalWidth}x${image.naturalHeight}`); image.src = src; })",
                icon["src"],
            )
            assert size == icon["sizes"]
    for shortcut in manifest["shortcuts"]:
        assert page.request.get(shortcut["url"]).status == 200
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}
    touch = page.locator("link[rel=apple-touch-icon]").get_attribute("href")
    assert page.request.get(touch).status == 200


def test_the_worker_comes_with_every_page_and_an_unchanged_one_is_not_sent_again(client, open_page, alice):
    page = open_page("/oncall", alice)
    wait_until(lambda: page.evaluate("navigator.serviceWorker.controller !== null"), 60, "the worker has taken over")
    first = client.get("/sw.js")
    assert client.get("/sw.js", headers={"If-None-Match": first["ETag"]}).status_code == 304
    build = json.loads(first.content.decode().splitlines()[0].removeprefix("const BUILD = ").removesuffix(";"))
    for path in build["files"]:
        assert page.request.get(path).status == 200


def test_who_is_not_signed_in_gets_no_worker(open_page):
    page = open_page("/login")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)") == 0


def test_the_kept_files_are_tidied_when_a_new_worker_takes_over(open_page, alice):
    page = open_page("/", alice)
    wait_until(lambda: page.evaluate("navigator.serviceWorker.controller !== null"), 60, "the worker has taken over")
    old = "/static/js/old.0123456789ab.js"
    page.evaluate("(old) => caches.open('files').then((files) => files.put(old, new Response('')))", old)
    (worker,) = page.context.service_workers
    worker.evaluate("tidy()")
    held = page.evaluate("caches.open('files').then((files) => files.keys()).then((all) => all.map(({ url }) => url))")
    assert held
    assert not [url for url in held if url.endswith(old)]
