"""Where a published data set comes from, and how a copy of it proves that it is one."""

import hashlib
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from worker.training.table import Column, Table, TableRefused, read_table

_SECONDS: Final = 30
_MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A published data set. `contents` is the `contents_hash` of its rows.

    `exact` names columns whose published values have so many decimals and no more, and which
    therefore read the same in every copy; other columns are printed with differing precision.
    """

    url: str
    citation: str
    columns: tuple[Column, ...]
    label: str
    exact: tuple[tuple[str, int], ...]
    contents: str


def contents_hash(source: Source, table: Table) -> str:
    """Return a SHA-256 over what all copies of `source` have in common, in any order of rows.

    That is the exact columns and the label of each row, and each column's mean to six digits.
    """
    names = [column.name for column in table.columns]
    exact = [
        [f"{value:.{decimals}f}" for value in table.rows[:, names.index(name)]]
        for name, decimals in source.exact
    ]
    lines = sorted(",".join(fields) for fields in zip(*exact, table.labels, strict=True))
    means = [f"{mean:.6g}" for mean in table.rows.mean(axis=0)]
    return hashlib.sha256("\n".join([*lines, *means]).encode()).hexdigest()


def is_genuine(source: Source, table: Table) -> bool:
    """Return whether `table` holds the published rows, all of them and no others."""
    return contents_hash(source, table) == source.contents


def download(source: Source, path: Path, *, url: str | None = None) -> Table:
    """Fetch the published file (from `url`, when given) into `path` and return its rows.

    What arrives is kept only when it proves to be the data set. Raises `TableRefused`: when the
    file cannot be fetched, as without a network, or is something else.
    """
    aside = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside.write_bytes(_fetch(url or source.url))
    try:
        table = _proven(source, aside, url or source.url)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return table


def _proven(source: Source, path: Path, url: str) -> Table:
    try:
        table = read_table(path, source.columns, source.label)
    except TableRefused as error:
        raise TableRefused(f"What {url} sent is not the data set: {error.detail}") from error
    if not is_genuine(source, table):
        raise TableRefused(
            f"What {url} sent is not the published data set: its contents hash to "
            f"{contents_hash(source, table)} instead of {source.contents}."
        )
    return table


def _fetch(url: str) -> bytes:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise TableRefused(f"{url} is not a web address.")
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - checked above
            content: bytes = answer.read(_MOST_BYTES + 1)
    except OSError as error:  # urllib's own errors among them
        raise TableRefused(
            f"{url} cannot be fetched ({error}). Without a network, get the file some other way "
            "and train with --data PATH."
        ) from error
    if len(content) > _MOST_BYTES:
        raise TableRefused(f"{url} sent more than {_MOST_BYTES} bytes.")
    return content
