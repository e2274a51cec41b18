"""No row lost, doubled or shifted: generated CSVs against a straightforward reader.

Bounded in every run; `pytest tests/integration/test_csv_fuzz.py --hypothesis-profile=thorough`
looks for an hour.
"""

import csv
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from io import StringIO
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.zstd import compress
from tests.csv_files import CsvFile, CsvRow, TornField, csv_files, cuts, read_file
from tests.marks import ON_SQLITE
from tests.models import a_model, an_artifact
from tests.service import Body, Service
from worker.models.loader import ModelLoader

# How requests are read does not depend on the database.
pytestmark = ON_SQLITE

FEATURES: Final = ("Area", "Length", "Width")
SPELLINGS: Final = (("Area",), ("Length", "Len"), ("Width",))
SIZES: Final = (40, 200, 1000, 1 << 20)
ENCODINGS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": bytes,
    "gzip": gzip.compress,
    "zstd": compress,
}


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> ModelLoader:
    """A model of three columns, so that much can go wrong in a short line."""
    root = tmp_path_factory.mktemp("models")
    an_artifact(root)
    return ModelLoader(root)


@pytest.fixture
def toy_services(
    database_url: str, redis_url: str, toys: ModelLoader
) -> Iterator[Mapping[int, Service]]:
    """The whole service with that model, once for each size of chunks."""
    with ExitStack() as running:
        services = {}
        for size in SIZES:
            services[size] = Service(
                database_url, redis_url, models=toys, default_model="toy", chunk_bytes=size
            )
            running.callback(services[size].stop)
        yield services


@st.composite
def uploads(draw: st.DrawFn) -> tuple[CsvFile, str, list[bytes], int]:
    """Draw a CSV, its encoding, the parts it arrives in, and about how large its chunks are."""
    file = draw(csv_files(SPELLINGS, most_lines=120))
    encoding = draw(st.sampled_from(["", "", "gzip", "zstd"]))
    parts = draw(cuts(ENCODINGS[encoding](file.data), most=12))
    return file, encoding, parts, draw(st.sampled_from(SIZES))


@settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(upload=uploads())
def test_rows_and_errors_are_those_of_a_straightforward_reader(
    toy_services: Mapping[int, Service], upload: tuple[CsvFile, str, list[bytes], int]
) -> None:
    """Every dialect and damage, however it arrives and whatever chunks it becomes."""
    file, encoding, parts, size = upload
    service = toy_services[size]
    expected, refusals = reading_of(file)

    answer = service.post("/jobs", Body(*parts), headers={"Content-Encoding": encoding})

    if refusals:
        assert answer.status_code == 422
        assert answer.get_json()["detail"].startswith(refusals)
    else:
        assert answer.status_code == 202, answer.text
        job = service.finish(answer.get_json()["id"])
        assert_all_there(service, job, expected, has_ids="id" in file.columns)


def reading_of(file: CsvFile) -> tuple[list[CsvRow], tuple[str, ...]]:
    """Read `file` straightforwardly: its rows, or else why it may have to be refused."""
    refusals = _not_utf8(file.data)
    try:
        rows = read_file(file, FEATURES)
    except TornField as torn:
        # Which of the two comes first depends on how the file is cut.
        refusals += (f"Line {torn.line} has a quoted field that does not end on that line",)
        return [], refusals
    return rows, refusals or (() if rows else ("The CSV has no rows.",))


def _not_utf8(data: bytes) -> tuple[str, ...]:
    for at, line in enumerate(data.split(b"\n"), 1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return (f"Line {at}, column ",)
    return ()


def assert_all_there(
    service: Service, job: dict[str, Any], expected: Sequence[CsvRow], *, has_ids: bool
) -> None:
    """Check every row, label and error of a job, and what the job says of itself."""
    rows = service.rows(job)
    assert [row["row"] for row in rows] == list(range(len(expected)))
    assert [row["line"] for row in rows] == [row.line for row in expected]
    if has_ids:
        assert [row["id"] for row in rows] == [row.id for row in expected]
    assert [row.get("error", {}).get("code") for row in rows] == [row.code for row in expected]
    assert [column_of(row) for row in rows] == [row.field for row in expected]
    good = [row.numbers for row in expected if row.numbers is not None]
    labels = a_model().predict(np.array(good)).tolist() if good else []
    assert [row["label"] for row in rows if "label" in row] == labels
    failed = len(expected) - len(good)
    assert job["rows"] == {"total": len(expected), "succeeded": len(good), "failed": failed}
    assert job["state"] == ("succeeded" if not failed else "partial" if good else "failed")
    table = service.client.get(job["links"]["errors"]).text
    _, *errors = csv.reader(StringIO(table, newline=""))
    assert [(int(cells[0]), cells[1]) for cells in errors] == [
        (row.line, row.code) for row in expected if row.code
    ]


def column_of(row: dict[str, Any]) -> str | None:
    """Return the feature that a row's error names, under its own name."""
    field: str | None = row.get("error", {}).get("field")
    if field is None or field.startswith("column"):
        return field
    return {"area": "Area", "length": "Length", "len": "Length", "width": "Width"}[field.lower()]
