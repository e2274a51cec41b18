"""Makes rows like real ones: drawn from examples, each number changed by about a percent.

    python -m bench.generate ROWS FILE [--seed 0] [--data beans.csv] [--jitter 0.01]

The examples are the default model's golden rows, or those of --data. Writes CSV in steps, so that
memory stays flat whatever ROWS is.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from bench.parts import MODELS
from shared.models.registry import ModelRegistry

Floats = NDArray[np.float64]
JITTER: Final = 0.01
_STEP: Final = 50_000
_DIGITS: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Rows to draw from, (n, features), and the features' names."""

    names: tuple[str, ...]
    rows: Floats


def read_examples(data: Path | None = None) -> Examples:
    """Read the examples of the default model, or those in a CSV with its columns first."""
    catalog = ModelRegistry.read(MODELS)
    manifest = catalog.resolve("drybeans")
    names = tuple(feature.name for feature in manifest.features)
    rows = manifest.golden.rows if data is None else pd.read_csv(data).iloc[:, : len(names)]
    return Examples(names=names, rows=np.array(rows, dtype=np.float64))


def draw(examples: Examples, count: int, seed: int = 0, jitter: float = JITTER) -> Iterator[Floats]:
    """Draw `count` rows in steps, each number changed by about `jitter` of itself.

    Numbers have nine digits, as those of real beans do.
    """
    chance = np.random.default_rng(seed)
    for first in range(0, count, _STEP):
        size = min(_STEP, count - first)
        rows = examples.rows[chance.integers(len(examples.rows), size=size)]
        rows = rows * (1.0 + jitter * chance.standard_normal(rows.shape))
        yield _rounded(rows)


def write_csv(
    file: IO[bytes], examples: Examples, count: int, seed: int = 0, jitter: float = JITTER
) -> None:
    """Write a CSV of `count` rows with a header."""
    file.write(",".join(examples.names).encode() + b"\n")
    for rows in draw(examples, count, seed, jitter):
        # The fastest writer of shortest round-trip decimals at hand is the one for JSON.
        text = orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)
        file.write(text[2:-2].replace(b"],[", b"\n") + b"\n")


def _rounded(rows: Floats) -> Floats:
    sizes = np.where(rows == 0, 1.0, np.abs(rows))
    places = _DIGITS - 1 - np.floor(np.log10(sizes))
    scale = 10.0**places
    rounded: Floats = np.round(rows * scale) / scale
    return rounded


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="a CSV with the model's columns first")
    parser.add_argument("--jitter", type=float, default=JITTER, help="0 repeats rows as they are")
    options = parser.parse_args()
    with options.file.open("wb") as file:
        examples = read_examples(options.data)
        write_csv(file, examples, options.rows, options.seed, options.jitter)


if __name__ == "__main__":
    main()
