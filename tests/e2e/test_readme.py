"""What the README tells a newcomer to type is typed, and answers what it shows."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.client_command import ran
from tests.e2e.service import Service

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text()
_HTTP_API = (_ROOT / "docs/http-api.md").read_text()


def examples() -> list[tuple[str, str]]:
    """Read the console block: each command with the answer that is shown under it."""
    (block,) = re.findall(r"```console\n(.*?)```", _README, re.DOTALL)
    pairs = [part.partition("\n") for part in block.split("$ ") if part]
    return [(command, answer.strip()) for command, _, answer in pairs]


def as_curl_would(service: Service, command: str) -> httpx.Response:
    """Send what `command` sends, to `service`; a machine without curl runs the tests too."""
    program, *words = shlex.split(command)
    assert program == "curl"
    url, method, headers, body = "", "GET", {}, b""
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            method, body = "POST", words.pop(0).encode()
        elif word == "-T":
            body = (_ROOT / words.pop(0)).read_bytes()
        elif word == "-X":
            method = words.pop(0)
        elif word != "-s":
            url = word.replace("localhost:5000", service.url)
    with service.client() as client:
        return client.request(method, url, content=body, headers=headers)


def job_done(service: Service, link: str) -> dict[str, Any]:
    """Wait for a job."""
    with service.client() as client:
        job: dict[str, Any] = client.get(link, headers={"Prefer": "wait=30"}).json()
    return job


def test_the_first_lines_of_the_readme_answer_what_it_shows(service: Service) -> None:
    """Predict, submit, and read the results of the job that was submitted."""
    (predict, label), (submit, job), (read, results) = examples()

    assert as_curl_would(service, predict).text == label
    submitted = as_curl_would(service, submit)
    assert submitted.status_code == 202
    shown = json.loads(job.replace(",…", ""))
    answered = submitted.json()
    assert answered["state"] == shown["state"]
    assert answered["model"] | shown["model"] == answered["model"]
    assert job_done(service, answered["links"]["self"])["state"] == "succeeded"
    expected = json.loads(results)
    found = as_curl_would(service, read.replace(shown["id"], answered["id"])).json()
    chances = found["results"][0].pop("probabilities")
    assert chances == pytest.approx(expected["results"][0].pop("probabilities"), abs=1e-6)
    assert found == expected


def test_the_readmes_upload_is_accepted(service: Service) -> None:
    """The sample of beans that lies in the repository comes back with a label for each."""
    (command,) = re.findall(r"^curl .*text/csv.*$", _README, re.MULTILINE)

    answer = as_curl_would(service, command)

    assert answer.status_code == 202
    job = job_done(service, answer.json()["links"]["self"])
    assert (job["state"], job["rows"]["succeeded"]) == ("succeeded", 20)


@pytest.mark.parametrize("path", re.findall(r"`(?:GET )?(/(?!v\d|docs)[\w/.]+)`", _HTTP_API))
def test_the_documented_paths_can_be_fetched(service: Service, path: str) -> None:
    """Every path of the HTTP API that has no parameter can be opened as it is written."""
    with service.client() as client:
        assert client.get(path).status_code == 200


def test_the_readmes_client_labels_every_bean(service: Service, tmp_path: Path) -> None:
    """The command saves a table, the program reads the same labels."""
    (command,) = re.findall(r"^drybeans (submit .*)$", _README, re.MULTILINE)
    (program,) = re.findall(r"```python\n(.*?)```", _README, re.DOTALL)
    words = command.replace("labels.csv", str(tmp_path / "labels.csv")).split()

    run = ran(service.url, _ROOT, *words, errors=tmp_path)

    assert run.code == 0, run.said
    lines = (tmp_path / "labels.csv").read_text().splitlines()[1:]
    names: dict[str, Any] = {}
    exec(program.replace("http://localhost:5000", service.url), names)  # noqa: S102 - our own text
    assert [line.split(",")[2] for line in lines] == names["labels"]
    assert len(names["labels"]) == 20
