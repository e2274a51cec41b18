"""Bring your own model: publishes any fitted scikit-learn classifier on numeric columns."""

import argparse
import importlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import skops.io as sio

from shared.domain.errors import ArtifactRefused, DryBeansError
from worker.models.artifacts import Estimator, untrusted_types
from worker.training.evaluation import predictions_of
from worker.training.metrics import Predictions, agreement, scores
from worker.training.release import Release, choose_version, release
from worker.training.table import Column, Table, TableRefused, label_column, read_frame, table_of

_PICKLES: Final = frozenset({".pkl", ".pickle", ".joblib", ".sav"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What to publish a model as.

    `version` None takes the next one, or with `replace_unpublished` the newest, as long as no alias
    stands for it. `columns` may give units, descriptions and aliases to some of the columns.
    `trusted` names types in the model that skops does not know and that you have looked at.
    """

    name: str
    version: int | None = None
    description: str = ""
    columns: Sequence[Column] = ()
    trusted: Sequence[str] = ()
    default: bool = True
    replace_unpublished: bool = False


def publish_model(
    root: Path,
    estimator: Estimator,
    rows: pd.DataFrame,
    submission: Submission,
    labels: Iterable[object] | None = None,
) -> Path:
    """Publish the fitted `estimator` as a new version under `root` and return its folder.

    `rows` are what it was trained on, one column for each feature; when the estimator knows its
    features' names they are picked and ordered by them. With the true `labels` of the rows, the
    manifest tells how the model does on them. Class labels become text. Raises `ArtifactRefused`
    when the model could not be served, `TableRefused` when the rows do not suit it.
    """
    _check(estimator, submission)
    columns = _columns(estimator, rows, submission)
    truth = np.full(len(rows), "") if labels is None else np.array([str(name) for name in labels])
    table = table_of(rows, columns, labels=truth)
    predictions = predictions_of(estimator, table)
    about = Release(
        name=submission.name,
        version=submission.version
        or choose_version(
            root, submission.name, replace_unpublished=submission.replace_unpublished
        ),
        description=submission.description or f"A {type(estimator).__name__}.",
        label_rule=_label_rule(predictions),
        metrics={} if labels is None else {"on_the_rows_given": _measured(predictions)},
        training={"rows": len(rows), "model": " ".join(repr(estimator).split())},
        trusted=tuple(submission.trusted),
        default=submission.default,
        replace_unpublished=submission.replace_unpublished,
    )
    # Rows are made up class by class, and a class that no row has can have none.
    likely = Table(columns=table.columns, rows=table.rows, labels=predictions.labels)
    return release(root, about, estimator, likely)


def _check(estimator: Estimator, submission: Submission) -> None:
    try:
        _, unknown = untrusted_types(sio.dumps(estimator))
    except Exception as error:  # skops has no one error for what it cannot write
        raise ArtifactRefused(f"skops cannot save this model ({error}).") from error
    _refuse_unknown(unknown - set(submission.trusted))
    if not hasattr(estimator, "classes_"):
        raise ArtifactRefused(f"This {type(estimator).__name__} is not a fitted classifier.")


def _refuse_unknown(unknown: frozenset[str]) -> None:
    if unknown:
        raise ArtifactRefused(
            f"The model holds types that skops does not know: {', '.join(sorted(unknown))}. Look "
            "at what they do when they are loaded, then trust them by name (--trust)."
        )


def _columns(
    estimator: Estimator, rows: pd.DataFrame, submission: Submission
) -> tuple[Column, ...]:
    known = {column.name: column for column in submission.columns}
    names = [str(name) for name in getattr(estimator, "feature_names_in_", rows.columns)]
    needed = getattr(estimator, "n_features_in_", len(names))
    if needed != len(names):
        raise TableRefused(
            f"The model takes {needed} features and the table has {len(names)} columns besides "
            f"the label: {', '.join(names[:40])}."
        )
    return tuple(known.get(name, Column(name=name)) for name in names)


def _label_rule(predictions: Predictions) -> str:
    same = agreement(predictions)
    if same is None:
        return "The label is the classifier's own answer. There are no probabilities."
    where = "every row" if same == 1.0 else f"{same:.2%} of the rows"
    return (
        "The label is the classifier's own answer; it was the class of the highest probability on "
        f"{where} that the model was published with."
    )


def _measured(predictions: Predictions) -> dict[str, Any]:
    unknown = sorted(set(predictions.truth.tolist()) - set(predictions.classes))
    if unknown:
        raise TableRefused(
            f"The label column holds {', '.join(unknown[:5])}, which the model does not know; its "
            f"classes are {', '.join(predictions.classes[:20])}."
        )
    return scores(predictions)


def load_model(spec: str, trusted: Sequence[str]) -> Estimator:
    """Get the model that `spec` names: `package.module:attribute`, or the path of a skops file.

    A function is called for its model. Raises `ArtifactRefused`.
    """
    if Path(spec).suffix in _PICKLES:
        raise ArtifactRefused(
            f"{spec} looks like a pickle, which can run anything when it is loaded. Load it "
            "yourself, in a module of yours, and publish module:attribute."
        )
    if Path(spec).suffix == ".skops":
        return _read_skops(Path(spec), trusted)
    module, _, attribute = spec.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ArtifactRefused(
            f"{spec!r} is neither module:attribute nor a .skops file ({error})."
        ) from error
    return found() if callable(found) and not hasattr(found, "predict") else found


def _read_skops(path: Path, trusted: Sequence[str]) -> Estimator:
    try:
        content = path.read_bytes()
        own, unknown = untrusted_types(content)
    except OSError as error:
        raise ArtifactRefused(f"{path} cannot be read ({error.strerror}).") from error
    except Exception as error:  # a foreign file can make its reader raise anything
        raise ArtifactRefused(f"{path} is not a skops file that can be read ({error}).") from error
    _refuse_unknown(unknown - set(trusted))
    return sio.loads(content, trusted=sorted(own.union(trusted)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish as the command line says; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        estimator = load_model(options.model, options.trust)
        frame = read_frame(options.data)
        labels = None if options.label is None else label_column(frame, options.label)
        rows = frame.drop(columns=options.label or [])
        submission = Submission(
            name=options.name,
            version=options.version,
            description=options.description,
            trusted=options.trust,
            default=not options.keep_default,
            replace_unpublished=options.replace_unpublished,
        )
        folder = publish_model(options.out, estimator, rows, submission, labels)
    except DryBeansError as error:
        print(f"error: {error.detail}", file=sys.stderr)
        return 1
    print(f"Published {options.name}@{folder.name} in {folder}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.training.publish",
        description="Publish a fitted scikit-learn classifier on numeric columns as a new version.",
    )
    add = parser.add_argument
    add("name", help="the model's name: small letters, digits, - and _")
    add("--model", required=True, help="package.module:attribute (a classifier or a function that "
        "returns one), or the path of a .skops file")  # fmt: skip
    add("--data", type=Path, required=True, help="a CSV with a header: the training rows, which "
        "give the columns their names and ranges")  # fmt: skip
    add("--label", help="the CSV's column of true labels, if it has one")
    add("--version", type=int, help="the next free one, if not given")
    add("--description", default="", help="one sentence for people")
    add("--trust", action="append", default=[], metavar="TYPE", help="a type in the model that "
        "skops does not know and you do; may be repeated")  # fmt: skip
    add("--keep-default", action="store_true", help="do not let the plain name stand for it yet")
    add("--replace-unpublished", action="store_true", help="write over the newest version, if no "
        "alias stands for it yet, instead of adding one")  # fmt: skip
    add("--out", type=Path, default=Path("model_artifacts"), help="where the artifacts are")
    return parser


if __name__ == "__main__":
    sys.exit(main())
