"""Tables are read by column name, and what is wrong with one is named."""

from pathlib import Path

import numpy as np
import pytest

from worker.training.table import Column, TableRefused, read_table

COLUMNS = (Column(name="Area"), Column(name="AspectRation", aliases=("AspectRatio",)))


def _file(folder: Path, text: str) -> Path:
    path = folder / "beans.csv"
    path.write_text(text)
    return path


def test_columns_are_found_by_name_or_alias_in_any_order(tmp_path: Path) -> None:
    """The data set is published with two spellings of a column."""
    path = _file(tmp_path, "Class,Color,aspectratio,AREA\nSIRA,red,1.5,20\nCALI,red,1.25,30\n")

    table = read_table(path, COLUMNS, "Class")

    np.testing.assert_array_equal(table.rows, [[20.0, 1.5], [30.0, 1.25]])
    assert table.labels.tolist() == ["SIRA", "CALI"]


def test_whole_numbers_as_labels_become_text(tmp_path: Path) -> None:
    """A label is a word to this service."""
    path = _file(tmp_path, "Area,AspectRation,Class\n1,2,7\n3,4,10\n")

    assert read_table(path, COLUMNS, "Class").labels.tolist() == ["7", "10"]


def test_every_digit_is_read(tmp_path: Path) -> None:
    """Training twice from one file must see the same numbers to the last bit."""
    path = _file(tmp_path, "Area,AspectRation,Class\n0.1,1.1971914239999998,x\n")

    assert read_table(path, COLUMNS, "Class").rows.tolist() == [[0.1, 1.1971914239999998]]


@pytest.mark.parametrize(
    "text, message",
    [
        ("Area,Class\n1,x\n", "no column AspectRation; the columns are Area, Class"),
        ("a,b\n1,2\n", "no column Area, AspectRation"),
        ("Area,AspectRation\n1,2\n", "no column Class"),
        ("Area,AspectRation,Class\n", "has no rows"),
        ("", "not a CSV file"),
        ("Area,AspectRation,Class\n1,2,x\n1,big,x\n", "line 3 has no number in AspectRation"),
        ("Area,AspectRation,Class\n,2,x\n", "line 2 has no number in Area"),
        ("Area,AspectRation,Class\ninf,2,x\n", "line 2 has no number in Area"),
        ("Area,AspectRation,Class\n1,2,x\n1,2,\n", "line 3 has no Class"),
        ("Area,AspectRation,Class\n" + "?,2,x\n" * 9, "line 2, 3, 4, 5, 6 and 4 more has"),
        ('Area,AspectRation,Class\n1,2,"x\n', "not a CSV file"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    """Whoever gave the file can mend it."""
    path = _file(tmp_path, text)

    with pytest.raises(TableRefused, match=message) as refusal:
        read_table(path, COLUMNS, "Class")

    assert str(path) in refusal.value.detail


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A mistyped path is said to be one."""
    with pytest.raises(TableRefused, match=r"no\.csv cannot be read \(No such file"):
        read_table(tmp_path / "no.csv", COLUMNS, "Class")
