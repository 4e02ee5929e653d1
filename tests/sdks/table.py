"""Prints what `bench.sh` measured: the median of the rounds, and the ratios that are asked for."""

import json
import statistics
import sys


def main(path: str) -> None:
    rounds: dict[str, list[dict]] = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            result = json.loads(line)
            rounds.setdefault(result["sdk"], []).append(result)

    def median(sdk: str, part: str, field: str) -> float:
        return statistics.median(result[part][field] for result in rounds[sdk])

    print(f"{'':28} {'events/s':>10} {'client CPU, µs/event':>22}")
    for sdk, part, name in [
        ("rust", "batcher", "Rust, batcher"),
        ("python", "batcher", "Python, batcher"),
        ("node", "batcher", "Node, batcher"),
        ("python", "httpx", "Python, httpx, one each"),
        ("node", "fetch", "Node, fetch, one each"),
    ]:
        print(f"{name:28} {median(sdk, part, 'eventsPerSecond'):>10,.0f} {median(sdk, part, 'cpuMicrosPerEvent'):>22.1f}")

    def rate(sdk: str) -> float:
        return statistics.median(
            one["batcher"]["eventsPerSecond"] / rust["batcher"]["eventsPerSecond"]
            for one, rust in zip(rounds[sdk], rounds["rust"], strict=True)
        )

    def cpu(sdk: str, other: str) -> float:
        return median(sdk, other, "cpuMicrosPerEvent") / median(sdk, "batcher", "cpuMicrosPerEvent")

    print()
    print(f"Python sends {rate('python'):.0%} of the rate of Rust (goal: at least 70 %)")
    print(f"Node sends {rate('node'):.0%} of the rate of Rust (goal: at least 70 %)")
    print(f"httpx takes {cpu('python', 'httpx'):.1f} times the CPU of the client for Python (goal: at least 5)")
    print(f"fetch takes {cpu('node', 'fetch'):.1f} times the CPU of the client for Node (goal: at least 2)")
    for sdk, other in [("python", "orjson"), ("node", "JSON.parse")]:
        page, parse = median(sdk, "decode", "pageMs"), median(sdk, "decode", "parseMs")
        print(f"{sdk}: a page of 1,000 executions {page:.2f} ms, {other} {parse:.2f} ms: {page / parse:.2f} times (goal: at most 1.5)")


if __name__ == "__main__":
    main(sys.argv[1])
