"""Every benchmark runs, at a size that measures nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.parts import ROOT, clean_environment

# Without a Redis on this machine there is nothing to measure. Starting both designs takes a while.
pytestmark = [pytest.mark.usefixtures("shared_redis"), pytest.mark.slow, pytest.mark.timeout(900)]


def run(*arguments: str) -> str:
    """Run a module of bench and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_jobs_benchmark_compares_both_designs() -> None:
    """Both designs answer every client with scikit-learn's labels, and get a line each."""
    table = run(
        "bench.jobs", "--kind", "sqlite", "--clients", "1", "--seconds", "0.3", "--rounds", "1"
    )

    assert "| 1 | stock, polled every 10 ms |" in table
    assert "| 1 | drybeans, `Prefer: wait` |" in table


def test_the_backlog_benchmark_submits_and_finishes_in_tenths() -> None:
    """A line for each tenth of the jobs, as they are submitted and as they are finished."""
    table = run("bench.backlog", "--kind", "sqlite", "--jobs", "40", "--clients", "2")

    assert table.count("\n| 4 |") == 2
    assert table.count("\n| 40 |") == 2


def test_the_generator_writes_every_row_and_the_script_labels_it(tmp_path: Path) -> None:
    """The file has a header and that many different rows; one and two processes agree on them."""
    rows, one, two = (str(tmp_path / name) for name in ("rows.csv", "one.csv", "two.csv"))

    run("bench.generate", "301", rows, "--seed", "3")
    run("bench.offline", rows, one)
    run("bench.offline", rows, two, "--processes", "2")

    header, *lines = Path(rows).read_text().splitlines()
    assert header.count(",") == 15
    assert len(set(lines)) == 301
    assert len(Path(one).read_text().splitlines()) == 302
    assert Path(one).read_text() == Path(two).read_text()


def test_the_bulk_benchmark_compares_with_the_script() -> None:
    """The labels are the script's, or it would fail."""
    table = run("bench.bulk", "--kind", "sqlite", "--rows", "3000", "--rounds", "1")

    assert "| drybeans, two worker processes, rows/s |" in table
    assert "| CPU of worker, s |" in table


def test_the_growth_benchmark_reads_jobs_of_each_size() -> None:
    """A line for each size: here there is one."""
    table = run("bench.growth", "--kind", "sqlite", "--most", "10000")

    assert table.count("\n| 10,000 |") == 1
