"""Measures whether reading a job gets slower, and memory grows, with the rows that are stored.

    python -m bench.growth [--kind mysql] [--most 10000000] [--data beans.csv]

Jobs of 10,000, 100,000, … rows are uploaded one after another into the same database. After each,
its state is asked for, and pages of a thousand results from anywhere in it.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

import orjson

from bench.bulk import ask, finished, send
from bench.designs import drybeans, server_roots
from bench.generate import Examples, read_examples, write_csv
from bench.parts import Service
from bench.servers import kinds, place
from bench.tables import markdown, milliseconds
from bench.usage import CpuClock, MemoryWatch

_LEAST: Final = 10_000
_BLOCK: Final = 100_000
_ASKED: Final = 200
_HEAD: Final = (
    "rows in the job", "rows/s", "µs of CPU a row", "state p50 / p99 ms", "page p50 / p99 ms",
    "API over idle, MB", "workers over idle, MB",
)  # fmt: skip


def a_body(examples: Examples, rows: int) -> tuple[int, Iterator[bytes]]:
    """Return the size and the pieces of a CSV of `rows` rows, which repeats a block of them."""
    file = BytesIO()
    write_csv(file, examples, min(rows, _BLOCK))
    text = file.getvalue()
    start = text.index(b"\n") + 1
    times = -(-rows // _BLOCK)
    # The last piece of a body that is no multiple of the block would need another cut.
    assert rows == times * min(rows, _BLOCK)

    def pieces() -> Iterator[bytes]:
        yield text[:start]
        for _ in range(times):
            yield text[start:]

    return start + times * (len(text) - start), pieces()


def timed(call: Callable[[], object]) -> list[float]:
    """Return the seconds of each of many calls."""
    seconds = []
    for _ in range(_ASKED):
        begun = time.monotonic()
        call()
        seconds.append(time.monotonic() - begun)
    return seconds


def line(service: Service, examples: Examples, rows: int, clock: CpuClock) -> tuple[str, ...]:
    """Upload a job of `rows` rows and read it."""
    chance = random.Random(0)
    size, pieces = a_body(examples, rows)
    roots = {name: service.roots[name] for name in ("api", "worker")}
    with MemoryWatch(roots) as memory:
        idle = dict(memory.peaks)
        before, begun = clock.read(), time.monotonic()
        job = finished(service.port, send(service.port, size, pieces))["id"]
        seconds = time.monotonic() - begun
        cpu = sum(clock.read().values()) - sum(before.values())
    pages = max(1, rows - 1000)
    path = f"/jobs/{job}/results?limit=1000&offset="
    states = timed(lambda: ask(service.port, f"/jobs/{job}"))
    results = timed(lambda: ask(service.port, path + str(chance.randrange(pages))))
    grown = [f"{memory.peaks[name] - idle[name]:.0f}" for name in roots]
    figures = f"{rows / seconds:,.0f}", f"{cpu / rows * 1e6:.1f}"
    return (f"{rows:,}", *figures, milliseconds(states), milliseconds(results), *grown)


def measure(kind: str, most: int, examples: Examples) -> Iterator[tuple[str, ...]]:
    """Return a line for each size up to `most`."""
    with place(kind) as where, drybeans(where) as service:
        service.start()
        ask(service.port, "/jobs", orjson.dumps({"instances": [examples.rows[0].tolist()]}))
        clock = CpuClock(service.roots | server_roots(where))
        rows = _LEAST
        while rows <= most:
            yield line(service, examples, rows, clock)
            rows *= 10


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--kind", choices=("sqlite", "mysql"), help="the best there is if left out")
    parser.add_argument("--most", type=int, default=10_000_000)
    parser.add_argument("--data", type=Path, help="a CSV with the model's columns first")
    options = parser.parse_args()
    for kind in [options.kind] if options.kind else kinds():
        print(f"\n{kind}\n")
        print(markdown(_HEAD, measure(kind, options.most, read_examples(options.data))), flush=True)


if __name__ == "__main__":
    main()
