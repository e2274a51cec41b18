"""Long work of the API lets other requests have a turn, under gevent as it is run for real."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parent.parent.parent
_PROGRAM: Final = """
from gevent import monkey, sleep, spawn
monkey.patch_all()
from datetime import timedelta
from api.jobs.csv_chunker import ChunkLimits, split_into_chunks
from api.schemas.job_options import ReadOptions
from api.jobs.validate_only import ValidateCsv, ValidateRows
from tests.models import a_manifest

options = ReadOptions(
    resolve=lambda name: a_manifest(), default_model="toy", max_retention=timedelta(days=1)
)
cut = ChunkLimits(piece_bytes=1 << 22, line_bytes=1000)
work = {{
    "json": lambda: ValidateRows(read_options=options, instances=50_000)(
        {{"instances": [[1.0]] * 50_000}}
    )["rows"],
    "csv": lambda: ValidateCsv(read_options=options, chunk_limits=cut)(
        {{}}, iter([b"Area,Length,Width\\n" + b"x\\n" * 50_000])
    )["rows"],
    "upload": lambda: sum(
        piece.row_count for piece in split_into_chunks([b"x\\n" * (1 << 20)] * 4, cut, ",", 1)
    ) // 83,
}}["{kind}"]
greenlet = spawn(work)
turns = 0
while not greenlet.ready():
    turns += 1
    sleep(0)
print(turns, greenlet.get())
"""


@pytest.mark.parametrize("kind, least", [("json", 100), ("csv", 100), ("upload", 100)])
def test_long_work_lets_others_have_a_turn(kind: str, least: int) -> None:
    """Fifty thousand bad rows, or some megabytes of short lines, take a hundred turns and more."""
    command = [sys.executable, "-c", _PROGRAM.format(kind=kind)]

    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    turns, rows = map(int, done.stdout.split())
    assert rows >= 50_000
    assert turns >= least
