"""What a job's results look like as a whole: labels counted, rows outside the training ranges."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def merge_summaries(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the summaries of chunks: `counts` by label, `out_of_range` rows by feature."""
    counts: Counter[str] = Counter()
    out_of_range: Counter[str] = Counter()
    for part in parts:
        counts.update(part.get("counts", {}))
        out_of_range.update(part.get("out_of_range", {}))
    return {"counts": dict(sorted(counts.items())), "out_of_range": dict(out_of_range)}
