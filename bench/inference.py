"""Measures the fast predictor against scikit-learn, in interleaved rounds of processor time.

    python -m bench.inference [--data beans.csv] [--rows 200000] [--rounds 5] [--check]

Rows are those of --data, or else the models' golden rows, each number changed by about a
thousandth. --check compares all labels with scikit-learn's, a minute for every million rows.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl
from numpy.typing import NDArray
from sklearn.datasets import make_blobs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from shared.models.registry import ModelRegistry
from worker.inference import compile_predictor
from worker.inference.cascade import Cascade
from worker.models.artifacts import load

Floats = NDArray[np.float64]
ARTIFACTS = Path(__file__).parents[1] / "model_artifacts"
HEADINGS = (
    "model",
    "support vectors",
    "scikit-learn",
    "labels",
    "without approximation",
    "float64 only",
    "probabilities",
    "unsure",
)
STOCK_ROWS = 4_000
"""scikit-learn takes each row by itself, so a few thousand tell its speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fitted model and rows for it."""

    name: str
    estimator: Any
    rows: Floats


def cases(data: Path | None, count: int) -> Iterator[Case]:
    """Return the published models, and an SVC with about 2,500 support vectors."""
    catalog = ModelRegistry.read(ARTIFACTS)
    for manifest in catalog.all():
        real = data and pd.read_csv(data).iloc[:, : len(manifest.features)]
        source = np.array(manifest.golden.rows if real is None else real, dtype=np.float64)
        estimator = load(catalog.folder(manifest)).estimator
        yield Case(name=manifest.id, estimator=estimator, rows=jittered(source, count))
    table, labels = make_blobs(6_000, 16, centers=7, cluster_std=7.8, random_state=2)[:2]
    model = make_pipeline(StandardScaler(), SVC(C=5.0)).fit(table, labels)
    yield Case(name="generated", estimator=model, rows=jittered(table, count))


def jittered(source: Floats, count: int) -> Floats:
    """Draw `count` rows and change each number by about a thousandth."""
    chance = np.random.default_rng(0)
    drawn = source[chance.integers(len(source), size=count)]
    return np.asarray(drawn * (1.0 + 0.001 * chance.standard_normal(drawn.shape)))


def speed(call: Callable[[Floats], Any], rows: Floats) -> float:
    """Return rows per second of processor time, of one call on one thread."""
    start = process_time()
    call(rows)
    return len(rows) / (process_time() - start)


def measure(case: Case, rounds: int) -> str:
    """Return a line of the table: medians, and ratios to scikit-learn's own speed."""
    fast = compile_predictor(case.estimator)
    assert isinstance(fast, Cascade), f"{case.name} is not taken by the fast predictor"
    few = case.rows[:STOCK_ROWS]
    ways: dict[str, tuple[Callable[[Floats], Any], Floats]] = {
        "stock": (fast.stock.predict, few),
        "labels": (fast.predict, case.rows),
    }
    for name, stages in (("float32", 2), ("float64", 1)):
        if len(fast.stages) > stages:
            less = replace(fast, stages=fast.stages[-stages:])
            ways[name] = (less.predict, case.rows)
    if fast.supports_probabilities:
        ways["stock probabilities"] = (fast.stock.predict_proba, few)
        ways["probabilities"] = (fast.predict_proba, case.rows)
    runs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (call, rows) in ways.items():
            runs[name].append(speed(call, rows))
    medians = {name: median(speeds) for name, speeds in runs.items()}
    return line(case, fast, medians)


def line(case: Case, fast: Cascade, speeds: dict[str, float]) -> str:
    """Write the figures of one model."""
    points = sum(len(svc.support_vectors_) for svc in svcs_of(case.estimator))
    left = [f"{100 * count / len(case.rows):.2f} %" for count in fast.unsettled(case.rows)]
    names = ("labels", "float32", "float64", "probabilities")
    parts = [ratio(speeds, name, "stock") for name in names[:3]]
    parts.append(ratio(speeds, names[3], "stock probabilities"))
    cells = [case.name, f"{points:,}", f"{speeds['stock']:,.0f}", *parts, " → ".join(left)]
    return f"| {' | '.join(cells)} |"


def svcs_of(estimator: Any) -> Iterator[Any]:  # noqa: ANN401 - scikit-learn ships no types
    """Find the SVCs inside pipelines and stacks."""
    if isinstance(estimator, SVC):
        yield estimator
    inner = [step for _, step in getattr(estimator, "steps", [])]
    for part in [*inner, *getattr(estimator, "estimators_", [])]:
        yield from svcs_of(part)


def ratio(speeds: dict[str, float], name: str, base: str) -> str:
    """Write a speed, and how many times another it is."""
    if name not in speeds:
        return "–"
    return f"{speeds[name]:,.0f} ({speeds[name] / speeds[base]:.1f}×)"


def check(case: Case) -> str:
    """Compare every label with scikit-learn's."""
    predictor = compile_predictor(case.estimator)
    labels = np.asarray(case.estimator.classes_)[predictor.predict(case.rows)]
    wrong = int((labels != case.estimator.predict(case.rows)).sum())
    assert not wrong, f"{wrong} labels differ"
    return f"{case.name}: {len(case.rows):,} labels are scikit-learn's"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a CSV with the models' columns first")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="compare all labels")
    options = parser.parse_args()
    with threadpoolctl.threadpool_limits(1):
        kinds = {info.get("architecture") for info in threadpoolctl.threadpool_info()}
        print(
            f"rows/s on one core, NumPy {np.__version__}, BLAS for {sorted(filter(None, kinds))};"
        )
        print("unsure: the rows that each stage leaves to the next, and the last to scikit-learn")
        print(f"\n| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
        for case in cases(options.data, options.rows):
            print(measure(case, options.rounds), flush=True)
        if options.check:
            print()
            for case in cases(options.data, options.rows):
                print(check(case), flush=True)


if __name__ == "__main__":
    main()
