"""Writes a model's figures as text, beside those of its baselines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from worker.training.evaluation import FIGURES

_TITLES: Final = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "log_loss": "log-loss",
    "calibration_error": "ECE",
}


def report(metrics: Mapping[str, Any]) -> str:
    """Write all figures of a manifest's `metrics`."""
    held = metrics["held_out"]
    lines = [
        f"Held out, {held['rows']} rows, {held['split']}:",
        *_compared(held, _plain),
        "",
        *_classes(held),
    ]
    if "cross_validation" in metrics:
        crossed = metrics["cross_validation"]
        title = f"{crossed['folds']}-fold, shuffled, seed {crossed['seed']}, all rows "
        title += "(mean ± sd over folds; ECE of all rows pooled):"
        lines += ["", title, *_compared(crossed, _spread)]
    return "\n".join(lines)


def _compared(figures: Mapping[str, Any], write: Callable[[str, Any], str]) -> list[str]:
    rows = {"this model": figures} | figures["baselines"]
    width = max(map(len, rows))
    head = "".join(f"{_TITLES[name]:>18}" for name in FIGURES)
    return [f"  {'':{width}}{head}"] + [
        f"  {name.replace('_', ' '):{width}}"
        + "".join(f"{write(name, of[name]):>18}" for name in FIGURES)
        for name, of in rows.items()
    ]


def _plain(_name: str, figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.4f}"


def _spread(name: str, figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return "-"
    if name == "calibration_error":
        return f"{figure['pooled']:.4f}"
    return f"{figure['mean']:.4f} ± {figure['sd']:.4f}"


def _classes(held: Mapping[str, Any]) -> Iterable[str]:
    names: Sequence[str] = list(held["per_class"])
    width = max(map(len, names))
    cells = max(6, width + 1)
    across = "".join(f"{name:>{cells}}" for name in names)
    yield f"  {'':{width}}  {'':9}  {'':6} | rows predicted as"
    yield f"  {'':{width}}  precision  recall | {across}"
    for name, counts in zip(names, held["confusion"], strict=True):
        of = held["per_class"][name]
        row = "".join(f"{count:>{cells}}" for count in counts)
        yield f"  {name:{width}}  {of['precision']:>9.4f}  {of['recall']:>6.4f} | {row}"
