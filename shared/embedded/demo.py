"""`make demo`: sends the sample beans to a service and shows what it answers."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from shared.embedded.checks import free_port
from shared.embedded.failure import LaunchFailed

_START_SECONDS: Final = 120.0
_DONE_SECONDS: Final = 60.0
_WAIT: Final = {"Prefer": "wait=20"}
_FIRST_ERROR: Final = 400
_SAMPLE: Final = Path(__file__).parents[2] / "docs/samples/beans.csv"


def demo(url: str) -> int:
    """Show the demo on the service at `url`, or on one of our own when nothing answers there.

    Returns the exit code.
    """
    try:
        if _is_up(url):
            print(f"The job: {url}{show(url)}")
        else:
            print(f"Nothing answers at {url}; starting drybeans for this demo …", flush=True)
            with _own_service() as own:
                show(own)
    except LaunchFailed as error:
        print(f"drybeans: {error}", file=sys.stderr)
        return 1
    return 0


def show(url: str) -> str:
    """Submit sample rows for the default model to `url`, wait, and print a table.

    Returns the path of the job.
    Raises LaunchFailed when the service refuses or does not finish.
    """
    models = call(url, "GET", "/models")["models"]
    short = next(model for model in models if model["default"])
    model = call(url, "GET", short["links"]["self"])
    names, classes = [feature["name"] for feature in model["features"]], model["classes"]
    rows = sample_beans(names) or model["sample"]
    print(f"{len(rows)} rows for {model['name']}@{model['version']}: {model['description']}\n")
    body = {"model": model["name"], "instances": rows, "outputs": model["outputs"]}
    job = call(url, "POST", "/jobs", body, _WAIT)
    deadline = time.monotonic() + _DONE_SECONDS
    while "results" not in job:
        if time.monotonic() > deadline:
            message = f"the job was not done in {_DONE_SECONDS:.0f} s: {url}{job['links']['self']}"
            raise LaunchFailed(message)
        job = call(url, "GET", job["links"]["self"], headers=_WAIT)
    for line in table(job["results"], classes):
        print(line)
    print()
    path: str = job["links"]["self"]
    return path


def sample_beans(columns: list[str]) -> list[list[float]]:
    """Read the sample file's rows; none when it is not there, or of other columns than these."""
    if not _SAMPLE.is_file():
        return []
    with _SAMPLE.open(newline="") as file:
        header, *rows = csv.reader(file)
    return [[float(cell) for cell in row] for row in rows] if header == columns else []


def table(results: list[dict[str, Any]], classes: list[str]) -> Iterator[str]:
    """Write results as lines: row, label, and each class's probability where the model has them."""
    width = max(map(len, [*classes, "label"]))
    shown = classes if any("probabilities" in row for row in results) else []
    yield " ".join(["row", f"{'label':{width}}", *(f"{name:>{width}}" for name in shown)]).rstrip()
    for row in results:
        label = row.get("label") or row["error"]["detail"]
        chances = row.get("probabilities", {})
        cells = [f"{chances[name]:{width}.3f}" for name in shown if name in chances]
        yield " ".join([f"{row['row']:3}", f"{label:{width}}", *cells]).rstrip()


def call(
    url: str,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Send one request and return the document that was answered.

    Raises LaunchFailed with the service's own words when it refuses, or when it does not answer.
    """
    where = urlsplit(url)
    kind = HTTPSConnection if where.scheme == "https" else HTTPConnection
    connection = kind(where.netloc, timeout=40)
    sent = {"Content-Type": "application/json", **(headers or {})}
    if key := os.environ.get("DRYBEANS_API_KEY"):
        sent["Authorization"] = f"Bearer {key}"
    try:
        connection.request(method, where.path.rstrip("/") + path, json.dumps(body), sent)
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        message = f"{method} {url}{path} was not answered: {error}"
        raise LaunchFailed(message) from error
    finally:
        connection.close()
    if response.status >= _FIRST_ERROR:
        message = f"{method} {url}{path} was refused: {answer.get('detail')}"
        raise LaunchFailed(message)
    return answer


def _is_up(url: str) -> bool:
    try:
        call(url, "GET", "/healthz")
    except LaunchFailed:
        return False
    return True


@contextmanager
def _own_service() -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="drybeans-demo-") as folder:
        var = Path(folder)
        with (var / "log").open("wb") as log:
            service = subprocess.Popen(
                [sys.executable, "-m", "shared.embedded", "--var", folder],
                env=os.environ | {"PORT": str(port)},
                stdout=log,
                stderr=log,
            )
        try:
            _await(url, service, var / "log")
            yield url
        finally:
            service.terminate()
            service.wait()


def _await(url: str, service: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _is_up(url):
        if service.poll() is not None or time.monotonic() > deadline:
            message = f"the service did not start:\n{log.read_text(errors='replace')}"
            raise LaunchFailed(message)
        time.sleep(0.2)
