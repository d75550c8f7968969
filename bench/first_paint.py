"""First paint on a throttled phone: 1.6 Mbit/s, 150 ms to the server and back, a processor four times slower.

Three visits of each page in Chromium: the first ever, one with the browser's cache, one through the
service worker. The files are those of `bin/up`: collected, with hashed names, compressed.
"""

import os
import shutil
import statistics

from bench import house

from django.test import Client  # isort: skip
from django.utils import timezone  # isort: skip
from playwright.sync_api import sync_playwright  # isort: skip

from core import static  # isort: skip
from incidents import lifecycle  # isort: skip

RUNS = 5
OPEN = 200
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 3, "is_mobile": True, "has_touch": True}
NETWORK = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
FIGURES = """new Promise((done) => {
  const paint = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
  const files = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"));
  const bytes = files.reduce((sum, one) => sum + one.transferSize, 0);
  const wait = () => paint() ? done([paint(), bytes]) : setTimeout(wait, 50);
  wait();
})"""
WANTED_MS = 2000


def visit(page, address):
    """First contentful paint in ms, and kB that came over the network."""
    page.goto(address, wait_until="load")
    page.wait_for_timeout(500)
    painted, sent = page.evaluate(FIGURES)
    return painted, sent / 1000


def slow(page):
    tools = page.context.new_cdp_session(page)
    tools.send("Network.enable")
    tools.send("Network.emulateNetworkConditions", NETWORK)
    tools.send("Emulation.setCPUThrottlingRate", {"rate": 4})


def measure(browser, base, key, path):
    """`{visit: (ms, kB)}` of one person's first three visits."""
    found = {}
    context = browser.new_context(base_url=base, service_workers="block", **PHONE)
    sign_in(context, base, key)
    for name in ("cold", "warm"):
        page = context.new_page()
        slow(page)
        found[name] = visit(page, path)
        page.close()
    context.close()
    context = browser.new_context(base_url=base, **PHONE)
    sign_in(context, base, key)
    page = context.new_page()
    page.goto(path)
    # Not wait_for_function: it evaluates text later on, which the content security policy of the page forbids.
    while not page.evaluate("navigator.serviceWorker.controller !== null"):
        page.wait_for_timeout(100)
    page.wait_for_timeout(1500)
    slow(page)
    found["worker"] = visit(page, path)
    context.close()
    return found


def sign_in(context, base, key):
    context.add_cookies([{"name": "sessionid", "value": key, "url": base}])


def main():
    company = house.Company()
    static.collect()
    for number in range(OPEN):
        one = lifecycle.trigger(
            company.service, title=f"Service {number} is slow", severity="high", now=timezone.now()
        )
    client = Client()
    client.force_login(company.people[0])
    key = client.cookies["sessionid"].value
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with house.web() as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        base = f"http://127.0.0.1:{port}"
        for path in ("/", f"/incidents/{one.pk}"):
            runs = [measure(browser, base, key, path) for _ in range(RUNS)]
            for name in runs[0]:
                times = [run[name][0] for run in runs]
                weight = statistics.median(run[name][1] for run in runs)
                middle, worst = statistics.median(times), max(times)
                print(f"{path:<16}{name:<8} median {middle:5.0f} ms  worst {worst:5.0f} ms  {weight:4.0f} kB", end="")
                print(f"   (wanted < {WANTED_MS} ms)")
        browser.close()


if __name__ == "__main__":
    print(f"first_paint on {house.machine()}")
    try:
        main()
    finally:
        house.close()
