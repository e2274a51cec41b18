"""CSV files of every dialect and damage, and a straightforward reader that says what is in them."""

import csv
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st

NUMERALS = set("0123456789+-.eE")
NOT_FINITE = {sign + word for sign in ("", "+", "-") for word in ("nan", "inf", "infinity")}


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFile:
    """A CSV with its dialect. `columns` name each column: a feature, "id", or anything else."""

    data: bytes
    delimiter: str
    columns: tuple[str, ...]
    has_header: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRow:
    """What the reader says of one row: its numbers, or else what is wrong with it, and where."""

    line: int
    id: str = ""
    numbers: tuple[float, ...] | None = None
    code: str | None = None
    field: str | None = None


class TornField(Exception):
    """A quoted field does not end on its line."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def read_file(file: CsvFile, features: Sequence[str]) -> list[CsvRow]:
    """Read `file` a line at a time, as its rules are told to people.

    Raises `TornField` with the first line that ends within quotes.
    """
    lines = file.data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    texts = [(at, line.decode("utf-8", "replace")) for at, line in enumerate(lines, 1)]
    rows = [(at, text.removesuffix("\r")) for at, text in texts if text.strip(" \t\r")]
    for at, text in rows:
        if _ends_within_quotes(text, file.delimiter):
            raise TornField(at)
    if file.has_header:
        del rows[0]
    return [_read_row(at, text, file, features) for at, text in rows]


def _ends_within_quotes(text: str, delimiter: str) -> bool:
    # A line feed comes out of the reader only if it went in within quotes.
    fields = next(csv.reader([text.replace("\r", " ") + "\n"], delimiter=delimiter))
    return any("\n" in cell for cell in fields)


def _read_row(line: int, text: str, file: CsvFile, features: Sequence[str]) -> CsvRow:
    try:
        cells = next(csv.reader([text], delimiter=file.delimiter))
    except csv.Error:
        return CsvRow(line=line, code="malformed")
    named = dict(zip(file.columns, cells, strict=False))
    name = named.get("id", "")
    if len(cells) != len(file.columns):
        few = len(cells) < len(file.columns)
        return CsvRow(line=line, id=name, code="too_few_fields" if few else "too_many_fields")
    for at, feature in enumerate(features):
        if code := flaw(named[feature]):
            column = feature if file.has_header else f"column {at + 1}"
            return CsvRow(line=line, id=name, code=code, field=column)
    numbers = tuple(float(named[feature]) for feature in features)
    return CsvRow(line=line, id=name, numbers=numbers)


def flaw(cell: str) -> str | None:
    """Name what is wrong with a cell that should be a number."""
    text = cell.strip("".join(filter(_is_space, set(cell))))
    if not text:
        return "missing"
    if text.lower() in NOT_FINITE:
        return "not_finite"
    try:
        number = float(text)
    except ValueError:
        return "not_a_number"
    if not set(text) <= NUMERALS:
        return "not_a_number"
    return None if math.isfinite(number) else "not_finite"


def _is_space(character: str) -> bool:
    return character in "\t\n\v\f\r" or unicodedata.category(character) == "Zs"


SPELLINGS = ("{!r}", "{:.3f}", "{:e}", "{:G}", " {:.6f}", "{:.0f}.", "{:+.17g}  ")
ODD_NUMBERS = ("007", ".5", "5.", "+1E3", "1e-400", "0e99", "\t7", "\xa05", "\x0b6", "8\u3000")
NO_NUMBERS = (
    *("", " ", "x", "nan", "-NaN", "inf", "+Infinity", "1e999", "1_000", "\uff11", "0x10", "a_b"),
    *("True", "false", "1 2", "1e", "1d5", ".", "-", "+-1", "1,5", "1;5", "\0", "1\r2"),
    *("0.999\x1d", "\x1c1", "1\x1e", "\x1f1", "1\x85", "1\u2028", "\ufeff1", "1\u200b", "\u0663"),
    *("\ufffd", "#N/A", "NULL", "--1", "1.2.3", "=1+1"),
)
WORDS = ("", "7", "bean", "a b", "é€", "-", "=1+1", "@x", "a'b", "a_b", "true", " x ", "\0")
AWKWARD_WORDS = ("a,b", "a;b", "a\tb", 'say "x"', '"', "a\rb", '""', 'a"', ",", "\r")
BLANKS = ("", " ", "\t", " \t ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a drawn file is written.

    `quotes` is the share of cells quoted without need, `damage` that of lines that are no good
    rows, `careless` that of awkward cells that go without the quotes they need.
    """

    delimiter: str
    columns: tuple[str, ...]
    ends: tuple[str, ...]
    quotes: float
    damage: float
    careless: float


class Writer:
    """Writes lines in a dialect, as chance has it."""

    def __init__(self, dialect: Dialect, chance: Random) -> None:
        self._dialect = dialect
        self._chance = chance

    def line(self) -> str:
        """Write a row, or what should have been one, with its end."""
        if self._chance.random() >= self._dialect.damage:
            return self.join([self._cell(name) for name in self._dialect.columns])
        return self._chance.choice([self._blank, self._noise, self._short, self._long, self._bad])()

    def join(self, cells: Sequence[str]) -> str:
        """Write a line of `cells`, quoted where they must be, or for no reason."""
        end = self._chance.choice(self._dialect.ends)
        return self._dialect.delimiter.join(map(self._written, cells)) + end

    def torn(self) -> str:
        """Write a row with a line break within quotes."""
        cells = self._cells()
        cells[self._chance.randrange(len(cells))] = '"two\nlines"'
        return self._dialect.delimiter.join(cells) + "\n"

    def number(self) -> str:
        """Write a number one way or another."""
        if self._chance.random() < 0.02:
            return self._chance.choice(ODD_NUMBERS)
        size = 10.0 ** self._chance.randint(-4, 5)
        return self._chance.choice(SPELLINGS).format(self._chance.uniform(-size, size))

    def _cell(self, column: str) -> str:
        if column != "id" and not column.startswith("extra"):
            return self.number()
        awkward = self._chance.random() < self._dialect.quotes
        return self._chance.choice(AWKWARD_WORDS if awkward else WORDS)

    def _cells(self) -> list[str]:
        return [self._cell(name) for name in self._dialect.columns]

    def _written(self, cell: str) -> str:
        needed = any(mark in cell for mark in (self._dialect.delimiter, "\n", '"', "\r"))
        share = 1 - self._dialect.careless if needed else self._dialect.quotes
        if self._chance.random() < share:
            return '"' + cell.replace('"', '""') + '"'
        return cell

    def _blank(self) -> str:
        return self._chance.choice(BLANKS) + self._chance.choice(self._dialect.ends)

    def _noise(self) -> str:
        marks = self._chance.choices("1,;\tx \r", k=self._chance.randint(1, 20))
        return "".join(marks) + "\n"

    def _short(self) -> str:
        return self.join(self._cells()[:-1])

    def _long(self) -> str:
        return self.join([*self._cells(), self.number()])

    def _bad(self) -> str:
        cells = self._cells()
        cells[self._chance.randrange(len(cells))] = self._chance.choice(NO_NUMBERS)
        return self.join(cells)


dialects = st.builds(
    Dialect,
    delimiter=st.sampled_from([",", ";", "\t"]),
    columns=st.just(()),
    ends=st.sampled_from([("\n",), ("\r\n",), ("\n", "\r\n")]),
    quotes=st.sampled_from([0.0, 0.0, 0.2, 1.0]),
    damage=st.sampled_from([0.0, 0.0, 0.01, 0.3]),
    careless=st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.2]),
)


@st.composite
def csv_files(
    draw: st.DrawFn, features: Sequence[Sequence[str]], *, most_lines: int = 400
) -> CsvFile:
    """Draw a CSV for a model whose features have the given spellings, the name first."""
    chance = Random(draw(st.integers(0, 2**32)))
    has_header = draw(st.integers(0, 9)) > 0
    columns = [spellings[0] for spellings in features]
    if has_header:
        columns += draw(st.lists(st.sampled_from(["id", "extra 1", "extra 2"]), unique=True))
        chance.shuffle(columns)
    dialect = replace(draw(dialects), columns=tuple(columns))
    writer = Writer(dialect, chance)
    first = [_spelt(name, features, chance) for name in columns]
    text = writer.join(first if has_header else [writer.number() for _ in columns])
    text = draw(st.sampled_from(["", "", "\n", " \r\n\n"])) + text
    rows = [writer.line() for _ in range(draw(st.integers(0, most_lines)))]
    if chance.random() < 0.08:
        rows.insert(chance.randint(0, len(rows)), writer.torn())
    text += "".join(rows)
    if draw(st.booleans()):
        text = text.removesuffix("\n").removesuffix("\r")
    data = draw(st.sampled_from(["", "\ufeff"])).encode() + text.encode()
    # What is no UTF-8 at all.
    data = data.replace("\ufffd".encode(), b"\xff")
    return CsvFile(
        data=data, delimiter=dialect.delimiter, columns=tuple(columns), has_header=has_header
    )


def _spelt(column: str, features: Sequence[Sequence[str]], chance: Random) -> str:
    known = {spellings[0]: spellings for spellings in features}
    name = chance.choice(known.get(column, (column,)))
    return chance.choice([name, name.lower(), name.upper(), f" {name} "])


@st.composite
def cuts(draw: st.DrawFn, data: bytes, *, most: int = 8) -> list[bytes]:
    """Draw the pieces in which `data` happens to arrive; none is empty."""
    at = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=most)))
    pieces = [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]
    return [piece for piece in pieces if piece]
