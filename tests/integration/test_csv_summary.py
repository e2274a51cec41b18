"""The summary of a CSV's job: labels, rows out of range and drift, against plain computations."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.beans import COUNT, a_csv, default_model, names, written
from tests.service import Body, Service, in_parts

Start = Callable[..., Service]


def jittered(count: int) -> list[list[float]]:
    """Make rows near the golden ones, of which many are outside the training ranges."""
    chance = random.Random(11)
    golden = default_model().golden.rows
    return [
        [value * chance.uniform(0.7, 1.3) for value in golden[at % len(golden)]]
        for at in range(count)
    ]


def straightforward(rows: Sequence[Sequence[float]], labels: Sequence[str | None]) -> Any:
    """Compute the summary of a job as its documentation tells it."""
    used = np.array([row for row, label in zip(rows, labels, strict=True) if label is not None])
    features = default_model().features
    outside = {
        feature.name: int(((column < feature.minimum) | (column > feature.maximum)).sum())
        for feature, column in zip(features, used.T, strict=True)
    }
    drift = {}
    for feature, column in zip(features, used.T, strict=True):
        assert feature.histogram is not None
        edges = [-np.inf, *feature.histogram.edges[1:-1], np.inf]
        actual = np.histogram(column, edges)[0] + 0.5
        expected = np.array(feature.histogram.counts) + 0.5
        a, e = actual / actual.sum(), expected / expected.sum()
        drift[feature.name] = pytest.approx(float(((a - e) * np.log(a / e)).sum()), abs=1e-6)
    return {
        "counts": Counter(label for label in labels if label is not None),
        "out_of_range": {name: count for name, count in outside.items() if count},
        "drift": drift,
        "drift_rows": len(used),
    }


@pytest.mark.parametrize(
    "chunk_bytes", [1 << 22, 60_000, 21_000], ids=["one chunk", "chunks", "small chunks"]
)
def test_a_summary_is_what_a_straightforward_computation_gives(
    start: Start, chunk_bytes: int
) -> None:
    """Labels counted, rows out of range and drift by feature; rows with an error do not count."""
    service = start(chunk_bytes=chunk_bytes)
    rows = jittered(1500)
    lines = [[repr(value) for value in row] for row in rows]
    lines[5][3] = lines[900][0] = "x"

    job = service.run_csv(Body(*in_parts(written([names(), *lines]))))

    assert job["summary"] == straightforward(rows, service.labels(job))
    assert job["summary"]["drift_rows"] == 1498
    assert max(job["summary"]["drift"].values()) > 0.25


def test_a_job_of_fewer_than_a_hundred_rows_has_no_drift(service: Service, start: Start) -> None:
    """It would say more about chance than about the beans; rows out of range are all counted."""
    rows = [[repr(value) for value in row] for row in jittered(99)]
    one = service.run_csv(written([names(), *rows]))
    chunks = start(chunk_bytes=6000).run_csv(Body(*in_parts(written([names(), *rows]))))

    assert one["summary"] == chunks["summary"]
    assert (one["summary"]["drift"], one["summary"]["drift_rows"]) == ({}, 0)
    assert one["summary"]["out_of_range"]
    assert sum(one["summary"]["counts"].values()) == 99


def test_an_unfinished_job_has_no_summary(service: Service) -> None:
    """Counts of some rows would be read as those of all."""
    assert service.job(service.submit(a_csv(COUNT)))["summary"] is None
