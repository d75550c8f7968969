"""From POST to the page received at a local webhook: idle, 200 and 2,000 different incidents at once."""

import asyncio
import json
import sys

from bench import house, load


def body(name):
    return json.dumps({"title": f"{name} is down", "severity": "critical", "dedup_key": name}).encode()


async def burst(port, path, sink, prefix, count, *, connections):
    names = [f"bench-{prefix}-{number}" for number in range(count)]
    seconds, results = await load.post_all(
        port, [load.request(path, body(name)) for name in names], connections=connections
    )
    missing = await sink.wait_for(names, 120)
    assert not missing, f"{len(missing)} of {count} pages never arrived"
    assert all(status == 202 for status, _, _ in results)
    began = min(sent for _, sent, _ in results)
    own = [sink.arrived[name] - result[1] for name, result in zip(names, results, strict=True)]
    return own, [sink.arrived[name] - began for name in names], count / seconds


async def run(server):
    sink = load.Sink()
    company = await asyncio.to_thread(house.Company, page_url=f"http://127.0.0.1:{await sink.start()}/hook")
    with house.worker(), house.ticker(), house.web(server) as port:
        await asyncio.sleep(6)
        await burst(port, company.path, sink, "warm", 20, connections=4)
        idle = []
        for number in range(40):
            await asyncio.sleep(0.25)
            own, _, _ = await burst(port, company.path, sink, f"idle{number}", 1, connections=1)
            idle += own
        print(f"idle            p50 {ms(idle, 0.5)}   p95 {ms(idle, 0.95)}   (wanted p50 < 150 ms)")
        for count, wanted in ((200, 3), (2000, 15)):
            await asyncio.sleep(3)
            own, whole, rate = await burst(port, company.path, sink, f"b{count}", count, connections=64)
            print(
                f"{count:5} at once   p50 {ms(own, 0.5)}   p95 {ms(own, 0.95)}   max {ms(own, 1)}   "
                f"(wanted p95 < {wanted} s)   from the first POST: p95 {ms(whole, 0.95)}   accepted {rate:.0f}/s"
            )
    sink.stop()


def ms(values, share):
    return f"{house.percentile(values, share) * 1000:6.0f} ms"


if __name__ == "__main__":
    server = sys.argv[1] if len(sys.argv) > 1 else "daphne"
    print(f"page_latency with {server} on {house.machine()}")
    try:
        asyncio.run(run(server))
    finally:
        house.close()
