"""The real data set as a CSV, in and out, with the labels that scikit-learn gives."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.beans import default_model
from tests.service import MODEL_ROOT, Body, Service
from worker.models.artifacts import load

pytestmark = pytest.mark.dataset

Start = Callable[..., Service]
PART = 100_000


@pytest.fixture(scope="module")
def expected(dataset: Path) -> dict[int, list[str]]:
    """Return the labels that scikit-learn's own estimators give, by version of the model."""
    rows = np.ascontiguousarray(pd.read_csv(dataset).iloc[:, :16], dtype=np.float64)
    versions = (1, default_model().version)
    artifacts = {at: load(MODEL_ROOT / "drybeans" / str(at)) for at in versions}
    return {at: list(artifact.estimator.predict(rows)) for at, artifact in artifacts.items()}


def as_it_is(text: bytes) -> bytes:
    """With its column Class, which is no feature."""
    return text


def without_class(text: bytes) -> bytes:
    """Only the measurements."""
    return b"\n".join(line.rpartition(b",")[0] for line in text.splitlines()) + b"\n"


def shuffled(text: bytes) -> bytes:
    """The columns in another order, Class among them."""
    order = np.random.default_rng(8).permutation(17)
    rows = (line.split(b",") for line in text.splitlines())
    return b"\n".join(b",".join(row[at] for at in order) for row in rows) + b"\n"


def in_excel(text: bytes) -> bytes:
    """As a spreadsheet saves it: semicolons, CR LF, a byte order mark, quotes."""
    rows = (b'";"'.join(line.split(b",")) for line in text.splitlines())
    return b"\xef\xbb\xbf" + b"".join(b'"' + row + b'"\r\n' for row in rows)


def with_line_feeds(dataset: Path) -> bytes:
    """Read the data set with ends of line that the functions here know."""
    return dataset.read_bytes().replace(b"\r\n", b"\n")


@pytest.mark.parametrize("change", [as_it_is, without_class, shuffled, in_excel])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_every_bean_comes_back_with_scikit_learns_label(
    start: Start,
    dataset: Path,
    expected: dict[int, list[str]],
    change: Callable[[bytes], bytes],
    encoding: str,
) -> None:
    """All 13,611, in their order, in several chunks, however the file is laid out."""
    service = start(chunk_bytes=500_000)
    body = change(with_line_feeds(dataset))
    sent = gzip.compress(body, 1) if encoding else body
    parts = [sent[at : at + PART] for at in range(0, len(sent), PART)]

    job = service.run_csv(Body(*parts), headers={"Content-Encoding": encoding})

    assert job["state"] == "succeeded"
    assert service.labels(job) == expected[default_model().version]
    unused = [] if change is without_class else ["Columns not used: Class."]
    assert job["warnings"] == unused


def test_the_walkthroughs_model_gives_its_labels_too(
    service: Service, dataset: Path, expected: dict[int, list[str]]
) -> None:
    """Version 1, asked for by name."""
    job = service.run_csv(dataset.read_bytes(), "?model=drybeans@1")

    assert service.labels(job) == expected[1]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_with_a_bad_row_in_every_thousand_loses_only_those(
    service: Service, dataset: Path, expected: dict[int, list[str]]
) -> None:
    """Each is named by its line; each other row has its own label."""
    lines = with_line_feeds(dataset).splitlines()
    bad = list(range(500, len(lines), 1000))
    for at in bad:
        lines[at] = b"oops" + lines[at]

    job = service.run_csv(b"\n".join(lines))

    rows = service.rows(job)
    assert [row["line"] - 1 for row in rows if "error" in row] == bad
    labels: list[Any] = expected[default_model().version].copy()
    for at in bad:
        labels[at - 1] = None
    assert service.labels(job) == labels
