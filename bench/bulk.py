"""Measures a large CSV against the script that an analyst would write instead.

    python -m bench.bulk [--kind mysql] [--rows 1000000] [--rounds 3] [--data FILE] [--jitter 0]

Rows a second count from the first byte sent to the last result committed. The offline script and
drybeans take turns on the same file; a figure is the median of its runs, a ratio the median of the
rounds' own, and the labels must be the same to the last row. In a second upload of each round a
client sends one-row jobs meanwhile, one after another. Memory is looked at in an upload before all.
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
_TURN: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload: its seconds, and what it took."""

    job: str
    seconds: float
    sent: float
    cpu: dict[str, float]


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
    grown: dict[str, float]
    offline: list[float] = field(default_factory=list)
    offline_two: list[float] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    beside: list[Upload] = field(default_factory=list)
    small: list[float] = field(default_factory=list)
    download: list[float] = field(default_factory=list)


def upload(service: Service, source: Path, roots: Roots) -> Upload:
    """Send `source`, wait for the job, and measure both."""
    clock = CpuClock(roots)
    begun = time.monotonic()
    job = _send_file(service.port, source)
    sent = time.monotonic() - begun
    job = finished(service.port, job)
    return Upload(job=job["id"], seconds=time.monotonic() - begun, sent=sent, cpu=clock.read())


def grown_memory(service: Service, source: Path) -> dict[str, float]:
    """Send `source`, and give the MB by which the peaks of API and workers lie above idle.

    In an upload of its own, the first: to look at the memory of processes stops them for a moment.
    """
    own = {name: service.roots[name] for name in ("api", "worker")}
    with MemoryWatch(own) as memory:
        idle = dict(memory.peaks)
        finished(service.port, _send_file(service.port, source))
    return {name: memory.peaks[name] - idle[name] for name in own}


def _send_file(port: int, source: Path) -> dict[str, Any]:
    with source.open("rb") as file:
        pieces = iter(partial(file.read, _STEP), b"")
        return send(port, source.stat().st_size, pieces)


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
    body = _one_row(row)

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


def _one_row(row: Sequence[float]) -> bytes:
    return orjson.dumps({"instances": [list(row)]})


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
    """Return whether the service's labels are the script's, row by row."""
    with results.open() as ours, labels.open() as theirs:
        next(ours), next(theirs)
        return all(
            mine.split(",")[2] == right.rstrip("\n")
            for mine, right in zip(ours, theirs, strict=True)
        )


def measure(kind: str, plan: Plan) -> Runs:
    """Take turns."""
    examples = read_examples(plan.data)
    row = examples.rows[0].tolist()
    with place(kind) as where, drybeans(where) as service:
        service.start()
        ask(service.port, "/jobs", _one_row(row))
        source = where.folder / "beans.csv"
        with source.open("wb") as file:
            write_csv(file, examples, plan.rows, jitter=plan.jitter)
        roots = service.roots | server_roots(where)
        labels, results = where.folder / "labels.csv", where.folder / "results.csv"
        runs = Runs(rows=plan.rows, grown=grown_memory(service, source))
        for _ in range(plan.rounds):
            runs.offline.append(offline(source, labels, 1))
            runs.uploads.append(upload(service, source, roots))
            runs.offline_two.append(offline(source, labels, 2))
            with _small_jobs(service.port, row) as small:
                runs.beside.append(upload(service, source, roots))
            runs.small += small
            for done in (runs.uploads[-1], runs.beside[-1]):
                runs.download.append(download(service, done.job, results))
                assert same_labels(results, labels), "the labels differ"
    return runs


def table(kind: str, runs: Runs) -> str:
    """Write the figures of one kind of database."""
    seconds, beside = ([one.seconds for one in each] for each in (runs.uploads, runs.beside))
    head = ("what", f"{kind}, {runs.rows:,} rows")
    lines = [
        ("offline script, one process, rows/s", f"{runs.rows / middle(runs.offline):,.0f}"),
        ("offline script, two processes, rows/s", _rate(runs, runs.offline_two)),
        ("drybeans, two worker processes, rows/s", _rate(runs, seconds)),
        ("the same beside one-row jobs, rows/s", _rate(runs, beside)),
        ("one-row job meanwhile, p50 / p99 ms", milliseconds(runs.small)),
        ("upload alone, s", f"{middle(one.sent for one in runs.uploads):.1f}"),
        ("API's memory over idle, MB", f"{runs.grown['api']:.0f}"),
        ("workers' memory over idle, all together, MB", f"{runs.grown['worker']:.0f}"),
        ("download as CSV, MB/s", f"{middle(runs.download):.0f}"),
    ]
    lines += [
        (f"CPU of {name}, s", f"{middle(one.cpu[name] for one in runs.uploads):.1f}")
        for name in runs.uploads[0].cpu
    ]
    return markdown(head, lines)


def _rate(runs: Runs, seconds: Sequence[float]) -> str:
    """Return rows a second, and how many times those of the script.

    That is the median of each round's ratio: the machine is not as fast in all of them.
    """
    ratios = [theirs / ours for theirs, ours in zip(runs.offline, seconds, strict=True)]
    return f"{runs.rows / middle(seconds):,.0f} ({middle(ratios):.1f} ×)"


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
