"""Measures the fast predictor against scikit-learn on one core, in interleaved rounds.

    python -m bench.inference [--data beans.csv] [--rows 200000] [--rounds 5] [--check]

Rows are those of --data, or else the models' golden rows, each number changed by about a percent.
--check compares all rows' labels with scikit-learn's, which takes a minute for every million.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl
from numpy.typing import NDArray
from sklearn.datasets import make_blobs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from shared.catalog import Catalog
from worker.artifacts import load
from worker.inference import compile_predictor
from worker.inference.cascade import Cascade

Floats = NDArray[np.float64]
ARTIFACTS = Path(__file__).parents[1] / "model_artifacts"
STOCK_ROWS = 4_000
"""scikit-learn takes each row by itself, so a few thousand tell its speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fitted model and rows for it."""

    name: str
    estimator: Any
    rows: Floats


def cases(data: Path | None, count: int) -> Iterator[Case]:
    """Give the published models, and an SVC with about 2,500 support vectors."""
    catalog = Catalog.read(ARTIFACTS)
    for manifest in catalog.all():
        real = data and pd.read_csv(data).iloc[:, : len(manifest.features)]
        source = np.array(manifest.golden.rows if real is None else real, dtype=np.float64)
        estimator = load(catalog.folder(manifest)).estimator
        yield Case(name=manifest.id, estimator=estimator, rows=jittered(source, count))
    table, labels = make_blobs(6_000, 16, centers=7, cluster_std=7.8, random_state=2)[:2]
    model = make_pipeline(StandardScaler(), SVC(C=5.0)).fit(table, labels)
    yield Case(name="generated", estimator=model, rows=jittered(table, count))


def jittered(source: Floats, count: int) -> Floats:
    """Draw `count` rows and change each number by about a percent."""
    chance = np.random.default_rng(0)
    drawn = source[chance.integers(len(source), size=count)]
    return np.asarray(drawn * (1.0 + 0.01 * chance.standard_normal(drawn.shape)))


def speed(call: Callable[[Floats], Any], rows: Floats) -> float:
    """Give rows per second of one call."""
    start = perf_counter()
    call(rows)
    return len(rows) / (perf_counter() - start)


def measure(case: Case, rounds: int) -> str:
    """Give a line of the table: medians, and ratios to scikit-learn's own speed."""
    fast = compile_predictor(case.estimator)
    assert isinstance(fast, Cascade), f"{case.name} is not taken by the fast predictor"
    few = case.rows[:STOCK_ROWS]
    ways: dict[str, tuple[Callable[[Floats], Any], Floats]] = {
        "stock": (fast.stock.predict, few),
        "float32": (fast.predict, case.rows),
        "float64": (replace(fast, stages=fast.stages[-1:]).predict, case.rows),
    }
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
    stock = speeds["stock"]
    left = [f"{100 * count / len(case.rows):.2f} %" for count in fast.unsettled(case.rows)]
    quick = f"{speeds['float32']:,.0f} ({speeds['float32'] / stock:.1f}×)"
    exact = f"{speeds['float64']:,.0f} ({speeds['float64'] / stock:.1f}×)"
    odds = "–"
    if fast.supports_probabilities:
        ratio = speeds["probabilities"] / speeds["stock probabilities"]
        odds = f"{speeds['probabilities']:,.0f} ({ratio:.1f}×)"
    parts = [case.name, f"{stock:,.0f}", quick, exact, odds, " / ".join(left)]
    return f"| {' | '.join(parts)} |"


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
            f"rows/s on one core, NumPy {np.__version__}, BLAS for {sorted(filter(None, kinds))}\n"
        )
        print("| model | scikit-learn | labels | labels, float64 only | probabilities | unsure |")
        print("|---|---|---|---|---|---|")
        for case in cases(options.data, options.rows):
            print(measure(case, options.rounds), flush=True)
        if options.check:
            print()
            for case in cases(options.data, options.rows):
                print(check(case), flush=True)


if __name__ == "__main__":
    main()
