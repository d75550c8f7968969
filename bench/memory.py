"""Memory of an idle web, worker and ticker together, in MiB of proportional set size."""

import time
import urllib.request

from bench import house


def main():
    house.Company()
    web_port = house.free_port()
    arguments = [part.format(port=web_port) for part in house.SERVERS["daphne"]]
    with (
        house.process("web", arguments) as web,
        house.worker() as worker,
        house.ticker() as ticker,
    ):
        time.sleep(15)
        for _ in range(5):
            urllib.request.urlopen(f"http://127.0.0.1:{web_port}/login", timeout=10).read()
        time.sleep(5)
        parts = {
            name: house.memory_mib(child.pid) for name, child in (("web", web), ("worker", worker), ("ticker", ticker))
        }
    for name, size in parts.items():
        print(f"{name:8} {size:6.0f} MiB")
    print(f"together {sum(parts.values()):6.0f} MiB   (wanted under 400)")


if __name__ == "__main__":
    print(f"memory on {house.machine()}")
    try:
        main()
    finally:
        house.close()
