"""Measures a large CSV against the script that an analyst would write instead.

    python -m bench.bulk [--kind mysql] [--rows 1000000] [--rounds 3] [--data FILE] [--jitter 0]

Rows a second count from the first byte sent to the last result committed. The offline script and
drybeans take turns on the same file; a figure is the median of its runs, a ratio the median of the
rounds' own, and the labels must be the same to the last row. Meanwhile a client sends one-row jobs,
one after another.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from bench.designs import drybeans, server_roots
from bench.generate import JITTER, read_examples, write_csv
from bench.parts import ROOT, Service, clean_environment
from bench.servers import kinds, place
from bench.tables import markdown, middle, milliseconds
from bench.usage import CpuClock, MemoryWatch, Roots

_DONE: Final = frozenset({"succeeded", "partial", "failed", "canceled", "expired"})
_STEP: Final = 1 << 20
_WARMING: Final = 100_000
_TURN: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload: its seconds, and what it took."""

    job: str
    seconds: float
    sent: float
    cpu: dict[str, float]
    grown: dict[str, float]
    small: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured: `rounds` uploads of `rows` rows drawn from `data`, changed by `jitter`."""

    rows: int
    rounds: int
    data: Path | None
    jitter: float


@dataclass(slots=True, kw_only=True)
class Runs:
    """All runs on one kind of database."""

    rows: int
    offline: list[float] = field(default_factory=list)
    offline_two: list[float] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    download: list[float] = field(default_factory=list)


def upload(service: Service, source: Path, roots: Roots, row: Sequence[float]) -> Upload:
    """Send `source`, wait for the job, and measure both; one-row jobs go beside it."""
    own = {name: roots[name] for name in ("api", "worker")}
    with MemoryWatch(own) as memory, _small_jobs(service.port, row) as small:
        idle = dict(memory.peaks)
        clock = CpuClock(roots)
        begun = time.monotonic()
        with source.open("rb") as file:
            pieces = iter(partial(file.read, _STEP), b"")
            job = send(service.port, source.stat().st_size, pieces)
        sent = time.monotonic() - begun
        job = finished(service.port, job)
        seconds = time.monotonic() - begun
        cpu = clock.read()
    grown = {name: memory.peaks[name] - idle[name] for name in own}
    return Upload(job=job["id"], seconds=seconds, sent=sent, cpu=cpu, grown=grown, small=small)


def finished(port: int, job: dict[str, Any]) -> dict[str, Any]:
    """Wait until all rows of `job` have their labels, as a client would: by asking to be told."""
    while job["state"] not in _DONE:
        job = ask(port, f"/jobs/{job['id']}")
    assert job["state"] == "succeeded", job
    return job


def send(port: int, size: int, pieces: Iterable[bytes]) -> dict[str, Any]:
    """Upload a CSV of `size` bytes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    headers = {"Content-Type": "text/csv", "Content-Length": str(size)}
    connection.request("POST", "/jobs", body=pieces, headers=headers)
    answer = connection.getresponse()
    body: dict[str, Any] = orjson.loads(answer.read())
    assert answer.status == 202, body
    return body


def ask(port: int, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
    """GET `path`, or POST `body` to it, and wait for the job."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Prefer": "wait=30"} | ({"Content-Type": "application/json"} if body else {})
    connection.request("POST" if body else "GET", path, body=body, headers=headers)
    answer = connection.getresponse()
    document = orjson.loads(answer.read())
    assert answer.status in {200, 202}, document
    return document


@contextmanager
def _small_jobs(port: int, row: Sequence[float]) -> Iterator[list[float]]:
    """Send one-row jobs one after another, and collect the seconds until each result."""
    seconds: list[float] = []
    done = threading.Event()
    body = orjson.dumps({"instances": [list(row)]})

    def run() -> None:
        while not done.is_set():
            begun = time.monotonic()
            job = ask(port, "/jobs", body)
            assert job["state"] == "succeeded", job
            seconds.append(time.monotonic() - begun)
            done.wait(_TURN)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield seconds
    finally:
        done.set()
        thread.join()


def _warm(service: Service, source: Path) -> None:
    """Upload the first few rows, so that what a process does once is done."""
    with source.open("rb") as file:
        head = b"".join(islice(file, _WARMING))
    finished(service.port, send(service.port, len(head), [head]))


def offline(source: Path, target: Path, processes: int) -> float:
    """Run the analyst's script and give its seconds, start included as it is for the analyst."""
    command = [sys.executable, "-m", "bench.offline", str(source), str(target)]
    begun = time.monotonic()
    subprocess.run(
        [*command, "--processes", str(processes)], check=True, cwd=ROOT, env=clean_environment()
    )
    return time.monotonic() - begun


def download(service: Service, job: str, target: Path) -> float:
    """Fetch the results as CSV and give the MB a second."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=600)
    begun = time.monotonic()
    connection.request("GET", f"/jobs/{job}/results?format=csv")
    answer = connection.getresponse()
    size = 0
    with target.open("wb") as file:
        while piece := answer.read(_STEP):
            size += file.write(piece)
    return size / 1e6 / (time.monotonic() - begun)


def same_labels(results: Path, labels: Path) -> bool:
    """Say whether the service's labels are the script's, row by row."""
    with results.open() as ours, labels.open() as theirs:
        next(ours), next(theirs)
        return all(
            mine.split(",")[2] == right.rstrip("\n")
            for mine, right in zip(ours, theirs, strict=True)
        )


def measure(kind: str, plan: Plan) -> Runs:
    """Take turns."""
    runs = Runs(rows=plan.rows)
    examples = read_examples(plan.data)
    with place(kind) as where, drybeans(where) as service:
        service.start()
        source = where.folder / "beans.csv"
        with source.open("wb") as file:
            write_csv(file, examples, plan.rows, jitter=plan.jitter)
        roots = service.roots | server_roots(where)
        labels, results = where.folder / "labels.csv", where.folder / "results.csv"
        _warm(service, source)
        for _ in range(plan.rounds):
            runs.offline.append(offline(source, labels, 1))
            done = upload(service, source, roots, examples.rows[0].tolist())
            runs.uploads.append(done)
            runs.offline_two.append(offline(source, labels, 2))
            runs.download.append(download(service, done.job, results))
            assert same_labels(results, labels), "the labels differ"
    return runs


def table(kind: str, runs: Runs) -> str:
    """Write the figures of one kind of database."""
    seconds = [one.seconds for one in runs.uploads]
    base, two, ours = (
        runs.rows / middle(each) for each in (runs.offline, runs.offline_two, seconds)
    )
    small = [waited for one in runs.uploads for waited in one.small]
    head = ("what", f"{kind}, {runs.rows:,} rows")
    lines = [
        ("offline script, one process, rows/s", f"{base:,.0f}"),
        ("offline script, two processes, rows/s", f"{two:,.0f} ({_times(runs, runs.offline_two)})"),
        ("drybeans, two worker processes, rows/s", f"{ours:,.0f} ({_times(runs, seconds)})"),
        ("upload alone, s", f"{middle(one.sent for one in runs.uploads):.1f}"),
        ("one-row job meanwhile, p50 / p99 ms", milliseconds(small)),
        ("API's memory over idle, MB", _most(runs, "api")),
        ("workers' memory over idle, all together, MB", _most(runs, "worker")),
        ("download as CSV, MB/s", f"{middle(runs.download):.0f}"),
    ]
    lines += [
        (f"CPU of {name}, s", f"{middle(one.cpu[name] for one in runs.uploads):.1f}")
        for name in runs.uploads[0].cpu
    ]
    return markdown(head, lines)


def _times(runs: Runs, seconds: Sequence[float]) -> str:
    """Give the median of each round's ratio: the machine is not as fast in all of them."""
    ratios = [theirs / ours for theirs, ours in zip(runs.offline, seconds, strict=True)]
    return f"{middle(ratios):.1f} ×"


def _most(runs: Runs, name: str) -> str:
    return f"{max(one.grown[name] for one in runs.uploads):.0f}"


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.bulk", description=__doc__)
    parser.add_argument("--kind", choices=("sqlite", "mysql"), help="the best there is if left out")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="a CSV with the model's columns first")
    parser.add_argument("--jitter", type=float, default=JITTER, help="0 repeats rows as they are")
    options = parser.parse_args()
    plan = Plan(rows=options.rows, rounds=options.rounds, data=options.data, jitter=options.jitter)
    for kind in [options.kind] if options.kind else kinds():
        runs = measure(kind, plan)
        print(table(kind, runs), flush=True)


if __name__ == "__main__":
    main()
