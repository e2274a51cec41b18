"""What an analyst would write instead: read the CSV, predict with scikit-learn, write the labels.

python -m bench.offline IN.csv OUT.csv [--processes 2]
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

from bench.parts import MODELS
from shared.models.registry import ModelRegistry
from worker.models.artifacts import load


def predict(table: pd.DataFrame) -> pd.Series:
    """Return the labels of the rows of `table`."""
    catalog = ModelRegistry.read(MODELS)
    model = load(catalog.folder(catalog.resolve("drybeans"))).estimator
    return pd.Series(model.predict(table.to_numpy(dtype=float)), name="label")


def main() -> None:
    """Label the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    table = pd.read_csv(options.source)
    if options.processes == 1:
        labels = predict(table)
    else:
        size = -(-len(table) // options.processes)
        parts = [table.iloc[first : first + size] for first in range(0, len(table), size)]
        with ProcessPoolExecutor(options.processes) as pool:
            labels = pd.concat(list(pool.map(predict, parts)), ignore_index=True)
    labels.to_csv(options.target, index=False)


if __name__ == "__main__":
    main()
