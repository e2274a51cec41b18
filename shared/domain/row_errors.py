"""Errors of rows as they are stored: those that many rows share are written once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any, Final

from shared.domain.rows import RowError

MIN_SHARED: Final = 32
"""So many rows with the same error share one document; fewer have one each."""

Documents = Sequence[Mapping[str, Any]]


def write_errors(errors: Sequence[RowError]) -> list[dict[str, Any]] | None:
    """Return `errors`, which stand in the order of their rows, as JSON documents; None without any.

    Rows with the same error share a document whose `rows` are ranges, each as its first row and
    its number of rows.
    """
    if not errors:
        return None
    alike: dict[tuple[str, str, str | None], list[RowError]] = {}
    for error in errors:
        alike.setdefault((error.code, error.detail, error.field), []).append(error)
    return [document for group in alike.values() for document in _documents(group)]


def _documents(group: Sequence[RowError]) -> list[dict[str, Any]]:
    if len(group) < MIN_SHARED:
        return [asdict(error) for error in group]
    first = group[0]
    return [
        {
            "code": first.code,
            "detail": first.detail,
            "field": first.field,
            "rows": _ranges(error.row for error in group),
        }
    ]


def _ranges(rows: Iterable[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    end = -1
    for row in rows:
        if row == end:
            ranges[-1][1] += 1
        else:
            ranges.append([row, 1])
        end = row + 1
    return ranges


def read_errors(documents: Documents | None) -> tuple[RowError, ...]:
    """Return the errors that `write_errors` wrote, in the order of their rows.

    The line of an error that is shared is None: a result knows the lines of its rows.
    """
    errors = chain.from_iterable(_read(document) for document in documents or ())
    return tuple(sorted(errors, key=lambda error: error.row))


def _read(document: Mapping[str, Any]) -> list[RowError]:
    if "rows" not in document:
        return [RowError(**document)]
    code, detail, field = document["code"], document["detail"], document["field"]
    return [
        RowError(row=row, code=code, detail=detail, field=field)
        for first, count in document["rows"]
        for row in range(first, first + count)
    ]


def count_errors(documents: Documents | None) -> int:
    """Return how many rows have an error."""
    return sum(
        sum(count for _, count in document["rows"]) if "rows" in document else 1
        for document in documents or ()
    )
