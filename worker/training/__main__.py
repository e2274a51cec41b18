"""Trains and publishes the bean models: `python -m worker.training --data PATH | --download`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shared.domain.errors import DryBeansError
from worker.training.beans import SOURCE
from worker.training.plans import PLANS
from worker.training.report import report
from worker.training.source import download, is_genuine
from worker.training.table import Table, read_table
from worker.training.train import Plan, release_trained, train

_CACHE: Final = Path("var/data/dry-beans.csv")


def main(arguments: Sequence[str] | None = None, plans: Sequence[Plan] = PLANS) -> int:
    """Train `plans` as the command line says; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        table = _table(options)
        data = _provenance(table)
        print(f"{len(table.rows)} rows: {data}")
        for plan in plans:
            if options.version not in (None, plan.version):
                continue
            print(f"\n{plan.name}@{plan.version}: {plan.description}", flush=True)
            trained = train(plan, table, seed=options.seed, folds=options.folds)
            print(report(trained.metrics))
            folder = release_trained(
                options.out,
                trained,
                data,
                keep_default=options.keep_default,
                replace_unpublished=options.replace_unpublished,
            )
            print(f"Published as {plan.name}@{folder.name} in {folder}", flush=True)
    except DryBeansError as error:
        print(f"error: {error.detail}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.training",
        description="Train both bean models, measure them, and publish them as the versions "
        "named here where these are free, else as the next ones.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="the data set as a CSV file")
    source.add_argument(
        "--download", action="store_true", help=f"fetch the data set from {SOURCE.url}"
    )
    parser.add_argument("--url", help="fetch it from this mirror instead (with --download)")
    parser.add_argument(
        "--version",
        type=int,
        choices=[plan.version for plan in PLANS],
        help="train this one of the two only",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same models")
    parser.add_argument(
        "--folds", type=int, default=10, help="folds of the cross-validation; 0 leaves it out"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("model_artifacts"), help="where the artifacts go"
    )
    parser.add_argument(
        "--keep-default", action="store_true", help="do not let the plain name stand for it yet"
    )
    parser.add_argument(
        "--replace-unpublished",
        action="store_true",
        help="write over the newest version, if no alias stands for it yet, instead of adding one",
    )
    return parser


def _table(options: argparse.Namespace) -> Table:
    if options.download:
        print(f"Fetching {options.url or SOURCE.url}", flush=True)
        return download(SOURCE, _CACHE, url=options.url)
    return read_table(options.data, SOURCE.columns, SOURCE.label)


def _provenance(table: Table) -> str:
    if is_genuine(SOURCE, table):
        return SOURCE.citation
    print(
        "warning: this is not the published data set, so the figures will differ from the "
        "documented ones; training goes on with what is there.",
        file=sys.stderr,
    )
    return "a table other than the published data set"


if __name__ == "__main__":
    sys.exit(main())
