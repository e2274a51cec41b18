"""What a person sees in a terminal, and a machine on standard output."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from api.client.errors import ClientError
from api.client.values import FailedRow, Job, Report

_SHOWN: Final = 10
"""So many failed rows, or faults, are told one by one."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """Writes answers to standard output, as JSON if `machine`, and all else to standard error."""

    machine: bool

    def note(self, sentence: str) -> None:
        """Tell a person something that is no answer."""
        if not self.machine:
            self._errors().print(Text(sentence), soft_wrap=True)

    def answer(self, document: object, text: str) -> None:
        """Write an answer: `document` for machines, `text` for people and shells."""
        print(json.dumps(document, ensure_ascii=False) if self.machine else text)

    def table(self, titles: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
        """Write a table."""
        table = Table(box=None, pad_edge=False)
        for title in titles:
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        # Without a terminal nothing is cut off or folded.
        width = None if sys.stdout.isatty() else 1000
        Console(width=width, highlight=False).print(table)

    @staticmethod
    def output() -> BinaryIO:
        """Return standard output as a binary stream."""
        return sys.stdout.buffer

    @staticmethod
    def _errors() -> Console:
        return Console(stderr=True, highlight=False)

    def _bars(self, *columns: ProgressColumn) -> Progress:
        console = self._errors()
        hidden = self.machine or not console.is_terminal
        return Progress(*columns, console=console, disable=hidden, transient=True)

    @contextmanager
    def uploading(self) -> Iterator[Callable[[int, int | None], None]]:
        """Show a bar of bytes; give what is to be told of them."""
        columns = (
            TextColumn("uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
            TimeRemainingColumn(),
        )  # fmt: skip
        with self._bars(*columns) as bars:
            task = bars.add_task("", total=None)
            yield lambda sent, of: bars.update(task, completed=sent, total=of)

    @contextmanager
    def running(self) -> Iterator[Callable[[Job], None]]:
        """Show a bar of rows; give what is to be told of each change of a job."""
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"),
            TimeRemainingColumn(),
        )  # fmt: skip
        with self._bars(*columns) as bars:
            task = bars.add_task("", total=None)
            yield lambda job: bars.update(
                task, description=job.state, completed=job.rows.tried, total=job.rows.total or None
            )

    def fail(self, error: ClientError, advice: str) -> None:
        """Return what went wrong, and what to do."""
        if self.machine:
            faults = [
                {"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in error.errors
            ]
            self.answer({"code": error.code, "detail": error.detail, "errors": faults}, "")
            return
        lines = [f"drybeans: {error.detail}"]
        lines += [f"  {fault.detail}" for fault in error.errors[:_SHOWN]]
        more = len(error.errors) - _SHOWN
        lines += [f"  … and {more} more"] if more > 0 else []
        self.note("\n".join(lines + ([advice] if advice else [])))

    def outcome(self, job: Job, failed: Iterable[FailedRow]) -> None:
        """Return how a job ended, and why its first failed rows failed."""
        if self.machine:
            return
        lines = [describe(job), *(f"  warning: {warning}" for warning in job.warnings)]
        lines += [f"  {count:>9,}  {label}" for label, count in ordered(job.counts)]
        if job.rows.failed:
            shown = list(islice(failed, _SHOWN))
            lines += [f"  {_told(row)}" for row in shown]
            more = job.rows.failed - len(shown)
            lines += [f"  … and {more:,} more: drybeans errors {job.id}"] if more > 0 else []
        self.note("\n".join(lines))

    def report(self, report: Report) -> None:
        """Return what is wrong with rows that were only looked at."""
        failed = report.rows - report.usable
        lines = [f"{report.usable:,} of {report.rows:,} rows can be used by {report.model}."]
        lines += [f"  warning: {warning}" for warning in report.warnings]
        lines += [f"  {_told(row)}" for row in report.errors[:_SHOWN]]
        lines += [f"  … and {failed - _SHOWN:,} more"] if failed > _SHOWN else []
        self.answer(report.document, "\n".join(lines))


def ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return labels and their counts, the most frequent first."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def describe(job: Job) -> str:
    """Say in a line how a job stands."""
    rows = job.rows
    text = f"{job.id} {job.state}: {rows.succeeded:,} of {rows.total:,} rows have a label"
    text += f", {rows.failed:,} failed" if rows.failed else ""
    if not job.finished and job.eta_seconds is not None:
        text += f", about {job.eta_seconds:.0f} s to go"
    return f"{text}. {job.error.detail}" if job.error else f"{text}."


def _told(row: FailedRow) -> str:
    where = f"line {row.line}" if row.line is not None else f"row {row.row}"
    column = f", {row.error.field}" if row.error.field else ""
    return f"{where}{column}: {row.error.detail} ({row.error.code})"


def as_document(row: FailedRow) -> dict[str, Any]:
    """Write a failed row for machines."""
    error = {"code": row.error.code, "field": row.error.field, "detail": row.error.detail}
    where = {"row": row.row} if row.line is None else {"line": row.line}
    return {**where, "error": error}
