"""A copy of the data set proves by its contents that it is one."""

import dataclasses

import numpy as np
import pytest

from worker.training.source import Source, contents_hash, is_genuine
from worker.training.table import Column, Table

COLUMNS = (Column(name="Area"), Column(name="Length"))


def _table(rows: list[list[float]], labels: str) -> Table:
    return Table(columns=COLUMNS, rows=np.array(rows), labels=np.array(list(labels)))


PUBLISHED = _table([[20, 1.123456789], [30, 2.5], [30, 2.75]], "xyz")
SOURCE = Source(
    url="http://localhost/", citation="", columns=COLUMNS, label="Class", exact=(("Area", 0),),
    contents="",
)  # fmt: skip
KNOWN = dataclasses.replace(SOURCE, contents=contents_hash(SOURCE, PUBLISHED))


@pytest.mark.parametrize(
    "rows, labels",
    [
        ([[20, 1.123456789], [30, 2.5], [30, 2.75]], "xyz"),
        ([[20, 1.1234568], [30, 2.5], [30, 2.75]], "xyz"),
        ([[30, 2.75], [20, 1.123456789], [30, 2.5]], "zxy"),
    ],
)
def test_a_copy_is_known_by_its_contents(rows: list[list[float]], labels: str) -> None:
    """Fewer digits or another order do not make it another data set."""
    assert is_genuine(KNOWN, _table(rows, labels))


@pytest.mark.parametrize(
    "rows, labels",
    [
        ([[20, 1.123456789], [30, 2.5]], "xy"),
        ([[21, 1.123456789], [30, 2.5], [30, 2.75]], "xyz"),
        ([[20, 1.124], [30, 2.5], [30, 2.75]], "xyz"),
        ([[20, 1.123456789], [30, 2.5], [30, 2.75]], "yxz"),
        ([[20, 1.123456789], [30, 2.5], [30, 2.75], [30, 2.75]], "xyzz"),
    ],
)
def test_another_table_is_not_taken_for_it(rows: list[list[float]], labels: str) -> None:
    """A missing, changed, relabelled or repeated row shows."""
    assert not is_genuine(KNOWN, _table(rows, labels))
