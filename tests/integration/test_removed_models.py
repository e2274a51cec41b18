"""Jobs whose model was removed from the model folder: all that belongs to them stays readable."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from sqlalchemy import delete, func, select, text

from shared.db.engine import Database
from shared.db.manifests import insert_manifest, read_manifest
from shared.db.schema import manifests
from shared.domain.jobs import ModelPin
from shared.models.registry import read_manifest as read_folder
from tests.models import a_feature, a_manifest, a_model, a_table, an_artifact
from tests.service import MODEL_ROOT, Service
from worker.models.artifacts import golden_of, publish
from worker.models.loader import ModelLoader

Start = Callable[..., Service]

_ROWS: Final = 120


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A model folder that holds toy@1."""
    return an_artifact(tmp_path / "models").parent.parent


@pytest.fixture
def toy_service(start: Start, root: Path) -> Service:
    """The service with toy@1 as its only model, and chunks of about 50 lines."""
    return start(
        models=ModelLoader(root), default_model="toy", chunk_bytes=2000, max_line_bytes=500
    )


def csv_job(service: Service) -> dict[str, Any]:
    """Run a CSV in two chunks with an alias, ids, bad rows and probabilities."""
    rows = a_table(_ROWS)[0].tolist()
    lines = [f"b{at},{row[2]},{row[1]},{row[0]}" for at, row in enumerate(rows)]
    lines[7] = "b7,1.5,none,2.5"
    lines[119] = "b119,1.5"
    body = "\n".join(["id,Width,Len,Area", *lines, ""])
    return service.run_csv(body, "?outputs=label&outputs=probabilities&label.batch=7")


def json_job(service: Service) -> dict[str, Any]:
    """Run three rows of JSON, one of them bad, with probabilities."""
    document = {
        "instances": [[0.5, 1.5, 2.5], [1.0, "x", 3.0], [-4.0, 5.0, 6.0]],
        "outputs": ["label", "probabilities"],
    }
    response = service.client.post("/jobs", json=document)
    assert response.status_code == 202, response.text
    return service.finish(response.get_json()["id"])


def read_all(service: Service, *jobs: dict[str, Any]) -> dict[str, Any]:
    """Read every document of `jobs`, by its path, and the list of jobs."""
    paths = ["/jobs"]
    for job in jobs:
        here = f"/jobs/{job['id']}"
        paths += [here, f"/ui{here}", f"{here}/errors", f"{here}/results?limit=60&offset=30"]
        for kind in ("json", "ndjson", "csv"):
            paths += [f"{here}/results?format={kind}{more}" for more in ("", "&include=input")]
    responses = {path: service.client.get(path) for path in paths}
    assert {path: found.status_code for path, found in responses.items()} == dict.fromkeys(
        paths, 200
    )
    return {path: found.data for path, found in responses.items()}


def remove(root: Path) -> None:
    """Remove the model with all its versions."""
    shutil.rmtree(root / "toy")


def remove_version(root: Path) -> None:
    """Publish the next version, and remove the one before."""
    an_artifact(root, version=2)
    shutil.rmtree(root / "toy" / "1")


def rewrite(root: Path) -> None:
    """Put another model in the place of toy@1: other classes, features and ranges."""
    table, _ = a_table(classes=4)
    labels = a_table(classes=4)[1]
    model = type(a_model())().fit(table[:, :2], labels)
    shutil.rmtree(root / "toy" / "1")
    manifest = a_manifest(
        features=(a_feature("Other", histogram=None), a_feature("Columns")),
        classes=("a", "b", "c", "d"),
        golden=golden_of(model, table[:5, :2]),
        sample=((0.0, 1.0),),
    )
    publish(root, manifest, model)


def refresh(service: Service, pin: ModelPin) -> None:
    """Wait until the API has noticed that the artifact is not in its folder."""
    deadline = time.monotonic() + 3600
    while service.services.catalog.find(pin) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("change", [remove, remove_version, rewrite])
def test_a_job_is_read_as_before_when_its_model_was_removed(
    toy_service: Service, root: Path, change: Callable[[Path], None]
) -> None:
    """Every document of it is the same to the byte, in this process and in one that starts now."""
    pin = read_folder(root / "toy" / "1").pin
    jobs = [csv_job(toy_service), json_job(toy_service)]
    assert set(jobs[0]["summary"]["drift"]) == {"Area", "Length", "Width"}
    before = read_all(toy_service, *jobs)

    change(root)
    refresh(toy_service, pin)

    assert read_all(toy_service, *jobs) == before


def test_a_process_that_starts_later_reads_them_too(
    toy_service: Service, start: Start, root: Path
) -> None:
    """It never had the model."""
    jobs = [csv_job(toy_service), json_job(toy_service)]
    before = read_all(toy_service, *jobs)
    remove(root)

    later = start(models=ModelLoader(root), default_model="toy")

    assert read_all(later, *jobs) == before


def test_a_retry_is_read_as_before_too(start: Start, root: Path) -> None:
    """Also when the job that it repeats was accepted by a release that stored no manifests."""
    old, new = (start(models=ModelLoader(root), default_model="toy") for _ in range(2))
    job = old.submit("Area,Length,Width\n" + "1,2,3\n" * 100)
    old.client.post(f"/jobs/{job}/cancel")
    old.database.write(lambda c: c.execute(delete(manifests)))
    retried = new.client.post(f"/jobs/{job}/retry").get_json()
    done = new.finish(retried["id"])
    before = read_all(new, done)

    pin = read_folder(root / "toy" / "1").pin
    remove(root)
    refresh(new, pin)

    assert read_all(new, done) == before


def forget_manifests(service: Service, root: Path) -> None:
    """Leave what a release without stored manifests leaves, in a folder without the model."""
    pin = read_folder(root / "toy" / "1").pin
    service.database.write(lambda c: c.execute(delete(manifests)))
    remove(root)
    refresh(service, pin)


def test_csv_jobs_from_before_manifests_were_stored_are_read_without_them(
    toy_service: Service, root: Path
) -> None:
    """Labels, ids, lines and errors stay; inputs have the file's names, chances are left out."""
    job = csv_job(toy_service)
    here = f"/jobs/{job['id']}"
    before = read_all(toy_service, job)
    rows = [orjson.loads(line) for line in before[f"{here}/results?format=ndjson"].splitlines()]
    inputs = [
        orjson.loads(line)["input"]
        for line in before[f"{here}/results?format=ndjson&include=input"].splitlines()
    ]

    forget_manifests(toy_service, root)
    after = read_all(toy_service, job)

    slim = [{name: row[name] for name in row if name != "probabilities"} for row in rows]
    assert [
        orjson.loads(line) for line in after[f"{here}/results?format=ndjson"].splitlines()
    ] == slim
    assert [
        orjson.loads(line)
        for line in after[f"{here}/results?format=ndjson&include=input"].splitlines()
    ] == [
        row | {"input": {"Area": given["Area"], "Len": given["Length"], "Width": given["Width"]}}
        for row, given in zip(slim, inputs, strict=True)
    ]
    assert orjson.loads(after[f"{here}/results?format=json"])["results"] == slim
    table = after[f"{here}/results?format=csv&include=input"].decode().splitlines()
    assert table[0] == "row,line,id,label,error,Area,Len,Width"
    assert len(table) == 1 + _ROWS
    assert after[f"{here}/errors"] == before[f"{here}/errors"]
    summary = job["summary"] | {"drift": {}}
    assert orjson.loads(after[here]) == orjson.loads(before[here]) | {"summary": summary}


def test_json_jobs_from_before_manifests_were_stored_are_read_without_them(
    toy_service: Service, root: Path
) -> None:
    """Their inputs are numbered; a row that was refused has none, as ever."""
    job = json_job(toy_service)
    here = f"/jobs/{job['id']}"
    before = orjson.loads(read_all(toy_service, job)[f"{here}/results?format=json"])["results"]
    labels = [row.get("label") for row in before]
    problem = before[1]["error"]

    forget_manifests(toy_service, root)
    after = read_all(toy_service, job)

    error = "not_a_number: A number is needed, not text."
    assert after[f"{here}/results?format=csv&include=input"].decode().splitlines() == [
        "row,label,error,column 1,column 2,column 3",
        f"0,{labels[0]},,0.5,1.5,2.5",
        f'1,,"{error}",,,',
        f"2,{labels[2]},,-4.0,5.0,6.0",
    ]
    assert after[f"{here}/errors"].decode().splitlines() == [
        "row,error_code,error_field,error_detail,column 1,column 2,column 3",
        '1,not_a_number,1,"A number is needed, not text.",,,',
    ]
    names = ["column 1", "column 2", "column 3"]
    assert orjson.loads(after[f"{here}/results?format=json&include=input"])["results"] == [
        {"row": 0, "label": labels[0], "input": dict(zip(names, (0.5, 1.5, 2.5), strict=True))},
        {"row": 1, "error": problem, "input": dict(zip(names, (None,) * 3, strict=True))},
        {"row": 2, "label": labels[2], "input": dict(zip(names, (-4.0, 5.0, 6.0), strict=True))},
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_a_manifest_is_read_as_it_was_stored(database: Database, version: int) -> None:
    """Number by number, on every database; metrics and training are left out."""
    manifest = read_folder(MODEL_ROOT / "drybeans" / str(version))

    database.write(lambda c: insert_manifest(c, manifest))

    expected = replace(manifest, metrics={}, training={})
    assert database.read(lambda c: read_manifest(c, manifest.pin)) == expected
    other = replace(manifest.pin, sha256="f" * 64)
    assert database.read(lambda c: read_manifest(c, other)) is None


def test_several_processes_may_store_a_manifest_at_the_same_time(database: Database) -> None:
    """It is there once, and nobody fails."""
    manifest = a_manifest()

    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(
            lambda _: database.write(lambda c: insert_manifest(c, manifest)), range(12)
        ):
            pass

    count = select(func.count()).select_from(manifests)
    assert database.read(lambda c: c.scalar(count)) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_is_accepted_though_its_manifest_cannot_be_stored(
    toy_service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and tried again with each job until it is stored."""
    toy_service.database.write(lambda c: c.execute(text("ALTER TABLE manifests RENAME TO away")))

    assert json_job(toy_service)["state"] == "partial"
    toy_service.database.write(lambda c: c.execute(text("ALTER TABLE away RENAME TO manifests")))
    assert json_job(toy_service)["state"] == "partial"

    told = [record for record in caplog.records if record.name == "api.jobs.manifest_store"]
    assert [(record.getMessage(), vars(record)["model"]) for record in told] == [
        ("manifest_not_stored", "toy@1")
    ]
    count = select(func.count()).select_from(manifests)
    assert toy_service.database.read(lambda c: c.scalar(count)) == 1
