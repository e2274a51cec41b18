"""Prints runs as a table."""

from collections import Counter
from collections.abc import Sequence

from tests.chaos.run import Report

_COLUMNS = ("seed", "mutant", "faults", "accepted", "rows", "finished", "unasked", "lost",
            "double", "wrong", "open", "poison", "given up", "restarts", "settled")  # fmt: skip
_LOST = ("lost", "no result", "accepted, then failed")
_DOUBLE = ("doubled", "stale result", "result of no chunk", "result of a canceled chunk")
_OPEN = ("unfinished", "open chunk")


def heading() -> str:
    """Return the table's head, in Markdown."""
    return f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"


def line(report: Report) -> str:
    """Return a run as a row of the table."""
    return f"| {' | '.join(map(str, _cells(report)))} |"


def _cells(report: Report) -> list[object]:
    counts = report.verdict.counts
    wrong = {name for name in counts if name.startswith("VIOLATION")}
    known = {f"VIOLATION {name}" for name in (*_LOST, *_DOUBLE, *_OPEN)}
    accepted = counts["accepted"]
    return [
        report.plan.seed,
        report.plan.mutant or "–",
        report.struck.total(),
        accepted,
        counts["accepted rows"],
        counts["jobs stored"] - counts["VIOLATION unfinished"],
        counts["jobs stored"] - accepted + counts["VIOLATION lost"],
        _sum(counts, _LOST),
        _sum(counts, _DOUBLE),
        sum(counts[name] for name in wrong - known),
        _sum(counts, _OPEN),
        counts["accepted poison"],
        counts["healthy chunks given up"],
        report.restarts,
        f"{report.settled:.1f} s",
    ]


def _sum(counts: Counter[str], kinds: Sequence[str]) -> int:
    return sum(counts[f"VIOLATION {kind}"] for kind in kinds)


def summary(reports: Sequence[Report]) -> str:
    """Say in a few lines what all runs came to."""
    struck: Counter[str] = Counter()
    answers: Counter[int] = Counter()
    for report in reports:
        struck += report.struck
        answers += report.answers
    faults = ", ".join(f"{name} {count}" for name, count in sorted(struck.items()))
    told = ", ".join(f"{status or 'none'}: {count}" for status, count in sorted(answers.items()))
    slowest = max((report.slowest for report in reports), default=0)
    violations = sum(
        count
        for report in reports
        for name, count in report.verdict.counts.items()
        if name.startswith("VIOLATION")
    )
    return (
        f"\nfaults struck: {faults}\nanswers to POST /jobs: {told}; slowest {slowest:.1f} s\n"
        f"violations: {violations}"
    )
